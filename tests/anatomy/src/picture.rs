//! The picture: on top a map with one cell per byte and its legend, below it the listing in two columns.
//! Lengths are in pixels.

use crate::disassembly::InstructionSet;
use crate::listing::{self, Line};
use anyhow::Result;
use parts::{Kind, Part};
use svg::Document;
use svg::node::element::{Group, Path, Rectangle, Style, TSpan, Text, Title};

const WIDTH: usize = 1200;
const MARGIN: usize = 28;
const HEADING: usize = 96;

/// The map: cells per row, the distance from one to the next, and what is left of them for the offsets.
const CELLS: usize = 32;
const CELL: usize = 24;
const OFFSETS: usize = 36;

const LEGEND: usize = MARGIN + OFFSETS + CELLS * CELL + 24;
const LEGEND_ROW: usize = 23;

/// The listing: the width of a column, and the distances from its left edge.
const COLUMN: usize = (WIDTH - 2 * MARGIN - GUTTER) / 2;
const GUTTER: usize = 32;
const OFFSET: usize = 14;
const BYTES: usize = 48;
const LISTING_ROW: usize = 16;
const BLOCK_HEADING: usize = 24;
const BLOCK_GAP: usize = 14;

/// The widest that any monospaced font draws a letter of the listing, in hundredths of a pixel.
const LETTER: usize = 690;

/// The letters of a name that fit into the legend, and into the heading of a block.
const LEGEND_LETTERS: usize = 27;
const BLOCK_LETTERS: usize = 46;

const STYLE: &str = "
text { font: 11px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #c9d1d9 }
.title { font-size: 24px; font-weight: bold; fill: #f0f6fc }
.subtitle { font-size: 13px }
.dim { fill: #7d8794 }
.end { text-anchor: end }
.cell { font-size: 10px; fill: #0b0f16; text-anchor: middle }
.small { font-size: 8px; text-anchor: middle; fill: #0b0f16; fill-opacity: .65 }
.letter { font-size: 12px; font-weight: bold; text-anchor: middle; fill: #0b0f16 }
.name { font-size: 12px; font-weight: bold }
.note { fill: #d2a8ff }
";

/// Draws the program.
///
/// # Errors
/// Where a part can't be listed.
pub fn draw(platform: &str, set: &InstructionSet, program: &[u8], parts: &[Part]) -> Result<String> {
    let colours = colours(parts);
    let lines = parts.iter().map(|part| listing::lines(program, part, parts, set)).collect::<Result<Vec<_>>>()?;
    let blocks = parts.iter().zip(&colours).zip(&lines).map(|((part, colour), lines)| Block { part, colour, lines });
    let columns = split(&blocks.collect::<Vec<_>>());

    let map_height = program.len().div_ceil(CELLS) * CELL;
    let listing_top = HEADING + map_height.max(parts.len() * LEGEND_ROW) + 40;
    let height = listing_top + height(&columns[0]).max(height(&columns[1])) + MARGIN - BLOCK_GAP;

    let mut document = Document::new()
        .set("viewBox", (0, 0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .add(Style::new(STYLE))
        .add(Rectangle::new().set("width", WIDTH).set("height", height).set("rx", 12).set("fill", "#0d1117"));
    document = document.add(heading(platform, program, parts)).add(map(program, parts, &colours));
    document = document.add(legend(program, parts, &colours));
    for (x, blocks) in [MARGIN, MARGIN + COLUMN + GUTTER].into_iter().zip(&columns) {
        document = document.add(column(x, listing_top, blocks, program));
    }
    Ok(format!("{document}\n"))
}

/// A part, or what of it is in one column, and its lines in the listing.
#[derive(Clone, Copy)]
struct Block<'a> {
    part: &'a Part,
    colour: &'a str,
    lines: &'a [Line],
}

impl Block<'_> {
    fn height(&self) -> usize {
        BLOCK_HEADING + self.lines.len() * LISTING_ROW + BLOCK_GAP
    }
}

fn height(blocks: &[Block]) -> usize {
    blocks.iter().map(Block::height).sum()
}

/// Splits the listing into two columns, the longer of which is as short as can be.
fn split<'a>(blocks: &[Block<'a>]) -> [Vec<Block<'a>>; 2] {
    let split_at = |index: usize, line: usize| {
        let Block { part, colour, lines } = blocks[index];
        let (above, below) = lines.split_at(line);
        let mut columns = [blocks[..index].to_vec(), blocks[index + 1..].to_vec()];
        columns[0].push(Block { part, colour, lines: above });
        if !below.is_empty() {
            columns[1].insert(0, Block { part, colour, lines: below });
        }
        columns
    };
    let places = (0..blocks.len()).flat_map(|index| {
        let lines = blocks[index].lines.len();
        (lines.min(1)..=lines).map(move |line| (index, line))
    });
    let longer = |columns: &[Vec<Block>; 2]| height(&columns[0]).max(height(&columns[1]));
    let columns = places.map(|(index, line)| split_at(index, line)).min_by_key(longer);
    columns.unwrap_or_default()
}

/// A colour for each part: a range of hues for each kind, and neighbours that differ.
fn colours(parts: &[Part]) -> Vec<String> {
    let colour = |(index, part): (usize, &Part)| {
        let nth = parts[..index].iter().filter(|other| other.kind == part.kind).count();
        let (hue, saturation, lightness) = match part.kind {
            Kind::ElfHeader => (212, 85, 68),
            Kind::ProgramHeader => ([188, 232][nth % 2], 60, 70),
            Kind::Function => ([45, 345, 22, 300, 58, 8, 325, 33, 275][nth % 9], 80, [66, 74][nth % 2]),
            Kind::Message => ([135, 165, 105, 150][nth % 4], 48, [62, 72][nth % 2]),
            Kind::Constant => (75, 65, 68),
            Kind::Padding => (215, 8, 45),
        };
        format!("hsl({hue}, {saturation}%, {lightness}%)")
    };
    parts.iter().enumerate().map(colour).collect()
}

fn text(x: usize, y: usize, class: &str, content: impl Into<String>) -> Text {
    Text::new(content).set("x", x).set("y", y).set("class", class)
}

fn heading(platform: &str, program: &[u8], parts: &[Part]) -> Group {
    let sum = |kinds: &[Kind]| -> usize {
        parts.iter().filter(|part| kinds.contains(&part.kind)).map(|part| part.range.len()).sum()
    };
    let groups = [
        (sum(&[Kind::ElfHeader, Kind::ProgramHeader]), "headers"),
        (sum(&[Kind::Function]), "code"),
        (sum(&[Kind::Message]), "messages"),
        (sum(&[Kind::Constant]), "constants"),
        (sum(&[Kind::Padding]), "padding"),
    ];
    let groups = groups.iter().filter(|(size, _)| *size > 0);
    let groups: Vec<_> = groups.map(|(size, name)| format!("{size} {name}")).collect();
    Group::new()
        .add(text(MARGIN, 46, "title", format!("pause for {platform}: all {} bytes of it", program.len())))
        .add(text(MARGIN, 70, "subtitle dim", format!("bytes: {}", groups.join(" · "))))
}

/// The map: every byte in its row, in the colour of its part. A letter of a message shows above its number.
fn map(program: &[u8], parts: &[Part], colours: &[String]) -> Group {
    let mut map = Group::new();
    for row in 0..program.len().div_ceil(CELLS) {
        let (x, y) = (MARGIN + OFFSETS - 8, HEADING + row * CELL + 15);
        map = map.add(text(x, y, "dim end", format!("{:03x}", row * CELLS)));
    }
    for (part, colour) in parts.iter().zip(colours) {
        let mut cells = String::new();
        let mut group = Group::new().add(Title::new(format!("{}, {} bytes", part.name, part.range.len())));
        let mut labels = Vec::new();
        for offset in part.range.clone() {
            let (x, y) = (MARGIN + OFFSETS + offset % CELLS * CELL, HEADING + offset / CELLS * CELL);
            let side = CELL - 1;
            cells += &format!("M{x} {y}h{side}v{side}h-{side}z");
            let (byte, middle) = (program[offset], x + CELL / 2);
            let number = format!("{byte:02x}");
            // A message's text comes behind its file and its length.
            if part.kind == Kind::Message && offset >= part.range.start + 2 {
                let letter = if byte == b'\n' { '⏎' } else { byte.into() };
                labels.push(text(middle, y + 12, "letter", letter));
                labels.push(text(middle, y + 21, "small", number));
            } else {
                labels.push(text(middle, y + 15, "cell", number));
            }
        }
        group = group.add(Path::new().set("d", cells).set("fill", colour.as_str()));
        map = map.add(labels.into_iter().fold(group, Group::add));
    }
    map
}

fn legend(program: &[u8], parts: &[Part], colours: &[String]) -> Group {
    let mut legend = Group::new();
    for (row, (part, colour)) in parts.iter().zip(colours).enumerate() {
        let y = HEADING + row * LEGEND_ROW;
        let size = part.range.len();
        let percent = format!("{:.1} %", 100.0 * size as f64 / program.len() as f64);
        let swatch = Rectangle::new().set("x", LEGEND).set("y", y + 1).set("width", 15).set("height", 15);
        legend = legend
            .add(swatch.set("rx", 3).set("fill", colour.as_str()))
            .add(text(LEGEND + 24, y + 13, "", shorten(&part.name, LEGEND_LETTERS)))
            .add(text(WIDTH - MARGIN - 62, y + 13, "end", size.to_string()))
            .add(text(WIDTH - MARGIN, y + 13, "end dim", percent));
    }
    legend
}

/// A column of the listing.
fn column(x: usize, mut y: usize, blocks: &[Block], program: &[u8]) -> Group {
    let mut column = Group::new();
    for Block { part, colour, lines } in blocks {
        let (start, size) = (part.range.start, part.range.len());
        let continued = lines.first().is_some_and(|line| line.range.start > start);
        let name = shorten(&part.name, BLOCK_LETTERS) + if continued { " (continued)" } else { "" };
        let bar = Rectangle::new().set("x", x).set("y", y).set("width", 4).set("rx", 2);
        let bar = bar.set("height", BLOCK_HEADING - 8 + lines.len() * LISTING_ROW).set("fill", *colour);
        column = column
            .add(bar)
            .add(text(x + OFFSET, y + 12, "name", name).set("style", format!("fill: {colour}")))
            .add(text(x + COLUMN, y + 12, "end dim", format!("{start:03x} · {size} bytes")));
        y += BLOCK_HEADING;
        for line in *lines {
            column = column.add(listing_row(x, y + 11, line, program));
            y += LISTING_ROW;
        }
        y += BLOCK_GAP;
    }
    column
}

fn listing_row(x: usize, y: usize, line: &Line, program: &[u8]) -> Group {
    let bytes: String = program[line.range.clone()].iter().map(|byte| format!("{byte:02x}")).collect();
    // A field or an instruction of more than eight bytes moves what is beside it.
    let start = BYTES + (bytes.len().max(16) + 2) * LETTER / 100;
    let room = (COLUMN - start) * 100 / LETTER;
    let note = shorten(&line.note, room.saturating_sub(line.text.chars().count() + 3));
    let mut meaning = text(x + start, y, "", shorten(&line.text, room));
    if !note.is_empty() {
        meaning = meaning.add(TSpan::new(note).set("class", "note").set("dx", 10));
    }
    Group::new()
        .add(text(x + OFFSET, y, "dim", format!("{:03x}", line.range.start)))
        .add(text(x + BYTES, y, "dim", bytes))
        .add(meaning)
}

/// A text of at most so many letters, without its middle if it has more: messages begin alike.
fn shorten(text: &str, letters: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= letters {
        return text.into();
    }
    let end = letters.saturating_sub(1) / 2;
    let start = letters.saturating_sub(1) - end;
    all[..start].iter().chain(&['…']).chain(&all[all.len() - end..]).collect()
}

//! The picture: on top a map with one cell per byte and its legend, below it the listing in two columns.
//! Lengths are in pixels.

use super::disassembly;
use super::listing::{self, Line};
use super::parts::{Kind, Part};
use anyhow::Result;
use object::elf;
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

/// The letters that fit beside a swatch of the legend.
const LEGEND_LETTERS: usize = 27;

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
pub fn draw(platform: &str, program: &[u8], parts: &[Part]) -> Result<String> {
    let machine: [u8; 2] = [program[18], program[19]];
    let machine = match program[5] == elf::ELFDATA2MSB.0 {
        true => u16::from_be_bytes(machine),
        false => u16::from_le_bytes(machine),
    };
    let set = disassembly::instruction_set(elf::Machine(machine));
    let colours = colours(parts);
    let blocks = parts.iter().zip(&colours).map(|(part, colour)| {
        let lines = listing::lines(program, part, parts, set)?;
        Ok(Block { part, colour, lines })
    });
    let blocks = blocks.collect::<Result<Vec<_>>>()?;

    let map_height = program.len().div_ceil(CELLS) * CELL;
    let listing_top = HEADING + map_height.max(parts.len() * LEGEND_ROW) + 40;
    let (left, right) = blocks.split_at(balance(&blocks));
    let height = listing_top + height(left).max(height(right)) + MARGIN;

    let mut document = Document::new()
        .set("viewBox", (0, 0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .add(Style::new(STYLE))
        .add(Rectangle::new().set("width", WIDTH).set("height", height).set("rx", 12).set("fill", "#0d1117"));
    document = document.add(heading(platform, program, parts)).add(map(program, parts, &colours));
    document = document.add(legend(program, parts, &colours));
    document = document.add(column(MARGIN, listing_top, left, program));
    document = document.add(column(MARGIN + COLUMN + GUTTER, listing_top, right, program));
    Ok(format!("{document}\n"))
}

/// A part and its lines in the listing.
struct Block<'a> {
    part: &'a Part,
    colour: &'a str,
    lines: Vec<Line>,
}

impl Block<'_> {
    fn height(&self) -> usize {
        BLOCK_HEADING + self.lines.len() * LISTING_ROW + BLOCK_GAP
    }
}

fn height(blocks: &[Block]) -> usize {
    blocks.iter().map(Block::height).sum()
}

/// How many blocks go to the left column, so that the longer column is as short as can be.
fn balance(blocks: &[Block]) -> usize {
    let longer = |&count: &usize| height(&blocks[..count]).max(height(&blocks[count..]));
    (0..=blocks.len()).min_by_key(longer).unwrap_or_default()
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
            if part.kind == Kind::Message {
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
        let bar = Rectangle::new().set("x", x).set("y", y).set("width", 4).set("rx", 2);
        let name = shorten(&part.name, 56);
        column = column
            .add(bar.set("height", BLOCK_HEADING + lines.len() * LISTING_ROW).set("fill", *colour))
            .add(text(x + OFFSET, y + 12, "name", name).set("style", format!("fill: {colour}")))
            .add(text(x + COLUMN, y + 12, "end dim", format!("{} bytes", part.range.len())));
        y += BLOCK_HEADING;
        for line in lines {
            column = column.add(listing_row(x, y + 11, part.kind, line, program));
            y += LISTING_ROW;
        }
        y += BLOCK_GAP;
    }
    column
}

fn listing_row(x: usize, y: usize, kind: Kind, line: &Line, program: &[u8]) -> Group {
    let bytes = match kind {
        // The map shows its bytes.
        Kind::Message => String::new(),
        _ => program[line.range.clone()].iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    // A field or an instruction of more than eight bytes moves what is beside it.
    let start = if bytes.is_empty() { BYTES } else { BYTES + (bytes.len().max(16) + 2) * LETTER / 100 };
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

/// A text of at most so many letters.
fn shorten(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.into();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

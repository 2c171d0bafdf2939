//! What differs between two blobs of the same kind, and what that belongs to. "Here" is what this source makes,
//! "there" is what it is compared with.

use crate::found::LIMIT;
use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use parts::{Kind, Part, header};
use serde_json::Value;
use std::io::Read;
use std::ops::Range;

/// The fields of an archive's header of a file, each with where it ends.
const TAR_HEADER: [(&str, usize); 17] = [
    ("name", 100),
    ("mode", 108),
    ("uid", 116),
    ("gid", 124),
    ("size", 136),
    ("mtime", 148),
    ("chksum", 156),
    ("typeflag", 157),
    ("linkname", 257),
    ("magic", 263),
    ("version", 265),
    ("uname", 297),
    ("gname", 329),
    ("devmajor", 337),
    ("devminor", 345),
    ("prefix", 500),
    ("padding", 512),
];

/// The fields of the header of compressed data, each with where it ends.
const GZIP_HEADER: [(&str, usize); 6] = [("ID", 2), ("CM", 3), ("FLG", 4), ("MTIME", 8), ("XFL", 9), ("OS", 10)];

/// The first value that differs between two JSON texts.
pub fn of_json(here: &[u8], there: &[u8]) -> String {
    let values = [here, there].map(serde_json::from_slice::<Value>);
    let [Ok(here), Ok(there)] = values else { return "it is no JSON there".into() };
    let Some((path, here, there)) = first_value(&here, &there, String::new()) else {
        return "the values are the same, written otherwise".into();
    };
    let show = |value: Option<&Value>| match value {
        None => "nothing".to_owned(),
        Some(value) => value.to_string().chars().take(100).collect(),
    };
    format!("{path} is {} here and {} there", show(here), show(there))
}

/// Whether two configurations are the same but for the digests of the layers.
pub fn only_layers(here: &[u8], there: &[u8]) -> bool {
    let [here, there] = [here, there].map(|config| {
        let mut config: Value = serde_json::from_slice(config).unwrap_or_default();
        config.as_object_mut().map(|config| config.remove("rootfs"));
        config
    });
    here == there
}

type Values<'a> = (String, Option<&'a Value>, Option<&'a Value>);

fn first_value<'a>(here: &'a Value, there: &'a Value, path: String) -> Option<Values<'a>> {
    match (here, there) {
        (Value::Object(here), Value::Object(there)) => here
            .keys()
            .chain(there.keys())
            .find_map(|key| descend(here.get(key), there.get(key), format!("{path}/{key}"))),
        (Value::Array(here), Value::Array(there)) => (0..here.len().max(there.len()))
            .find_map(|index| descend(here.get(index), there.get(index), format!("{path}/{index}"))),
        (here, there) => (here != there).then_some((path, Some(here), Some(there))),
    }
}

fn descend<'a>(here: Option<&'a Value>, there: Option<&'a Value>, path: String) -> Option<Values<'a>> {
    match (here, there) {
        (Some(here), Some(there)) => first_value(here, there, path),
        (here, there) => Some((path, here, there)),
    }
}

/// The first byte that differs between two layers, and what it belongs to. `dissect` takes the program of this
/// source apart.
///
/// # Errors
/// Where the layer of this source can't be read.
pub fn of_layers(here: &[u8], there: &[u8], dissect: impl Fn() -> Result<(Vec<u8>, Vec<Part>)>) -> Result<String> {
    let archive = unpack(here).context("this source's layer")?;
    let other = match unpack(there) {
        Ok(other) => other,
        Err(error) => {
            let place = first_byte(here, there).map(|at| bytes(here, there, at)).unwrap_or_default();
            return Ok(format!("{place} of the compressed data, which can't be read there: {error}"));
        }
    };
    let Some(at) = first_byte(&archive, &other) else {
        let Some(at) = first_byte(here, there) else { return Ok("nothing".into()) };
        let field = GZIP_HEADER.iter().find(|(_, end)| at < *end);
        let field = field.map_or("its data".into(), |(name, _)| format!("the field {name} of its header"));
        return Ok(format!(
            "{} of the compressed data, in {field}; the archive in it is the same",
            bytes(here, there, at)
        ));
    };
    let mut belongs = in_archive(&files(&archive)?, at);
    if belongs == END {
        // What is more there than here has a name only there.
        belongs = files(&other).map_or(belongs, |files| in_archive(&files, at));
    }
    let mut place = format!("{} of the archive, in {belongs}", bytes(&archive, &other, at));
    // What a header says of a program that differs is not all that one wants to know.
    let programs = [&archive, &other].map(|archive| program(archive));
    if let [Some(ours), Some(theirs)] = programs
        && let Some(at) = first_byte(ours, theirs)
    {
        let part = in_program(ours, at, dissect)?;
        place = format!("{place}; {} of the program, in {part}", bytes(ours, theirs, at));
    }
    Ok(place)
}

/// The archive in a layer.
fn unpack(layer: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut decoder = GzDecoder::new(layer);
    let mut archive = Vec::new();
    decoder.by_ref().take(LIMIT).read_to_end(&mut archive)?;
    Ok(archive)
}

/// Where two texts of bytes differ first, if they do.
fn first_byte(here: &[u8], there: &[u8]) -> Option<usize> {
    let common = here.iter().zip(there).position(|(here, there)| here != there);
    common.or_else(|| (here.len() != there.len()).then_some(here.len().min(there.len())))
}

/// Two bytes that differ.
fn bytes(here: &[u8], there: &[u8], at: usize) -> String {
    let show = |bytes: &[u8]| bytes.get(at).map_or("the end".into(), |byte| format!("{byte:#04x}"));
    format!("byte {at} ({} here, {} there)", show(here), show(there))
}

/// A file in an archive.
struct File {
    name: String,
    header: usize,
    content: Range<usize>,
}

fn files(archive: &[u8]) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry?;
        let start = entry.raw_file_position() as usize;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        files.push(File {
            name,
            header: entry.raw_header_position() as usize,
            content: start..start + entry.size() as usize,
        });
    }
    Ok(files)
}

/// What is behind the last file of an archive.
const END: &str = "its end";

/// What a byte of an archive belongs to.
fn in_archive(files: &[File], at: usize) -> String {
    let Some(File { name, header, content }) = files.iter().rev().find(|file| file.header <= at) else {
        return END.into();
    };
    match at.checked_sub(*header) {
        Some(offset) if at < content.start => match TAR_HEADER.iter().find(|(_, end)| offset < *end) {
            Some((field, _)) => format!("the field {field} of /{name}'s header"),
            None => format!("/{name}'s header"),
        },
        _ if content.contains(&at) => format!("/{name}"),
        _ if at < content.end.next_multiple_of(512) => format!("what fills /{name}'s last block"),
        _ => END.into(),
    }
}

/// The program in a layer's archive: its first file.
fn program(archive: &[u8]) -> Option<&[u8]> {
    let file = files(archive).ok()?.into_iter().next()?;
    archive.get(file.content)
}

/// What a byte of the program belongs to.
fn in_program(program: &[u8], at: usize, dissect: impl Fn() -> Result<(Vec<u8>, Vec<Part>)>) -> Result<String> {
    let (dissected, parts) = dissect()?;
    let part = parts.iter().find(|part| part.range.contains(&at) && dissected == program);
    let Some(Part { range, kind, name }) = part else { return Ok("what is behind its end".into()) };
    let field = |fields: Vec<header::Field>| {
        let mut end = range.start;
        let field = fields.into_iter().find(|(_, size, _)| {
            end += size;
            at < end
        });
        field.map_or(name.clone(), |(field, ..)| format!("the field {field} of the {name}"))
    };
    let word = header::word_size(program);
    Ok(match kind {
        Kind::ElfHeader => field(header::elf_header(word)),
        Kind::ProgramHeader => field(header::program_header(word)),
        Kind::Function => format!("the function {name}"),
        Kind::Message => format!("the message {name}"),
        Kind::Constant => format!("the constant {name}"),
        Kind::Padding => "padding".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    #[test]
    fn the_first_value_that_differs_is_named() {
        let differs = |here: &str, there: &str| of_json(here.as_bytes(), there.as_bytes());
        assert_eq!(differs(r#"{"a":{"b":[1,2]}}"#, r#"{"a":{"b":[1,3]}}"#), "/a/b/1 is 2 here and 3 there");
        assert_eq!(differs(r#"{"a":1}"#, r#"{"a":1,"b":"c"}"#), "/b is nothing here and \"c\" there");
        assert_eq!(differs("[1]", "[]"), "/0 is 1 here and nothing there");
        assert_eq!(differs("[1, 2]", "[1,2]"), "the values are the same, written otherwise");
        assert_eq!(differs("[1]", "[1"), "it is no JSON there");
    }

    fn layer(program: &[u8]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(program.len() as u64);
        header.set_mode(0o555);
        archive.append_data(&mut header, "pause", program).unwrap();
        archive.into_inner().unwrap()
    }

    fn pack(archive: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(archive).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_byte_of_a_layer_belongs_to_something() {
        let archive = layer(b"program");
        let part = |range, kind, name: &str| Part { range, kind, name: name.into() };
        let dissect =
            || Ok((b"program".to_vec(), vec![part(0..3, Kind::Function, "pro"), part(3..7, Kind::Message, "gram")]));
        let differs = |there: &[u8]| of_layers(&pack(&archive), there, dissect).unwrap();
        let changed = |at: usize| {
            let mut other = archive.clone();
            other[at] ^= 1;
            differs(&pack(&other))
        };
        for (at, belongs) in [
            (104, "byte 104 (0x35 here, 0x34 there) of the archive, in the field mode of /pause's header"),
            (511, "in the field padding of /pause's header"),
            (512, "in /pause; byte 0 (0x70 here, 0x71 there) of the program, in the function pro"),
            (515, "in /pause; byte 3 (0x67 here, 0x66 there) of the program, in the message gram"),
            (519, "in what fills /pause's last block"),
            (1024, "in its end"),
        ] {
            assert!(changed(at).contains(belongs), "{}", changed(at));
        }
        let longer = differs(&pack(&layer(b"programs")));
        assert!(longer.contains("the field size") && longer.ends_with("in what is behind its end"), "{longer}");

        let mut packed = pack(&archive);
        packed[4] = 1;
        let expected = "byte 4 (0x00 here, 0x01 there) of the compressed data, in the field MTIME of its header; \
                        the archive in it is the same";
        assert_eq!(differs(&packed), expected);
        assert!(differs(&packed[..20]).starts_with("byte 4 "), "{}", differs(&packed[..20]));
        assert!(differs(&packed[..20]).contains("which can't be read there"));
    }
}

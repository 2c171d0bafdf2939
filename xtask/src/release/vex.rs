//! Known vulnerabilities that a scanner may report for the image and that don't affect it, as an OpenVEX document.

use super::{VERSION, json, purl};
use anyhow::{Context, Result};
use serde_json::{Value, json as object};

pub const MEDIA_TYPE: &str = "application/vnd.openvex+json";

/// Writes the statements about the image whose index has this digest.
pub fn write(index: &str, time: &str) -> Result<Vec<u8>> {
    let mut vex: Value = serde_json::from_str(include_str!("pause.openvex.json"))?;
    let product =
        object!({ "@id": purl(index), "hashes": { "sha-256": index }, "identifiers": { "purl": purl(index) } });
    for statement in vex["statements"].as_array_mut().context("a list of statements")? {
        statement["products"] = object!([product]);
    }
    vex["@id"] = format!("https://openvex.dev/docs/pause/{VERSION}/{index}").into();
    vex["timestamp"] = time.into();
    json(vex)
}

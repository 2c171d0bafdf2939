//! JSON that is the same each time.

use anyhow::Result;
use serde::Serialize;

/// JSON for readers, with sorted keys: some maps have another order each time.
///
/// # Errors
/// Where the value can't be written as JSON.
pub fn sorted(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut value = serde_json::to_value(value)?;
    value.sort_all_objects();
    let mut text = serde_json::to_vec_pretty(&value)?;
    text.push(b'\n');
    Ok(text)
}

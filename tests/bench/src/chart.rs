//! The chart of the costs, as an SVG for light and dark pages.

use crate::measure::INSTANCES;
use crate::{COLUMNS, Values, thousands};
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const LINE: f64 = 24.0;
/// Left end of the bars, and length of the longest.
const START: f64 = 130.0;
const LONGEST: f64 = 450.0;

const STYLE: &str = include_str!("../chart.css");

/// Draws sizes, and the memory of many instances, from rows of the table that start with these names.
pub fn draw(rows: &[(&str, Values)]) -> String {
    let memory = format!("Memory of {INSTANCES} pods: proportional set size and page tables");
    let panels: [(&str, bool, &str); 3] = [
        ("The binary, in bytes (logarithmic scale)", true, "size: the binary"),
        ("A pull: manifest, config and layer, in bytes (logarithmic scale)", true, "size: a pull"),
        (&memory, false, "each of"),
    ];
    let (mut body, mut y) = (String::new(), 10.0);
    for (title, is_logarithmic, prefix) in panels {
        let rows: Vec<_> = rows.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
        let sum = |column: usize| rows.iter().map(|(_, values)| values[column].unwrap_or_default()).sum::<f64>();
        let values: Vec<_> = (0..COLUMNS.len()).map(sum).collect();
        let largest = values.iter().copied().fold(0.0, f64::max);
        y += LINE;
        text(&mut body, "start", "title", 10.0, y, title);
        y += LINE / 2.0;
        for (index, (name, value)) in COLUMNS.iter().zip(values).enumerate() {
            // A logarithmic scale starts at 100 bytes, less than any program has.
            let share = if is_logarithmic { (value / 100.0).ln() / (largest / 100.0).ln() } else { value / largest };
            let length = share * LONGEST;
            let mebibytes = value * INSTANCES as f64 / f64::from(1 << 20);
            let label = if is_logarithmic { thousands(value as u64) } else { format!("{mebibytes:.1} MiB") };
            let class = if index == 0 { "first" } else { "other" };
            text(&mut body, "end", "name", START - 8.0, y + 12.0, name);
            let bar = format!(r#"<rect class="{class}" x="{START}" y="{y}" width="{length:.1}" height="15" rx="2"/>"#);
            body += &(bar + "\n");
            text(&mut body, "start", "value", START + length + 8.0, y + 12.0, &label);
            y += LINE;
        }
    }
    let height = y + 10.0;
    let size = format!(r#"viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}""#);
    let label = r#"role="img" aria-label="Sizes and memory of pause and of other init programs""#;
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" {size} {label}>\n<style>\n{STYLE}</style>\n{body}</svg>\n")
}

fn text(body: &mut String, anchor: &str, class: &str, x: f64, y: f64, content: &str) {
    let attributes = format!(r#"class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y}""#);
    let _ = writeln!(body, "<text {attributes}>{content}</text>");
}

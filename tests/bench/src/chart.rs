//! The chart: an SVG in the colours of the page that shows it.

use crate::measure::{INSTANCES, ROWS};
use crate::results::{Results, thousands};
use svg::Document;
use svg::node::element::{Rectangle, Style, Text};

/// Bars of one kind.
struct Panel {
    title: String,
    /// Whether a bar ten times as long stands for the square of what the other stands for.
    logarithmic: bool,
    /// What the values are divided by, and what they are then called.
    unit: (f64, &'static str),
    /// A program's value.
    bars: Vec<(String, f64)>,
}

const WIDTH: f64 = 720.0;
/// Where bars begin.
const LEFT: f64 = 130.0;
/// Where the longest bar ends; its value is behind it.
const RIGHT: f64 = 580.0;
const LINE: f64 = 24.0;
const BAR: f64 = 15.0;

/// Text and bars in both modes. The first program is the one that the chart is about.
const STYLE: &str = "  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .value { fill: #59636e }
  rect { fill: #8c959f }
  .first { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .value { fill: #9198a1 }
    rect { fill: #656c76 }
    .first { fill: #4493f8 }
  }";

/// Draws the sizes, and what 200 pods cost.
pub fn draw(results: &Results) -> String {
    let panel = |title: String, logarithmic, unit: (f64, &'static str), keys: &[&str]| {
        let bars = results.contenders.iter().enumerate().filter_map(|(index, contender)| {
            let values = ROWS.iter().filter(|row| keys.contains(&row.key)).map(|row| results.values(row)[index]);
            Some((contender.program.name.clone(), values.sum::<Option<f64>>()?))
        });
        Panel { title, logarithmic, unit, bars: bars.collect() }
    };
    let mib = (1024.0 * 1024.0 / INSTANCES as f64, "MiB");
    let pods = format!("Memory of {INSTANCES} pods: proportional set size and page tables");
    let pull = "A pull: manifest, config and layer, in bytes (logarithmic scale)";
    let panels = [
        panel("The binary, in bytes (logarithmic scale)".into(), true, (1.0, ""), &["size.binary"]),
        panel(pull.into(), true, (1.0, ""), &["size.pull"]),
        panel(pods, false, mib, &["instances.proportional", "instances.page_tables"]),
    ];
    let mut document = Document::new().add(Style::new(STYLE));
    let mut y = 10.0;
    for panel in &panels {
        y += LINE;
        document = document.add(text(10.0, y, &panel.title).set("class", "title"));
        y += LINE / 2.0;
        for (index, (name, value)) in panel.bars.iter().enumerate() {
            let (length, base) = (round(panel.length(*value)), y + 12.0);
            let bar = Rectangle::new().set("x", LEFT).set("y", y).set("width", length).set("height", BAR).set("rx", 2);
            document = document
                .add(text(LEFT - 8.0, base, name).set("text-anchor", "end"))
                .add(if index == 0 { bar.set("class", "first") } else { bar })
                .add(text(round(LEFT + length + 8.0), base, &panel.label(*value)).set("class", "value"));
            y += LINE;
        }
    }
    let height = y + 10.0;
    let document = document
        .set("viewBox", (0, 0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .set("role", "img")
        .set("aria-label", "Sizes and memory of pause and of other init programs");
    format!("{document}\n")
}

fn text(x: f64, y: f64, content: &str) -> Text {
    Text::new(content).set("x", x).set("y", y)
}

/// To a tenth: nobody sees less.
fn round(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

impl Panel {
    /// How long the bar of a value is.
    fn length(&self, value: f64) -> f64 {
        let largest = self.bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        // A logarithmic scale begins at 100 bytes, less than any program has.
        let share = if self.logarithmic { (value / 100.0).ln() / (largest / 100.0).ln() } else { value / largest };
        share.max(0.0) * (RIGHT - LEFT)
    }

    fn label(&self, value: f64) -> String {
        let (divisor, name) = self.unit;
        match name {
            "" => thousands((value / divisor).round() as u64),
            _ => format!("{:.1} {name}", value / divisor),
        }
    }
}

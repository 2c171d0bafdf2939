//! The numbers, as a table and as JSON.

use super::measure::{ROWS, Row, Unit};
use super::{Program, Samples};
use anyhow::Result;
use serde_json::{Map, Value, json};

/// What came of it.
pub struct Report<'a> {
    /// What was measured; the first one is what the others are compared with.
    pub programs: &'a [Program],
    /// What was measured of each.
    pub samples: &'a [Samples],
    /// What was not measured, and why.
    pub missing: &'a [String],
}

impl Report<'_> {
    /// The values of a row, a program each.
    pub fn values(&self, row: &Row) -> Vec<Option<f64>> {
        self.samples.iter().map(|samples| samples.value(row)).collect()
    }

    /// Prints a table, with the ratio to the first program behind the values of the others.
    pub fn print(&self) {
        println!();
        let names = self.programs.iter().map(|program| program.name.clone());
        let mut lines = vec![[String::new()].into_iter().chain(names).collect::<Vec<_>>()];
        for row in ROWS {
            let values = self.values(row);
            let cells = values.iter().enumerate().map(|(index, value)| match (value, values[0]) {
                (None, _) => "–".into(),
                (Some(value), Some(first)) if index > 0 && first > 0.0 => {
                    format!("{} ({}×)", row.unit.format(*value), ratio(value / first))
                }
                (Some(value), _) => row.unit.format(*value),
            });
            lines.push([row.name.to_string()].into_iter().chain(cells).collect());
        }
        let widths: Vec<_> = (0..=self.programs.len())
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
            .collect();
        for line in lines {
            print!("{:<1$}", line[0], widths[0]);
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                print!("  {cell:>width$}");
            }
            println!();
        }
        println!(
            "\nMedians, and means of memory; in brackets, how many times {}'s value that is.",
            self.programs[0].name
        );
        for (program, samples) in self.programs.iter().zip(self.samples) {
            for note in &program.notes {
                println!("{}: {note}", program.name);
            }
            for error in &samples.errors {
                println!("{}: {error}", program.name);
            }
        }
        for missing in self.missing {
            println!("{missing}");
        }
    }

    /// The same for machines; times in nanoseconds.
    pub fn json(&self) -> Result<String> {
        let rows = ROWS.iter().map(|row| {
            let names = self.programs.iter().map(|program| program.name.clone());
            let values: Map<_, _> = names.zip(self.values(row).into_iter().map(Value::from)).collect();
            json!({ "key": row.key, "name": row.name, "unit": row.unit.name(), "statistic": row.statistic.name(), "values": values })
        });
        let errors: Map<_, _> = self
            .programs
            .iter()
            .zip(self.samples)
            .map(|(program, samples)| (program.name.clone(), json!(samples.errors)))
            .collect();
        let kernel = procfs::sys::kernel::Version::current()?;
        let kernel = format!("{}.{}.{}", kernel.major, kernel.minor, kernel.patch);
        let report = json!({
            "kernel": kernel,
            "rows": rows.collect::<Vec<_>>(),
            "not_measured": { "parts": errors, "programs": self.missing },
        });
        Ok(serde_json::to_string_pretty(&report)?)
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Count => "count",
            Unit::Bytes => "bytes",
            Unit::Nanoseconds => "nanoseconds",
        }
    }

    /// A value as one reads it.
    pub fn format(self, value: f64) -> String {
        match self {
            Unit::Count | Unit::Bytes => thousands(value.round() as u64),
            Unit::Nanoseconds => match value {
                0.0..1e3 => format!("{value:.0} ns"),
                1e3..1e6 => format!("{:.2} µs", value / 1e3),
                _ => format!("{:.2} ms", value / 1e6),
            },
        }
    }
}

/// A number with commas.
pub fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}

/// A ratio with about three digits.
fn ratio(ratio: f64) -> String {
    match ratio {
        0.0..10.0 => format!("{ratio:.2}"),
        10.0..100.0 => format!("{ratio:.1}"),
        _ => thousands(ratio.round() as u64),
    }
}

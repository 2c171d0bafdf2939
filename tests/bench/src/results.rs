//! The numbers, as a table, as the documents show them, and as JSON.

use crate::contender::Contender;
use crate::measure::{ROWS, Row, Unit};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use xtask::command::Misuse;
use xtask::table::Table;

/// The programs that the documents show, in the order of the columns.
const COLUMNS: [&str; 6] = ["pause", "floor", "upstream", "catatonit", "tini", "dumb-init"];

/// What stands where nothing was measured.
const NOTHING: &str = "–";

/// What was measured of a program, by the key of a row.
#[derive(Default)]
pub struct Samples {
    values: BTreeMap<&'static str, Vec<f64>>,
    /// Why something could not be measured.
    pub errors: BTreeSet<String>,
}

impl Samples {
    /// Adds one to those of a row.
    pub fn add(&mut self, key: &'static str, value: f64) {
        self.values.entry(key).or_default().push(value);
    }

    /// The value of a row.
    fn value(&self, row: &Row) -> Option<f64> {
        self.values.get(row.key).map(|samples| row.statistic.of(samples))
    }
}

/// What came of it.
pub struct Results<'a> {
    /// What was measured; the first one is what the others are compared with.
    pub contenders: &'a [Contender],
    /// What was measured of each.
    pub samples: &'a [Samples],
    /// What was not measured, and why.
    pub missing: &'a [String],
}

/// Finds out whether all can be measured that the documents show.
///
/// # Errors
/// Where something is missing.
pub fn check_columns(contenders: &[Contender], missing: &[String]) -> Result<()> {
    if let Some(missing) = missing.first() {
        bail!("only a whole table can be blessed; not measured is {missing}");
    }
    for name in COLUMNS {
        if !contenders.iter().any(|contender| contender.program.name == name) {
            bail!(Misuse(format!("only a whole table can be blessed; add --against PATH/{name}")));
        }
    }
    Ok(())
}

impl Results<'_> {
    /// The values of a row, a program each.
    pub fn values(&self, row: &Row) -> Vec<Option<f64>> {
        self.samples.iter().map(|samples| samples.value(row)).collect()
    }

    /// What the program itself could not be measured for.
    pub fn errors(&self) -> Vec<String> {
        self.samples[0].errors.iter().cloned().collect()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.contenders.iter().map(|contender| contender.program.name.as_str())
    }

    /// The table that the documents show. A time on one machine says little about another: it is given as a multiple
    /// of the program's.
    ///
    /// # Errors
    /// Where a program is missing.
    pub fn costs(&self) -> Result<Table> {
        let mut table = Table::new(["measurement"].into_iter().chain(COLUMNS));
        for row in ROWS.iter().filter(|row| row.shown) {
            let values = self.values(row);
            let cell = |column: &str| -> Result<String> {
                let index = self.names().position(|name| name == column).context("a program is missing")?;
                Ok(match (row.unit, values[index], values[0]) {
                    (Unit::Nanoseconds, Some(_), Some(_)) if index == 0 => "1".into(),
                    (Unit::Nanoseconds, Some(value), Some(first)) => format!("{:.2}×", value / first),
                    (unit, Some(value), _) => unit.format(value),
                    _ => NOTHING.into(),
                })
            };
            let cells = COLUMNS.into_iter().map(cell).collect::<Result<Vec<_>>>()?;
            table.push([row.name.into()].into_iter().chain(cells));
        }
        Ok(table)
    }

    /// All that was measured, with the ratio to the first program behind the values of the others.
    fn table(&self) -> Table {
        let mut table = Table::new(["measurement"].into_iter().chain(self.names()));
        for row in ROWS {
            let values = self.values(row);
            let cells = values.iter().enumerate().map(|(index, value)| match (value, values[0]) {
                (None, _) => NOTHING.into(),
                (Some(value), Some(first)) if index > 0 && first > 0.0 => {
                    format!("{} ({}×)", row.unit.format(*value), ratio(value / first))
                }
                (Some(value), _) => row.unit.format(*value),
            });
            table.push([row.name.into()].into_iter().chain(cells));
        }
        table
    }

    /// The same for machines; times in nanoseconds.
    ///
    /// # Errors
    /// Where the kernel does not tell its version.
    pub fn json(&self) -> Result<String> {
        let rows = ROWS.iter().map(|row| {
            let values: Map<_, _> = self.names().map(String::from).zip(self.values(row).into_iter().map(Value::from)).collect();
            json!({ "key": row.key, "name": row.name, "unit": row.unit.name(), "statistic": row.statistic.name(), "values": values })
        });
        let errors = self.samples.iter().map(|samples| json!(samples.errors));
        let errors: Map<_, _> = self.names().map(String::from).zip(errors).collect();
        let kernel = procfs::sys::kernel::Version::current()?;
        let kernel = format!("{}.{}.{}", kernel.major, kernel.minor, kernel.patch);
        let results = json!({
            "kernel": kernel,
            "rows": rows.collect::<Vec<_>>(),
            "not_measured": { "parts": errors, "programs": self.missing },
        });
        Ok(serde_json::to_string_pretty(&results)?)
    }
}

impl fmt::Display for Results<'_> {
    /// The table and what one has to know about it, without a line break at the end.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let first = &self.contenders[0].program.name;
        let legend = "Medians, and means of memory; in brackets, how many times";
        write!(formatter, "{}\n\n{legend} {first}'s value that is.", self.table())?;
        for (contender, samples) in self.contenders.iter().zip(self.samples) {
            let notes = contender.notes.iter().copied().chain(samples.errors.iter().map(String::as_str));
            for note in notes {
                write!(formatter, "\n{}: {note}", contender.program.name)?;
            }
        }
        self.missing.iter().try_for_each(|missing| write!(formatter, "\n{missing}"))
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

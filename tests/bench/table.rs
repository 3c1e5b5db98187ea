//! The table that comes out: a line for each thing measured, and remarks below it.

use std::fmt;

use super::measure::Spread;

/// What a line should come to.
#[derive(Clone, Copy)]
pub enum Reach {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// More than this.
    Above(f64),
    /// Nothing: it is shown to explain another line.
    Shown,
}

impl Reach {
    fn is_met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(value >= least),
            Self::AtMost(most) => Some(value <= most),
            Self::Above(bound) => Some(value > bound),
            Self::Shown => None,
        }
    }

    fn show(self, unit: &str) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {}", number(least, unit)),
            Self::AtMost(most) => format!("≤ {}", number(most, unit)),
            Self::Above(bound) => format!("> {}", number(bound, unit)),
            Self::Shown => String::new(),
        }
    }
}

/// The lines so far.
#[derive(Default)]
pub struct Table {
    lines: Vec<[String; 5]>,
    remarks: Vec<String>,
}

const HEADER: [&str; 5] = ["what", "against", "measured: median (least..most)", "reach", ""];

impl Table {
    /// A line whose median should be within reach.
    pub fn line(&mut self, what: &str, against: &str, measured: &Spread, unit: &str, reach: Reach) {
        let met = reach.is_met(measured.median());
        self.add(what, against, &spread(measured, unit), &reach.show(unit), met);
    }

    /// A line whose reach is more than one number.
    pub fn either(&mut self, what: &str, against: &str, measured: &str, reach: &str, met: bool) {
        self.add(what, against, measured, reach, Some(met));
    }

    /// A line that could not be measured.
    pub fn absent(&mut self, what: &str, against: &str, why: &str) {
        self.add(what, against, why, "", None);
    }

    /// Something that a reader of the lines should know.
    pub fn remark(&mut self, text: &str) {
        eprintln!("  ({text})");
        self.remarks.push(text.to_owned());
    }

    fn add(&mut self, what: &str, against: &str, measured: &str, reach: &str, met: Option<bool>) {
        eprintln!("  {what}: {measured}");
        let met = match met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "",
        };
        self.lines.push([what, against, measured, reach, met].map(str::to_owned));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<[String; 5]> =
            std::iter::once(HEADER.map(str::to_owned)).chain(self.lines.iter().cloned()).collect();
        let width = |column: usize| all.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 5] = std::array::from_fn(width);
        for (number, line) in all.iter().enumerate() {
            let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect::<Vec<_>>();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
            if number == 0 {
                writeln!(f, "{}", "─".repeat(widths.iter().sum::<usize>() + 8))?;
            }
        }
        self.remarks.iter().try_for_each(|remark| writeln!(f, "* {remark}"))
    }
}

/// A median with its spread.
pub fn spread(measured: &Spread, unit: &str) -> String {
    let (least, most) = (measured.least(), measured.most());
    if measured.count() == 1 {
        return number(measured.median(), unit);
    }
    format!("{} ({}..{})", number(measured.median(), unit), plain(least), plain(most))
}

fn number(value: f64, unit: &str) -> String {
    let space = if unit == "×" || unit.is_empty() { "" } else { " " };
    format!("{}{space}{unit}", plain(value))
}

/// Three digits that count.
fn plain(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

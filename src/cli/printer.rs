//! Data on standard output, in the format asked for. Remarks on standard error.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use console::{measure_text_width, truncate_str};
use serde::Serialize;
use serde_json::Value;

use super::error::{CliError, Kind};
use super::invisible::blanked;
use super::{Global, style};
use crate::client::Part;
use crate::model::time::Timestamp;

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people
    Table,
    /// More columns
    Wide,
    /// The API's data, indented
    Json,
    /// One object a line
    Jsonl,
    /// YAML
    Yaml,
    /// Ids or names alone, one a line
    Name,
}

impl Format {
    /// Whether programs read it.
    #[must_use]
    pub const fn is_structured(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl | Self::Yaml)
    }

    /// Whether people read it.
    #[must_use]
    pub const fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// Rows for people: the header, and for each item its cells. The first `narrow` columns are shown unless all are asked
/// for; the first cell is the item's id.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Column names, upper case.
    pub header: Vec<&'static str>,
    /// How many columns a plain table shows.
    pub narrow: usize,
    /// One line an item.
    pub rows: Vec<Vec<String>>,
}

/// Whether anybody reads standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As far as is known.
    There,
    /// The pipe is closed.
    Gone,
}

/// Prints as the global options say.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    format: Format,
    quiet: bool,
}

impl Printer {
    /// As the options say.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        Self { format: global.output, quiet: global.is_quiet() }
    }

    /// The same without remarks.
    #[must_use]
    pub fn quietly(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// The format asked for.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether remarks are wanted.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints a list: as the data it is, or as rows.
    ///
    /// # Errors
    /// When standard output can't be written; a closed pipe is no error.
    pub fn list<T: Serialize>(&self, items: &[T], rows: impl FnOnce(&[T]) -> Rows) -> Result<(), CliError> {
        match self.format {
            Format::Table | Format::Wide => {
                let is_wide = self.format == Format::Wide;
                // Who asks for every column gets every column; the terminal may wrap them.
                page(&table(&rows(items), is_wide, width().filter(|_| !is_wide)))
            }
            Format::Name => self.out(&ids(&rows(items))),
            Format::Jsonl => self.out(&items.iter().map(|item| line(item)).collect::<String>()),
            Format::Json | Format::Yaml => self.data(&items),
        }
    }

    /// Prints a part of a list that begins after `offset` items, and says how much more there is and how to get it.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub fn part<T: Serialize>(
        &self,
        part: &Part<T>,
        offset: usize,
        more: &str,
        rows: impl FnOnce(&[T]) -> Rows,
    ) -> Result<(), CliError> {
        self.list(&part.items, rows)?;
        let shown = part.items.len() as u64;
        if shown > 0 && part.total > shown.saturating_add(offset as u64) && !self.format.is_structured() {
            self.remark(&format!("{shown} of {}; more with {more}", part.total));
        }
        Ok(())
    }

    /// Prints one item: as the data it is, or as text.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub fn item<T: Serialize>(&self, item: &T, id: &str, text: impl FnOnce(&T) -> String) -> Result<(), CliError> {
        match self.format {
            Format::Table | Format::Wide => self.out(&text(item)),
            Format::Name => self.out(&format!("{id}\n")),
            Format::Jsonl => self.out(&line(item)),
            Format::Json | Format::Yaml => self.data(item),
        }
    }

    /// Prints text as it is.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub fn out(&self, text: &str) -> Result<(), CliError> {
        self.write(text.as_bytes()).map(|_| ())
    }

    /// Prints bytes as they are, and says whether anybody still reads.
    ///
    /// # Errors
    /// When standard output can't be written; that nobody reads any more is none.
    pub fn write(&self, bytes: &[u8]) -> Result<Reader, CliError> {
        write(bytes)
    }

    /// A remark for people, on standard error.
    pub fn remark(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// What the daemon wants known although it worked.
    pub fn warnings(&self, warnings: &[String]) {
        for warning in warnings {
            self.remark(&format!("warning: {warning}"));
        }
    }

    fn data<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), CliError> {
        let failed = |error: String| CliError::new(Kind::Failure, format!("can't print the data: {error}"));
        let text = if self.format == Format::Yaml {
            serde_yaml::to_string(data).map_err(|error| failed(error.to_string()))?
        } else {
            serde_json::to_string_pretty(data).map_err(|error| failed(error.to_string()))? + "\n"
        };
        self.out(&text)
    }
}

/// Writes bytes to standard output, and says whether anybody still reads.
///
/// # Errors
/// When standard output can't be written; that nobody reads any more is none.
pub fn write(bytes: &[u8]) -> Result<Reader, CliError> {
    match io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(CliError::new(Kind::Failure, format!("can't write to standard output: {error}"))),
    }
}

/// Shows text that may be long: over the pager that `PAGER` names, where it doesn't fit the terminal.
///
/// # Errors
/// As [`write`].
pub fn page(text: &str) -> Result<(), CliError> {
    if style::paged(text) { Ok(()) } else { write(text.as_bytes()).map(|_| ()) }
}

fn line<T: Serialize>(item: &T) -> String {
    format!("{}\n", serde_json::to_value(item).unwrap_or(Value::Null))
}

fn ids(rows: &Rows) -> String {
    rows.rows.iter().filter_map(|row| row.first()).map(|id| format!("{id}\n")).collect()
}

/// All columns as text, made to fit the terminal where there is one: for an item that is shown as a table.
#[must_use]
pub fn text(rows: &Rows) -> String {
    table(rows, true, width())
}

/// Columns without borders; made to fit `width` where there is one.
fn table(rows: &Rows, wide: bool, width: Option<u16>) -> String {
    let columns = if wide { rows.header.len() } else { rows.narrow.min(rows.header.len()) };
    let header: Vec<String> = rows.header.iter().take(columns).map(ToString::to_string).collect();
    let cells = rows.rows.iter().map(|row| row.iter().take(columns).map(|cell| clean(cell)).collect());
    let lines: Vec<Vec<String>> = std::iter::once(header).chain(cells).collect();
    let mut widths: Vec<usize> =
        (0..columns).map(|column| lines.iter().map(|line| chars(&line[column])).max().unwrap_or(0)).collect();
    if let Some(width) = width {
        widths = fit(&widths, usize::from(width));
    }
    let cells = lines.iter().map(|line| line.iter().zip(&widths).map(|(cell, width)| cut(cell, *width)).collect());
    let cells: Vec<Vec<String>> = cells.collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.add_rows(&cells);
    for column in table.column_iter_mut() {
        column.set_padding((0, u16::try_from(GAP).unwrap_or(u16::MAX)));
    }
    let rows = table.lines().zip(lines.iter().zip(&cells));
    rows.map(|(line, (whole, shown))| coloured(line.trim_end(), whole, shown, &widths) + "\n").collect()
}

/// A line that was laid out, with the colour of each cell: colour has no width, so it comes last, from the right.
fn coloured(line: &str, whole: &[String], shown: &[String], widths: &[usize]) -> String {
    let mut line = line.to_owned();
    for (index, (whole, shown)) in whole.iter().zip(shown).enumerate().rev() {
        let column: usize = widths[..index].iter().map(|width| width + GAP).sum();
        let before = line.char_indices().scan(0, |passed, (start, c)| {
            let at = *passed;
            *passed += chars(c.encode_utf8(&mut [0; 4]));
            Some((at, start))
        });
        let Some((_, start)) = before.into_iter().find(|(at, _)| *at == column) else { continue };
        if !shown.is_empty() && line[start..].starts_with(shown.as_str()) {
            line.replace_range(start..start + shown.len(), &style::coloured(whole, shown));
        }
    }
    line
}

/// Spaces between columns.
const GAP: usize = 2;
/// No column is cut below this for the sake of others.
const LEAST: usize = 9;
/// So many columns are always shown: id, name and status.
const ALWAYS: usize = 3;

/// Columns of these natural widths made to fit into `width`: the widest are cut first, then the last are left out, and
/// only then is the id cut.
fn fit(natural: &[usize], width: usize) -> Vec<usize> {
    let mut columns = natural.len();
    loop {
        let mut widths = natural[..columns].to_vec();
        let mut over = widths.iter().map(|width| width + GAP).sum::<usize>().saturating_sub(width + GAP);
        while over > 0
            && let Some(widest) = widths.iter_mut().skip(1).filter(|width| **width > LEAST).max()
        {
            *widest -= 1;
            over -= 1;
        }
        if over > 0 && columns > ALWAYS {
            columns -= 1;
            continue;
        }
        if let Some(id) = widths.first_mut() {
            *id = id.saturating_sub(over).max(1);
        }
        return widths;
    }
}

/// The cell in at most `width` columns of a terminal.
fn cut(cell: &str, width: usize) -> String {
    truncate_str(cell, width, "…").into_owned()
}

fn chars(text: &str) -> usize {
    measure_text_width(text)
}

/// Text on one line, cut to the terminal where there is one and not everything is asked for.
#[must_use]
pub fn one_line(text: &str, format: Format) -> String {
    match width().filter(|_| format == Format::Table) {
        Some(width) => cut(&clean(text), usize::from(width)),
        None => clean(text),
    }
}

/// A cell on one line, without control characters and other invisible ones: names and errors come from outside.
#[must_use]
pub fn clean(cell: &str) -> String {
    blanked(cell.trim())
}

/// The terminal's width, or what `COLUMNS` says of it; none in a pipe, where nothing is cut.
fn width() -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let real = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col);
    said.filter(|columns| *columns > 0).or_else(real).filter(|columns| *columns > 0)
}

/// A duration for people: `3s`, `5m`, `2h`, `4d`.
#[must_use]
pub fn age(since: Timestamp, now: Timestamp) -> String {
    short(now.since(since))
}

/// A length of time for people.
#[must_use]
pub fn short(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..=119 => format!("{seconds}s"),
        seconds @ 120..=7199 => format!("{}m", seconds / 60),
        seconds @ 7200..=172_799 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// `1 operation`, `2 operations`.
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// A cell that may be empty.
#[must_use]
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        let row = vec!["7".to_owned(), "a\nlong name with a line break".to_owned(), "hidden".to_owned()];
        Rows { header: vec!["ID", "NAME", "MORE"], narrow: 2, rows: vec![row] }
    }

    #[test]
    fn a_table_has_no_borders_and_one_line_an_item() {
        assert_eq!(table(&rows(), false, None), "ID  NAME\n7   a long name with a line break\n");
        assert_eq!(
            table(&rows(), true, None),
            "ID  NAME                           MORE\n7   a long name with a line break  hidden\n"
        );
        assert_eq!(table(&rows(), false, Some(20)), "ID  NAME\n7   a long name wit…\n");
    }

    #[test]
    fn narrow_tables_cut_long_cells_then_leave_columns_out_then_cut_the_id() {
        let fitted = |width| fit(&[36, 40, 12, 10, 4], width);
        assert_eq!(fitted(200), [36, 40, 12, 10, 4]);
        assert_eq!(fitted(100), [36, 30, 12, 10, 4]);
        assert_eq!(fitted(80), [36, 11, 11, 10, 4]);
        assert_eq!(fitted(70), [36, 10, 9, 9]);
        assert_eq!(fitted(60), [36, 10, 10]);
        assert_eq!(fitted(40), [18, 9, 9]);
    }

    #[test]
    fn ages_are_short() {
        let age = |seconds: i64| age(Timestamp(0), Timestamp(seconds * 1000));
        assert_eq!([age(5), age(300), age(7300), age(400_000)], ["5s", "5m", "2h", "4d"]);
    }
}

//! The log in the formats that people and other systems read, entry by entry.
//!
//! | format | is | for |
//! | --- | --- | --- |
//! | `jsonl` | JSON Lines: the entries as they are stored, with key, link and mac | keeping; it can be [verified](super::verify) |
//! | `json` | one JSON array of entries | scripts |
//! | `csv` | RFC 4180, a header and an entry a line | spreadsheets |
//! | `ecs` | Elastic Common Schema 8, a document a line | Elasticsearch and what speaks its schema |
//! | `splunk` | events of the HTTP Event Collector, one a line | Splunk |

mod csv;
mod ecs;
mod splunk;

use std::fmt;
use std::str::FromStr;

use super::chain::Sealed;

/// How entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(rename = "ExportFormat", rename_all = "lowercase")]
pub enum Format {
    /// JSON Lines, verifiable.
    Jsonl,
    /// A JSON array.
    Json,
    /// Comma-separated values.
    Csv,
    /// Elastic Common Schema.
    Ecs,
    /// Splunk's HTTP Event Collector.
    Splunk,
}

impl Format {
    /// Every format.
    pub const ALL: &'static [Self] = &[Self::Jsonl, Self::Json, Self::Csv, Self::Ecs, Self::Splunk];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Ecs => "ecs",
            Self::Splunk => "splunk",
        }
    }

    /// The media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jsonl | Self::Ecs | Self::Splunk => "application/x-ndjson",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// What the name of a file ends with.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Ecs => "ecs.ndjson",
            Self::Splunk => "splunk.json",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.iter().copied().find(|format| format.as_str() == text).ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// A word that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no export format; the formats are jsonl, json, csv, ecs and splunk")]
pub struct UnknownFormat(pub String);

/// An entry whose text is no entry can't be written in another form.
#[derive(Debug, thiserror::Error)]
#[error("an audit entry can't be read")]
pub struct Unreadable(#[from] serde_json::Error);

/// Writes a log: the header, each entry, the footer.
#[derive(Clone, Debug)]
pub struct Exporter {
    format: Format,
    host: String,
    first: bool,
}

impl Exporter {
    /// An exporter for the daemon on `host`, which formats for many sources name.
    #[must_use]
    pub fn new(format: Format, host: impl Into<String>) -> Self {
        Self { format, host: host.into(), first: true }
    }

    /// What stands before the entries.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        match self.format {
            Format::Json => b"[".to_vec(),
            Format::Csv => csv::header(),
            Format::Jsonl | Format::Ecs | Format::Splunk => Vec::new(),
        }
    }

    /// One entry.
    ///
    /// # Errors
    /// When the stored text is no entry.
    pub fn entry(&mut self, sealed: &Sealed, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let first = std::mem::replace(&mut self.first, false);
        match self.format {
            Format::Jsonl => serde_json::to_writer(&mut *out, sealed)?,
            Format::Json => {
                out.extend_from_slice(if first { b"\n" } else { b",\n" });
                out.extend_from_slice(sealed.text().as_bytes());
                return Ok(());
            }
            Format::Csv => {
                csv::row(&sealed.entry()?, sealed, out);
                return Ok(());
            }
            Format::Ecs => serde_json::to_writer(&mut *out, &ecs::document(&sealed.entry()?, sealed, &self.host))?,
            Format::Splunk => serde_json::to_writer(&mut *out, &splunk::event(sealed, &self.host)?)?,
        }
        out.push(b'\n');
        Ok(())
    }

    /// What stands after the entries. Without it an array was cut short.
    #[must_use]
    pub fn footer(&self) -> &'static [u8] {
        match self.format {
            Format::Json => b"\n]\n",
            Format::Jsonl | Format::Csv | Format::Ecs | Format::Splunk => b"",
        }
    }
}

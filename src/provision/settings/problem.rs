//! What is wrong with a settings file: problems, each with its place, and the error that carries all of them.
//!
//! Knows how a problem reads; deliberately nothing of how it was found.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::name::Name;
use crate::provision::workspace::WorkspaceError;

/// One thing that is wrong with a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file, relative to the workspace; an import may be wrong rather than the file that was asked for.
    pub file: String,
    /// Line and column, both from 1, where they are known.
    pub position: Option<(usize, usize)>,
    /// The value at fault, `servers[0].plan`; empty where it is the file as a whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// The lines of the file that it is about, marked, ready to print; may be empty.
    pub excerpt: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        for line in self.excerpt.lines() {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

/// The line `position` of `text` with a mark below the column, as an excerpt.
#[must_use]
pub fn excerpt(text: &str, (line, column): (usize, usize)) -> String {
    /// Longer lines are cut: an excerpt is for reading.
    const MAX_CHARS: usize = 160;
    let Some(source) = text.lines().nth(line.saturating_sub(1)) else { return String::new() };
    let shown: String = source.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let number = line.to_string();
    // What is missing at the end of a line is right behind it.
    let column = column.min(source.chars().count() + 1);
    let mark = if column <= MAX_CHARS { format!("{}^", " ".repeat(column.saturating_sub(1))) } else { String::new() };
    format!("{number} | {shown}\n{} | {mark}", " ".repeat(number.len()))
}

/// A bound that reading a file must stay within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Time on the clock or on the processor.
    Time(Duration),
    /// Memory, in bytes.
    Memory(u64),
    /// How deeply its values or calls nest.
    Depth,
    /// Bytes of the file.
    FileSize(u64),
    /// Bytes of the value that it makes.
    ValueSize(u64),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(limit) => write!(f, "it takes longer than {} s", limit.as_secs_f64()),
            Self::Memory(bytes) => write!(f, "it needs more than {} MiB of memory", bytes / (1 << 20)),
            Self::Depth => write!(f, "it nests or recurses too deeply"),
            Self::FileSize(bytes) => write!(f, "it is larger than {} KiB", bytes / (1 << 10)),
            Self::ValueSize(bytes) => write!(f, "its value is larger than {} MiB", bytes / (1 << 20)),
        }
    }
}

/// Why settings can't be had from a file.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file was read and is wrong; everything that could be found is listed.
    #[error("{}", render(file, problems))]
    Invalid {
        /// The file.
        file: String,
        /// What is wrong, at least one.
        problems: Vec<Problem>,
    },
    /// Reading the file would take more than it may.
    #[error("{file} is refused: {limit}")]
    Limit {
        /// The file.
        file: String,
        /// The bound.
        limit: Limit,
    },
    /// An infra has no settings file of a known name.
    #[error("the infra {infra} has no settings: none of {} is there", super::DEFAULT_FILES.join(", "))]
    NoSettings {
        /// The infra.
        infra: Name,
    },
    /// An infra has several settings files of known names, and nobody says which one counts.
    #[error("the infra {infra} has several settings files: {}", files.join(" and "))]
    Several {
        /// The infra.
        infra: Name,
        /// The files.
        files: Vec<&'static str>,
    },
    /// The file's ending names no format that prov reads.
    #[error("{file} is in no known format")]
    UnknownFormat {
        /// The file.
        file: String,
    },
    /// This build can't evaluate Nickel.
    #[error("{file} is written in Nickel, and this prov was built without the feature `nickel`")]
    WithoutNickel {
        /// The file.
        file: String,
    },
    /// A variable of the environment holds nonsense.
    #[error("{variable} is {value:?}, which is no number of seconds from 1 to 3600")]
    Environment {
        /// Its name.
        variable: &'static str,
        /// What it holds.
        value: String,
    },
    /// The file, or a directory on the way to it.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The process that evaluates files could not be started, or ended in a way that it should not.
    #[error("can't evaluate {file}: {what}")]
    Evaluator {
        /// The file.
        file: String,
        /// What happened.
        what: String,
    },
}

impl SettingsError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Workspace(error) => error.hint(),
            Self::NoSettings { infra } => {
                Some(format!("write infra/{infra}/config.ncl, or name a file with --settings"))
            }
            Self::Several { .. } => Some("remove all but one, or name one with --settings".to_owned()),
            Self::UnknownFormat { .. } => Some("end the name in .ncl, .yaml, .yml or .json".to_owned()),
            Self::WithoutNickel { .. } => {
                Some("write the file in YAML or JSON, or build prov with `--features nickel`".to_owned())
            }
            Self::Limit { limit: Limit::Time(_), .. } => {
                Some(format!("look for a loop; a slow file may have more with {}", super::evaluate::TIMEOUT_VARIABLE))
            }
            Self::Limit { limit: Limit::Memory(_) | Limit::Depth, .. } => {
                Some("look for a recursion without an end".to_owned())
            }
            Self::Limit { .. }
            | Self::Invalid { .. }
            | Self::Environment { .. }
            | Self::Read { .. }
            | Self::Evaluator { .. } => None,
        }
    }

    /// Whether something that was asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Workspace(error) => error.is_not_found(),
            Self::NoSettings { .. } => true,
            Self::Read { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Whether the file itself is at fault, rather than this host.
    #[must_use]
    pub fn is_invalid_file(&self) -> bool {
        match self {
            Self::Invalid { .. }
            | Self::Limit { .. }
            | Self::Several { .. }
            | Self::UnknownFormat { .. }
            | Self::WithoutNickel { .. } => true,
            Self::Workspace(error) => matches!(error, WorkspaceError::Leaves { .. } | WorkspaceError::Path(_)),
            _ => false,
        }
    }
}

fn render(file: &str, problems: &[Problem]) -> String {
    let mut text = match problems {
        [only] => return only.to_string(),
        many => format!("{file} has {} problems", many.len()),
    };
    for problem in problems {
        text.push_str("\n  ");
        text.push_str(&problem.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::value_path::ValuePath;

    fn problem() -> Problem {
        Problem {
            file: "infra/a/config.yaml".to_owned(),
            position: Some((3, 11)),
            path: ValuePath::default().key("servers").index(0).key("plan").to_string(),
            message: "\"2GB\" is no plan".to_owned(),
            excerpt: excerpt("a\nb\n    plan: 2GB\n", (3, 11)),
            hint: None,
        }
    }

    #[test]
    fn a_problem_reads_as_place_value_reason_and_line() {
        assert_eq!(
            problem().to_string(),
            "infra/a/config.yaml:3:11: servers[0].plan: \"2GB\" is no plan\n    3 |     plan: 2GB\n      |           ^"
        );
    }

    #[test]
    fn several_problems_are_counted_and_all_shown() {
        let error = SettingsError::Invalid { file: "f".to_owned(), problems: vec![problem(), problem()] };
        let text = error.to_string();
        assert!(text.starts_with("f has 2 problems\n  infra/a/config.yaml:3:11: "), "{text}");
        assert_eq!(text.matches("is no plan").count(), 2);
    }

    #[test]
    fn an_excerpt_carries_no_control_characters_and_no_endless_line() {
        let text = format!("\u{1b}[31m{}", "x".repeat(1000));
        let shown = excerpt(&text, (1, 900));
        assert!(!shown.contains('\u{1b}') && shown.len() < 200, "{shown:?}");
        assert_eq!(excerpt("one line", (7, 1)), "");
        assert_eq!(excerpt("ab\n", (1, 90)), "1 | ab\n  |   ^");
    }
}

//! What is wrong with the text of a policy, and where.

use std::fmt;

use miette::Diagnostic;

use super::compile::PolicyText;
use crate::model::id::PolicyId;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The policy.
    pub policy: PolicyId,
    /// Its name.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What may help.
    pub hint: Option<String>,
}

/// All that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// A problem at a byte of the text; at its start when it has none.
    pub(super) fn at(text: &PolicyText<'_>, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = position(text.content, offset);
        let message = message.into();
        Self { policy: text.id, name: text.name.to_owned(), line, column, message, hint: None }
    }

    /// What Cedar found in the text.
    pub(super) fn of(text: &PolicyText<'_>, found: &dyn Diagnostic) -> Self {
        let label = found.labels().and_then(|mut labels| labels.next());
        let message = found.to_string();
        // Cedar's messages begin with the policy, which stands beside them here.
        let rest = message.strip_prefix("for policy `").and_then(|rest| rest.split_once('`'));
        let message = rest.map_or(&message[..], |(_, rest)| rest.trim_start_matches([',', ':', ' '])).to_owned();
        let expected = label.as_ref().and_then(|label| label.label().map(str::to_owned));
        let hint = found.help().map(|help| help.to_string()).or(expected);
        Self { hint, ..Self::at(text, label.map_or(0, |label| label.offset()), message) }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Line and column of a byte, both from 1.
fn position(content: &str, offset: usize) -> (usize, usize) {
    let before = &content[..content.floor_char_boundary(offset.min(content.len()))];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy `{}`, line {}, column {}: {}", self.name, self.line, self.column, self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, " ({hint})"))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.iter().map(ToString::to_string).collect::<Vec<_>>();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn positions_count_characters_from_one() {
        let text = "año\r\n\nñandú x";
        for (offset, expected) in [(0, (1, 1)), (3, (1, 3)), (2, (1, 2)), (6, (2, 1)), (7, (3, 1)), (99, (3, 8))] {
            assert_eq!(position(text, offset), expected, "{offset}");
        }
    }
}

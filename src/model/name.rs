//! Names from users, checked once at the edge: infras, servers, taskservs, clusters, operations, settings files.
//!
//! A [`Name`] is safe as a single path component, as a host name's label and as a word in a message; it can hold no
//! separator, no leading dot or dash, no control character and no shell metacharacter.

use std::fmt;
use std::path::{Component, Path};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::nearest::shown;

/// A name of 1 to 63 characters: ASCII letters, digits, `-`, `_` and `.`, starting with a letter or a digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name can't be empty")]
    Empty,
    /// The text has too many characters.
    #[error("a name has at most 63 characters, this one has {0}")]
    TooLong(usize),
    /// The first character is neither a letter nor a digit.
    #[error("{0:?} is no name: it must start with a letter or a digit")]
    Start(String),
    /// A character is not allowed.
    #[error("{text:?} is no name: {character:?} is not allowed (letters, digits, `-`, `_`, `.`)")]
    Character {
        /// The text.
        text: String,
        /// The first character that is not allowed.
        character: char,
    },
}

impl Name {
    /// The longest name, in characters (a DNS label's limit, RFC 1035 section 2.3.4).
    pub const MAX_CHARS: usize = 63;

    /// What it looks like, as JSON Schema says it.
    pub const PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$";

    /// Checks `text`.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let count = text.chars().count();
        if count > Self::MAX_CHARS {
            return Err(NameError::TooLong(count));
        }
        let Some(first) = text.chars().next() else { return Err(NameError::Empty) };
        if let Some(character) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.')) {
            return Err(NameError::Character { text, character });
        }
        if !first.is_ascii_alphanumeric() {
            return Err(NameError::Start(text));
        }
        Ok(Self(text))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a path inside a workspace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} must be a relative path inside the workspace: {why}")]
pub struct PathError {
    text: String,
    why: &'static str,
}

/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// Checks that `text` is a relative path without `..`, control characters or a leading dash; symbolic links are
/// checked where the file is opened.
///
/// # Errors
/// Says what is wrong with the text.
pub fn relative_path(text: &str) -> Result<&Path, PathError> {
    let path = Path::new(text);
    let leads_up = path.components().any(|part| part == Component::ParentDir);
    let faults = [
        (text.is_empty(), "it is empty"),
        (text.len() > MAX_PATH_BYTES, "it is longer than 1024 bytes"),
        (path.has_root(), "it is absolute"),
        (leads_up, "`..` is not allowed"),
        (text.starts_with('-'), "it starts with `-`"),
        (text.chars().any(char::is_control), "it has a control character"),
    ];
    match faults.into_iter().find(|(is_so, _)| *is_so) {
        None => Ok(path),
        Some((_, why)) => Err(PathError { text: shown(text).into_owned(), why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_safe_word() {
        for good in ["web-1", "a", "kube.prod_2", "9", &"x".repeat(63)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", "..", ".hidden", "-rf", "a/b", "a b", "a\nb", "a;b", "$(id)", "ü", &"x".repeat(64)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_settings_path_stays_inside() {
        assert!(relative_path("config.ncl").is_ok());
        assert!(relative_path("sub/config.yaml").is_ok());
        for (bad, why) in [
            ("", "empty"),
            ("/etc/passwd", "absolute"),
            ("../x", "`..`"),
            ("a/../../b", "`..`"),
            ("a\nb", "control"),
            ("-x", "`-`"),
            (&"x".repeat(2000), "longer"),
        ] {
            let error = relative_path(bad).unwrap_err().to_string();
            assert!(error.contains(why) && error.len() < 200, "{error}");
        }
    }
}

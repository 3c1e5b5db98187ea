//! Values that nobody may see, and how settings refer to them.
//!
//! Settings and operations hold [`Reference`]s; what one refers to is had in the execution process alone, at the moment of
//! use, as a [`Secret`]. What is recorded, shown and compared is the reference; where a changed value must be noticed, a
//! [`keyed`] digest. What comes back from a script or a provider goes through a [`Redaction`] before anybody sees it.

pub mod file;
pub mod kept;
pub mod keyed;
mod redaction;
mod reference;

use std::fmt;

pub use self::redaction::Redaction;
pub use self::reference::{Reference, SecretError, faults, in_value, is_reserved, resolved};

/// A password, a key, a token. It can't be printed, compared or serialised: whoever needs it says so with
/// [`Secret::expose`], and the places that do are few.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text: for a header of a request, or a command's standard input; never for a message, a record or an argument.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

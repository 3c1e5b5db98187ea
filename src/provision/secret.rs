//! A value that nobody may see.

use std::fmt;

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

//! Words from users in messages: cut to a length that can be shown, with the known word that may have been meant.

use std::borrow::Cow;

/// How many characters of a user's text a message shows.
pub const SHOWN_CHARS: usize = 80;

/// The text as a message shows it: a long one is cut.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The known word nearest to `given`, when one is near. Nothing is near to a text too long to be shown.
#[must_use]
pub fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    if given.char_indices().nth(SHOWN_CHARS).is_some() {
        return None;
    }
    let scored = known.iter().map(|word| (strsim::jaro_winkler(given, word), *word));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, word)| word)
}

/// A sentence about an unknown word, with the nearest known one.
#[must_use]
pub fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    let word = shown(given);
    match nearest(given, known) {
        Some(near) => format!("unknown {what} `{word}`; did you mean `{near}`?"),
        None if known.is_empty() => format!("unknown {what} `{word}`; there is none here"),
        None => format!("unknown {what} `{word}`; known: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_and_not_compared() {
        let long = "ü".repeat(5_000_000);
        let message = unknown("type", &long, &["command"]);
        assert_eq!(message, format!("unknown type `{}…`; known: command", "ü".repeat(SHOWN_CHARS)));
        assert_eq!(shown("short"), "short");
        assert_eq!(unknown("type", "comand", &["command"]), "unknown type `comand`; did you mean `command`?");
    }
}

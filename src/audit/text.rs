//! Text from outside, made harmless to whoever reads the log in a terminal, an editor or a table.

use std::fmt::Write;

/// What stands for the rest of a text that was cut.
const CUT: char = '…';

/// The text in at most `limit` characters, with what moves the cursor, starts a line, turns the writing direction or
/// can't be seen as an escape (`\u{1b}`). A text that is so already stays as it is.
#[must_use]
pub fn plain(text: &str, limit: usize) -> String {
    let mut plain = String::with_capacity(text.len().min(limit));
    let mut length = 0;
    for c in text.chars() {
        let start = plain.len();
        if is_treacherous(c) {
            write!(plain, "{}", c.escape_default()).expect("a String takes every write");
        } else {
            plain.push(c);
        }
        length += plain[start..].chars().count();
        if length > limit {
            return cut(&plain, limit);
        }
    }
    plain
}

fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit.saturating_sub(1)).chain([CUT]).collect()
}

/// Whether a character does something other than to stand there: control characters of both sets, separators of lines,
/// what turns the writing direction (Unicode annex 9), what has no width, and tags.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_would_forge_a_line_or_hide_a_name_is_escaped() {
        assert_eq!(plain("alice\n2026 root logged in", 80), "alice\\n2026 root logged in");
        assert_eq!(plain("\u{1b}[2Jalice\u{9b}", 80), "\\u{1b}[2Jalice\\u{9b}");
        assert_eq!(plain("\u{202e}ecila", 80), "\\u{202e}ecila");
        assert_eq!(plain("Zoë 東京 a\\b", 80), "Zoë 東京 a\\b");
        assert_eq!(plain("abcdef", 4), "abc…");
    }

    proptest! {
        #[test]
        fn plain_text_is_short_harmless_and_stays_so(text in any::<String>(), limit in 1_usize..40) {
            let once = plain(&text, limit);
            prop_assert!(once.chars().count() <= limit);
            prop_assert!(!once.chars().any(is_treacherous));
            prop_assert_eq!(plain(&once, limit), once);
        }
    }
}

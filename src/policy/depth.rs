//! How deeply a text may nest, and the stack that it takes: parsing, checking and evaluating an expression takes stack for
//! each level, and a daemon that runs out of stack is gone. Cedar doesn't limit all of it.
//!
//! Knows Cedar's tokens, not its grammar: a text may nest less than is counted here, never more. Counts without recursion.

/// What anything within the limits below needs: code that isn't optimised takes several times as much.
const ROOM_BYTES: usize = if cfg!(debug_assertions) { 6 << 20 } else { 1 << 20 };
/// The stack of those who come without.
const STACK_BYTES: usize = 8 << 20;

/// Brackets and `if`s within each other.
const MAX_NESTED: usize = 40;
/// Tokens one after the other, with those before the brackets around them: each may be an operator on all that is before it.
/// A comma or a semicolon begins anew, so that lists may be long.
const MAX_CHAIN: usize = 200;

/// Calls with stack enough for whatever isn't [`too_deep`]. A thread's own usually is.
pub(super) fn with_room<T>(call: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(ROOM_BYTES, STACK_BYTES, call)
}

/// The byte where the text nests too deeply.
pub(super) fn too_deep(content: &str) -> Option<usize> {
    let mut open = vec![Level::default()];
    let mut rest = content;
    while let Some((token, after)) = next(rest) {
        let at = content.len() - after.len() - token.len();
        rest = after;
        if matches!(token, ")" | "]" | "}") && open.len() > 1 {
            open.pop();
        }
        let level = open.last_mut()?;
        level.tokens += 1;
        match token {
            "(" | "[" | "{" => open.push(Level::default()),
            "," | ";" => *level = Level::default(),
            "if" => level.ifs += 1,
            _ => {}
        }
        let nested = open.len() + open.iter().map(|level| level.ifs).sum::<usize>();
        if nested > MAX_NESTED || open.iter().map(|level| level.tokens).sum::<usize>() > MAX_CHAIN {
            return Some(at);
        }
    }
    None
}

/// What was read within a bracket since the last comma.
#[derive(Default)]
struct Level {
    tokens: usize,
    ifs: usize,
}

/// The next word, string or other character, and what follows it.
fn next(text: &str) -> Option<(&str, &str)> {
    let mut text = text.trim_start();
    while text.starts_with("//") {
        text = text.split_once('\n')?.1.trim_start();
    }
    let first = text.chars().next()?;
    let length = match first {
        '"' => string(text),
        _ if is_word(first) => text.find(|c| !is_word(c)).unwrap_or(text.len()),
        _ => first.len_utf8(),
    };
    Some(text.split_at(length))
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of the string that the text begins with; all of the text when it doesn't end.
fn string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, character)| {
        let ends = *character == '"' && !escaped;
        escaped = *character == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_strings_and_characters() {
        let mut rest = "permit // a \"comment\"\n(x == \"a\\\"b) //\" ñ9;";
        let mut found = Vec::new();
        while let Some((token, after)) = next(rest) {
            found.push(token);
            rest = after;
        }
        assert_eq!(found, ["permit", "(", "x", "=", "=", "\"a\\\"b) //\"", "ñ9", ";"]);
        assert_eq!(next("\"open"), Some(("\"open", "")));
        assert_eq!(next("  // only this"), None);
    }

    #[test]
    fn lists_may_be_long_and_chains_may_not() {
        let list = format!("x in [{}]", "User::\"a\",".repeat(5000));
        assert_eq!(too_deep(&list), None);
        let statements = "permit (a, b, c) when { (d) };".repeat(2000);
        assert_eq!(too_deep(&statements), None);
        assert_eq!(too_deep(&"(".repeat(100)), Some(MAX_NESTED - 1));
        assert_eq!(too_deep(&"1+".repeat(2000)), Some(MAX_CHAIN));
        assert!(too_deep(&"if a then b else ".repeat(100)).is_some());
        assert_eq!(too_deep(&")".repeat(150)), None);
    }
}

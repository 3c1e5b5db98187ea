//! YAML and JSON text → a value, within budgets.
//!
//! A document may be small and stand for something huge (aliases of aliases), or nest until a parser's stack gives out;
//! the budgets here are spent while the value is being built, so that nothing huge ever is. Scanning YAML can itself be
//! slow on hostile text, which is why [`super::evaluate`] runs this in a process with a deadline.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Values that one document may make, aliases counted each time.
const MAX_VALUES: usize = 1_000_000;
/// Bytes of text that one document may make, aliases counted each time.
const MAX_TEXT_BYTES: usize = 32 << 20;

/// Why a text can't be parsed.
#[derive(Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// Line and column, both from 1.
    pub position: Option<(usize, usize)>,
}

/// Parses a JSON text.
///
/// # Errors
/// Says what is wrong and where.
pub fn json(text: &str) -> Result<Value, ParseError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Budget::new().deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value)).map_err(|error| {
        let position = (error.line() > 0).then(|| (error.line(), error.column().max(1)));
        ParseError { message: without_position(&error.to_string()), position }
    })
}

/// Parses a YAML text of exactly one document.
///
/// # Errors
/// Says what is wrong and where.
pub fn yaml(text: &str) -> Result<Value, ParseError> {
    let budget = Budget { is_yaml: true, ..Budget::new() };
    budget.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
        let message = without_position(&error.to_string());
        let position = error.location().map(|at| (at.line(), at.column()));
        if text.lines().all(|line| is_blank(line) || is_marker(line)) {
            let message = "there is nothing in it; it must hold a record".to_owned();
            return ParseError { message, position: Some((1, 1)) };
        }
        let position = position.or_else(|| whole_position(text, &message));
        ParseError { message, position }
    })
}

/// Whether a line of YAML holds nothing.
fn is_blank(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

/// Whether a line of YAML begins a document.
fn is_marker(line: &str) -> bool {
    line.trim_end() == "---" || line.starts_with("--- ")
}

/// Where that comes from what the parser says of the text as a whole.
fn whole_position(text: &str, message: &str) -> Option<(usize, usize)> {
    let find = |is_it: &dyn Fn(usize, &str) -> Option<usize>| {
        text.lines().enumerate().find_map(|(index, line)| is_it(index, line).map(|column| (index + 1, column)))
    };
    if message.contains("more than one document") {
        let first = text.lines().position(|line| !is_blank(line)).unwrap_or(0);
        return find(&|index, line| (index > first && is_marker(line)).then_some(1));
    }
    // Aliases are all that makes much of little.
    find(&|_, line| {
        let begins = |at: usize| at == 0 || line[..at].ends_with([' ', '[', ',', '{']);
        let at = line.match_indices('*').map(|(at, _)| at).find(|at| begins(*at))?;
        Some(line[..at].chars().count() + 1)
    })
}

/// The message alone: the position is told apart from it.
fn without_position(message: &str) -> String {
    match message.rfind(" at line ") {
        Some(at) if message[at..].contains(" column ") => message[..at].to_owned(),
        _ => message.to_owned(),
    }
}

/// What one document may still make.
struct Budget {
    values: Cell<usize>,
    text_bytes: Cell<usize>,
    is_yaml: bool,
}

impl Budget {
    const fn new() -> Self {
        Self { values: Cell::new(MAX_VALUES), text_bytes: Cell::new(MAX_TEXT_BYTES), is_yaml: false }
    }

    fn spend<E: serde::de::Error>(&self, text_bytes: usize) -> Result<(), E> {
        let values = self.values.get().checked_sub(1);
        let text_bytes = self.text_bytes.get().checked_sub(text_bytes);
        match (values, text_bytes) {
            (Some(values), Some(text_bytes)) => {
                self.values.set(values);
                self.text_bytes.set(text_bytes);
                Ok(())
            }
            (None, _) => Err(E::custom(format_args!("it makes more than {MAX_VALUES} values"))),
            (_, None) => Err(E::custom(format_args!("it makes more than {} MiB of text", MAX_TEXT_BYTES >> 20))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for &Budget {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Budget {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a boolean, a number, text, an array or a record")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.spend(0).map(|()| Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.spend(0).map(|()| value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.spend(0).map(|()| value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.spend(0).map(|()| value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.spend(0)?;
        let number = Number::from_f64(value).ok_or_else(|| E::custom(format_args!("{value} is no finite number")))?;
        Ok(number.into())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.spend(text.len()).map(|()| text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(self)? {
            array.push(element);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut record = Map::new();
        while let Some(key) = fields.next_key_seed(NewKey { budget: self, record: &record })? {
            let value = fields.next_value_seed(self)?;
            record.insert(key, value);
        }
        Ok(record.into())
    }
}

/// A key that its record doesn't have yet: the last of two values would win silently.
struct NewKey<'a> {
    budget: &'a Budget,
    record: &'a Map<String, Value>,
}

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text as the key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        self.budget.spend(key.len())?;
        if self.budget.is_yaml && key == "<<" {
            // An extension that YAML 1.2 no longer has; taken for a field, it would be passed over in silence.
            return Err(E::custom("merge keys (<<) are not followed; write the fields out"));
        }
        if self.record.contains_key(key) {
            return Err(E::custom(format_args!("the field {key:?} is there twice")));
        }
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn error_of(result: Result<Value, ParseError>) -> (String, Option<(usize, usize)>) {
        let error = result.unwrap_err();
        (error.message, error.position)
    }

    #[test]
    fn both_formats_make_the_same_value() {
        let expected = json!({"name": "a", "n": [1, -2, 0.5, true, null], "deep": {"x": "y"}});
        assert_eq!(yaml("name: a\nn: [1, -2, 0.5, true, null]\ndeep:\n  x: y\n").unwrap(), expected);
        assert_eq!(json(&expected.to_string()).unwrap(), expected);
        assert_eq!(yaml("1: a").unwrap(), json!({"1": "a"}), "a key is text, however it looks");
        assert_eq!(yaml("answer: no").unwrap(), json!({"answer": "no"}), "`no` is a word, not a boolean");
    }

    #[test]
    fn syntax_errors_say_where() {
        let (message, position) = error_of(json("{\n  \"a\": 1,\n  \"b\" 2\n}"));
        assert_eq!((message.as_str(), position), ("expected `:`", Some((3, 7))));
        let (message, position) = error_of(yaml("a: 1\nb: [1, 2\nc: 3\n"));
        assert!(message.contains("expected ',' or ']'"), "{message}");
        assert_eq!(position, Some((3, 2)));
        let (_, position) = error_of(json("{} x"));
        assert_eq!(position, Some((1, 4)));
        assert!(error_of(yaml("a: 1\n---\nb: 2\n")).0.contains("more than one document"));
    }

    #[test]
    fn what_is_wrong_with_the_whole_has_a_line_too() {
        assert_eq!(error_of(yaml("a: 1\n---\nb: 2\n")).1, Some((2, 1)));
        for empty in ["", "\n", "# nothing\n"] {
            let (message, position) = error_of(yaml(empty));
            assert_eq!((message.as_str(), position), ("there is nothing in it; it must hold a record", Some((1, 1))));
        }
        let (message, position) = error_of(yaml("base: &b {x: 1}\nserver:\n  <<: *b\n"));
        assert_eq!(
            (message.as_str(), position),
            ("server: merge keys (<<) are not followed; write the fields out", Some((3, 3)))
        );
        assert_eq!(json("{\"<<\": 1}").unwrap(), json!({"<<": 1}));
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        let (message, position) = error_of(yaml("name: a\nplan: x\nname: b\n"));
        assert_eq!((message.as_str(), position), ("the field \"name\" is there twice", Some((3, 1))));
        assert!(error_of(json("{\"a\": 1, \"a\": 2}")).0.contains("there twice"));
    }

    #[test]
    fn an_alias_bomb_is_refused_before_it_grows() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            writeln!(text, "a{level}: &a{level} [{aliases}]").unwrap();
        }
        assert_eq!(error_of(yaml(&text)).1.map(|(line, _)| line), Some(2));
        // Aliases that the parser's own count lets through are counted here.
        let text = format!("t: &t {}\nall: [{}]\n", "x".repeat(1 << 20), vec!["*t"; 40].join(", "));
        assert!(error_of(yaml(&text)).0.ends_with("it makes more than 32 MiB of text"));
    }

    #[test]
    fn deep_nesting_is_refused() {
        for depth in [200, 5_000] {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            assert!(error_of(json(&text)).0.contains("recursion limit"), "{depth}");
            assert!(error_of(yaml(&text)).0.contains("recursion limit"), "{depth}");
        }
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        assert!(error_of(yaml("a: .inf")).0.contains("no finite number"));
        assert!(error_of(yaml("[1]: a")).0.contains("a text as the key"));
        assert!(yaml("a: !tag b").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_as_json_is_read_back_by_both(keys in btree_map("[a-z]{1,4}", any::<Option<i32>>(), 0..5), list in vec(".{0,8}", 0..4)) {
            let value = json!({"keys": keys, "list": list});
            prop_assert_eq!(json(&value.to_string()).unwrap(), value.clone());
            prop_assert_eq!(yaml(&serde_yaml::to_string(&value).unwrap()).unwrap(), value);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "[-{}\\[\\]:,&*!|>'\"#%@` \na-c0-9?]{0,40}") {
            let _ = yaml(&text);
            let _ = json(&text);
        }
    }
}

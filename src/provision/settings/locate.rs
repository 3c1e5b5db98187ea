//! Where in a file a value stands.
//!
//! The parsers give positions only with errors, so a value is found by failing on purpose: the text is parsed again
//! down to the value in question, and the error that is raised there says line and column. JSON goes through the YAML
//! parser for this, whose marks are the beginnings of values. Nickel has no such marks in its stable interface; there
//! the text of the value is searched for, and believed where it occurs exactly once.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::provision::value_path::{Segment, ValuePath};

/// Which part of a field a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Its value.
    Value,
    /// Its key.
    Key,
}

/// Line and column, both from 1, of what is at `path` in `text`, a valid YAML or JSON document.
#[must_use]
pub fn in_document(text: &str, path: &ValuePath, target: Target) -> Option<(usize, usize)> {
    let probe = Probe { path: path.segments(), target };
    let found = probe.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    found.location().map(|at| (at.line(), at.column()))
}

/// Line and column of what is at `path` in `value`, by its text: the only place in `text` where it stands.
#[must_use]
pub fn by_text(text: &str, value: &Value, path: &ValuePath, target: Target) -> Option<(usize, usize)> {
    let needle = match (target, path.segments().last()?) {
        (Target::Key, Segment::Key(key)) => key.clone(),
        _ => match at(value, path)? {
            Value::String(text) => serde_json::to_string(text).ok()?,
            Value::Number(number) => number.to_string(),
            _ => return None,
        },
    };
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '\'');
    let mut whole = text.match_indices(&needle).filter(|(start, found)| {
        let before = text[..*start].chars().next_back();
        let after = text[start + found.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    });
    let (start, _) = whole.next()?;
    if whole.next().is_some() {
        return None;
    }
    let line_start = text[..start].rfind('\n').map_or(0, |end| end + 1);
    Some((text[..start].matches('\n').count() + 1, text[line_start..start].chars().count() + 1))
}

/// What is at `path` in `value`.
#[must_use]
pub fn at<'a>(value: &'a Value, path: &ValuePath) -> Option<&'a Value> {
    path.segments().iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get(key),
        Segment::Index(index) => value.get(index),
    })
}

/// Follows a path and fails where it ends.
#[derive(Clone, Copy)]
struct Probe<'a> {
    path: &'a [Segment],
    target: Target,
}

/// What a probe says where it arrives; only its position matters.
const ARRIVED: &str = "here";

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ARRIVED)
    }

    // A scalar is where the path ends or can't go on: the default methods fail, at its position, which is the answer.

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Some((Segment::Index(wanted), rest)) = self.path.split_first() else {
            return Err(A::Error::custom(ARRIVED));
        };
        for _ in 0..*wanted {
            elements.next_element::<IgnoredAny>()?;
        }
        elements.next_element_seed(Probe { path: rest, ..self }).map(|_| ())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Some((Segment::Key(wanted), rest)) = self.path.split_first() else { return Err(A::Error::custom(ARRIVED)) };
        let stop_at_key = rest.is_empty() && self.target == Target::Key;
        while let Some(is_it) = fields.next_key_seed(ProbeKey { wanted, stop: stop_at_key })? {
            if is_it {
                return fields.next_value_seed(Probe { path: rest, ..self });
            }
            fields.next_value::<IgnoredAny>()?;
        }
        // The field is missing: the record itself is the place.
        Ok(())
    }
}

/// Whether a key is the wanted one; fails on it where the key itself is what is looked for.
struct ProbeKey<'a> {
    wanted: &'a str,
    stop: bool,
}

impl<'de> DeserializeSeed<'de> for ProbeKey<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for ProbeKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        if key == self.wanted && self.stop { Err(E::custom(ARRIVED)) } else { Ok(key == self.wanted) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan() -> ValuePath {
        ValuePath::default().key("servers").index(1).key("plan")
    }

    #[test]
    fn a_value_and_a_key_are_found_in_yaml() {
        let text = "name: a\nservers:\n  - name: x\n    plan: 1xCPU-1 GB\n  - name: y\n    plan:   2GB\n";
        assert_eq!(in_document(text, &plan(), Target::Value), Some((6, 13)));
        assert_eq!(in_document(text, &plan(), Target::Key), Some((6, 5)));
        let server = ValuePath::default().key("servers").index(1);
        assert_eq!(in_document(text, &server, Target::Value), Some((5, 5)));
    }

    #[test]
    fn a_value_and_a_key_are_found_in_json() {
        let text = "{\n\t\"servers\": [\n\t\t{\"plan\": \"a\"},\n\t\t{\"name\": {}, \"plan\": \"2GB\"}\n\t]\n}";
        assert_eq!(in_document(text, &plan(), Target::Value), Some((4, 24)));
        assert_eq!(in_document(text, &plan(), Target::Key), Some((4, 16)));
    }

    #[test]
    fn what_is_not_there_has_no_place() {
        assert_eq!(in_document("servers: []\n", &plan(), Target::Value), None);
        assert_eq!(in_document("a: 1\n", &plan(), Target::Value), None);
    }

    #[test]
    fn a_text_that_occurs_once_is_found_in_nickel() {
        let value = json!({"servers": [{"plan": "ok"}, {"plan": "2GB", "zoen": "x"}], "twice": "two"});
        let text = "let t = \"two\" in\n{\n  plan = \"2GB\",\n  zoen = t,\n  b = \"two\",\n}";
        assert_eq!(by_text(text, &value, &plan(), Target::Value), Some((3, 10)));
        let key = ValuePath::default().key("servers").index(1).key("zoen");
        assert_eq!(by_text(text, &value, &key, Target::Key), Some((4, 3)));
        assert_eq!(by_text(text, &value, &ValuePath::default().key("twice"), Target::Value), None);
    }
}

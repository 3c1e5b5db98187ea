//! Reading a JSON body by hand, so that all of its problems are answered at once, each with its JSON pointer.
//!
//! serde stops at the first fault and forgets where it was; here every field is asked for by name, faults collect in
//! [`Problems`], and what nobody asked for is refused with the nearest known name.

use std::cell::RefCell;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use crate::model::nearest::{shown, unknown};

/// Faults of one request that are listed; the others are counted.
pub const LISTED: usize = 100;

/// One thing wrong with a body or query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Where: a JSON pointer (RFC 6901), or `?name` for a query parameter.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// The faults found so far.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Found>);

#[derive(Debug, Default)]
struct Found {
    listed: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// Notes a fault.
    pub fn push(&self, pointer: impl Into<String>, message: impl Into<String>) {
        self.note(|| Problem { pointer: pointer.into(), message: message.into() });
    }

    /// Notes a fault that is described only when there is still room for it.
    pub fn note(&self, problem: impl FnOnce() -> Problem) {
        let mut found = self.0.borrow_mut();
        if found.listed.len() < LISTED {
            found.listed.push(problem());
        } else {
            found.more += 1;
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().listed.is_empty()
    }

    /// `value` when nothing was wrong.
    ///
    /// # Errors
    /// The faults, in the order found; of very many the first, and how many more there are.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Problem>> {
        let Found { mut listed, more } = self.0.into_inner();
        match value {
            Some(value) if listed.is_empty() => return Ok(value),
            _ if more > 0 => {
                listed.push(Problem { pointer: String::new(), message: format!("and {more} more problems") });
            }
            _ => {}
        }
        Err(listed)
    }

    /// The whole of `value` as an object.
    pub fn object<'a>(&'a self, value: &'a Value, pointer: String) -> Option<Object<'a>> {
        if let Value::Object(map) = value {
            return Some(Object { map, pointer, known: RefCell::default(), problems: self });
        }
        self.push(pointer, format!("must be an object, not {}", kind(value)));
        None
    }
}

/// An object being read.
#[derive(Debug)]
pub struct Object<'a> {
    map: &'a Map<String, Value>,
    /// Where it stands in the body.
    pub pointer: String,
    known: RefCell<Vec<&'static str>>,
    problems: &'a Problems,
}

/// How one value is read; the error completes the sentence "must be …".
pub type Read<T> = fn(&Value) -> Result<T, String>;

impl<'a> Object<'a> {
    /// The pointer of a member.
    #[must_use]
    pub fn at(&self, field: &str) -> String {
        format!("{}/{}", self.pointer, shown(field).replace('~', "~0").replace('/', "~1"))
    }

    /// Notes a fault of a member.
    pub fn fault(&self, field: &str, message: impl Into<String>) {
        self.problems.push(self.at(field), message);
    }

    /// Notes a fault at a path below this object, such as `taskservs/3`.
    pub fn fault_at(&self, path: &str, message: impl Into<String>) {
        self.problems.push(format!("{}/{path}", self.pointer), message);
    }

    /// A value at a path below this object, such as `taskservs/3`, as an object.
    pub fn child(&self, path: &str, value: &'a Value) -> Option<Object<'a>> {
        self.problems.object(value, format!("{}/{path}", self.pointer))
    }

    /// A member that may be absent or null.
    pub fn optional<T>(&self, field: &'static str, read: Read<T>) -> Option<T> {
        match self.raw(field)? {
            Value::Null => None,
            value => read(value).map_err(|message| self.fault(field, message)).ok(),
        }
    }

    /// A member that must be there.
    pub fn required<T>(&self, field: &'static str, read: Read<T>) -> Option<T> {
        if self.is_absent(field) {
            self.fault(field, "is required");
            return None;
        }
        self.optional(field, read)
    }

    /// Whether a member is missing or null.
    pub fn is_absent(&self, field: &'static str) -> bool {
        self.raw(field).is_none_or(Value::is_null)
    }

    /// The member as it is, marked as known.
    pub fn raw(&self, field: &'static str) -> Option<&'a Value> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&field) {
            #[cfg(test)]
            asked::note(self.at(field));
            known.push(field);
        }
        self.map.get(field)
    }

    /// A list that may be absent or null, each item with its own pointer; the items that can be read.
    pub fn list<T>(&self, field: &'static str, read: Read<T>) -> Vec<T> {
        let items = match self.raw(field) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.fault(field, format!("must be a list, not {}", kind(other)));
                return Vec::new();
            }
        };
        let read = |(index, item): (usize, &Value)| {
            read(item).map_err(|message| self.fault_at(&format!("{field}/{index}"), message)).ok()
        };
        items.iter().enumerate().filter_map(read).collect()
    }

    /// An object of values of one kind that may be absent or null, each with its own pointer; those that can be read.
    pub fn entries<T>(&self, field: &'static str, read: fn(&str, &Value) -> Result<T, String>) -> BTreeMap<String, T> {
        let entries = self.object(field);
        let read = |object: &Object<'_>, (name, value): (&String, &Value)| {
            let read = read(name, value).map_err(|message| object.fault(name, message)).ok();
            read.map(|value| (name.clone(), value))
        };
        entries.iter().flat_map(|object| object.map.iter().filter_map(|entry| read(object, entry))).collect()
    }

    /// Marks members as known that belong to something that can't be read.
    pub fn know(&self, fields: &[&'static str]) {
        for field in fields {
            self.raw(field);
        }
    }

    /// A list of objects that must be there and not be empty: those of its items that are objects, with their places.
    pub fn objects(&self, field: &'static str) -> Option<Vec<(usize, Object<'a>)>> {
        let items = match self.raw(field) {
            Some(Value::Array(items)) if !items.is_empty() => items,
            Some(Value::Array(_)) => {
                self.fault(field, "needs at least one entry");
                return None;
            }
            None | Some(Value::Null) => {
                self.fault(field, "is required");
                return None;
            }
            Some(other) => {
                self.fault(field, format!("must be a list, not {}", kind(other)));
                return None;
            }
        };
        let at = self.at(field);
        let object = |(index, item)| Some((index, self.problems.object(item, format!("{at}/{index}"))?));
        Some(items.iter().enumerate().filter_map(object).collect())
    }

    /// A member that is an object.
    pub fn object(&self, field: &'static str) -> Option<Object<'a>> {
        match self.raw(field)? {
            Value::Null => None,
            value => self.problems.object(value, self.at(field)),
        }
    }

    /// The members nobody asked for so far.
    #[must_use]
    pub fn rest(&self) -> Map<String, Value> {
        let known = self.known.borrow();
        let unknown = self.map.iter().filter(|(key, _)| !known.contains(&key.as_str()));
        unknown.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Refuses the members nobody asked for.
    pub fn no_more(&self) {
        let known = self.known.borrow();
        for field in self.map.keys().filter(|field| !known.contains(&field.as_str())) {
            self.problems.note(|| Problem { pointer: self.at(field), message: unknown("field", field, &known) });
        }
    }
}

/// What kind of value this is, with its article.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A string.
pub fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("must be a string, not {}", kind(value)))
}

/// What [`label`] takes.
pub(super) const LABEL: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";

/// A string of 1 to 256 characters without control characters, for people to read.
pub fn label(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    if text.trim().is_empty() || text.chars().count() > 256 || text.chars().any(char::is_control) {
        return Err("must be 1 to 256 characters without control characters".to_owned());
    }
    Ok(text)
}

/// A boolean.
pub fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("must be true or false, not {}", kind(value)))
}

/// A number without a fraction that isn't negative: in JSON `5.0` is one as well.
#[must_use]
pub fn whole(value: &Value) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let spelt = |number: &f64| (0.0..=EXACT).contains(number) && number.fract() == 0.0;
    value.as_u64().or_else(|| format!("{:.0}", value.as_f64().filter(spelt)?).parse().ok())
}

/// How an id looks, for what must not look like one.
pub(super) const UUID: &str = "^[0-9A-Fa-f]{8}(-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}$";

/// A whole number of at least 1.
pub fn positive(value: &Value) -> Result<u32, String> {
    let number = whole(value).and_then(|n| u32::try_from(n).ok()).filter(|n| *n >= 1);
    number.ok_or_else(|| format!("must be a whole number from 1 to {}", u32::MAX))
}

/// A whole number of seconds, at most a year.
pub fn seconds(value: &Value) -> Result<u64, String> {
    const YEAR: u64 = 366 * 24 * 3600;
    whole(value).filter(|n| *n <= YEAR).ok_or_else(|| format!("must be a whole number of seconds from 0 to {YEAR}"))
}

/// The body of a call that takes nothing: an empty object, or no body at all.
///
/// # Errors
/// When there is something in it.
pub fn nothing(body: &Value) -> Result<(), Vec<Problem>> {
    let problems = Problems::default();
    let read = problems.object(body, String::new()).map(|object| object.no_more());
    problems.finish(read)
}

/// Anything that parses from its text.
pub fn parsed<T>(value: &Value) -> Result<T, String>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text(value)?.parse().map_err(|error: T::Err| error.to_string())
}

/// A relative path inside the workspace.
pub fn path(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    crate::model::name::relative_path(&text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// How such a path is described.
pub(super) fn relative_path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 1024,
        "pattern": r"^[^/\-\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
        "not": { "type": "string", "pattern": r"(^|/)\.\.(/|$)" }
    })
}

/// An object, as it is.
pub fn map(value: &Value) -> Result<Map<String, Value>, String> {
    value.as_object().cloned().ok_or_else(|| format!("must be an object, not {}", kind(value)))
}

/// What readers ask for, so that a test can hold it against what is described.
#[cfg(test)]
pub(super) mod asked {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        static ASKED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn note(pointer: String) {
        ASKED.with_borrow_mut(|asked| asked.insert(pointer));
    }

    /// The pointers of all members that were asked for since the last time.
    pub(in crate::api) fn take() -> BTreeSet<String> {
        ASKED.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_problems_come_at_once_with_their_pointers() {
        let body = json!({"name": 3, "rolback_enabled": true, "a/b": 1});
        let problems = Problems::default();
        let object = problems.object(&body, String::new()).unwrap();
        object.required("name", text);
        object.optional("rollback_enabled", boolean);
        object.required("infra", text);
        object.no_more();
        let found = problems.finish(Some(())).unwrap_err();
        let pointers: Vec<_> = found.iter().map(|p| p.pointer.as_str()).collect();
        assert_eq!(pointers, ["/name", "/infra", "/rolback_enabled", "/a~1b"]);
        assert!(found[2].message.contains("did you mean `rollback_enabled`?"), "{}", found[2].message);
    }

    #[test]
    fn a_number_is_whole_however_it_is_spelt() {
        for (text, number) in [("5", Some(5)), ("5.0", Some(5)), ("5e1", Some(50)), ("0.0", Some(0))] {
            assert_eq!(whole(&serde_json::from_str(text).unwrap()), number, "{text}");
        }
        for text in ["5.5", "-1", "-1.0", "1e300", "\"5\"", "null"] {
            assert_eq!(whole(&serde_json::from_str(text).unwrap()), None, "{text}");
        }
    }

    #[test]
    fn of_very_many_problems_the_first_are_listed() {
        let body = json!({ "args": vec![1; 100_000] });
        let problems = Problems::default();
        problems.object(&body, String::new()).unwrap().list("args", text);
        let found = problems.finish(Some(())).unwrap_err();
        assert_eq!((found.len(), found[2].pointer.as_str()), (LISTED + 1, "/args/2"));
        assert_eq!(found[LISTED].message, "and 99900 more problems");
    }
}

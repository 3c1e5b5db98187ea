//! Reading a value field by field without stopping at the first thing that is wrong.
//!
//! Owns how a field of a certain kind is taken out of a record and what is said when it is not of that kind. Knows no
//! particular field; those are in [`super::check`].

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::locate::Target;
use crate::model::nearest;
use crate::provision::secret;
use crate::provision::value_path::ValuePath;

/// Something that is wrong with a value, before its place in the file is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The value at fault.
    pub path: ValuePath,
    /// Whether its key or its value is at fault.
    pub target: Target,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    /// The value at `path` is wrong.
    #[must_use]
    pub const fn of(path: ValuePath, message: String, hint: Option<String>) -> Self {
        Self { path, target: Target::Value, message, hint }
    }

    /// The field at `path` is one that should not be there.
    #[must_use]
    pub const fn of_key(path: ValuePath, message: String, hint: Option<String>) -> Self {
        Self { path, target: Target::Key, message, hint }
    }
}

/// Everything that was found to be wrong so far.
pub struct Checker<'p> {
    findings: Vec<Finding>,
    is_plugin: &'p dyn Fn(&str) -> bool,
}

/// A record and where it stands.
#[derive(Clone, Debug)]
pub struct Record<'v> {
    /// Its fields.
    pub fields: &'v Map<String, Value>,
    /// Its place.
    pub path: ValuePath,
}

impl<'p> Checker<'p> {
    /// One that knows which providers there are besides prov's own.
    #[must_use]
    pub const fn knowing(is_plugin: &'p dyn Fn(&str) -> bool) -> Self {
        Self { findings: Vec::new(), is_plugin }
    }

    /// Whether there is a provider of that name that a plugin is.
    #[must_use]
    pub fn is_plugin(&self, name: &str) -> bool {
        (self.is_plugin)(name)
    }

    /// What was found.
    #[must_use]
    pub fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    /// Says that the value at `path` is wrong.
    pub fn wrong(&mut self, path: &ValuePath, message: impl Display, hint: Option<String>) {
        let message = message.to_string();
        self.findings.push(Finding { path: path.clone(), target: Target::Value, message, hint });
    }

    /// The value as a record.
    pub fn record<'v>(&mut self, value: &'v Value, path: &ValuePath) -> Option<Record<'v>> {
        let fields = value.as_object();
        if fields.is_none() {
            self.wrong(path, format_args!("must be a record, not {}", kind(value)), None);
        }
        fields.map(|fields| Record { fields, path: path.clone() })
    }

    /// Refuses the fields of `record` that `known` doesn't list.
    pub fn only(&mut self, record: &Record<'_>, known: &[&str]) {
        for key in record.fields.keys().filter(|key| !known.contains(&key.as_str())) {
            self.unknown(record, key, known);
        }
    }

    /// Refuses the field `key`, naming the nearest of `known`.
    pub fn unknown(&mut self, record: &Record<'_>, key: &str, known: &[&str]) {
        self.findings.push(Finding {
            path: record.path.key(key),
            target: Target::Key,
            message: nearest::unknown("field", &shortened(key), known),
            hint: None,
        });
    }

    /// The field `key` as text; absent and null are the same.
    pub fn text<'v>(&mut self, record: &Record<'v>, key: &str) -> Option<&'v str> {
        let value = record.fields.get(key).filter(|value| !value.is_null())?;
        if value.as_str().is_none() {
            self.wrong(&record.path.key(key), format_args!("must be text, not {}", kind(value)), None);
        }
        value.as_str()
    }

    /// The field `key` as what its text names: a name, a plan.
    pub fn parsed<T>(&mut self, record: &Record<'_>, key: &str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.text(record, key)?;
        self.parse(text, &record.path.key(key))
    }

    /// What `text`, which stands at `path`, names.
    pub fn parse<T>(&mut self, text: &str, path: &ValuePath) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        text.parse().map_err(|error| self.wrong(path, error, None)).ok()
    }

    /// Says that `record` lacks the field `key`, unless something is there (and was wrong, and said so).
    pub fn missing(&mut self, record: &Record<'_>, key: &str, hint: &str) {
        if record.fields.get(key).is_none_or(Value::is_null) {
            self.wrong(&record.path, format_args!("the field `{key}` is missing"), Some(hint.to_owned()));
        }
    }

    /// The elements of the array in the field `key`, each with its place; none where the field is absent.
    pub fn elements<'v>(&mut self, record: &Record<'v>, key: &str) -> Vec<(&'v Value, ValuePath)> {
        let path = record.path.key(key);
        match record.fields.get(key) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(elements)) => {
                elements.iter().enumerate().map(|(index, element)| (element, path.index(index))).collect()
            }
            Some(other) => {
                self.wrong(&path, format_args!("must be an array, not {}", kind(other)), None);
                Vec::new()
            }
        }
    }

    /// The record in the field `key`; `None` where it is absent.
    pub fn child<'v>(&mut self, record: &Record<'v>, key: &str) -> Option<Record<'v>> {
        let value = record.fields.get(key).filter(|value| !value.is_null())?;
        self.record(value, &record.path.key(key))
    }

    /// The field `params`, whose values may be secrets.
    pub fn params(&mut self, record: &Record<'_>) -> Map<String, Value> {
        let Some(params) = self.child(record, "params") else { return Map::new() };
        for (key, value) in params.fields {
            self.references(value, &params.path.key(key));
        }
        params.fields.clone()
    }

    /// Refuses references to secrets, anywhere in the value at `path`, that are none.
    pub fn references(&mut self, value: &Value, path: &ValuePath) {
        for (path, why) in secret::faults(value, path) {
            self.wrong(&path, why, None);
        }
    }

    /// The field `key` as texts by name.
    pub fn texts(&mut self, record: &Record<'_>, key: &str) -> BTreeMap<String, String> {
        let Some(child) = self.child(record, key) else { return BTreeMap::new() };
        let keys = child.fields.keys();
        keys.filter_map(|key| self.text(&child, key).map(|text| (key.clone(), text.to_owned()))).collect()
    }
}

/// A text from a file as far as a message should repeat it.
#[must_use]
pub fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    text.chars().take(MAX_CHARS).collect()
}

/// What a value is, for a message.
#[must_use]
pub const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "a record",
    }
}

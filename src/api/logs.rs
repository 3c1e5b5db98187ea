//! The daemon's own log on the wire: its lines, and how much of it there is by component.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::live::{Notice, Wire};
use super::read::{Problem, Problems, kind, parsed, unknown};
use crate::model::schema::text_schema;
use crate::model::time::Timestamp;

/// How much something matters, and from where on it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing is logged.
    Off,
    /// Something is broken, and somebody must look.
    Error,
    /// Something is not as it should be, and the daemon copes.
    Warn,
    /// What happens now and then and is good to know.
    Info,
    /// What happens all the time.
    Debug,
    /// Every detail.
    Trace,
}

impl LogLevel {
    /// Every level, the quietest first.
    pub const ALL: [Self; 6] = [Self::Off, Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LogLevel {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = Self::ALL.iter().map(|level| level.as_str()).collect();
        let found = Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| unknown("level", text, &words))
    }
}

/// The parts of the daemon whose lines can be told apart: modules of the program.
pub const COMPONENTS: &[&str] =
    &["app", "audit", "auth", "daemon", "exec", "logging", "policy", "scheduler", "server", "store"];

/// The word for everything that has no level of its own.
pub const DEFAULT: &str = "default";

/// A part of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Component(pub &'static str);

text_schema!(Component, {
    "type": "string",
    "enum": ["app", "audit", "auth", "daemon", "exec", "logging", "policy", "scheduler", "server", "store"]
});

impl FromStr for Component {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = COMPONENTS.iter().find(|name| **name == text);
        found.map(|name| Self(name)).ok_or_else(|| unknown("component", text, COMPONENTS))
    }
}

/// A line of the daemon's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Its place among all lines since the daemon started.
    pub sequence: u64,
    /// When.
    pub timestamp: Timestamp,
    /// How much it matters.
    pub level: LogLevel,
    /// The part of the daemon that says it.
    pub component: String,
    /// What it says.
    pub message: String,
    /// The request on whose behalf it was done, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The task that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The workflow or batch that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_id: Option<String>,
    /// What belongs to it besides.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

impl LogLine {
    /// What belongs to it: the request, the task and the work first.
    #[must_use]
    pub fn facts(&self) -> String {
        let ids = [("request_id", &self.request_id), ("task_id", &self.task_id), ("work_id", &self.work_id)];
        let ids = ids.into_iter().filter_map(|(name, id)| Some(format!(" {name}={}", plain(id.as_ref()?))));
        let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), plain);
        let fields = self.fields.iter().map(|(name, it)| format!(" {name}={}", value(it)));
        ids.chain(fields).collect()
    }
}

/// A value on one line, in quotes where it would not stand as one word.
fn plain(text: &str) -> String {
    let is_word = !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '"');
    if is_word { text.to_owned() } else { format!("{text:?}") }
}

/// What is sent of the log: lines, and what is said of the connection, which has a `type`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LogMessage {
    /// Of the connection.
    Notice(Notice),
    /// A line.
    Line(LogLine),
}

/// What of the log is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DaemonLogQuery {
    /// Only what matters at least so much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// Only what this part of the daemon says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<Component>,
    /// Only lines with this text in them, in capitals or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Of what is kept only the last so many lines.
    #[schemars(range(max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<usize>,
    /// Only lines after this one.
    #[schemars(range(max = u64::MAX))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Go on with what comes; a WebSocket always does.
    pub follow: bool,
}

/// The query of `GET /logs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct LogSocketQuery {
    /// What is wanted.
    #[schemars(flatten)]
    pub lines: DaemonLogQuery,
    /// How messages look.
    #[schemars(flatten)]
    pub wire: Wire,
}

/// How much each part of the daemon logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLevels {
    /// What has no level of its own.
    pub default: LogLevel,
    /// By component.
    pub components: BTreeMap<String, LogLevel>,
}

/// Body of `PUT /logs/levels`: what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LogLevelsChange {
    /// For all that has no level of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<LogLevel>,
    /// By component; null takes a component's own level away.
    #[schemars(default, schema_with = "by_component")]
    pub components: BTreeMap<Component, Option<LogLevel>>,
}

fn by_component(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let level = generator.subschema_for::<LogLevel>();
    let one = schemars::json_schema!({ "anyOf": [level, { "type": "null" }] });
    let properties: Map<String, Value> =
        COMPONENTS.iter().map(|name| ((*name).to_owned(), one.clone().to_value())).collect();
    schemars::json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
}

impl LogLevelsChange {
    /// Reads a body.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).map(|object| {
            let default = object.optional("default", level);
            let mut components = BTreeMap::new();
            if let Some(given) = object.object("components") {
                for name in COMPONENTS {
                    match given.raw(name) {
                        None => {}
                        Some(Value::Null) => drop(components.insert(Component(name), None)),
                        Some(_) => drop(components.insert(Component(name), given.optional(name, level))),
                    }
                }
                given.no_more();
            }
            object.no_more();
            Self { default, components }
        });
        problems.finish(read)
    }
}

fn level(value: &Value) -> Result<LogLevel, String> {
    match value {
        Value::String(word) if LogLevel::ALL.iter().any(|level| level.as_str() == word) => parsed(value),
        Value::String(word) => {
            let words: Vec<&str> = LogLevel::ALL.iter().map(|level| level.as_str()).collect();
            Err(unknown("level", word, &words))
        }
        other => Err(format!("must be a level, not {}", kind(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_change_is_read_and_a_wrong_one_is_told() {
        let read = LogLevelsChange::read(&json!({ "components": { "store": "debug", "app": null } })).unwrap();
        let expected = [(Component("app"), None), (Component("store"), Some(LogLevel::Debug))];
        assert_eq!((read.default, read.components), (None, expected.into()));
        let problems = LogLevelsChange::read(&json!({ "default": "loud", "components": { "stor": "debug" } }));
        let problems: Vec<String> =
            problems.unwrap_err().into_iter().map(|it| it.pointer + " " + &it.message).collect();
        assert!(problems[0].starts_with("/default unknown level `loud`"), "{problems:?}");
        assert_eq!(problems[1], "/components/stor unknown field `stor`; did you mean `store`?");
    }

    #[test]
    fn a_line_is_read_back_and_told_from_a_notice() {
        let line = LogLine {
            sequence: 7,
            timestamp: Timestamp(0),
            level: LogLevel::Warn,
            component: "server".to_owned(),
            message: "two\nlines".to_owned(),
            request_id: Some("r-1".to_owned()),
            task_id: None,
            work_id: None,
            fields: Map::from_iter([("path".to_owned(), json!("a b")), ("status".to_owned(), json!(200))]),
        };
        assert_eq!(line.facts(), " request_id=r-1 path=\"a b\" status=200");
        for message in [LogMessage::Line(line), LogMessage::Notice(Notice::Pong { sequence: 1 })] {
            let text = serde_json::to_string(&message).unwrap();
            assert_eq!(serde_json::from_str::<LogMessage>(&text).unwrap(), message, "{text}");
        }
    }
}

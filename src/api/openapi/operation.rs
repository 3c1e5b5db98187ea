//! What is said of an operation besides its row in the table, and short ways to say it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::api::read::{Problem, nothing};

/// What makes work can be sent again without making it twice.
pub(super) const ONCE: &[&str] = &["Idempotency-Key"];

/// How a type describes itself.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

/// An operation, besides its row in the table.
#[derive(Debug)]
pub struct Operation {
    /// Its id in the table.
    pub id: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// More about it; mostly empty.
    pub notes: &'static str,
    /// What the path's `{id}` is.
    pub path: Option<Path>,
    /// Its query.
    pub query: Option<Shape>,
    /// The request headers that it reads, by their names among the document's parameters.
    pub headers: &'static [&'static str],
    /// Its body.
    pub body: Option<Body>,
    /// What it answers when it succeeds.
    pub answer: Answer,
    /// What its answer is made of, where that is no schema's to say.
    pub mentions: Option<Shape>,
    /// What a message is where it is a WebSocket, or can become one.
    pub messages: Option<Shape>,
    /// Statuses it can fail with besides those that its row tells.
    pub failures: &'static [u16],
    /// Whether nothing is there to contradict: it changes nothing although its method might.
    pub is_pure: bool,
}

/// The `{id}` of a path.
#[derive(Debug)]
pub struct Path {
    /// What it looks like.
    pub shape: Shape,
    /// What it names.
    pub what: &'static str,
}

/// A body: what it looks like, and what reads it.
#[derive(Debug)]
pub struct Body {
    /// What it looks like.
    pub shape: Shape,
    /// One to start from.
    pub example: Value,
    /// What the server reads it with.
    pub read: fn(&Value) -> Result<(), Vec<Problem>>,
}

/// What is answered.
pub enum Answer {
    /// Data in the envelope.
    Data {
        /// What it looks like; of a list, an item of it.
        shape: Shape,
        /// The data of one.
        example: Option<Value>,
        /// Whether it is a list.
        is_list: bool,
        /// Whether it is a part of a list, with the total in a header.
        is_part: bool,
    },
    /// Something else, without the envelope.
    Bare {
        /// Its media type.
        media: &'static str,
        /// What it looks like.
        shape: Shape,
    },
    /// One of several media types.
    OneOf(Vec<(&'static str, Shape)>),
    /// Nothing: it becomes a WebSocket.
    Socket,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data { .. } => "Data",
            Self::Bare { .. } => "Bare",
            Self::OneOf(_) => "OneOf",
            Self::Socket => "Socket",
        })
    }
}

/// How `T` describes itself.
pub(super) fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// An operation that answers a `T`.
pub(super) fn one<T: JsonSchema>(id: &'static str, summary: &'static str) -> Operation {
    Operation {
        id,
        summary,
        notes: "",
        path: None,
        query: None,
        headers: &[],
        body: None,
        answer: Answer::Data { shape: shape::<T>, example: None, is_list: false, is_part: false },
        mentions: None,
        messages: None,
        failures: &[],
        is_pure: false,
    }
}

/// An operation that answers all of a list.
pub(super) fn all<T: JsonSchema>(id: &'static str, summary: &'static str) -> Operation {
    let answer = Answer::Data { shape: shape::<T>, example: None, is_list: true, is_part: false };
    Operation { answer, ..one::<T>(id, summary) }
}

/// An operation that answers a part of a list.
pub(super) fn part<T: JsonSchema>(id: &'static str, summary: &'static str) -> Operation {
    let answer = Answer::Data { shape: shape::<T>, example: None, is_list: true, is_part: true };
    Operation { answer, ..one::<T>(id, summary) }
}

/// An operation that answers something without the envelope.
pub(super) fn bare<T: JsonSchema>(id: &'static str, media: &'static str, summary: &'static str) -> Operation {
    Operation { answer: Answer::Bare { media, shape: shape::<T> }, ..one::<T>(id, summary) }
}

/// An operation that is a WebSocket with messages of `T`.
pub(super) fn socket<T: JsonSchema>(id: &'static str, summary: &'static str) -> Operation {
    Operation { answer: Answer::Socket, failures: &[426], ..one::<T>(id, summary).becoming::<T>() }
}

impl Operation {
    pub(super) fn noting(self, notes: &'static str) -> Self {
        Self { notes, ..self }
    }

    /// Names a `T` in its path.
    pub(super) fn of<T: JsonSchema>(self, what: &'static str) -> Self {
        Self { path: Some(Path { shape: shape::<T>, what }), ..self }
    }

    pub(super) fn query<T: JsonSchema>(self) -> Self {
        Self { query: Some(shape::<T>), ..self }
    }

    pub(super) fn headers(self, headers: &'static [&'static str]) -> Self {
        Self { headers, ..self }
    }

    pub(super) fn body<T: JsonSchema>(self, read: fn(&Value) -> Result<(), Vec<Problem>>, example: Value) -> Self {
        Self { body: Some(Body { shape: shape::<T>, example, read }), ..self }
    }

    /// Takes a body with nothing in it, or none.
    pub(super) fn without_body(self) -> Self {
        self.body::<super::shapes::Nothing>(nothing, serde_json::json!({}))
    }

    /// An example of the data answered.
    pub(super) fn answering(self, data: Value) -> Self {
        let answer = match self.answer {
            Answer::Data { shape, is_list, is_part, .. } => {
                Answer::Data { shape, example: Some(data), is_list, is_part }
            }
            other => other,
        };
        Self { answer, ..self }
    }

    /// Answers a stream of `T`.
    pub(super) fn mentioning<T: JsonSchema>(self) -> Self {
        Self { mentions: Some(shape::<T>), ..self }
    }

    /// Can become a WebSocket with messages of `T`.
    pub(super) fn becoming<T: JsonSchema>(self) -> Self {
        Self { messages: Some(shape::<T>), ..self }
    }

    pub(super) fn failing(self, failures: &'static [u16]) -> Self {
        Self { failures, ..self }
    }

    pub(super) fn pure(self) -> Self {
        Self { is_pure: true, ..self }
    }
}

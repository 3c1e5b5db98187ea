//! Identifiers: one type a noun, all UUID version 7, so that their order is the order of creation.
//!
//! Making a random id is the caller's business (see [`Uuid::now_v7`]); nothing below `scheduler` makes one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::schema::text_schema;

/// How much of a wrong id is shown.
const SHOWN: usize = 80;

/// A text that is no id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no id; ids are UUIDs")]
pub struct NotAnId(String);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        text_schema!($name, { "type": "string", "format": "uuid" });

        impl $name {
            /// The sixteen bytes that order like the id; the form the store keys by.
            #[must_use]
            pub fn bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }

            /// The id whose bytes these are.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                Uuid::parse_str(text).map(Self).map_err(|_| NotAnId(text.chars().take(SHOWN).collect()))
            }
        }
    };
}

id! {
    /// One task: a command with its attempts.
    TaskId
}
id! {
    /// One batch.
    BatchId
}
id! {
    /// One unit of durable work: a workflow's only task, a batch, or a rollback. Equal to that one's id.
    WorkId
}
id! {
    /// One user.
    UserId
}
id! {
    /// One policy: a text of an administrator, in all its versions.
    PolicyId
}
id! {
    /// One login, from its password check until logout; refreshed tokens stay in their session.
    SessionId
}
id! {
    /// One API token.
    ApiTokenId
}
id! {
    /// One checkpoint.
    CheckpointId
}
id! {
    /// One rollback that somebody asked for; also a [`WorkId`].
    RollbackId
}

id! {
    /// One webhook.
    WebhookId
}

id! {
    /// One frame on its way to one webhook. Made of both, so that it is the same at every attempt: of version 8, in the
    /// order of the frames.
    DeliveryId
}

impl From<TaskId> for WorkId {
    fn from(id: TaskId) -> Self {
        Self(id.0)
    }
}

impl From<BatchId> for WorkId {
    fn from(id: BatchId) -> Self {
        Self(id.0)
    }
}

impl From<RollbackId> for WorkId {
    fn from(id: RollbackId) -> Self {
        Self(id.0)
    }
}

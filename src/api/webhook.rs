//! Webhooks on the wire: where frames of the stream of events are sent, and what became of each; what is asked for of them
//! (`order`).

mod order;

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::{Event, Frame, Topic};
use super::list::Page;
use super::read::unknown;
use super::users::UserKey;
use crate::model::id::{DeliveryId, UserId, WebhookId};
use crate::model::name::Name;
use crate::model::schema::text_schema;
use crate::model::time::Timestamp;
use crate::model::webhook::DeliveryStatus;
pub use order::{NewWebhook, Redelivery, WebhookChange};

/// A topic, or a type of event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventWord(String);

text_schema!(EventWord, {
    "type": "string",
    "enum": ["task", "batch", "system", "TaskStatusChanged", "BatchOperationUpdate", "WorkflowProgressUpdate"]
});

impl EventWord {
    /// Every word.
    pub const ALL: [&'static str; 6] = [
        Topic::Task.as_str(),
        Topic::Batch.as_str(),
        Topic::System.as_str(),
        "TaskStatusChanged",
        "BatchOperationUpdate",
        "WorkflowProgressUpdate",
    ];

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the event is among these words; every one is where there are none.
    #[must_use]
    pub fn is_wanted(words: &[String], event: &Event) -> bool {
        words.is_empty() || words.iter().any(|word| word == event.topic().as_str() || word == event.as_str())
    }
}

impl FromStr for EventWord {
    type Err = String;
    fn from_str(given: &str) -> Result<Self, String> {
        if Self::ALL.contains(&given) { Ok(Self(given.to_owned())) } else { Err(unknown("event", given, &Self::ALL)) }
    }
}

impl fmt::Display for EventWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What keeps frames from being sent, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WebhookState {
    /// Nothing does.
    Active,
    /// The last attempt failed; it is tried again.
    Failing,
    /// Somebody paused it, or the receiver answered 410 Gone.
    Paused,
    /// Its owner is shut out, or may have no webhooks any more.
    Suspended,
}

impl WebhookState {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Failing => "failing",
            Self::Paused => "paused",
            Self::Suspended => "suspended",
        }
    }
}

/// A webhook as its owner sees it: without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Webhook")]
pub struct WebhookView {
    /// Its id.
    pub id: WebhookId,
    /// Whose it is: nothing is sent that they may not read.
    pub owner: UserId,
    /// Where frames are sent.
    pub url: String,
    /// Topics and types of events that are wanted; all when there is none.
    pub events: Vec<String>,
    /// Infras whose events are wanted; all when there is none.
    pub infras: Vec<Name>,
    /// Whether frames are to be sent.
    pub enabled: bool,
    /// What keeps them from being sent, if anything.
    pub state: WebhookState,
    /// Why, where it is neither active nor paused by anybody.
    pub reason: Option<String>,
    /// The sequence of the last frame that was delivered, set aside or not for it.
    pub sequence: u64,
    /// Attempts that failed since the last that didn't.
    pub failures: u32,
    /// When it is tried again, while it fails.
    pub next_attempt_at: Option<Timestamp>,
    /// When the last delivery arrived.
    pub delivered_at: Option<Timestamp>,
    /// Until when deliveries are signed with the secret of before as well.
    pub former_secret_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Answer of `POST /webhooks` and `PUT /webhooks/{id}`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct MadeWebhook {
    /// What deliveries are signed with, where that is new; it is not shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// What is known of it from now on.
    #[serde(flatten)]
    pub view: WebhookView,
}

/// Hides the secret.
impl fmt::Debug for MadeWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeWebhook").field("view", &self.view).finish_non_exhaustive()
    }
}

/// What became of a frame on its way to a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Delivery")]
pub struct DeliveryView {
    /// Its id, which is in `X-Prov-Delivery` of every attempt.
    pub id: DeliveryId,
    /// The frame's sequence; null for a ping.
    pub sequence: Option<u64>,
    /// The frame's type.
    pub event: String,
    /// Where it is.
    pub status: DeliveryStatus,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was first tried.
    pub first_attempt_at: Timestamp,
    /// When it was last tried.
    pub last_attempt_at: Timestamp,
    /// When it is tried again.
    pub next_attempt_at: Option<Timestamp>,
    /// The status that the receiver answered last.
    pub response_status: Option<u16>,
    /// How long the last attempt took, in milliseconds.
    pub duration_ms: u64,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// What is sent: a frame, and whose it is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryBody {
    /// The id of the delivery: the same at every attempt.
    pub id: DeliveryId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// What happened.
    #[serde(flatten)]
    pub frame: Frame,
}

/// Answer of `POST /webhooks/{id}/redeliver`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Redelivering {
    /// How many deliveries are sent again.
    pub queued: usize,
}

/// The query of `GET /webhooks`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct WebhookQuery {
    /// Only those of this user; all that the caller may see when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserKey>,
    /// Which part.
    #[serde(flatten)]
    pub page: Page,
}

/// The query of `GET /webhooks/{id}/deliveries`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct DeliveryQuery {
    /// Only those in this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<DeliveryStatus>,
    /// Which part.
    #[serde(flatten)]
    pub page: Page,
}

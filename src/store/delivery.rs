//! What became of a frame on its way to a webhook, as it is stored.

use serde::{Deserialize, Serialize};

use crate::api::event::Frame;
use crate::model::id::{DeliveryId, WebhookId};
use crate::model::time::Timestamp;
use crate::model::webhook::DeliveryStatus;

/// A frame on its way to a webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// The webhook.
    pub webhook: WebhookId,
    /// Its id.
    pub id: DeliveryId,
    /// The frame's sequence.
    pub sequence: u64,
    /// What the frame tells of, in a word.
    pub event: String,
    /// Where it is.
    pub status: DeliveryStatus,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was first tried.
    pub first_at: Timestamp,
    /// When it was last tried.
    pub last_at: Timestamp,
    /// When it is tried again.
    #[serde(default)]
    pub next_at: Option<Timestamp>,
    /// The status that the receiver answered last.
    #[serde(default)]
    pub response: Option<u16>,
    /// Why the last attempt failed.
    #[serde(default)]
    pub error: Option<String>,
    /// How long the last attempt took, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
    /// The frame itself, once it was set aside.
    #[serde(default)]
    pub frame: Option<Frame>,
}

//! Webhooks as they are stored: where frames are sent, how far that has come, and what became of each.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::digest::sha256;
use super::id::{DeliveryId, UserId, WebhookId};
use super::name::Name;
use super::nearest::unknown;
use super::time::Timestamp;
use super::user::Role;

/// What deliveries are signed with. `Debug` hides it.
///
/// Signatures are computed from it, so it can't be stored as a hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WebhookSecret(pub String);

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(hidden)")
    }
}

/// The secret of before, for receivers that don't know the new one yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerSecret {
    /// The secret.
    pub secret: WebhookSecret,
    /// Until when deliveries are signed with it as well.
    pub until: Timestamp,
}

/// Where frames are sent, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Whose it is: nothing is sent that they may not read.
    pub owner: UserId,
    /// Where frames are sent.
    pub url: String,
    /// Topics and types of events that are wanted; all when there is none.
    #[serde(default)]
    pub events: Vec<String>,
    /// Infras whose events are wanted; all when there is none.
    #[serde(default)]
    pub infras: Vec<Name>,
    /// What deliveries are signed with.
    pub secret: WebhookSecret,
    /// What they are signed with besides, for a while after a change.
    #[serde(default)]
    pub former: Option<FormerSecret>,
    /// The roles that whoever decided where it goes had then; it is worth no more than its owner's at the moment.
    pub roles: Vec<Role>,
    /// Whether they had given a second factor.
    #[serde(default)]
    pub mfa: bool,
    /// From where the owner set it up.
    pub address: IpAddr,
    /// Whether anything is sent.
    pub enabled: bool,
    /// Why the daemon sends nothing, where that wasn't anybody's wish.
    #[serde(default)]
    pub stopped: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Counts changes; a transaction that relies on it can't race another.
    #[serde(default)]
    pub generation: u64,
}

impl Webhook {
    /// The secrets that are good now, the newest first.
    pub fn secrets(&self, now: Timestamp) -> impl Iterator<Item = &WebhookSecret> {
        let former = self.former.iter().filter(move |former| now < former.until);
        std::iter::once(&self.secret).chain(former.map(|former| &former.secret))
    }
}

/// How far the sending has come. Written by whoever sends, and by nobody else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookProgress {
    /// The sequence of the last frame that was delivered, set aside or not wanted.
    pub cursor: u64,
    /// Attempts that failed since the last that didn't.
    #[serde(default)]
    pub failures: u32,
    /// When the last delivery arrived.
    #[serde(default)]
    pub delivered_at: Option<Timestamp>,
    /// When it is tried again, while it fails.
    #[serde(default)]
    pub next_at: Option<Timestamp>,
    /// Why the last attempt failed, while it fails.
    #[serde(default)]
    pub error: Option<String>,
}

/// Where a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// It failed and is tried again; nothing overtakes it.
    Retrying,
    /// The receiver has it.
    Delivered,
    /// It was tried for as long as is allowed, and set aside.
    Dead,
    /// It was set aside, and somebody wants it sent again.
    Queued,
}

impl DeliveryStatus {
    /// Every status.
    pub const ALL: &'static [Self] = &[Self::Retrying, Self::Delivered, Self::Dead, Self::Queued];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Queued => "queued",
        }
    }
}

impl fmt::Display for DeliveryStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DeliveryStatus {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = Self::ALL.iter().map(|status| status.as_str()).collect();
        let found = Self::ALL.iter().copied().find(|status| status.as_str() == text);
        found.ok_or_else(|| unknown("status", text, &words))
    }
}

impl DeliveryId {
    /// The id of a frame on its way to a webhook: its sequence in the first 60 bits that are free, the webhook in the rest.
    #[must_use]
    pub fn of(webhook: WebhookId, sequence: u64) -> Self {
        let digest = u64::from_be_bytes(*sha256(&webhook.bytes()).first_chunk().expect("a digest has 32 bytes"));
        let (high, low) = (u128::from(sequence >> 12 & 0xffff_ffff_ffff), u128::from(sequence & 0xfff));
        let bits = high << 80 | low << 64 | u128::from(digest);
        Self(uuid::Builder::from_custom_bytes(bits.to_be_bytes()).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    #[test]
    fn secrets_are_not_shown() {
        let secret = WebhookSecret("swordfish".to_owned());
        let former = FormerSecret { secret: secret.clone(), until: Timestamp(1) };
        assert!(!format!("{secret:?} {former:?}").contains("swordfish"));
    }

    proptest! {
        #[test]
        fn ids_of_deliveries_stand_in_the_order_of_frames(hook: u128, one in 0_u64..1 << 60, other in 0_u64..1 << 60) {
            let of = |sequence| DeliveryId::of(WebhookId(Uuid::from_u128(hook)), sequence);
            prop_assert_eq!(of(one), of(one));
            prop_assert_eq!(of(one).cmp(&of(other)), one.cmp(&other));
            prop_assert_eq!(of(one).0.get_version_num(), 8);
        }

        #[test]
        fn webhooks_have_ids_of_their_own(one: u128, other: u128, sequence in 0_u64..1 << 60) {
            let of = |hook| DeliveryId::of(WebhookId(Uuid::from_u128(hook)), sequence);
            prop_assert_eq!(one == other, of(one) == of(other));
        }
    }
}

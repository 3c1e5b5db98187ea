//! The audit trail on the wire. An entry is sent as it is kept: see [`Entry`].

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::list::Page;
use crate::audit::Checkpoint;
pub use crate::audit::{Entry, Format, Head, Signed};
use crate::model::digest::sha256;
use crate::model::nearest::unknown;
use crate::model::schema::moment;
use crate::model::time::Timestamp;

/// How what is looked for ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditOutcomeKind")]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// It was done, or accepted.
    Success,
    /// It was refused by policy.
    Denied,
    /// It wasn't done.
    Failure,
}

impl OutcomeKind {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Success, Self::Denied, Self::Failure];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Failure => "failure",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for OutcomeKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|outcome| outcome.as_str() == text);
        found.ok_or_else(|| unknown("outcome", text, &Self::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>()))
    }
}

/// Which entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditFilter {
    /// Only those of the user with this id or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Only those of this operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only those about this (`infra/production`), or about this kind of thing (`infra`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Only those that ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeKind>,
    /// Only those from this time, or this day in UTC, on.
    #[schemars(schema_with = "moment")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_date: Option<Timestamp>,
    /// Only those up to this time, or the end of this day in UTC.
    #[schemars(schema_with = "moment")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_date: Option<Timestamp>,
}

impl AuditFilter {
    /// Whether it lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which part of the trail; newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(default)]
pub struct AuditPage {
    /// Entries at most.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: usize,
    /// Entries to pass over from the newest, or after `after`.
    #[schemars(range(max = 9_223_372_036_854_775_807_u64))]
    pub offset: usize,
    /// Only entries older than the one with this sequence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

impl Default for AuditPage {
    fn default() -> Self {
        Self { limit: Page::default().limit, offset: 0, after: None }
    }
}

/// A part of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditListed<T> {
    /// The entries, newest first.
    pub items: Vec<T>,
    /// How many there are in all (`X-Total-Count`).
    pub total: u64,
    /// Where the next part starts, when there is one.
    pub next_after: Option<u64>,
}

/// The query of `GET /audit/logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditQuery {
    /// Which entries.
    #[serde(flatten)]
    pub filter: AuditFilter,
    /// Which part.
    #[serde(flatten)]
    pub page: AuditPage,
}

/// The query of `GET /audit/export`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct ExportQuery {
    /// How the entries are written.
    #[schemars(default = "jsonl")]
    pub format: Format,
    /// Which entries.
    #[schemars(flatten)]
    pub filter: AuditFilter,
}

const fn jsonl() -> Format {
    Format::Jsonl
}

/// The query of `GET /audit/verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct VerifyQuery {
    /// A checkpoint to hold the trail against: the JSON text of one.
    #[schemars(extend("contentMediaType" = "application/json"))]
    pub checkpoint: Option<CheckpointDocument>,
}

/// The header of an export that is no whole trail, so that it can't be verified as one.
pub const SELECTION: &str = "x-audit-selection";

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditVerification")]
pub struct Verification {
    /// Whether every entry is what was written, and none is missing.
    pub verified: bool,
    /// How many entries there are; where one is broken, how many are good before it.
    pub entries: u64,
    /// The last good entry.
    pub head: Head,
    /// The first entry that isn't what was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_broken: Option<FirstBroken>,
    /// How many checkpoints the trail was held against.
    #[serde(default)]
    pub checkpoints: usize,
}

/// The first entry that isn't what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditFirstBroken")]
pub struct FirstBroken {
    /// The sequence of the entry that should stand there.
    pub sequence: u64,
    /// What is wrong.
    pub what: String,
}

/// A signed statement about how the trail stood, with the key to check it. The key's id is its thumbprint (RFC 7638), so
/// that it is enough to know the id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditCheckpoint")]
pub struct CheckpointDocument {
    /// The statement.
    #[serde(flatten)]
    pub signed: Signed,
    /// The public half of the key that signed it: Ed25519, base64url.
    pub public_key: String,
}

impl CheckpointDocument {
    /// What was signed with the key whose public half this is.
    #[must_use]
    pub fn new(signed: Signed, public_key: &[u8]) -> Self {
        Self { signed, public_key: URL_SAFE_NO_PAD.encode(public_key) }
    }

    /// What was signed, when the signature is that of the key it names. Whose key that is, is for the reader to know.
    ///
    /// # Errors
    /// When it isn't, or the key is another one; in words for people.
    pub fn open(&self) -> Result<&Checkpoint, String> {
        let public =
            URL_SAFE_NO_PAD.decode(&self.public_key).map_err(|_| "its public key is no base64url".to_owned())?;
        // The thumbprint of RFC 7638 for an octet key pair (RFC 8037, appendix A.3).
        let thumbprint = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(&public));
        if URL_SAFE_NO_PAD.encode(sha256(thumbprint.as_bytes())) != self.signed.signer() {
            return Err(format!("its public key isn't that of key {}", self.signed.signer()));
        }
        self.signed.open(&public).map_err(|error| error.to_string())
    }
}

impl FromStr for CheckpointDocument {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("is no checkpoint: {error}"))
    }
}

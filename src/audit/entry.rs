//! What an audit entry is. Only grows, like every record on disk: a field added later has a default.
//!
//! Deliberately absent: the request's body and headers. What of them matters goes into the details, which are redacted.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{redact, text};
use crate::model::id::UserId;
use crate::model::schema::text_schema;
use crate::model::time::Timestamp;
use crate::model::user::Role;

/// What happened, as a use case tells it. [`Chain::seal`](super::Chain::seal) makes an entry of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditEvent")]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Who did it, or tried to.
    pub actor: Actor,
    /// Where the request came from; the daemon itself has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The request; entries of one request share it.
    pub request_id: String,
    /// The operation's name in the table of operations (`batch_execute`).
    pub action: String,
    /// What it was done to.
    pub resource: Resource,
    /// Whether policy allowed it.
    #[serde(default)]
    pub decision: Decision,
    /// How it ended.
    pub outcome: Outcome,
    /// A few facts more.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

/// An event in its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
pub struct Entry {
    /// Its place: from 1, without gaps.
    pub sequence: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditActor")]
pub struct Actor {
    /// The account, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The name as it was given; whoever fails to log in may have made it up.
    pub username: String,
    /// The roles at that time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// What proved them.
    #[serde(default)]
    pub credential: Credential,
    /// The id of the session or the API token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_id: Option<String>,
}

/// The name under which the daemon stands in the trail; no user may have it.
pub const DAEMON: &str = "prov";

impl Actor {
    /// The daemon, doing something of its own accord.
    #[must_use]
    pub fn daemon() -> Self {
        let credential = Credential::Daemon;
        Self { user: None, username: DAEMON.to_owned(), roles: Vec::new(), credential, credential_id: None }
    }

    /// Somebody of whom nothing is known but the name they gave, which may be empty.
    #[must_use]
    pub fn unproven(username: impl Into<String>) -> Self {
        let credential = Credential::None;
        Self { user: None, username: username.into(), roles: Vec::new(), credential, credential_id: None }
    }
}

/// What proves an actor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditCredential")]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// Nothing.
    #[default]
    None,
    /// An access token of a login.
    Session,
    /// An API token.
    ApiToken,
    /// It is the daemon itself.
    Daemon,
}

impl Credential {
    /// Its word in entries and exports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Session => "session",
            Self::ApiToken => "api_token",
            Self::Daemon => "daemon",
        }
    }
}

/// What something was done to: `infra/production`, `task/<uuid>`, `user/alice`; all of a kind without a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct Resource {
    /// Its kind, a word without a slash.
    pub kind: String,
    /// Its id or name.
    pub name: Option<String>,
}

text_schema!(Resource, { "type": "string", "examples": ["infra/production"] });

impl Resource {
    /// One thing.
    #[must_use]
    pub fn new(kind: impl Into<String>, name: impl fmt::Display) -> Self {
        Self { kind: kind.into(), name: Some(name.to_string()) }
    }

    /// Everything of a kind, as a list shows it.
    #[must_use]
    pub fn all(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: None }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}/{name}", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

impl From<Resource> for String {
    fn from(resource: Resource) -> Self {
        resource.to_string()
    }
}

impl From<String> for Resource {
    fn from(text: String) -> Self {
        match text.split_once('/') {
            Some((kind, name)) => Self::new(kind, name),
            None => Self::all(text),
        }
    }
}

impl FromStr for Resource {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.to_owned().into())
    }
}

/// What policy said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditDecision")]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Decision {
    /// It wasn't asked.
    #[default]
    None,
    /// Yes.
    Allowed {
        /// The policies that permitted it.
        #[serde(default)]
        policies: Vec<String>,
    },
    /// No.
    Denied {
        /// The policies that forbade it; none when nothing permitted it.
        #[serde(default)]
        policies: Vec<String>,
    },
}

impl Decision {
    /// Its word in entries and exports.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Allowed { .. } => "allowed",
            Self::Denied { .. } => "denied",
        }
    }

    /// The ids of the policies that decided.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::Allowed { policies } | Self::Denied { policies } => policies,
        }
    }
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditOutcome")]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// It was done, or accepted.
    Success,
    /// It was refused: whoever asked may not.
    Denied,
    /// It wasn't done.
    Failure {
        /// The error code that was answered.
        code: String,
    },
}

impl Outcome {
    /// Its word in entries, filters and exports.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Failure { .. } => "failure",
        }
    }

    /// The error code of a failure.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Failure { code } => Some(code),
            Self::Success | Self::Denied => None,
        }
    }
}

/// How long a name, an id or a code may be, in characters.
const NAME: usize = 256;
/// How long a user agent may be.
const USER_AGENT: usize = 512;

impl Event {
    /// The event as it may be written: no secrets, no control characters, nothing long.
    #[must_use]
    pub fn clean(mut self) -> Self {
        let name = |text: &mut String| *text = clean(text, NAME);
        name(&mut self.actor.username);
        self.actor.credential_id.iter_mut().for_each(name);
        self.user_agent = self.user_agent.map(|text| clean(&text, USER_AGENT));
        name(&mut self.request_id);
        name(&mut self.action);
        name(&mut self.resource.kind);
        self.resource.name.iter_mut().for_each(name);
        if let Decision::Allowed { policies } | Decision::Denied { policies } = &mut self.decision {
            policies.iter_mut().for_each(name);
        }
        if let Outcome::Failure { code } = &mut self.outcome {
            name(code);
        }
        self.details = redact::details(self.details);
        self
    }
}

/// A name, an id or a code as entries have it: whoever looks for one looks for this.
#[must_use]
pub fn cleaned(text: &str) -> String {
    clean(text, NAME)
}

fn clean(text: &str, limit: usize) -> String {
    text::plain(&redact::text(text), limit)
}

//! Shapes on the wire that no type of the program has: they are put together, or passed on, where they are sent.

use schemars::JsonSchema;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::api::batch::{BatchPlan, BatchView};
use crate::api::event::Topic;

/// Nothing: an empty object, or no body at all.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Nothing {}

/// Answer of `POST /auth/logout`.
#[derive(Debug, JsonSchema)]
pub struct LoggedOut {
    /// Always true.
    pub logged_out: bool,
}

/// Something is gone.
#[derive(Debug, JsonSchema)]
pub struct Deleted {
    /// Its id.
    pub deleted: Uuid,
}

/// The public keys that tokens can be checked with (RFC 7517).
#[derive(Debug, JsonSchema)]
pub struct Jwks {
    /// The one that signs comes first.
    pub keys: Vec<Jwk>,
}

/// A public key.
#[derive(Debug, JsonSchema)]
pub struct Jwk {
    /// Its kind.
    pub kty: String,
    /// Its id, which tokens name.
    pub kid: String,
    /// What it signs with.
    pub alg: String,
    /// What belongs to its kind.
    #[schemars(flatten)]
    pub rest: Map<String, Value>,
}

/// The batch that was accepted or, in check mode, what it would do.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Executed {
    /// It was accepted.
    Started(Box<BatchView>),
    /// What it would do.
    Planned(Box<BatchPlan>),
}

/// What a client says on a WebSocket.
#[derive(Debug, JsonSchema)]
#[schemars(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Said {
    /// Who it is: the first frame where no token came with the handshake; later a newer token.
    Auth {
        /// An access token or an API token.
        token: String,
    },
    /// These topics as well.
    Subscribe {
        /// The topics.
        #[schemars(length(min = 1))]
        events: Vec<Topic>,
    },
    /// These topics no more.
    Unsubscribe {
        /// The topics.
        #[schemars(length(min = 1))]
        events: Vec<Topic>,
    },
    /// Whether somebody is there; answered with `pong`.
    Ping,
}

/// Plain text.
#[derive(Debug, JsonSchema)]
#[schemars(transparent, inline)]
pub struct Text(pub String);

/// Anything in JSON.
#[derive(Debug, JsonSchema)]
#[schemars(transparent, inline)]
pub struct Json(pub Value);

//! What goes over a WebSocket: the queries of the handshakes, the frames of clients, and what the daemon says of the connection.
//!
//! Events themselves are frames of [`super::event`], figures are text, lines of the log are those of [`super::logs`]. What is
//! said of the connection is a [`Notice`]: an object with a `type`, which none of those has.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::envelope::Failure;
use super::event::{EventQuery, Topic};
use super::read::{Problem, Problems, parsed, text, unknown};
use crate::model::time::Timestamp;

/// Events in a message at most.
pub const MOST_IN_A_MESSAGE: usize = 1000;
/// Events in a message at most, unless the client says otherwise.
const IN_A_MESSAGE: usize = 10;

/// An access token or an API token in a query or a frame. It is shown nowhere.
#[derive(Clone, PartialEq, Eq, JsonSchema)]
#[schemars(inline)]
pub struct Token(pub String);

/// Hides the token, because queries and frames may be logged.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl FromStr for Token {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// How a client wants the messages of a WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct Wire {
    /// A token, for a client that can't send headers; only with a WebSocket.
    #[schemars(extend("writeOnly" = true))]
    pub token: Option<Token>,
    /// Whether messages are binary, each the gzip of its text; only with a WebSocket.
    pub compression: bool,
}

/// The query of `GET /ws`.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct SocketQuery {
    /// What is wanted.
    #[schemars(flatten)]
    pub events: EventQuery,
    /// At most so many frames in a message: with 1 each is an object, with more a message is a list of what was at hand.
    #[schemars(range(min = 1, max = 1000))]
    pub batch_size: usize,
    /// How messages look.
    #[schemars(flatten)]
    pub wire: Wire,
}

impl Default for SocketQuery {
    fn default() -> Self {
        Self { events: EventQuery::default(), batch_size: IN_A_MESSAGE, wire: Wire::default() }
    }
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientFrame {
    /// `{"type": "auth", "token": "…"}`: who it is; later, with a newer token, still the same.
    Auth(Token),
    /// `{"type": "subscribe", "events": ["task"]}`: these as well.
    Subscribe(BTreeSet<Topic>),
    /// `{"type": "unsubscribe", "events": ["task"]}`: these no more.
    Unsubscribe(BTreeSet<Topic>),
    /// `{"type": "ping"}`: whether somebody is there, and where the stream is.
    Ping,
}

/// The words that `type` can be.
const TYPES: &[&str] = &["auth", "subscribe", "unsubscribe", "ping"];

impl ClientFrame {
    /// Reads one.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(frame: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(frame, String::new()).and_then(|object| {
            let kind = object.required("type", text)?;
            let topics = || {
                let topics = object.list("events", parsed);
                if topics.is_empty() && problems.is_empty() {
                    object.fault("events", "needs at least one topic");
                }
                topics.into_iter().collect()
            };
            let read = match kind.as_str() {
                "auth" => object.required("token", text).map(|token| Self::Auth(Token(token))),
                "subscribe" => Some(Self::Subscribe(topics())),
                "unsubscribe" => Some(Self::Unsubscribe(topics())),
                "ping" => Some(Self::Ping),
                other => {
                    object.fault("type", unknown("type", other, TYPES));
                    return None;
                }
            };
            object.no_more();
            read
        });
        problems.finish(read)
    }
}

/// What the daemon says of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Notice {
    /// The client is let in. Comes before all else.
    Hello {
        /// Where the stream is: whoever goes on `since` this misses nothing.
        sequence: u64,
        /// Until when the token is good; a frame `auth` with a newer one extends it.
        expires_at: Timestamp,
    },
    /// What is wanted from now on.
    Subscribed {
        /// The topics.
        events: BTreeSet<Topic>,
        /// Where the stream is.
        sequence: u64,
    },
    /// Somebody is there.
    Pong {
        /// Where the stream is.
        sequence: u64,
    },
    /// The client took so little for so long that what waited for it was passed over.
    Lagged {
        /// How many frames or lines it missed.
        missed: u64,
        /// The last before the gap: what was missed comes after it, and up to `sequence`.
        since: u64,
        /// The last of the gap: what comes now is later.
        sequence: u64,
    },
    /// What the client said was wrong, or why the connection is closed.
    Error(Failure),
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(frame: &Value) -> String {
        ClientFrame::read(frame).unwrap_err().iter().map(|it| format!("{} {}", it.pointer, it.message)).collect()
    }

    #[test]
    fn frames_are_read_and_a_wrong_one_is_told() {
        let read = |frame| ClientFrame::read(&frame).unwrap();
        assert_eq!(read(json!({ "type": "ping" })), ClientFrame::Ping);
        assert_eq!(read(json!({ "type": "auth", "token": "t" })), ClientFrame::Auth(Token("t".to_owned())));
        let topics = BTreeSet::from([Topic::Task, Topic::Batch]);
        let events = ["batch", "task"];
        assert_eq!(read(json!({ "type": "subscribe", "events": events })), ClientFrame::Subscribe(topics.clone()));
        assert_eq!(read(json!({ "type": "unsubscribe", "events": events })), ClientFrame::Unsubscribe(topics));
        assert!(fault(&json!({ "type": "subscrib" })).contains("did you mean `subscribe`"));
        assert!(fault(&json!({ "type": "subscribe", "events": ["tasks"] })).contains("did you mean `task`"));
        assert_eq!(fault(&json!({ "type": "subscribe" })), "/events needs at least one topic");
        assert_eq!(fault(&json!({ "type": "auth" })), "/token is required");
        assert!(fault(&json!({ "type": "ping", "tokem": 1 })).starts_with("/tokem unknown field"));
        assert_eq!(fault(&json!([])), " must be an object, not a list");
    }

    #[test]
    fn a_token_is_shown_nowhere() {
        let wire = Wire { token: Some(Token("secret".to_owned())), compression: false };
        let query = SocketQuery { wire, ..SocketQuery::default() };
        let frame = ClientFrame::Auth(Token("secret".to_owned()));
        assert!(!format!("{query:?} {frame:?}").contains("secret"));
    }

    #[test]
    fn a_notice_has_a_type() {
        let notice = Notice::Lagged { missed: 2, since: 3, sequence: 9 };
        assert_eq!(
            serde_json::to_value(notice).unwrap(),
            json!({ "type": "lagged", "missed": 2, "since": 3, "sequence": 9 })
        );
    }
}

//! What is asked for of webhooks: new ones, changes, deliveries once more.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::EventWord;
use crate::api::read::{Object, Problem, Problems, boolean, parsed, seconds, text};
use crate::model::id::DeliveryId;
use crate::model::name::Name;

/// How a URL looks at least; what more it takes depends on the daemon.
const URL: &str = r"^https?://[^\s\x00-\x1f\x7f-\x9f]+$";
/// What a secret is made of.
const SECRET: &str = r"^[\x21-\x7e]{16,256}$";
/// Events and infras that one webhook can name.
const MOST: usize = 100;

/// Body of `POST /webhooks`.
#[derive(Clone, Serialize, JsonSchema)]
pub struct NewWebhook {
    /// Where frames are sent: https, and neither this machine nor a private network unless the daemon is configured so.
    #[schemars(regex(pattern = URL), length(max = 2048))]
    pub url: String,
    /// Topics and types of events that are wanted; all of them when there is none.
    #[schemars(default, length(max = 100))]
    pub events: Vec<EventWord>,
    /// Infras whose events are wanted; all that its owner may read when there is none.
    #[schemars(default, length(max = 100))]
    pub infras: Vec<Name>,
    /// What deliveries are signed with: 16 to 256 visible ASCII characters; made when absent.
    #[schemars(regex(pattern = SECRET))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Hides the secret, and of the URL what may be one.
impl fmt::Debug for NewWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewWebhook").field("events", &self.events).finish_non_exhaustive()
    }
}

impl NewWebhook {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it; none repeats a secret.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let url = object.required("url", url);
            let (events, infras) = (several(&object, "events"), several(&object, "infras"));
            let secret = object.optional("secret", secret);
            object.no_more();
            Some(Self { url: url?, events: events.unwrap_or_default(), infras: infras.unwrap_or_default(), secret })
        });
        problems.finish(read)
    }
}

/// Body of `PUT /webhooks/{id}`: what is absent stays.
#[derive(Clone, Default, Serialize, JsonSchema)]
pub struct WebhookChange {
    /// Where frames are sent from now on.
    #[schemars(regex(pattern = URL), length(max = 2048))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// All topics and types of events that are wanted from now on.
    #[schemars(length(max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<EventWord>>,
    /// All infras whose events are wanted from now on.
    #[schemars(length(max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infras: Option<Vec<Name>>,
    /// Whether frames are sent. What happens meanwhile is sent afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Another secret: 16 to 256 visible ASCII characters.
    #[schemars(regex(pattern = SECRET))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Whether another secret is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roll_secret: Option<bool>,
    /// For how many seconds deliveries are signed with the secret of before as well; a day when absent.
    #[schemars(range(max = 31_622_400))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_seconds: Option<u64>,
}

/// Hides the secret, and of the URL what may be one.
impl fmt::Debug for WebhookChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookChange").field("changes", &self.fields()).finish_non_exhaustive()
    }
}

impl WebhookChange {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it; none repeats a secret.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).map(|object| {
            let url = object.optional("url", url);
            let (events, infras) = (several(&object, "events"), several(&object, "infras"));
            let enabled = object.optional("enabled", boolean);
            let (secret, roll_secret) = (object.optional("secret", secret), object.optional("roll_secret", boolean));
            let overlap_seconds = object.optional("overlap_seconds", seconds);
            if secret.is_some() && roll_secret == Some(true) {
                object.fault("roll_secret", "makes a secret, but there is one: give one or the other");
            }
            object.no_more();
            Self { url, events, infras, enabled, secret, roll_secret, overlap_seconds }
        });
        problems.finish(read)
    }

    /// Whether there is another secret from now on.
    #[must_use]
    pub fn changes_secret(&self) -> bool {
        self.secret.is_some() || self.roll_secret == Some(true)
    }

    /// The names of what it changes, without the values.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static str> {
        let fields = [
            ("url", self.url.is_some()),
            ("events", self.events.is_some()),
            ("infras", self.infras.is_some()),
            ("enabled", self.enabled.is_some()),
            ("secret", self.changes_secret()),
        ];
        fields.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
    }
}

/// Body of `POST /webhooks/{id}/redeliver`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Redelivery {
    /// Which dead deliveries are sent again; all of them when absent.
    #[schemars(length(min = 1, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<Vec<DeliveryId>>,
}

impl Redelivery {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).map(|object| {
            let deliveries = (!object.is_absent("deliveries")).then(|| object.list("deliveries", parsed));
            let given = object.raw("deliveries").and_then(Value::as_array).map(Vec::len);
            if given.is_some_and(|count| !(1..=1000).contains(&count)) {
                object.fault("deliveries", "must name from 1 to 1000 deliveries");
            }
            object.no_more();
            Self { deliveries }
        });
        problems.finish(read)
    }
}

/// A URL, as far as it can be told by its beginning.
fn url(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or("");
    let is_plain = !rest.is_empty() && !rest.chars().any(|c| c.is_whitespace() || c.is_control());
    if is_plain && text.chars().count() <= 2048 {
        return Ok(text);
    }
    Err("must be a URL such as https://example.com/hook, of 2048 characters at most".to_owned())
}

fn secret(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    if (16..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text);
    }
    Err("must be 16 to 256 visible ASCII characters".to_owned())
}

/// A list of not too many, each once; nothing when it is absent.
fn several<T: FromStr<Err: fmt::Display> + Ord>(object: &Object<'_>, field: &'static str) -> Option<Vec<T>> {
    if object.is_absent(field) {
        return None;
    }
    let mut items: Vec<T> = object.list(field, parsed);
    if object.raw(field).and_then(Value::as_array).is_some_and(|items| items.len() > MOST) {
        object.fault(field, format!("can name {MOST} at most"));
    }
    items.sort_unstable();
    items.dedup();
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::event::Topic;
    use serde_json::json;

    #[test]
    fn every_problem_of_a_body_is_named_and_no_secret_repeated() {
        let problems = NewWebhook::read(&json!({
            "url": "ftp://example.com", "events": ["tasks"], "infras": ["a/b"], "secret": "too short", "event": 1,
        }))
        .unwrap_err();
        let pointers: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        assert_eq!(pointers, ["/url", "/events/0", "/infras/0", "/secret", "/event"]);
        assert!(problems[1].message.contains("did you mean `task`?"), "{problems:?}");
        assert!(!problems.iter().any(|problem| problem.message.contains("too short")), "{problems:?}");
        let both = json!({ "secret": "0123456789abcdef", "roll_secret": true });
        assert_eq!(WebhookChange::read(&both).unwrap_err()[0].pointer, "/roll_secret");
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let body = json!({ "url": "https://example.com/hidden-path", "secret": "swordfish-swordfish" });
        let shown = format!("{:?} {:?}", NewWebhook::read(&body), WebhookChange::read(&body));
        assert!(!shown.contains("swordfish") && !shown.contains("hidden-path"), "{shown}");
        assert_eq!(WebhookChange::read(&body).unwrap().fields(), ["url", "secret"]);
    }

    #[test]
    fn the_words_are_those_that_are_described() {
        let schema = serde_json::to_value(schemars::schema_for!(EventWord)).unwrap();
        assert_eq!(schema["enum"], json!(EventWord::ALL));
        for topic in Topic::ALL {
            assert!(topic.as_str().parse::<EventWord>().is_ok());
        }
    }
}

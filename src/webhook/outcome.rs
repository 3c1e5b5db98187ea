//! What became of an attempt.

use std::time::Duration;

use crate::model::time::Timestamp;

/// Characters of an answer that are kept.
const EXCERPT: usize = 200;

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the receiver answered, or why there was no answer.
    pub reply: Result<Reply, String>,
    /// How long it took.
    pub took: Duration,
}

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// How the body begins, on one line; empty when it arrived.
    pub excerpt: String,
    /// How long the receiver wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl Outcome {
    /// The status that was answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.reply.as_ref().ok().map(|reply| reply.status)
    }

    /// Whether the receiver has it.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        self.status().is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the receiver wants no more, ever.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.status() == Some(410)
    }

    /// Why it has not arrived.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        match &self.reply {
            _ if self.has_arrived() => None,
            Err(why) => Some(why.clone()),
            Ok(Reply { status: status @ 300..400, .. }) => {
                Some(format!("the receiver answered {status}; redirects are not followed"))
            }
            Ok(Reply { status, excerpt, .. }) if excerpt.is_empty() => Some(format!("the receiver answered {status}")),
            Ok(Reply { status, excerpt, .. }) => Some(format!("the receiver answered {status}: {excerpt}")),
        }
    }
}

/// How a body begins, on one line and without control characters: it comes from outside.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(EXCERPT).collect()
}

/// What a `Retry-After` asks for: seconds, or a time.
pub(super) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let time = jiff::fmt::rfc2822::parse(value).ok()?;
    Some(Timestamp(time.timestamp().as_millisecond()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Outcome {
        let reply = Reply { status, excerpt: "why".to_owned(), retry_after: None };
        Outcome { reply: Ok(reply), took: Duration::ZERO }
    }

    #[test]
    fn only_a_success_has_arrived() {
        for (status, arrived) in [(199, false), (200, true), (204, true), (299, true), (300, false), (500, false)] {
            assert_eq!(answered(status).has_arrived(), arrived, "{status}");
            assert_eq!(answered(status).error().is_none(), arrived, "{status}");
        }
        assert!(answered(302).error().unwrap().contains("redirects are not followed"));
        assert_eq!(answered(503).error().unwrap(), "the receiver answered 503: why");
        assert!(answered(410).is_gone() && !answered(404).is_gone());
    }

    #[test]
    fn an_answer_is_shown_in_a_line() {
        assert_eq!(excerpt(b"a\r\n\x1b[31m b\xff"), "a [31m b\u{fffd}");
        assert_eq!(excerpt(&[b'x'; 5000]).len(), EXCERPT);
    }

    #[test]
    fn a_receiver_says_when_in_seconds_or_as_a_date() {
        let now = Timestamp(784_111_770_000);
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Tue, 06 Nov 1984 08:49:37 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}

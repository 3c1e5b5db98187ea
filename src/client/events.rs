//! Following what happens: server-sent events, taken up again where they broke off.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::{Client, ClientError, good};
use crate::api::envelope::{Code, Failure};
use crate::api::event::{EventQuery, Frame};

type Body = Pin<Box<dyn Stream<Item = Result<Bytes, reqwest::Error>> + Send>>;

/// A stream of frames. Where it breaks, asking again goes on after the last frame.
pub struct Events<'c> {
    client: &'c Client,
    query: EventQuery,
    body: Option<Body>,
    parser: Parser,
    connections: u64,
}

impl Client {
    /// `GET /events`, from when [`Events::next`] is first called.
    #[must_use]
    pub fn events(&self, query: EventQuery) -> Events<'_> {
        Events { client: self, query, body: None, parser: Parser::default(), connections: 0 }
    }

    async fn event_stream(&self, query: &EventQuery) -> Result<Body, ClientError> {
        let url = format!("{}/events", self.servers.orchestrator);
        let mut given = vec![("events", query.topics.to_string())];
        given.extend(query.since.map(|since| ("since", since.to_string())));
        given.extend(query.work.map(|work| ("work", work.to_string())));
        let send = |token: String| self.orchestrator.get(&url).query(&given).bearer_auth(token).send();
        Ok(Box::pin(good(self.authorised("follow events", &url, send).await?).await?.bytes_stream()))
    }
}

/// What a stream says.
#[derive(Clone, Debug)]
pub enum Heard {
    /// Where it is: whatever happened up to here and was wanted has been told, or happened before the stream began.
    Place(u64),
    /// Something that happened.
    Frame(Box<Frame>),
}

impl Events<'_> {
    /// How often the daemon began to send it.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections
    }

    /// The next frame; waits for it.
    ///
    /// # Errors
    /// When the daemon is away or refuses; asking again connects again.
    pub async fn next(&mut self) -> Result<Frame, ClientError> {
        loop {
            if let Heard::Frame(frame) = self.hear().await? {
                return Ok(*frame);
            }
        }
    }

    /// The next frame, or the place that a new connection begins with and a silent one repeats; waits for it.
    ///
    /// # Errors
    /// As [`Events::next`].
    pub async fn hear(&mut self) -> Result<Heard, ClientError> {
        loop {
            while let Some(message) = self.parser.next() {
                let place = message.id.and_then(|id| id.parse().ok());
                self.query.since = place.or(self.query.since);
                if message.event == "error" {
                    self.body = None;
                    match serde_json::from_str::<Failure>(&message.data) {
                        // The token had its time: the next connection has another.
                        Ok(failure) if failure.code == Code::Unauthenticated => {}
                        Ok(failure) => return Err(ClientError::Answered(Box::new(failure))),
                        Err(_) => {}
                    }
                } else if let Ok(frame) = serde_json::from_str(&message.data) {
                    return Ok(Heard::Frame(Box::new(frame)));
                } else if let Some(place) = place {
                    return Ok(Heard::Place(place));
                }
            }
            if self.body.is_none() {
                self.parser = Parser::default();
                self.body = Some(self.client.event_stream(&self.query).await?);
                self.connections += 1;
            }
            let Some(body) = &mut self.body else { continue };
            match body.next().await {
                Some(Ok(bytes)) => self.parser.push(&bytes),
                Some(Err(error)) => {
                    self.body = None;
                    let url = format!("{}/events", self.client.servers.orchestrator);
                    return Err(ClientError::transport("follow events", &url, error));
                }
                None => {
                    self.body = None;
                    return Err(ClientError::Ended);
                }
            }
        }
    }
}

/// One message of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    id: Option<String>,
    event: String,
    data: String,
}

/// Takes a stream of server-sent events apart (HTML, section 9.2.6).
#[derive(Default)]
struct Parser {
    buffer: Vec<u8>,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message; comments alone are one without data.
    fn next(&mut self) -> Option<Message> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let rest = self.buffer.split_off(end + 2);
        let text = String::from_utf8_lossy(&std::mem::replace(&mut self.buffer, rest)).into_owned();
        let mut message = Message::default();
        for line in text.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => message.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut message.event),
                "data" => message.data.push_str(value),
                _ => {}
            }
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_are_the_same_however_they_are_cut(cuts in prop::collection::vec(1usize..20, 0..40)) {
            let text = b": following\nid: 7\n\nid: 8\nevent: A\ndata: {\"x\":\"\xc3\xa9\"}\n\n:\n\nid:9\nevent:B\ndata:1\n\n";
            let (mut parser, mut found, mut rest) = (Parser::default(), Vec::new(), &text[..]);
            for cut in cuts.into_iter().chain([text.len()]) {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                parser.push(part);
                found.extend(std::iter::from_fn(|| parser.next()));
                rest = after;
            }
            let message = |id: Option<&str>, event: &str, data: &str| Message {
                id: id.map(str::to_owned), event: event.to_owned(), data: data.to_owned(),
            };
            let expected = [
                message(Some("7"), "", ""), message(Some("8"), "A", "{\"x\":\"é\"}"), message(None, "", ""),
                message(Some("9"), "B", "1"),
            ];
            prop_assert_eq!(found, expected);
        }
    }
}

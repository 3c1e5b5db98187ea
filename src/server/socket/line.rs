//! One connection: messages out, frames in, and whether the other end is still there.

use std::io::Write;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::close;
use crate::api::envelope::Failure;
use crate::api::json;
use crate::api::live::{ClientFrame, Notice};
use crate::app::Error;
use crate::server::error::HttpError;

/// The most that a message of a client can have: the longest frame is one with a token.
const MESSAGE_BYTES: usize = 16 * 1024;
/// The most of a message that is read at all. A connection on which something is left unread is cut, not closed: its client
/// never learns why.
pub(super) const READ_MESSAGE_BYTES: usize = 64 * 1024;
/// How long a client may take to answer that the connection is closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// A WebSocket, with how its client wants to be spoken to.
pub(super) struct Line {
    socket: WebSocket,
    is_compressed: bool,
    beat: Interval,
    pulse: Pulse,
    /// The request that it began as, for the daemon's log.
    request_id: String,
}

/// What comes from a client.
pub(super) enum Heard {
    /// A frame.
    Frame(ClientFrame),
    /// Something that is none.
    Wrong(HttpError),
    /// Nothing more.
    Over(Ending),
}

/// How it ends that a client is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It has gone, or doesn't answer.
    Gone,
    /// It closed, and is owed an answer.
    Closed,
    /// It sent what nobody can read on after: the code to close with, and why.
    Broken(u16, &'static str),
}

impl Line {
    pub(super) fn new(socket: WebSocket, is_compressed: bool, heartbeat: Duration, request_id: String) -> Self {
        let mut beat = interval(heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { socket, is_compressed, beat, pulse: Pulse::new(heartbeat, Instant::now()), request_id }
    }

    /// What the client says next. It is asked now and then whether it is there. Whoever stops waiting loses nothing.
    pub(super) async fn hear(&mut self) -> Heard {
        loop {
            let message = tokio::select! {
                message = self.socket.recv() => message,
                _ = self.beat.tick() => {
                    if !self.pulse.is_there(Instant::now()) || self.socket.send(Message::Ping(Bytes::new())).await.is_err() {
                        return Heard::Over(Ending::Gone);
                    }
                    continue;
                }
            };
            self.pulse.heard(Instant::now());
            match message {
                Some(Ok(Message::Text(text))) if text.len() > MESSAGE_BYTES => return Heard::Over(TOO_LARGE),
                Some(Ok(Message::Text(text))) => return read(&text),
                Some(Ok(Message::Binary(_))) => return Heard::Wrong(HttpError::invalid("frames are text")),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) => return Heard::Over(Ending::Closed),
                Some(Err(error)) => return Heard::Over(ending(&error)),
                None => return Heard::Over(Ending::Gone),
            }
        }
    }

    /// Sends a message; `false` when nobody takes it any more. A client that takes nothing keeps this waiting, until its
    /// connection is given up.
    pub(super) async fn send(&mut self, text: String) -> bool {
        let message = if self.is_compressed { Message::Binary(gzip(&text)) } else { Message::Text(text.into()) };
        let sent = self.socket.send(message).await.is_ok();
        // The other end took something: it is there, whatever it has no time to say.
        self.pulse.heard(Instant::now());
        sent
    }

    /// Says something of the connection.
    pub(super) async fn tell(&mut self, notice: &Notice) -> bool {
        self.send(serde_json::to_string(notice).unwrap_or_default()).await
    }

    /// Says that a frame was wrong.
    pub(super) async fn complain(&mut self, error: impl Into<HttpError>) -> bool {
        let failure = self.failure(error);
        self.tell(&Notice::Error(failure)).await
    }

    /// Says why, and closes.
    pub(super) async fn fail(self, error: Error) {
        let code = close::code(&error);
        self.refuse(code, error).await;
    }

    /// Says why, and closes with this code.
    pub(super) async fn refuse(mut self, code: u16, error: impl Into<HttpError>) {
        let failure = self.failure(error);
        let reason = failure.error.clone();
        let farewell = async {
            if self.tell(&Notice::Error(failure)).await {
                self.hang_up(code, &reason).await;
            }
        };
        let _ = timeout(FAREWELL, farewell).await;
    }

    /// Closes, and waits for the client to have heard it: what is on its way to a connection that is cut gets lost.
    pub(super) async fn close(mut self, code: u16, reason: &str) {
        let _ = timeout(FAREWELL, self.hang_up(code, reason)).await;
    }

    /// Ends as the client did.
    pub(super) async fn end(mut self, ending: Ending) {
        match ending {
            Ending::Gone => {}
            // The library has the answer ready, and sends it while it is asked for more.
            Ending::Closed => {
                drop(timeout(FAREWELL, async { while let Some(Ok(_)) = self.socket.recv().await {} }).await);
            }
            Ending::Broken(code, reason) => self.close(code, reason).await,
        }
    }

    async fn hang_up(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code, reason: close::reason(reason).into() };
        if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = self.socket.recv().await {}
        }
    }

    fn failure(&self, error: impl Into<HttpError>) -> Failure {
        error.into().failure(self.request_id.clone())
    }
}

fn read(text: &str) -> Heard {
    let frame = json::parse(text.as_bytes());
    let frame = frame.map_err(|error| HttpError::invalid(format!("the frame is not good JSON: {error}")));
    match frame.and_then(|frame| ClientFrame::read(&frame).map_err(HttpError::problems)) {
        Ok(frame) => Heard::Frame(frame),
        Err(error) => Heard::Wrong(error),
    }
}

/// The end of a client that sent too much.
const TOO_LARGE: Ending = Ending::Broken(close::TOO_LARGE, "the message is too large");

/// How it ends when nothing more can be read.
fn ending(error: &axum::Error) -> Ending {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        // The library keeps its error to itself, but for its words.
        let words = error.to_string();
        if words.contains("too long") {
            return TOO_LARGE;
        } else if words.starts_with("UTF-8 encoding error") {
            return Ending::Broken(close::NOT_TEXT, "the text is not UTF-8");
        } else if words.contains("without closing handshake") {
            return Ending::Gone;
        } else if words.starts_with("WebSocket protocol error") {
            return Ending::Broken(close::PROTOCOL, "this is not what RFC 6455 allows");
        }
        cause = error.source();
    }
    Ending::Gone
}

fn gzip(text: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    written.expect("memory can be written").into()
}

/// Whether the other end is there: it is asked at every heartbeat, and something must have come since the last but one.
struct Pulse {
    heartbeat: Duration,
    heard: Instant,
}

impl Pulse {
    fn new(heartbeat: Duration, now: Instant) -> Self {
        Self { heartbeat, heard: now }
    }

    fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    fn is_there(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) <= 2 * self.heartbeat
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn who_says_nothing_for_two_heartbeats_is_gone() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut pulse = Pulse::new(15 * second, start);
        assert!(pulse.is_there(start + 30 * second));
        assert!(!pulse.is_there(start + 31 * second));
        pulse.heard(start + 31 * second);
        assert!(pulse.is_there(start + 60 * second));
    }

    #[test]
    fn what_is_compressed_is_gzip() {
        let text = "{\"type\":\"pong\"}".repeat(50);
        let bytes = gzip(&text);
        let mut read = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut read).unwrap();
        assert_eq!((read == text, bytes.len() < text.len()), (true, true));
    }
}

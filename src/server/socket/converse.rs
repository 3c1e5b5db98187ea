//! A connection from its handshake to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::Response;
use tracing::Instrument;

use super::close;
use super::feed::Feed;
use super::line::{Heard, Line, READ_MESSAGE_BYTES};
use super::visit::Knock;
use super::welcome::{self, Knocked};
use crate::api::live::{ClientFrame, Notice, Wire};
use crate::app::{App, Caller, Context, Error, SeatKind};
use crate::server::error::HttpError;
use crate::server::listen::Place;

/// Frames of a client that may be wrong; with the next the connection is closed.
const FAULTS: u32 = 9;
/// What is read at once.
const READ_BYTES: usize = 4 * 1024;
/// A client that takes longer for a message is slow.
const SLOW: Duration = Duration::from_secs(1);

/// What a handshake asks for.
pub(in crate::server) struct Conversation {
    pub(in crate::server) knock: Box<Knock>,
    pub(in crate::server) wire: Wire,
}

/// Answers the handshake; whoever is let in is then told what `begin` makes for them.
///
/// # Errors
/// When there are two tokens.
pub(in crate::server) fn converse<F, B, G>(app: Arc<App>, asked: Conversation, begin: B) -> Result<Response, HttpError>
where
    F: Feed,
    B: FnOnce(Arc<App>, Context) -> G + Send + 'static,
    G: Future<Output = Result<F, Error>> + Send + 'static,
{
    let Conversation { knock, wire } = asked;
    let knocked = Knocked::of(&knock, wire.token)?;
    let Knock { upgrade, place, caller, operation, .. } = *knock;
    let upgrade =
        upgrade.read_buffer_size(READ_BYTES).max_message_size(READ_MESSAGE_BYTES).max_frame_size(READ_MESSAGE_BYTES);
    let span = tracing::Span::current();
    Ok(upgrade.on_upgrade(move |socket| {
        let line = welcome::line(&app, socket, wire.compression, caller.request_id.clone());
        async move {
            let Some((line, context)) = welcome::welcome(&app, line, knocked).await else { return };
            let seated = app.take_seat(&context, SeatKind::WebSocket);
            let seated = match seated {
                Ok(seat) => begin(Arc::clone(&app), context).await.map(|feed| (seat, feed)),
                Err(error) => Err(error),
            };
            match seated {
                Ok((_seat, feed)) => Talk { app, line, feed, caller, operation, place, faults: 0 }.run().await,
                Err(error) => line.fail(error).await,
            }
        }
        .instrument(span)
    }))
}

/// A client that was let in, and what it is told.
struct Talk<F> {
    app: Arc<App>,
    line: Line,
    feed: F,
    caller: Caller,
    operation: &'static str,
    place: Place,
    faults: u32,
}

/// What happens next.
enum Next {
    Heard(Heard),
    Told(Result<Vec<String>, Error>),
    Lost,
}

impl<F: Feed> Talk<F> {
    async fn run(mut self) {
        let _kept = self.place.keep();
        let hello = Notice::Hello { sequence: self.feed.sequence(), expires_at: self.feed.expires_at() };
        if !self.line.tell(&hello).await {
            return;
        }
        loop {
            let next = tokio::select! {
                heard = self.line.hear() => Next::Heard(heard),
                told = self.feed.next() => Next::Told(told),
                () = self.place.lost() => Next::Lost,
            };
            let goes_on = match next {
                Next::Heard(Heard::Frame(frame)) => self.answer(frame).await,
                Next::Heard(Heard::Wrong(error)) => self.complain(error).await,
                Next::Heard(Heard::Over(ending)) => return self.line.end(ending).await,
                Next::Lost => return self.line.close(close::GOING_AWAY, "the connection has to make room").await,
                Next::Told(Ok(messages)) => match self.tell(messages).await {
                    Ok(goes_on) => goes_on,
                    Err(error) => return self.line.fail(error).await,
                },
                Next::Told(Err(error)) => return self.line.fail(error).await,
            };
            if self.faults > FAULTS {
                return self.line.close(close::POLICY, "too many frames were wrong").await;
            }
            if !goes_on {
                return;
            }
        }
    }

    async fn tell(&mut self, messages: Vec<String>) -> Result<bool, Error> {
        let (mut is_slow, mut started) = (false, Instant::now());
        for message in messages {
            if !self.line.send(message).await {
                return Ok(false);
            }
            is_slow |= started.elapsed() >= SLOW;
            started = Instant::now();
        }
        match if is_slow { self.feed.lagged().await? } else { None } {
            Some(notice) => Ok(self.line.tell(&notice).await),
            None => Ok(true),
        }
    }

    /// Answers a frame.
    async fn answer(&mut self, frame: ClientFrame) -> bool {
        let answered = match frame {
            ClientFrame::Ping => Ok(Notice::Pong { sequence: self.feed.sequence() }),
            ClientFrame::Auth(token) => self.renew(&token.0).await,
            other => self.feed.hear(other),
        };
        match answered {
            Ok(notice) => self.line.tell(&notice).await,
            Err(error) => self.complain(error).await,
        }
    }

    async fn renew(&mut self, token: &str) -> Result<Notice, Error> {
        let (context, _) = self.app.authenticate(token, self.caller.clone(), self.operation).await?;
        self.feed.renew(context)?;
        Ok(Notice::Hello { sequence: self.feed.sequence(), expires_at: self.feed.expires_at() })
    }

    async fn complain(&mut self, error: impl Into<HttpError>) -> bool {
        self.faults += 1;
        self.line.complain(error).await
    }
}

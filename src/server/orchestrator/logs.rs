//! The daemon's own log.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use futures_util::stream;
use tracing::{Instrument, Span};

use crate::api::live::{ClientFrame, Notice};
use crate::api::logs::{LogLevelsChange, LogMessage, LogSocketQuery};
use crate::app::{App, Context, Error, LogFollower, Seat, SeatKind};
use crate::model::time::Timestamp;
use crate::server::envelope::data;
use crate::server::error::{Answered, HttpError};
use crate::server::extract::{Authenticated, JsonBody};
use crate::server::middleware::request_id;
use crate::server::query::Query;
use crate::server::socket::feed::Feed;
use crate::server::socket::{Conversation, Visit, converse, no_token};

type Shared = State<Arc<App>>;

/// What lines are sent as without a WebSocket: a JSON object a line.
const LINES: &str = "application/jsonl";
/// How long lines are waited for before it is waited anew.
const PATIENCE: Duration = Duration::from_hours(1);

pub(super) async fn log_stream(app: Shared, visit: Visit, query: Query<LogSocketQuery>) -> Answered {
    let LogSocketQuery { lines: mut query, wire } = query.0;
    match visit {
        Visit::Socket(knock) => converse(app.0, Conversation { knock, wire }, async move |app, context| {
            query.follow = true;
            Ok(Lines(app.log_stream(&context, query)?))
        }),
        Visit::Plain(context) => {
            no_token(wire.token.as_ref())?;
            let seat = query.follow.then(|| app.take_seat(&context, SeatKind::Stream)).transpose()?;
            let (goes_on, heartbeat) = (query.follow, app.limits().streams.heartbeat);
            let follower = app.log_stream(&context, query)?;
            let following = Following { follower, goes_on, heartbeat, request_id: request_id(), _seat: seat };
            // The answer goes on after its request is over, and still belongs to it.
            let request = Span::current();
            let parts = stream::unfold(Some(following), move |following| part(following).instrument(request.clone()));
            let body = Body::from_stream(parts);
            Ok(([(header::CONTENT_TYPE, LINES)], body).into_response())
        }
    }
}

pub(super) async fn log_levels_get(app: Shared, caller: Authenticated) -> Answered {
    Ok(data(app.log_levels_get(&caller.0)?))
}

pub(super) async fn log_levels_update(app: Shared, caller: Authenticated, body: JsonBody) -> Answered {
    let change = body.read(LogLevelsChange::read)?;
    Ok(data(app.log_levels_update(&caller.0, change).await?))
}

/// Somebody who reads without a WebSocket.
struct Following {
    follower: LogFollower,
    goes_on: bool,
    heartbeat: Duration,
    request_id: String,
    _seat: Option<Seat>,
}

/// The next part of the answer. It ends with what ended it.
async fn part(following: Option<Following>) -> Option<(io::Result<String>, Option<Following>)> {
    let mut following = following?;
    if !following.goes_on {
        let (messages, is_all) = following.follower.part();
        return Some((Ok(messages.iter().map(line).collect()), (!is_all).then_some(following)));
    }
    match following.follower.next(following.heartbeat).await {
        // An empty line says that somebody is there.
        Ok(messages) if messages.is_empty() => Some((Ok("\n".to_owned()), Some(following))),
        Ok(messages) => Some((Ok(messages.iter().map(line).collect()), Some(following))),
        Err(error) => {
            let failure = HttpError::from(error).failure(following.request_id);
            Some((Ok(line(&LogMessage::Notice(Notice::Error(failure)))), None))
        }
    }
}

fn line(message: &LogMessage) -> String {
    serde_json::to_string(message).unwrap_or_default() + "\n"
}

/// Lines, each a message.
struct Lines(LogFollower);

impl Feed for Lines {
    fn sequence(&self) -> u64 {
        self.0.position()
    }

    fn expires_at(&self) -> Timestamp {
        self.0.expires_at()
    }

    async fn next(&mut self) -> Result<Vec<String>, Error> {
        let messages = self.0.next(PATIENCE).await?;
        Ok(messages.iter().map(|message| serde_json::to_string(message).unwrap_or_default()).collect())
    }

    /// Which lines are gone is found when the next are read.
    async fn lagged(&mut self) -> Result<Option<Notice>, Error> {
        Ok(None)
    }

    fn hear(&mut self, _: ClientFrame) -> Result<Notice, Error> {
        Err(Error::Conflict("there are no topics here: the query says which lines are wanted".to_owned()))
    }

    fn renew(&mut self, context: Context) -> Result<(), Error> {
        self.0.renew(context)
    }
}

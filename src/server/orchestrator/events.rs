//! Events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{self, Sse};
use futures_util::{StreamExt, stream};
use tracing::{Instrument, Span};

use crate::api::event::{EventQuery, Frame};
use crate::app::{App, Seat, SeatKind, Subscription};
use crate::server::error::{Answered, HttpError};
use crate::server::extract::Authenticated;
use crate::server::middleware::request_id;
use crate::server::query::Query;

type Shared = State<Arc<App>>;

/// Server-sent events. Who was cut off says so in `Last-Event-ID`, as browsers do.
pub(super) async fn event_stream(
    app: Shared,
    caller: Authenticated,
    headers: HeaderMap,
    Query(mut query, _): Query<EventQuery>,
) -> Answered {
    if let Some(last) = headers.get("last-event-id") {
        let number = last.to_str().ok().and_then(|text| text.trim().parse().ok());
        query.since = Some(number.ok_or_else(|| HttpError::invalid("Last-Event-ID must be the number of a frame"))?);
    }
    let seat = app.take_seat(&caller.0, SeatKind::Stream)?;
    let subscription = app.event_subscribe(&caller.0, "event_stream", query).await?;
    // Before the first frame, so that who asks for what happens from now on knows where that is.
    let hello = sse::Event::default().id(subscription.position().to_string()).comment("following");
    let heartbeat = app.limits().streams.heartbeat;
    let following = Following { subscription, heartbeat, request_id: request_id(), _seat: seat };
    // The answer goes on after its request is over, and still belongs to it.
    let request = Span::current();
    let parts = stream::unfold(Some(following), move |following| part(following).instrument(request.clone()));
    let events = stream::iter([hello]).chain(parts.flat_map(stream::iter));
    Ok(Sse::new(events.map(Ok::<_, Infallible>)).into_response())
}

struct Following {
    subscription: Subscription,
    /// How long the stream is silent at most: what is between drops a connection that looks dead.
    heartbeat: Duration,
    request_id: String,
    _seat: Seat,
}

/// The next part of the stream. It ends with what ended it.
async fn part(following: Option<Following>) -> Option<(Vec<sse::Event>, Option<Following>)> {
    let mut following = following?;
    let subscription = &mut following.subscription;
    let events = match subscription.next(following.heartbeat).await {
        // With the place, so that who is cut off need not have read again what is not for them.
        Ok(frames) if frames.is_empty() => {
            vec![sse::Event::default().id(subscription.position().to_string()).comment("still here")]
        }
        Ok(frames) => frames.iter().map(|frame| event(frame)).collect(),
        Err(error) => {
            let failure = HttpError::from(error).failure(following.request_id);
            let text = serde_json::to_string(&failure).unwrap_or_default();
            return Some((vec![sse::Event::default().event("error").data(text)], None));
        }
    };
    Some((events, Some(following)))
}

fn event(frame: &Frame) -> sse::Event {
    let text = serde_json::to_string(frame).unwrap_or_default();
    sse::Event::default().id(frame.sequence.to_string()).event(frame.event.as_str()).data(text)
}

//! Events and figures over WebSockets.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::api::live::{ClientFrame, Notice, SocketQuery, Wire};
use crate::app::{App, Context, Error, Phase, Subscription};
use crate::metrics::Text;
use crate::model::time::Timestamp;
use crate::server::error::Answered;
use crate::server::query::Query;
use crate::server::socket::feed::Feed;
use crate::server::socket::{Conversation, Visit, converse, no_token, upgrade_required};

type Shared = State<Arc<App>>;

/// How long events are waited for before it is waited anew.
const PATIENCE: Duration = Duration::from_hours(1);
/// How often figures are told.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) async fn event_socket(app: Shared, visit: Visit, query: Query<SocketQuery>) -> Answered {
    let SocketQuery { events, batch_size, wire } = query.0;
    match visit {
        Visit::Plain(context) => {
            no_token(wire.token.as_ref())?;
            app.event_subscribe(&context, "event_socket", events).await?;
            Ok(upgrade_required())
        }
        Visit::Socket(knock) => converse(app.0, Conversation { knock, wire }, async move |app, context| {
            let subscription = app.event_subscribe(&context, "event_socket", events).await?;
            Ok(Events { subscription, batch_size })
        }),
    }
}

pub(super) async fn metrics(app: Shared, visit: Visit, query: Query<Wire>) -> Answered {
    let wire = query.0;
    match visit {
        Visit::Plain(context) => {
            no_token(wire.token.as_ref())?;
            let text = app.metrics(&context).await?;
            Ok(([(axum::http::header::CONTENT_TYPE, Text::MEDIA_TYPE)], text).into_response())
        }
        Visit::Socket(knock) => converse(app.0, Conversation { knock, wire }, async |app, context| {
            let mut period = interval(PERIOD);
            period.set_missed_tick_behavior(MissedTickBehavior::Delay);
            app.metrics(&context).await?;
            Ok(Figures { phase: app.phases(), app, context, period })
        }),
    }
}

/// What happens, in messages of at most so many frames.
struct Events {
    subscription: Subscription,
    batch_size: usize,
}

impl Feed for Events {
    fn sequence(&self) -> u64 {
        self.subscription.position()
    }

    fn expires_at(&self) -> Timestamp {
        self.subscription.expires_at()
    }

    async fn next(&mut self) -> Result<Vec<String>, Error> {
        let frames = self.subscription.next(PATIENCE).await?;
        Ok(if self.batch_size == 1 {
            frames.iter().map(json).collect()
        } else {
            frames.chunks(self.batch_size).map(|frames| json(&frames)).collect()
        })
    }

    async fn lagged(&mut self) -> Result<Option<Notice>, Error> {
        let since = self.subscription.position();
        let missed = self.subscription.pass_over_if_behind().await?;
        Ok((missed > 0).then(|| Notice::Lagged { missed, since, sequence: self.sequence() }))
    }

    fn hear(&mut self, frame: ClientFrame) -> Result<Notice, Error> {
        self.subscription.change(|query| match frame {
            ClientFrame::Subscribe(topics) => query.topics.0.extend(topics),
            ClientFrame::Unsubscribe(topics) => query.topics.0.retain(|topic| !topics.contains(topic)),
            ClientFrame::Auth(_) | ClientFrame::Ping => {}
        });
        let events = self.subscription.query().topics.0.clone();
        Ok(Notice::Subscribed { events, sequence: self.sequence() })
    }

    fn renew(&mut self, context: Context) -> Result<(), Error> {
        self.subscription.renew(context)
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// All figures, every second.
struct Figures {
    app: Arc<App>,
    context: Context,
    period: Interval,
    phase: tokio::sync::watch::Receiver<Phase>,
}

impl Feed for Figures {
    fn sequence(&self) -> u64 {
        0
    }

    fn expires_at(&self) -> Timestamp {
        self.context.expires_at()
    }

    async fn next(&mut self) -> Result<Vec<String>, Error> {
        tokio::select! {
            _ = self.period.tick() => {}
            () = Phase::ending(&mut self.phase) => return Err(Error::ending()),
        }
        self.context = self.app.review(&self.context).await?;
        Ok(vec![self.app.metrics(&self.context).await?])
    }

    async fn lagged(&mut self) -> Result<Option<Notice>, Error> {
        Ok(None)
    }

    fn hear(&mut self, _: ClientFrame) -> Result<Notice, Error> {
        Err(Error::Conflict("there are no topics here: every second has all figures".to_owned()))
    }

    fn renew(&mut self, context: Context) -> Result<(), Error> {
        self.context.renew(context)
    }
}

//! The stream of events as a follower gets it: it comes back by itself where it breaks, and says when it isn't to be had.
//!
//! Doesn't know what a frame means: that is [`super::followed`]'s. Never gives up: whoever follows by asking meanwhile is told
//! when the stream is back.

use std::time::Duration;

use tokio::sync::mpsc::Sender;

use crate::api::envelope::Code;
use crate::api::event::{EventQuery, Frame};
use crate::client::{Client, ClientError, Heard};
use crate::model::id::WorkId;

/// How long until a stream that broke is asked for again; twice as long each time it fails.
const SOON: Duration = Duration::from_millis(200);
/// How long at most.
const LATE: Duration = Duration::from_secs(5);
/// How long until it is asked for again where the daemon is there and has none to give: an older one, no permission, too many.
const REFUSED: Duration = Duration::from_mins(1);

/// What a follower learns.
#[derive(Debug)]
pub(in crate::cli) enum News {
    /// The stream goes. What happened before is not told unless the stream had gone before: then nothing is missing.
    Open {
        /// Whether it goes on where it broke.
        resumed: bool,
    },
    /// Something happened.
    Frame(Box<Frame>),
    /// The stream is gone for now.
    Lost,
}

/// Tells what happens to this work, or to all where none is named; ends when nobody listens any more.
pub(in crate::cli) async fn feed(client: &Client, work: Option<WorkId>, news: Sender<News>) {
    let from_now_on = || client.events(EventQuery { work, ..EventQuery::default() });
    let mut events = from_now_on();
    let (mut is_open, mut was_open, mut pause) = (false, false, SOON);
    loop {
        let told = match events.hear().await {
            Ok(heard) => {
                let opened = (!is_open).then_some(News::Open { resumed: was_open });
                (is_open, was_open, pause) = (true, true, SOON);
                let frame = if let Heard::Frame(frame) = heard { Some(News::Frame(frame)) } else { None };
                [opened, frame]
            }
            Err(error) => {
                let told = is_open.then_some(News::Lost);
                is_open = false;
                if was_open && matches!(&error, ClientError::Answered(failure) if failure.code == Code::InvalidRequest)
                {
                    // The store was put back to before the place where this broke.
                    (events, was_open) = (from_now_on(), false);
                }
                let wait = if error.is_away() { pause } else { REFUSED };
                pause = (pause * 2).min(LATE);
                if tell(&news, [told, None]).await.is_err() {
                    return;
                }
                tokio::time::sleep(wait).await;
                continue;
            }
        };
        if tell(&news, told).await.is_err() {
            return;
        }
    }
}

/// Nobody listens any more.
struct Gone;

async fn tell(news: &Sender<News>, told: [Option<News>; 2]) -> Result<(), Gone> {
    for one in told.into_iter().flatten() {
        news.send(one).await.map_err(|_| Gone)?;
    }
    Ok(())
}

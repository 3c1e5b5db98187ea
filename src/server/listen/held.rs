//! Connections that go on after their request was answered: those that became WebSockets.
//!
//! hyper lets go of such a connection. So that it still counts as one, and can be asked to make room, whoever speaks on it
//! holds its place: the connection's task lasts until that is let go, and when the task was ended from outside, the holder is
//! told.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::connections::{Activity, Answering};

/// The place of a connection among those that are open.
#[derive(Clone)]
pub(in crate::server) struct Place {
    held: mpsc::Sender<Infallible>,
    activity: Arc<Activity>,
}

/// Lasts as long as a place is held.
pub(super) struct Holding(mpsc::Receiver<Infallible>);

impl Place {
    /// A place, and what lasts as long as it is held.
    pub(super) fn new(activity: Arc<Activity>) -> (Self, Holding) {
        let (held, holding) = mpsc::channel(1);
        (Self { held, activity }, Holding(holding))
    }

    /// Whoever speaks has shown who they are: from now on this is none of the first to make room.
    pub(in crate::server) fn keep(&self) -> Answering {
        self.activity.answering()
    }

    /// Waits until the connection has to make room for others.
    pub(in crate::server) async fn lost(&self) {
        self.held.closed().await;
    }
}

impl Holding {
    /// Waits until nobody holds the place any more.
    pub(super) async fn let_go(mut self) {
        let _: Option<Infallible> = self.0.recv().await;
    }
}

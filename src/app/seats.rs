//! How many connections somebody may hold open to be told of things: WebSockets, and answers that go on.
//!
//! A seat is taken for as long as the connection lasts, and is free again when it is dropped. The API tokens of a user count as
//! the user: a script that makes tokens gets no more seats by it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::App;
use super::context::Context;
use super::error::Error;
use crate::model::id::UserId;

/// What a connection that is held open may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// WebSockets of a user.
    pub websockets: u32,
    /// Answers of a user that go on: followed events and logs.
    pub streams: u32,
    /// How long a connection is silent at most, and how often it is looked whether the other end is there.
    pub heartbeat: Duration,
    /// How far behind a WebSocket may be whose client takes nothing, in sequence numbers.
    pub lag: u64,
}

/// What a seat is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeatKind {
    /// A WebSocket.
    WebSocket,
    /// An answer that goes on.
    Stream,
}

type Taken = HashMap<(UserId, SeatKind), u32>;

/// The seats that are taken.
#[derive(Clone, Default)]
pub(super) struct Seats(Arc<Mutex<Taken>>);

/// A seat, until it is dropped.
pub struct Seat {
    seats: Seats,
    key: (UserId, SeatKind),
}

impl Seats {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, user: UserId, kind: SeatKind, limits: StreamLimits) -> Result<Seat, Error> {
        let (what, limit) = match kind {
            SeatKind::WebSocket => ("WebSockets", limits.websockets),
            SeatKind::Stream => ("streams", limits.streams),
        };
        let key = (user, kind);
        let mut taken = self.taken();
        let count = taken.entry(key).or_default();
        if *count >= limit {
            return Err(Error::TooManyOpen { what, limit });
        }
        *count += 1;
        drop(taken);
        Ok(Seat { seats: self.clone(), key })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

impl App {
    /// A seat of the caller.
    ///
    /// # Errors
    /// When all of theirs are taken.
    pub fn take_seat(&self, context: &Context, kind: SeatKind) -> Result<Seat, Error> {
        self.seats.take(context.principal(), kind, self.limits().streams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_it_is_left_and_each_has_their_own() {
        let limits = StreamLimits { websockets: 2, streams: 1, heartbeat: Duration::ZERO, lag: 0 };
        let (seats, [alice, bob]) = (Seats::default(), [1, 2].map(|id| UserId(uuid::Uuid::from_u128(id))));
        let take = |user, kind| seats.take(user, kind, limits);
        let (one, two) = (take(alice, SeatKind::WebSocket).ok(), take(alice, SeatKind::WebSocket).ok());
        assert!(one.is_some() && two.is_some());
        assert!(matches!(take(alice, SeatKind::WebSocket), Err(Error::TooManyOpen { limit: 2, .. })));
        let others = [take(alice, SeatKind::Stream), take(bob, SeatKind::WebSocket)];
        assert!(others.iter().all(Result::is_ok), "another kind, and somebody else");
        drop(one);
        assert!(take(alice, SeatKind::WebSocket).is_ok());
        drop((two, others));
        assert!(seats.taken().is_empty(), "nothing is kept of those who have gone");
    }
}

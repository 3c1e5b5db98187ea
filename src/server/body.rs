//! The body of a request on its way in: how slowly it may come, and what becomes of the part that nobody reads.
//!
//! A request may be refused before its body was read. The client is still sending then, and would find the connection
//! reset instead of the answer; so the middleware keeps a hand on every body ([`lend`]) and throws away what is left of it
//! ([`Rest::discard`]) before the answer goes out.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// How long a body may take to arrive, besides what its length allows.
const PATIENCE: Duration = Duration::from_secs(30);
/// For each so many bytes that came a body gets a second more: a large one over a slow line goes on, one that only trickles
/// ends.
const BYTES_A_SECOND: u64 = 64 * 1024;
/// Of a body that nobody reads, so much is thrown away.
const DISCARDED_BYTES: u64 = 64 * 1024 * 1024;
/// How long a client may pause while its body is thrown away; after that it gets the answer at once.
const PAUSE: Duration = Duration::from_secs(2);

/// Why a body is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// It came too slowly.
    #[error("the body did not arrive within {seconds} s")]
    TooSlow {
        /// The time it had.
        seconds: u64,
    },
    /// The connection ended, or its encoding is wrong.
    #[error("the body was cut short")]
    Cut,
}

/// What of a lent body nobody has read.
pub(super) struct Rest(Option<Lent>);

/// The body for whoever handles the request, and what is left of it for later.
pub(super) fn lend(body: Body) -> (Body, Rest) {
    lend_for(PATIENCE, body)
}

fn lend_for(patience: Duration, body: Body) -> (Body, Rest) {
    if body.is_end_stream() {
        return (body, Rest(None));
    }
    let (chunks, started) = (body.into_data_stream(), Instant::now());
    let paced = Paced { chunks, patience, started, received: 0, timer: None, is_over: false };
    let lent = Lent(Arc::new(Mutex::new(paced)));
    (Body::from_stream(lent.clone()), Rest(Some(lent)))
}

impl Rest {
    /// Reads what is left and throws it away, within bounds. A client that waits for leave to send is not given it.
    pub(super) async fn discard(self, headers: &HeaderMap) {
        let Some(mut lent) = self.0 else { return };
        let (is_over, received) = {
            let paced = lent.paced();
            (paced.is_over, paced.received)
        };
        if is_over || (received == 0 && headers.contains_key(header::EXPECT)) {
            return;
        }
        let mut discarded = 0;
        while let Ok(Some(Ok(chunk))) = timeout(PAUSE, lent.next()).await {
            discarded += chunk.len() as u64;
            if discarded > DISCARDED_BYTES {
                return;
            }
        }
    }
}

/// A body that two have a hand on, one after the other.
#[derive(Clone)]
struct Lent(Arc<Mutex<Paced>>);

impl Lent {
    fn paced(&self) -> MutexGuard<'_, Paced> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Lent {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.paced().poll(context)
    }
}

struct Paced {
    chunks: BodyDataStream,
    patience: Duration,
    started: Instant,
    received: u64,
    timer: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

impl Paced {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        match self.chunks.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.received += chunk.len() as u64;
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(None) => self.end(None),
            Poll::Ready(Some(Err(_))) => self.end(Some(BodyError::Cut)),
            Poll::Pending => {
                let allowed = self.patience + Duration::from_secs(self.received / BYTES_A_SECOND);
                let deadline = self.started + allowed;
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                if timer.deadline() != deadline {
                    timer.as_mut().reset(deadline);
                }
                match timer.as_mut().poll(context) {
                    Poll::Ready(()) => self.end(Some(BodyError::TooSlow { seconds: allowed.as_secs() })),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn end(&mut self, error: Option<BodyError>) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.is_over = true;
        Poll::Ready(error.map(Err))
    }
}

/// What went wrong with a body, of an error that it was wrapped in on the way.
pub(super) fn cause(error: &axum::Error) -> BodyError {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<BodyError>() {
            return *found;
        }
        cause = error.source();
    }
    BodyError::Cut
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of `first` bytes, of which the rest never comes.
    fn stuck(first: usize) -> Body {
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; first]))]);
        Body::from_stream(first.chain(futures_util::stream::pending()))
    }

    fn read(body: Body) -> Result<usize, BodyError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut chunks, mut count) = (lend_for(Duration::from_millis(10), body).0.into_data_stream(), 0);
            while let Some(chunk) = chunks.next().await {
                count += chunk.map_err(|error| cause(&error))?.len();
            }
            Ok(count)
        })
    }

    #[test]
    fn what_does_not_come_is_not_waited_for_longer_than_what_came_allows() {
        assert_eq!(read(stuck(1)), Err(BodyError::TooSlow { seconds: 0 }));
        assert_eq!(read(stuck(64 * 1024)), Err(BodyError::TooSlow { seconds: 1 }));
        assert_eq!(read(Body::from(vec![b'x'; 1000])), Ok(1000));
    }

    #[test]
    fn a_body_that_was_cut_says_so() {
        let cut = futures_util::stream::iter([Ok(Bytes::from_static(b"x")), Err(std::io::Error::other("gone"))]);
        assert_eq!(read(Body::from_stream(cut)), Err(BodyError::Cut));
    }
}

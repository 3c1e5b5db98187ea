//! Which connections are open, and which of them go when there is no room for another.
//!
//! A new connection is never kept waiting: where there is no room, those go on which nothing has moved for longest, first
//! of those that no request is being answered on. Whoever holds thousands of connections open loses them to whoever has
//! something to ask.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::task::AbortHandle;

/// What part of the places is cleared at once where there is none left.
const SHED_PART: usize = 64;

/// The open connections of the daemon.
pub struct Connections {
    /// What they are, in the log.
    what: &'static str,
    most: usize,
    started: Instant,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    entries: HashMap<u64, Entry>,
}

struct Entry {
    activity: Arc<Activity>,
    task: AbortHandle,
}

/// What happens on a connection.
pub(super) struct Activity {
    started: Instant,
    /// When a byte last moved, in milliseconds since the start.
    moved_ms: AtomicU64,
    /// Requests being answered.
    requests: AtomicU32,
}

/// A request being answered, until this is dropped.
pub(in crate::server) struct Answering(Arc<Activity>);

impl Activity {
    fn new(started: Instant) -> Self {
        let activity = Self { started, moved_ms: AtomicU64::new(0), requests: AtomicU32::new(0) };
        activity.moved();
        activity
    }

    /// A byte came or went.
    pub(super) fn moved(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(now, Ordering::Relaxed);
    }

    /// A request came.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// Those with the least go first.
    fn worth(&self) -> (bool, u64) {
        (self.requests.load(Ordering::Relaxed) > 0, self.moved_ms.load(Ordering::Relaxed))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connections {
    /// Room for so many.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Self::of("connections", most)
    }

    /// Room for so many that are called so.
    pub(super) fn of(what: &'static str, most: usize) -> Arc<Self> {
        Arc::new(Self { what, most: most.max(1), started: Instant::now(), open: Mutex::default() })
    }

    /// Serves a connection as a task of its own.
    pub(super) fn spawn<F>(self: &Arc<Self>, serve: impl FnOnce(Arc<Activity>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.open().entries.len() >= self.most {
            self.shed();
        }
        let activity = Arc::new(Activity::new(self.started));
        let served = serve(Arc::clone(&activity));
        let mut open = self.open();
        open.next += 1;
        let place = Place { connections: Arc::clone(self), id: open.next };
        // The lock is held: the connection can't end before it is known.
        let task = tokio::spawn(async move {
            let _place = place;
            served.await;
        });
        let id = open.next;
        open.entries.insert(id, Entry { activity, task: task.abort_handle() });
    }

    /// Makes room.
    pub(super) fn shed(&self) {
        let mut open = self.open();
        let mut worths: Vec<((bool, u64), u64)> =
            open.entries.iter().map(|(id, entry)| (entry.activity.worth(), *id)).collect();
        let count = (self.most / SHED_PART).max(1).min(worths.len());
        if count == 0 {
            return;
        }
        worths.select_nth_unstable(count - 1);
        let gone: Vec<Entry> = worths[..count].iter().filter_map(|(_, id)| open.entries.remove(id)).collect();
        drop(open);
        tracing::warn!(count, most = self.most, "too many {}: the idlest were closed", self.what);
        for entry in gone {
            entry.task.abort();
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, free again when this is dropped.
struct Place {
    connections: Arc<Connections>,
    id: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open().entries.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_room_the_idlest_goes_and_one_that_is_answered_stays() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let connections = Connections::new(3);
            let mut activities = Vec::new();
            for n in 0..3 {
                connections.spawn(|activity| {
                    activity.moved_ms.store(n, Ordering::Relaxed);
                    activities.push(activity);
                    std::future::pending()
                });
            }
            let _answering = activities[0].answering();
            connections.spawn(|_| std::future::pending());
            let mut left: Vec<u64> = connections.open().entries.keys().copied().collect();
            left.sort_unstable();
            assert_eq!(left, [1, 3, 4]);
            tokio::task::yield_now().await;
            assert_eq!(Arc::strong_count(&activities[1]), 1, "its task is gone");
        });
    }
}

//! How many files the daemon may have open, and how many of those may be connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most that is asked for: what the daemon starts inherits it, and there are programs that look at each number up to
/// the limit.
const MOST: u64 = 65_536;
/// The least and the most that is kept for files: the store, logs, pipes.
const RESERVE: (u64, u64) = (64, 1024);

/// Raises the limit as far as it goes, and answers how many connections leave enough for files.
pub(super) fn for_connections() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(MOST).min(MOST);
    let mut limit = current.unwrap_or(MOST).min(MOST);
    if limit < wanted {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
            Ok(()) => limit = wanted,
            Err(error) => tracing::warn!(%error, limit, wanted, "can't raise the limit of open files"),
        }
    }
    let reserve = (limit / 8).clamp(RESERVE.0, RESERVE.1);
    usize::try_from(limit.saturating_sub(reserve).max(1)).unwrap_or(usize::MAX)
}

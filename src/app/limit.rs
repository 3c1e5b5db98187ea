//! Limits on how often: failed logins by address and by user name, requests by principal. Counted in windows of a minute
//! that start with the first event; kept in memory, because a restart is no way round them worth the disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::Error;
use super::seats::StreamLimits;
use crate::model::digest::sha256;
use crate::model::id::UserId;

const WINDOW: Duration = Duration::from_mins(1);
/// Keys remembered at most; above that, windows that are over are forgotten.
const MOST: usize = 10_000;

/// How much is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failed logins a minute, for an address and for a user name.
    pub login_failures: u32,
    /// Requests a minute for a principal.
    pub requests: u32,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of a batch.
    pub batch_bytes: usize,
    /// What connections that are held open may cost.
    pub streams: StreamLimits,
}

/// What is left of a principal's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests a minute.
    pub limit: u32,
    /// Requests left in this window.
    pub remaining: u32,
    /// Seconds until the next window.
    pub reset_seconds: u64,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    /// The digest of a user name, which can be as long as a body.
    Name([u8; 32]),
    Principal(UserId),
}

fn name(username: &str) -> Key {
    Key::Name(sha256(username.as_bytes()))
}

/// Counts against the limits.
pub(super) struct Counters {
    pub(super) limits: Limits,
    windows: Mutex<HashMap<Key, (Instant, u32)>>,
}

impl Counters {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, windows: Mutex::default() }
    }

    /// Refuses a login where too many failed.
    pub(super) fn before_login(&self, address: IpAddr, username: &str) -> Result<(), Error> {
        for key in [Key::Address(address), name(username)] {
            let (count, reset) = self.look(&key);
            if count >= self.limits.login_failures {
                return Err(self.too_many_logins(reset));
            }
        }
        Ok(())
    }

    /// Counts a login as one that failed, or refuses it where too many did.
    pub(super) fn count_login(&self, address: IpAddr, username: &str) -> Result<(), Error> {
        let counted = [Key::Address(address), name(username)].map(|key| self.count(key));
        match counted.into_iter().find(|(count, _)| *count > self.limits.login_failures) {
            None => Ok(()),
            Some((_, reset)) => Err(self.too_many_logins(reset)),
        }
    }

    /// A login that was counted did not fail after all. The name's failures are forgiven, the address's are not.
    pub(super) fn login_succeeded(&self, address: IpAddr, username: &str) {
        let mut windows = self.lock();
        windows.remove(&name(username));
        if let Some((_, count)) = windows.get_mut(&Key::Address(address)) {
            *count = count.saturating_sub(1);
        }
    }

    /// A login that was counted has neither failed nor succeeded yet.
    pub(super) fn login_undecided(&self, address: IpAddr, username: &str) {
        let mut windows = self.lock();
        for key in [Key::Address(address), name(username)] {
            if let Some((_, count)) = windows.get_mut(&key) {
                *count = count.saturating_sub(1);
            }
        }
    }

    fn too_many_logins(&self, retry_after: Duration) -> Error {
        Error::RateLimited { what: "failed logins", limit: self.limits.login_failures, retry_after }
    }

    /// Counts a request of a principal.
    pub(super) fn request(&self, principal: UserId) -> Result<Quota, Error> {
        let (count, reset) = self.count(Key::Principal(principal));
        let limit = self.limits.requests;
        if count > limit {
            return Err(Error::RateLimited { what: "requests", limit, retry_after: reset });
        }
        Ok(Quota { limit, remaining: limit - count, reset_seconds: reset.as_secs().max(1) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, (Instant, u32)>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, key: &Key) -> (u32, Duration) {
        let passed = self.lock().get(key).map(|(start, count)| (start.elapsed(), *count));
        passed
            .filter(|(passed, _)| *passed < WINDOW)
            .map_or((0, WINDOW), |(passed, count)| (count, WINDOW.saturating_sub(passed)))
    }

    fn count(&self, key: Key) -> (u32, Duration) {
        let mut windows = self.lock();
        if windows.len() >= MOST {
            windows.retain(|_, (start, _)| start.elapsed() < WINDOW);
        }
        let window = windows.entry(key).or_insert((Instant::now(), 0));
        if window.0.elapsed() >= WINDOW {
            *window = (Instant::now(), 0);
        }
        window.1 += 1;
        (window.1, WINDOW.saturating_sub(window.0.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: StreamLimits = StreamLimits { websockets: 0, streams: 0, heartbeat: Duration::ZERO, lag: 0 };
    const LIMITS: Limits = Limits { login_failures: 5, requests: 10, body_bytes: 0, batch_bytes: 0, streams: STREAMS };
    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn five_failures_close_an_address_and_a_name() {
        let counters = Counters::new(LIMITS);
        for _ in 0..LIMITS.login_failures {
            counters.before_login(HERE, "alice").unwrap();
            counters.count_login(HERE, "alice").unwrap();
        }
        assert!(counters.count_login(HERE, "alice").is_err(), "those under way count");
        assert!(counters.before_login(HERE, "bob").is_err(), "the address is closed");
        assert!(counters.before_login(THERE, "alice").is_err(), "the name is closed");
        counters.before_login(THERE, "bob").unwrap();
    }

    #[test]
    fn a_success_forgives_the_name_and_of_the_address_only_itself() {
        let counters = Counters::new(LIMITS);
        for _ in 1..LIMITS.login_failures {
            counters.count_login(HERE, "alice").unwrap();
        }
        counters.count_login(HERE, "alice").unwrap();
        counters.login_succeeded(HERE, "alice");
        counters.before_login(THERE, "alice").unwrap();
        counters.count_login(HERE, "bob").unwrap();
        assert!(counters.before_login(HERE, "alice").is_err());
    }

    #[test]
    fn the_quota_runs_down_to_a_refusal() {
        let counters = Counters::new(LIMITS);
        let principal = UserId(uuid::Uuid::from_u128(1));
        assert_eq!(counters.request(principal).unwrap().remaining, LIMITS.requests - 1);
        for _ in 1..LIMITS.requests {
            counters.request(principal).unwrap();
        }
        assert!(matches!(counters.request(principal), Err(Error::RateLimited { .. })));
        counters.request(UserId(uuid::Uuid::from_u128(2))).unwrap();
    }
}

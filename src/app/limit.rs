//! Limits on how often: failed logins by address and by user name, requests by principal. Counted in windows of a minute
//! that start with the first event; kept in memory, because a restart is no way round them worth the disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::Error;
use crate::model::digest::sha256;
use crate::model::id::UserId;

const WINDOW: Duration = Duration::from_mins(1);
/// Failed logins a minute, for an address and for a name.
const LOGIN_FAILURES: u32 = 5;
/// Requests a minute for a principal.
const REQUESTS: u32 = 6000;
/// Keys remembered at most; above that, windows that are over are forgotten.
const MOST: usize = 10_000;

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

#[derive(Default)]
pub(super) struct Limits(Mutex<HashMap<Key, (Instant, u32)>>);

impl Limits {
    /// Refuses a login where too many failed.
    pub(super) fn before_login(&self, address: IpAddr, username: &str) -> Result<(), Error> {
        for key in [Key::Address(address), name(username)] {
            let (count, reset) = self.look(&key);
            if count >= LOGIN_FAILURES {
                return Err(Error::RateLimited { what: "failed logins", retry_after: reset });
            }
        }
        Ok(())
    }

    pub(super) fn login_failed(&self, address: IpAddr, username: &str) {
        self.count(Key::Address(address));
        self.count(name(username));
    }

    pub(super) fn login_succeeded(&self, username: &str) {
        self.lock().remove(&name(username));
    }

    /// Counts a request of a principal.
    pub(super) fn request(&self, principal: UserId) -> Result<Quota, Error> {
        let (count, reset) = self.count(Key::Principal(principal));
        if count > REQUESTS {
            return Err(Error::RateLimited { what: "requests", retry_after: reset });
        }
        Ok(Quota { limit: REQUESTS, remaining: REQUESTS - count, reset_seconds: reset.as_secs().max(1) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, (Instant, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn five_failures_close_an_address_and_a_name() {
        let limits = Limits::default();
        for _ in 0..LOGIN_FAILURES {
            limits.before_login(HERE, "alice").unwrap();
            limits.login_failed(HERE, "alice");
        }
        assert!(limits.before_login(HERE, "bob").is_err(), "the address is closed");
        assert!(limits.before_login(THERE, "alice").is_err(), "the name is closed");
        limits.before_login(THERE, "bob").unwrap();
    }

    #[test]
    fn a_success_forgives_the_name_and_not_the_address() {
        let limits = Limits::default();
        for _ in 0..LOGIN_FAILURES {
            limits.login_failed(HERE, "alice");
        }
        limits.login_succeeded("alice");
        limits.before_login(THERE, "alice").unwrap();
        assert!(limits.before_login(HERE, "alice").is_err());
    }

    #[test]
    fn the_quota_runs_down_to_a_refusal() {
        let limits = Limits::default();
        let principal = UserId(uuid::Uuid::from_u128(1));
        assert_eq!(limits.request(principal).unwrap().remaining, REQUESTS - 1);
        for _ in 1..REQUESTS {
            limits.request(principal).unwrap();
        }
        assert!(matches!(limits.request(principal), Err(Error::RateLimited { .. })));
        limits.request(UserId(uuid::Uuid::from_u128(2))).unwrap();
    }
}

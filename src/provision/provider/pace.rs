//! How fast an account is asked: one token bucket for all of prov's processes on this host.
//!
//! Its state is a file, under an flock for as long as it takes to reckon; whoever takes a token sleeps without it. A
//! provider that says "too many" halves the rate for everybody and may name a time before which nothing is sent; calls that
//! go well raise it again. [`Bucket`] is pure. Losing the file costs a burst, nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::model::digest::sha256;

/// The least that a rate is lowered to, as a share of its full value.
const LEAST: f64 = 1.0 / 64.0;
/// What a call that goes well adds to the rate, as a share of its full value.
const GAIN: f64 = 1.0 / 100.0;
/// The rate is lowered at most once in so many seconds: calls that were under way together are one piece of news.
/// Seconds for which a call is held: whoever made it can say why it waits longer.
const HELD: f64 = 10.0;
const NEWS: f64 = 1.0;
/// The longest time before which a provider's word can keep everybody from asking, in seconds.
const LONGEST: f64 = 300.0;

/// How many calls an account bears.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Calls a second, for long.
    pub per_second: f64,
    /// Calls at once, after a rest.
    pub burst: f64,
}

/// The calls of one account.
#[derive(Debug)]
pub struct Pace {
    path: PathBuf,
    rate: Rate,
}

/// Calls of an account as they stand; times are seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Bucket {
    /// Calls that could be made at once; below zero are those that wait.
    tokens: f64,
    /// When that was so.
    at: f64,
    /// Calls a second now.
    per_second: f64,
    /// Before this nothing is sent.
    not_before: f64,
    /// When the rate was last lowered.
    lowered: f64,
}

impl Bucket {
    const fn full(rate: Rate, now: f64) -> Self {
        Self { tokens: rate.burst, at: now, per_second: rate.per_second, not_before: 0.0, lowered: 0.0 }
    }

    /// Whether it can be true: a clock that was set back or a file that was tampered with must hold nobody up.
    fn is_sound(&self, rate: Rate, now: f64) -> bool {
        let all = [self.tokens, self.at, self.per_second, self.not_before, self.lowered];
        all.iter().all(|number| number.is_finite())
            && self.at <= now + 1.0
            && self.per_second > 0.0
            && self.per_second <= rate.per_second
            && self.not_before <= now + LONGEST
            && self.tokens / self.per_second >= -10.0 * LONGEST
    }

    /// Takes a token; answers how many seconds the call has to wait for it. Where the provider wants to be left alone for longer
    /// than a call may be held, none is taken, and the error is for how long.
    fn take(&mut self, rate: Rate, now: f64) -> Result<f64, f64> {
        let left = self.not_before - now;
        if left > HELD {
            return Err(left);
        }
        let passed = (now - self.at).max(0.0);
        self.tokens = (self.tokens + passed * self.per_second).min(rate.burst) - 1.0;
        self.at = self.at.max(now);
        let owed = (-self.tokens / self.per_second).max(0.0);
        Ok(owed.max(left))
    }

    /// The provider says that these are too many.
    fn slow_down(&mut self, rate: Rate, after: Option<Duration>, now: f64) {
        if now - self.lowered >= NEWS {
            self.per_second = (self.per_second / 2.0).max(rate.per_second * LEAST);
            self.lowered = now;
        }
        // What the provider refuses it has no room for: there is no burst left.
        self.tokens = self.tokens.min(0.0);
        let after = after.map_or(0.0, |after| after.as_secs_f64().min(LONGEST));
        self.not_before = self.not_before.max(now + after);
    }

    /// A call went well.
    fn speed_up(&mut self, rate: Rate) {
        self.per_second = (self.per_second + rate.per_second * GAIN).min(rate.per_second);
    }
}

impl Pace {
    /// That of the account `account` at `provider`, whose state is in `directory`. The account may be anything that tells
    /// accounts apart: only a digest of it is written.
    #[must_use]
    pub fn of(directory: &Path, provider: &str, account: &str, rate: Rate) -> Self {
        let digest: String = sha256(account.as_bytes())[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { path: directory.join("accounts").join(format!("{provider}-{digest}.json")), rate }
    }

    /// Waits until a call may be made.
    ///
    /// # Errors
    /// For how long the provider wants to be left alone, where that is longer than a call is held in silence.
    pub fn take(&self) -> Result<(), Duration> {
        let wait = self.reckon(|bucket, rate, now| bucket.take(rate, now)).unwrap_or(Ok(0.0));
        let wait = wait.map_err(Duration::from_secs_f64)?;
        if wait > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(wait));
        }
        Ok(())
    }

    /// The provider says that the calls are too many, and perhaps how long it wants to be left alone.
    pub fn slow_down(&self, after: Option<Duration>) {
        let _ = self.reckon(|bucket, rate, now| bucket.slow_down(rate, after, now));
    }

    /// A call went well.
    pub fn speed_up(&self) {
        let _ = self.reckon(|bucket, rate, _| bucket.speed_up(rate));
    }

    /// Changes the state that all processes share. Where that can't be had, calls are made without it: a rate limit is no
    /// reason to leave work undone.
    fn reckon<T>(&self, change: impl FnOnce(&mut Bucket, Rate, f64) -> T) -> io::Result<T> {
        fs::create_dir_all(self.path.parent().unwrap_or(Path::new(".")))?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).to_owned();
        let mut file = options.open(&self.path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut bucket = read(&mut file).filter(|bucket| bucket.is_sound(self.rate, now));
        let bucket = bucket.get_or_insert(Bucket::full(self.rate, now));
        let answer = change(bucket, self.rate, now);
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec(&bucket)?)?;
        Ok(answer)
    }
}

fn read(file: &mut File) -> Option<Bucket> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { per_second: 10.0, burst: 5.0 };

    proptest! {
        /// Whatever the moments at which calls come, no window holds more of them than the rate and the burst allow.
        #[test]
        fn no_window_holds_more_than_the_rate_allows(gaps in prop::collection::vec(0.0f64..0.3, 1..200)) {
            let mut bucket = Bucket::full(RATE, 1000.0);
            let mut now = 1000.0;
            let mut sent = Vec::new();
            for gap in gaps {
                now += gap;
                sent.push(now + bucket.take(RATE, now).unwrap());
            }
            for (from, first) in sent.iter().enumerate() {
                for (to, last) in sent.iter().enumerate().skip(from) {
                    let calls = f64::from(u32::try_from(to - from + 1).unwrap());
                    prop_assert!(calls <= RATE.burst + (last - first) * RATE.per_second + 1e-6);
                }
            }
        }

        #[test]
        fn the_rate_stays_within_its_bounds_and_comes_back(news in prop::collection::vec(any::<bool>(), 0..300)) {
            let mut bucket = Bucket::full(RATE, 1000.0);
            let mut now = 1000.0;
            for good in news {
                now += 1.0;
                if good { bucket.speed_up(RATE) } else { bucket.slow_down(RATE, Some(Duration::from_secs(9)), now) }
                prop_assert!(bucket.is_sound(RATE, now));
            }
            for _ in 0..100 {
                bucket.speed_up(RATE);
            }
            prop_assert!((bucket.per_second - RATE.per_second).abs() < 1e-9);
        }
    }

    #[test]
    fn nobody_asks_before_the_provider_wants_to_be_asked() {
        let mut bucket = Bucket::full(RATE, 0.0);
        bucket.slow_down(RATE, Some(Duration::from_secs(7)), 100.0);
        bucket.slow_down(RATE, None, 100.5);
        assert!((bucket.per_second - 5.0).abs() < 1e-9, "two at once are one piece of news");
        assert!(bucket.take(RATE, 101.0).unwrap() >= 6.0);
        bucket.slow_down(RATE, Some(Duration::from_secs(90)), 101.0);
        let tokens = bucket.tokens;
        assert!(bucket.take(RATE, 121.0).unwrap_err() >= 70.0 && (bucket.tokens - tokens).abs() < 1e-9);
        assert!(bucket.take(RATE, 185.0).unwrap() >= 6.0);
    }

    #[test]
    fn processes_share_it_and_a_damaged_file_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let pace = || Pace::of(dir.path(), "p", "account", Rate { per_second: 0.01, burst: 1.0 });
        pace().take().unwrap();
        let waits = pace().reckon(|bucket, rate, now| bucket.take(rate, now)).unwrap().unwrap();
        assert!(waits > 0.0, "the first took what was there");
        fs::write(&pace().path, "{\"tokens\": -1e300").unwrap();
        pace().take().unwrap();
        assert!(!pace().path.to_string_lossy().contains("account-"));
    }
}

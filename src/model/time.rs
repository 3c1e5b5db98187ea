//! Points in time as milliseconds since the Unix epoch; on the wire RFC 3339 in UTC ending in `Z`.
//!
//! Owns no clock: time comes in from above.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The wall clock's present reading. Only composition roots and clocks call this; pure code is given its time.
    #[must_use]
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }

    /// This instant, `duration` later; saturates at the end of representable time.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Some time earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Seconds since the epoch, as JWT claims want them.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(de::Error::custom)?;
        Ok(Self(time.as_millisecond()))
    }
}

/// What is neither a time nor a date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a time like 2026-11-27T16:00:00Z or a date like 2026-11-27, which is a day in UTC")]
pub struct NotATime;

/// The beginning of a span: a time, or the first moment of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstMoment(pub Timestamp);

/// The end of a span: a time, or the last moment of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastMoment(pub Timestamp);

impl FromStr for FirstMoment {
    type Err = NotATime;
    fn from_str(text: &str) -> Result<Self, NotATime> {
        moment(text, "T00:00:00Z").map(Self)
    }
}

impl FromStr for LastMoment {
    type Err = NotATime;
    fn from_str(text: &str) -> Result<Self, NotATime> {
        moment(text, "T23:59:59.999Z").map(Self)
    }
}

fn moment(text: &str, of_day: &str) -> Result<Timestamp, NotATime> {
    let is_date = text.parse::<jiff::civil::Date>().is_ok() && !text.contains(['T', 't', ' ']);
    let whole = if is_date { format!("{text}{of_day}") } else { text.to_owned() };
    let time: jiff::Timestamp = whole.parse().map_err(|_| NotATime)?;
    Ok(Timestamp(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_to_the_millisecond() {
        let time = Timestamp(1_790_000_000_123);
        let text = serde_json::to_string(&time).unwrap();
        assert_eq!(text, "\"2026-09-21T14:13:20.123Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), time);
    }

    #[test]
    fn a_date_is_all_of_its_day() {
        let first: FirstMoment = "2026-09-21".parse().unwrap();
        let last: LastMoment = "2026-09-21".parse().unwrap();
        assert_eq!(first.0.to_string(), "2026-09-21T00:00:00.000Z");
        assert_eq!(last.0.to_string(), "2026-09-21T23:59:59.999Z");
        let time: LastMoment = "2026-09-21T14:13:20+02:00".parse().unwrap();
        assert_eq!(time.0.to_string(), "2026-09-21T12:13:20.000Z");
        assert_eq!("yesterday".parse::<FirstMoment>(), Err(NotATime));
    }
}

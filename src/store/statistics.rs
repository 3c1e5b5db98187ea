//! Ended tasks by the hour: how many, and how long they took, so that a span of time is summed up without reading a task.
//! Beside that how long the last few of each name and infra took.
//!
//! Both stand in one table. A rollup's key is `h`, the hour (u64, big-endian) and four texts, each with its length before
//! it; a history's key is `d`, whether it was check mode, and two texts.

use std::ops::Range;

use super::record::Rollup;
use crate::model::status::TaskStatus;
use crate::model::task::Task;
use crate::model::time::Timestamp;

/// An hour in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;
/// How many lengths a history keeps.
pub(super) const KEPT: usize = 20;

/// The hour that a time is in, counted from the Unix epoch.
#[must_use]
pub fn hour(at: Timestamp) -> u64 {
    u64::try_from(at.0.div_euclid(HOUR_MS)).unwrap_or(0)
}

/// The first moment of an hour.
#[must_use]
pub fn start_of(hour: u64) -> Timestamp {
    Timestamp(i64::try_from(hour).unwrap_or(i64::MAX).saturating_mul(HOUR_MS))
}

/// The key that an ended task is counted under.
pub(super) fn key(task: &Task, ended_at: Timestamp) -> Vec<u8> {
    let mut key = hour_key(hour(ended_at));
    let infra = task.infra.as_ref().map_or("", |infra| infra.as_str());
    let provider = task.provider.as_ref().map_or("", |provider| provider.as_str());
    for text in [infra, provider, task.kind(), task.status.as_str()] {
        push(&mut key, text);
    }
    key
}

/// Where the hours begin and end.
pub(super) fn range(hours: &Range<u64>) -> Range<Vec<u8>> {
    hour_key(hours.start)..hour_key(hours.end)
}

fn hour_key(hour: u64) -> Vec<u8> {
    [&b"h"[..], &hour.to_be_bytes()].concat()
}

/// What a key stands for, whichever hour.
pub(super) fn rollup(key: &[u8]) -> Option<Rollup> {
    let mut rest = key.get(9..)?;
    let mut text = || {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (text, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = after;
        std::str::from_utf8(text).ok().map(str::to_owned)
    };
    let (infra, provider, kind, status) = (text()?, text()?, text()?, text()?);
    Some(Rollup { infra, provider, kind, status: status.parse::<TaskStatus>().ok()? })
}

/// The key of how long the last tasks like this one took.
pub(super) fn history(name: &str, infra: &str, is_check: bool) -> Vec<u8> {
    let mut key = vec![b'd', u8::from(is_check)];
    push(&mut key, name);
    push(&mut key, infra);
    key
}

fn push(key: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    key.extend(length.to_be_bytes());
    key.extend(&text.as_bytes()[..usize::from(length)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::Name;

    #[test]
    fn a_key_says_what_it_counts_and_stands_in_its_hour() {
        let mut task = crate::store::tests::sample_task(1);
        task.status = TaskStatus::Failed;
        task.infra = Some(Name::new("production".to_owned()).unwrap());
        let key = key(&task, Timestamp(7 * HOUR_MS + 1));
        let found = rollup(&key).unwrap();
        let expected = Rollup {
            infra: "production".to_owned(),
            provider: String::new(),
            kind: "command".to_owned(),
            status: TaskStatus::Failed,
        };
        assert_eq!(found, expected);
        assert!(range(&(7..8)).contains(&key) && !range(&(8..9)).contains(&key) && !range(&(0..7)).contains(&key));
        assert_eq!((rollup(&key[..key.len() - 1]), rollup(b"h")), (None, None));
        assert_eq!((hour(start_of(7)), hour(Timestamp(-1))), (7, 0));
    }
}

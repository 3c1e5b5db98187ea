//! The newest lines of the log, and whoever reads along.
//!
//! So many lines are kept, and so many bytes of them. A reader who is slower than what comes finds that lines are gone, and is
//! told how many; nobody keeps the daemon waiting.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::api::logs::{DaemonLogQuery, LogLine};

/// Lines kept.
const KEPT: usize = 2000;
/// Bytes of them kept, about.
const KEPT_BYTES: usize = 2 * 1024 * 1024;
/// Lines given at once.
const PART: usize = 256;

/// The newest lines.
#[derive(Debug, Default)]
pub struct Ring {
    lines: Mutex<Lines>,
    /// The sequence of the newest.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<(Arc<LogLine>, usize)>,
    bytes: usize,
    next: u64,
}

/// Somebody who reads along.
#[derive(Debug)]
pub struct Reader {
    ring: Arc<Ring>,
    query: DaemonLogQuery,
    search: Option<String>,
    /// The sequence of the last line that was looked at.
    after: u64,
    /// The last line that it wants; without one it follows what comes.
    upto: Option<u64>,
    newest: watch::Receiver<u64>,
}

/// What a reader gets.
#[derive(Debug, Default, PartialEq)]
pub struct Part {
    /// How many lines, wanted or not, were gone before they were read, and after which.
    pub missed: Option<(u64, u64)>,
    /// Lines that are wanted.
    pub lines: Vec<Arc<LogLine>>,
    /// Whether it was looked at all there is.
    pub is_all: bool,
}

impl Ring {
    /// Adds a line, which gets its sequence here; answers it.
    pub(super) fn push(&self, mut line: LogLine) -> Arc<LogLine> {
        let mut lines = self.lines();
        lines.next += 1;
        line.sequence = lines.next;
        let (line, size) = (Arc::new(line.clone()), size(&line));
        lines.kept.push_back((Arc::clone(&line), size));
        lines.bytes += size;
        while lines.kept.len() > KEPT || (lines.bytes > KEPT_BYTES && lines.kept.len() > 1) {
            lines.bytes -= lines.kept.pop_front().map_or(0, |(_, size)| size);
        }
        // In the same order as the lines.
        self.newest.send_replace(line.sequence);
        line
    }

    /// Somebody who reads what the query wants.
    #[must_use]
    pub fn read(self: &Arc<Self>, query: DaemonLogQuery) -> Reader {
        let search = query.search.as_ref().map(|text| text.to_lowercase());
        let newest = self.newest.subscribe();
        let lines = self.lines();
        // A line that is yet to come was one of an earlier daemon.
        let since = query.since.filter(|since| *since <= lines.next);
        let first = lines.kept.front().map_or(lines.next, |(line, _)| line.sequence - 1);
        // To read the log may make lines of its own, without end.
        let upto = (!query.follow).then_some(lines.next);
        let mut reader = Reader { ring: Arc::clone(self), query, search, after: since.unwrap_or(first), upto, newest };
        if let Some(tail) = reader.query.tail {
            let mut wanted =
                lines.kept.iter().rev().filter(|(line, _)| line.sequence > reader.after && reader.wants(line));
            let before = wanted.nth(tail).map(|(line, _)| line.sequence);
            reader.after = if tail == 0 { lines.next } else { before.unwrap_or(reader.after) };
        }
        drop(lines);
        reader
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(line: &LogLine) -> usize {
    let fields: usize = line.fields.iter().map(|(name, value)| name.len() + value.as_str().map_or(8, str::len)).sum();
    size_of::<LogLine>() + line.message.len() + line.component.len() + fields
}

impl Reader {
    /// The sequence of the last line that was looked at.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.after
    }

    /// What there is.
    pub fn part(&mut self) -> Part {
        self.newest.mark_unchanged();
        let lines = self.ring.lines();
        let first = lines.kept.front().map_or(lines.next + 1, |(line, _)| line.sequence);
        let missed = (first > self.after + 1).then(|| (first - self.after - 1, self.after));
        let place = |sequence| lines.kept.partition_point(|(line, _)| line.sequence <= sequence);
        let (from, upto) = (place(self.after), place(self.upto.unwrap_or(u64::MAX)));
        let looked: Vec<Arc<LogLine>> =
            lines.kept.range(from..upto.max(from)).take(PART).map(|(line, _)| Arc::clone(line)).collect();
        let end = self.upto.unwrap_or(lines.next);
        drop(lines);
        let is_all = looked.last().is_none_or(|line| line.sequence >= end);
        self.after = looked.last().map_or(self.after, |line| line.sequence);
        Part { missed, is_all, lines: looked.into_iter().filter(|line| self.wants(line)).collect() }
    }

    /// Waits until there may be more. Whoever stops waiting loses nothing.
    pub async fn changed(&mut self) {
        if self.newest.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn wants(&self, line: &LogLine) -> bool {
        let DaemonLogQuery { level, component, .. } = &self.query;
        let found = |text: &String| format!("{}{}", line.message, line.facts()).to_lowercase().contains(text);
        level.is_none_or(|level| line.level <= level)
            && component.as_ref().is_none_or(|component| line.component == component.0)
            && self.search.as_ref().is_none_or(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::logs::{Component, LogLevel};
    use crate::model::time::Timestamp;
    use proptest::prelude::*;

    fn line(level: LogLevel, component: &str, message: &str) -> LogLine {
        LogLine {
            sequence: 0,
            timestamp: Timestamp(0),
            level,
            component: component.to_owned(),
            message: message.to_owned(),
            request_id: Some("Request-7".to_owned()),
            task_id: None,
            work_id: None,
            fields: serde_json::Map::new(),
        }
    }

    fn sequences(part: &Part) -> Vec<u64> {
        part.lines.iter().map(|line| line.sequence).collect()
    }

    #[test]
    fn a_reader_gets_what_it_wants() {
        let ring = Arc::new(Ring::default());
        for (level, component, message) in
            [(LogLevel::Info, "app", "one"), (LogLevel::Warn, "store", "Two"), (LogLevel::Debug, "store", "three")]
        {
            ring.push(line(level, component, message));
        }
        let read = |query| sequences(&ring.read(query).part());
        let all = DaemonLogQuery::default;
        assert_eq!(read(all()), [1, 2, 3]);
        assert_eq!(read(DaemonLogQuery { level: Some(LogLevel::Info), ..all() }), [1, 2]);
        assert_eq!(read(DaemonLogQuery { component: Some(Component("store")), ..all() }), [2, 3]);
        assert_eq!(read(DaemonLogQuery { search: Some("tWO".to_owned()), ..all() }), [2]);
        assert_eq!(read(DaemonLogQuery { search: Some("request-7".to_owned()), ..all() }), [1, 2, 3]);
        assert_eq!(read(DaemonLogQuery { since: Some(2), ..all() }), [3]);
        assert_eq!(read(DaemonLogQuery { since: Some(9), ..all() }), [1, 2, 3], "of an earlier daemon");
        assert_eq!(read(DaemonLogQuery { tail: Some(1), level: Some(LogLevel::Info), ..all() }), [2]);
        assert!(read(DaemonLogQuery { tail: Some(0), ..all() }).is_empty());
        assert_eq!(read(DaemonLogQuery { tail: Some(9), ..all() }), [1, 2, 3]);
        let (mut what_is_there, mut follower) =
            (ring.read(all()), ring.read(DaemonLogQuery { follow: true, tail: Some(1), ..all() }));
        ring.push(line(LogLevel::Info, "app", "four"));
        assert_eq!((sequences(&what_is_there.part()), what_is_there.part().is_all), (vec![1, 2, 3], true));
        assert_eq!(sequences(&follower.part()), [3, 4]);
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes() {
        let ring = Ring::default();
        for _ in 0..100 {
            ring.push(line(LogLevel::Info, "app", &"x".repeat(KEPT_BYTES / 10)));
        }
        let lines = ring.lines();
        assert!(lines.bytes <= KEPT_BYTES && (5..10).contains(&lines.kept.len()), "{}", lines.kept.len());
    }

    proptest! {
        #[test]
        fn what_is_read_and_what_was_missed_is_everything(pushes in prop::collection::vec(0usize..3000, 1..8)) {
            let ring = Arc::new(Ring::default());
            let mut reader = ring.read(DaemonLogQuery { follow: true, ..DaemonLogQuery::default() });
            let (mut pushed, mut expected) = (0, 1);
            for count in pushes {
                for _ in 0..count {
                    ring.push(line(LogLevel::Info, "app", "m"));
                }
                pushed += count as u64;
                loop {
                    let part = reader.part();
                    if let Some((missed, after)) = part.missed {
                        prop_assert_eq!(after + 1, expected);
                        expected += missed;
                    }
                    for sequence in sequences(&part) {
                        prop_assert_eq!(sequence, expected);
                        expected += 1;
                    }
                    if part.is_all {
                        break;
                    }
                }
                prop_assert_eq!(expected, pushed + 1);
            }
        }
    }
}

//! What the operations wrote themselves: the truth that the daemon's story is held against.
//!
//! A line is `do|undo begin|end|fail OPERATION ATTEMPT PARENT`. The parent is the process that started the operation: the
//! supervisor, unless that was dead by then.

use std::collections::BTreeMap;

/// Whether an operation is done or undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    /// Its own command.
    Do,
    /// Its compensation.
    Undo,
}

/// A line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Do or undo.
    pub(super) direction: Direction,
    /// What happened.
    pub(super) mark: Mark,
    /// The operation.
    pub(super) operation: String,
    /// The attempt, counted from 1.
    pub(super) attempt: u32,
    /// The process that started it.
    pub(super) parent: i32,
}

/// What an operation notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It begins.
    Begin,
    /// It has done what it is for.
    End,
    /// It fails on purpose.
    Fail,
}

impl Line {
    /// Reads a line.
    pub(super) fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [direction, mark, operation, attempt, parent] = words[..] else { return None };
        Some(Self {
            direction: match direction {
                "do" => Direction::Do,
                "undo" => Direction::Undo,
                _ => return None,
            },
            mark: match mark {
                "begin" => Mark::Begin,
                "end" => Mark::End,
                "fail" => Mark::Fail,
                _ => return None,
            },
            operation: operation.to_owned(),
            attempt: attempt.parse().ok()?,
            parent: parent.parse().ok()?,
        })
    }
}

/// Where in the ledger one attempt left its marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trace {
    /// Where it began, by which parent.
    pub(super) begins: Vec<(usize, i32)>,
    /// Where it ended.
    pub(super) ends: Vec<usize>,
    /// Where it failed on purpose.
    pub(super) fails: Vec<usize>,
}

/// A ledger, sorted by operation.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    traces: BTreeMap<(Direction, String), BTreeMap<u32, Trace>>,
    /// Lines that no operation writes.
    pub(super) strange: Vec<String>,
    /// How often something began.
    pub(super) begun: u64,
}

impl Ledger {
    /// Reads a ledger.
    pub(super) fn read(text: &str) -> Self {
        let mut ledger = Self::default();
        for (at, text) in text.lines().enumerate() {
            let Some(line) = Line::read(text) else {
                ledger.strange.push(text.to_owned());
                continue;
            };
            let attempts = ledger.traces.entry((line.direction, line.operation)).or_default();
            let trace = attempts.entry(line.attempt).or_default();
            match line.mark {
                Mark::Begin => {
                    trace.begins.push((at, line.parent));
                    ledger.begun += 1;
                }
                Mark::End => trace.ends.push(at),
                Mark::Fail => trace.fails.push(at),
            }
        }
        ledger
    }

    /// The attempts of an operation in a direction, by number.
    pub(super) fn attempts(&self, direction: Direction, operation: &str) -> BTreeMap<u32, Trace> {
        self.traces.get(&(direction, operation.to_owned())).cloned().unwrap_or_default()
    }

    /// The first and the last line of an operation in a direction; `None` when it left none.
    pub(super) fn span(&self, direction: Direction, operation: &str) -> Option<(usize, usize)> {
        let attempts = self.traces.get(&(direction, operation.to_owned()))?;
        let lines = || attempts.values().flat_map(Trace::lines);
        Some((lines().min()?, lines().max()?))
    }

    /// Every operation that left a line.
    pub(super) fn operations(&self) -> impl Iterator<Item = &str> {
        self.traces.keys().map(|(_, operation)| operation.as_str())
    }
}

impl Trace {
    /// Its lines, in no order.
    pub(super) fn lines(&self) -> impl Iterator<Item = usize> {
        let begins = self.begins.iter().map(|(at, _)| at);
        begins.chain(&self.ends).chain(&self.fails).copied()
    }
}

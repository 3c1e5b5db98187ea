//! Verification of a log, entry by entry in constant memory, from the store or from a JSON Lines export.
//!
//! Deliberately doesn't know whence the entries come, nor whether a checkpoint is signed by somebody who is trusted:
//! [`Signed::open`](super::Signed::open) answers that before.

use super::chain::{Head, Sealed};
use super::checkpoint::Checkpoint;
use super::key::Keyring;
use crate::model::time::Timestamp;

/// The first place at which the log is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("audit entry {sequence} {fault}")]
pub struct Broken {
    /// The sequence of the entry that should stand there.
    pub sequence: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The text, the link or the mac was changed, or somebody without the key wrote it.
    #[error("isn't what was written: its text, link or mac was changed, or it was forged")]
    Altered,
    /// A later entry stands in its place.
    #[error("is missing: entry {found} stands in its place")]
    Missing {
        /// The entry that is there.
        found: u64,
    },
    /// An earlier entry stands in its place.
    #[error("isn't in its place: entry {found} stands there, out of order or repeated")]
    Misplaced {
        /// The entry that is there.
        found: u64,
    },
    /// It was written after another entry than the one that stands before it.
    #[error("doesn't follow the entry before it: one of the two belongs to another history of this log")]
    Unlinked,
    /// Its key isn't there.
    #[error("is sealed with key {key}, which isn't given")]
    UnknownKey {
        /// The key.
        key: u32,
    },
    /// Its key had been replaced before it was written.
    #[error("is sealed with key {key}, which key {by} had replaced")]
    ReplacedKey {
        /// The key.
        key: u32,
        /// The one that came after it.
        by: u32,
    },
    /// A checkpoint knew it otherwise: the log was written anew.
    #[error("isn't the one that the checkpoint of {at} saw: the log was written anew")]
    Rewritten {
        /// When the checkpoint was made.
        at: Timestamp,
    },
    /// The beginning is missing.
    #[error(
        "is missing, and all after it up to {until}: the checkpoint of {at} saw it. Where it had had its time, a newer checkpoint says so"
    )]
    Beheaded {
        /// The last entry that is missing.
        until: u64,
        /// When the checkpoint was made.
        at: Timestamp,
    },
    /// The tail is missing.
    #[error("and all after it are missing: the checkpoint of {at} saw entries up to {last}")]
    Cut {
        /// The last entry that the checkpoint saw.
        last: u64,
        /// When the checkpoint was made.
        at: Timestamp,
    },
}

/// A log that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many entries there are.
    pub entries: u64,
    /// Where it ends.
    pub head: Head,
    /// How many of the checkpoints speak of an entry that is still there, and agree. The others are older than
    /// the log's beginning and prove nothing.
    pub checkpoints: usize,
}

/// Follows a log from its beginning.
#[derive(Clone, Debug)]
pub struct Verifier<'k> {
    keys: &'k Keyring,
    start: Head,
    is_vouched: bool,
    head: Head,
    checkpoints: Vec<Checkpoint>,
    broken: Option<Broken>,
}

impl<'k> Verifier<'k> {
    /// A verifier of a log that begins after `start`: [`Head::START`], or [what an anchor
    /// says](Checkpoint::begins_after).
    #[must_use]
    pub fn new(keys: &'k Keyring, start: Head) -> Self {
        Self { keys, start, is_vouched: true, head: start, checkpoints: Vec::new(), broken: None }
    }

    /// A verifier of a log of which nothing but its first entry says where it begins: a checkpoint that saw an earlier
    /// entry proves that the beginning is missing.
    #[must_use]
    pub fn of_claimed(keys: &'k Keyring, start: Head) -> Self {
        Self { is_vouched: false, ..Self::new(keys, start) }
    }

    /// Also holds the log against a checkpoint. They are given before the entries, because the log may have grown since.
    #[must_use]
    pub fn against(mut self, checkpoint: &Checkpoint) -> Self {
        self.checkpoints.push(*checkpoint);
        // No entry will come that could be compared with one of the beginning itself.
        if let Err(fault) = self.agrees(self.start) {
            self.broken = Some(Broken { sequence: self.start.sequence, fault });
        }
        if !self.is_vouched && checkpoint.first <= self.start.sequence {
            let fault = Fault::Beheaded { until: self.start.sequence, at: checkpoint.at };
            self.broken.get_or_insert(Broken { sequence: checkpoint.first, fault });
        }
        self
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// When it isn't what was written there; then every further call says the same.
    pub fn push(&mut self, sealed: &Sealed) -> Result<(), Broken> {
        self.check(|this| this.next(sealed))
    }

    /// Takes the next line of a JSON Lines export.
    ///
    /// # Errors
    /// When it isn't what was written there; then every further call says the same.
    pub fn push_line(&mut self, line: &str) -> Result<(), Broken> {
        self.check(|this| this.next(&serde_json::from_str(line).map_err(|_| Fault::Altered)?))
    }

    /// Ends the log.
    ///
    /// # Errors
    /// When an entry wasn't what was written, or a checkpoint speaks of entries that didn't come.
    pub fn finish(self) -> Result<Report, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        if let Some(missed) = self.checkpoints.iter().max_by_key(|checkpoint| checkpoint.head.sequence)
            && missed.head.sequence > self.head.sequence
        {
            let fault = Fault::Cut { last: missed.head.sequence, at: missed.at };
            return Err(Broken { sequence: self.head.sequence + 1, fault });
        }
        let seen = self.checkpoints.iter().filter(|checkpoint| checkpoint.head.sequence >= self.start.sequence);
        Ok(Report { entries: self.head.sequence - self.start.sequence, head: self.head, checkpoints: seen.count() })
    }

    fn check(&mut self, step: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let sequence = self.head.sequence.saturating_add(1);
        step(self).map_err(|fault| *self.broken.insert(Broken { sequence, fault }))
    }

    fn next(&mut self, sealed: &Sealed) -> Result<(), Fault> {
        let key = self.keys.get(sealed.key).ok_or(Fault::UnknownKey { key: sealed.key })?;
        let sequence = sealed.sequence().map_err(|_| Fault::Altered)?;
        if !sealed.is_genuine(key, sequence) {
            return Err(Fault::Altered);
        }
        let expected = self.head.sequence.checked_add(1).ok_or(Fault::Altered)?;
        if sequence > expected {
            return Err(Fault::Missing { found: sequence });
        }
        if sequence < expected {
            return Err(Fault::Misplaced { found: sequence });
        }
        if sealed.previous != self.head.mac {
            return Err(Fault::Unlinked);
        }
        if sealed.key < self.head.key {
            return Err(Fault::ReplacedKey { key: sealed.key, by: self.head.key });
        }
        let head = Head { sequence, mac: sealed.mac, key: sealed.key };
        self.agrees(head)?;
        self.head = head;
        Ok(())
    }

    fn agrees(&self, head: Head) -> Result<(), Fault> {
        let other = |checkpoint: &&Checkpoint| checkpoint.head.sequence == head.sequence && checkpoint.head != head;
        self.checkpoints.iter().find(other).map_or(Ok(()), |checkpoint| Err(Fault::Rewritten { at: checkpoint.at }))
    }
}

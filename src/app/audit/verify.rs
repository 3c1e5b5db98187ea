//! Verifying the trail where it is stored, a part at a time, while it grows.

use super::newest;
use crate::api::audit::{FirstBroken, Verification};
use crate::audit::{Checkpoint, Fault, Head, Keyring, Sealed, Verifier};
use crate::store::{Backend, StoreError};

/// Entries read at once.
const AT_ONCE: usize = 500;

/// Holds every entry against the chain, its head, the newest checkpoint that is kept, and the one that was given.
pub(super) fn verify(
    reads: &dyn Backend,
    keys: &Keyring,
    given: Option<Checkpoint>,
) -> Result<Verification, StoreError> {
    loop {
        let anchor = reads.audit_anchor()?;
        let found = from(reads, keys, given, anchor)?;
        // Entries that were dropped meanwhile are no gap.
        if found.verified || reads.audit_anchor()? == anchor {
            return Ok(found);
        }
    }
}

fn from(
    reads: &dyn Backend,
    keys: &Keyring,
    given: Option<Checkpoint>,
    anchor: Option<Checkpoint>,
) -> Result<Verification, StoreError> {
    let start = anchor.and_then(|anchor| anchor.begins_after()).unwrap_or(Head::START);
    let mut walk = Walk { last: start, entries: 0 };
    let kept = match newest(reads).map(|document| document.map(|document| document.open().copied()).transpose()) {
        Ok(Ok(kept)) => kept,
        Ok(Err(why)) => return Ok(walk.broken(start.sequence, format!("the checkpoint that is kept is none: {why}"))),
        Err(StoreError::Damaged { cause, .. }) => {
            return Ok(walk.broken(start.sequence, format!("the checkpoint that is kept is damaged: {cause}")));
        }
        Err(error) => return Err(error),
    };
    let mut verifier = kept.iter().chain(&given).fold(Verifier::new(keys, start), Verifier::against);
    loop {
        let part = match reads.audit(walk.last.sequence, AT_ONCE) {
            Ok(part) => part,
            Err(StoreError::Damaged { .. }) => {
                let sequence = walk.last.sequence + 1;
                return Ok(walk.broken(sequence, Fault::Altered.to_string()));
            }
            Err(error) => return Err(error),
        };
        let is_over = part.is_empty();
        for sealed in &part {
            if let Err(broken) = verifier.push(sealed) {
                return Ok(walk.broken(broken.sequence, broken.fault.to_string()));
            }
            walk.step(sealed);
        }
        if is_over {
            break;
        }
    }
    let report = match verifier.finish() {
        Ok(report) => report,
        Err(broken) => return Ok(walk.broken(broken.sequence, broken.fault.to_string())),
    };
    // The head is read last and written with each entry: it is never behind what was read.
    let told = match reads.audit_head() {
        Ok(head) if head == walk.last || !reads.audit(walk.last.sequence, 1)?.is_empty() => None,
        Ok(head) if head.sequence > walk.last.sequence => {
            Some(format!("and all after it are missing: the trail went on to entry {}", head.sequence))
        }
        Ok(head) => Some(format!("isn't the end that is on record, which is entry {}", head.sequence)),
        Err(StoreError::Damaged { cause, .. }) => {
            Some(format!("can't be told from the end: its record is damaged: {cause}"))
        }
        Err(error) => return Err(error),
    };
    if let Some(what) = told {
        return Ok(walk.broken(walk.last.sequence + 1, what));
    }
    let Walk { last: head, entries } = walk;
    Ok(Verification { verified: true, entries, head, first_broken: None, checkpoints: report.checkpoints })
}

/// How far everything is good.
struct Walk {
    last: Head,
    entries: u64,
}

impl Walk {
    fn step(&mut self, sealed: &Sealed) {
        self.last = Head { sequence: self.last.sequence + 1, mac: sealed.mac, key: sealed.key };
        self.entries += 1;
    }

    fn broken(&self, sequence: u64, what: String) -> Verification {
        let first_broken = Some(FirstBroken { sequence, what });
        Verification { verified: false, entries: self.entries, head: self.last, first_broken, checkpoints: 0 }
    }
}

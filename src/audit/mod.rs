//! The audit trail: who did what to which resource, by whose leave, and how it ended; written so that nobody can change
//! it unseen.
//!
//! Owns what an [`Entry`] is, its [redaction](redact), the keyed [chain] of entries, signed [checkpoints](checkpoint),
//! [verification](verify) and the [export] formats. Knows no store, no HTTP, no clock and no user accounts: entries,
//! keys and times come in, bytes go out. Start at [`Event`], which a use case makes, and [`Chain::seal`], which turns it
//! into the [`Sealed`] entry that is stored.
//!
//! # What protects what
//!
//! * Each entry carries an HMAC over its exact text, its key's id and the entry before it. Whoever lacks the key can
//!   neither change, insert, remove nor reorder entries unseen; what they can do is cut the tail, or the whole log.
//! * A [`Checkpoint`] is signed with a key that needn't be near the log's, and is kept elsewhere. It finds a cut tail,
//!   and a log that somebody who has the chain's key wrote anew.
//! * Retention drops the oldest entries. An *anchor*, which is a checkpoint that says nothing up to it is kept, says
//!   where the rest begins.
//!
//! The chain is keyed, so verification needs the key. It may be given to whoever verifies, if checkpoints are kept where
//! they can't reach them.

pub mod chain;
pub mod checkpoint;
pub mod entry;
pub mod export;
pub mod key;
pub mod redact;
pub mod text;
pub mod verify;

#[cfg(test)]
mod tests;

pub use chain::{Chain, Head, Mac, Sealed};
pub use checkpoint::{Checkpoint, Signed};
pub use entry::{Actor, Credential, DAEMON, Decision, Entry, Event, Outcome, Resource};
pub use export::{Exporter, Format};
pub use key::{Key, Keyring};
pub use verify::{Broken, Fault, Report, Verifier};

//! Sending signed messages to addresses that people name, and to no others than may be reached.
//!
//! Owns what of an address is public, the signature, when it is tried again, and the HTTP client that does it: it looks
//! names up itself and connects to nothing but what it has checked, follows nobody elsewhere, and goes by no proxy of the
//! environment. Knows no store, no rights and nothing of what it sends; [`Sender::send`] is where to start.

mod address;
mod outcome;
mod resolver;
mod retry;
mod sender;
mod signature;
mod target;

pub use address::Reachable;
pub use outcome::{Outcome, Reply};
pub use retry::{Schedule, Verdict};
pub use sender::{Message, SendError, Sender};
pub use signature::signature;
pub use target::{Target, TargetError};

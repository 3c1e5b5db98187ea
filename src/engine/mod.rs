//! The pure state machine of durable work: no clock, thread, socket or file.
//!
//! A unit of work is a graph of operations (a workflow's task is a graph of one). Three functions carry it:
//!
//! - [`react`](react::react): a command and the state make events (`Exited` → `Succeeded` or `Failed` …);
//! - [`advance`](advance::advance): the state alone makes the events that follow from it (`Intended`, `Skipped`,
//!   `Ended` …);
//! - [`Work::apply`](work::Work::apply): an event changes the state. Live work, recovery and tests share it.
//!
//! [`Engine`] holds all live work, decides which intents get a slot, and keeps the timers. Its caller makes events
//! durable *before* it tells the engine so with [`Engine::committed`]; only then do intents become launches. Time and
//! ids come in as arguments, so that a run is repeated exactly by repeating its inputs.
//!
//! Deliberately absent: what an operation is for, how it is run, and what a record looks like.

pub mod admission;
pub mod advance;
mod again;
pub mod event;
pub mod graph;
pub mod live;
pub mod react;
mod reopen;
pub mod retry;
pub mod shape;
mod timers;
mod unwind;
pub mod work;

pub use event::{Command, Direction, Event, Outcome};
pub use live::{Attempt, Engine, Step};
pub use shape::{Compensation, OperationShape, Shape};
pub use work::{Phase, Work};

/// What comes from outside with every call: the time, and new ids.
pub struct Inputs<'a> {
    /// The present time.
    pub now: crate::model::time::Timestamp,
    /// Makes the id of a new task.
    pub new_task: &'a mut dyn FnMut() -> crate::model::id::TaskId,
}

/// An operation's index, as it is written.
pub(crate) fn index(index: usize) -> u32 {
    u32::try_from(index).expect("a graph has fewer than 2^32 operations, because its request is at most 16 MiB")
}

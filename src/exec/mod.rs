//! Processes: starting them, ending them with all they started, keeping their output and exit status.
//!
//! A small **supervisor** process, separate from the daemon, is the parent of every task's process. It survives the
//! daemon, so a daemon that was killed, or is being upgraded, finds its tasks running and their results at hand. It reads
//! their output through pipes into log files that it keeps within a limit, and it writes what it starts and what becomes
//! of it into a journal, so that even after the supervisor itself is killed it is known what was started.
//!
//! One supervisor serves all tasks: one each would cost a second process start for every task.
//!
//! - [`Executor`]: the daemon's side, over a Unix socket.
//! - [`supervisor`]: the process.
//! - [`journal`]: what it has written; the next supervisor goes on in it.
//! - [`starter`]: threads that start processes, and [`process`]: how one is started.
//! - [`cgroup`]: a group of processes for each attempt, where the kernel's can be used; else
//! - [`census`]: which processes belong to a task, by its mark.
//! - [`logs`]: where a task's output stands.
//!
//! Deliberately knows nothing of work, retries or the store: an attempt is a key.

pub mod census;
mod cgroup;
mod child;
mod clock;
mod executor;
mod inherit;
pub mod journal;
mod lean;
pub mod logs;
mod process;
mod reaper;
mod starter;
pub mod supervisor;
pub mod wire;

pub use cgroup::remove_groups;
pub use clock::Clock;
pub use executor::{ExecError, Executor, Heard, Places};
pub use wire::{Ending, Key, Report, Spawn};

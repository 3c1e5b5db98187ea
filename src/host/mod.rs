//! Figures of this machine and of this process, from `/proc` and statvfs(3).
//!
//! What can't be read, as where `/proc` is hidden, is zero: figures are for looking at, nothing is decided by them. Knows
//! nothing of what the daemon does.

mod disk;
mod proc;
mod process;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use disk::Disk;
pub use process::Process;

use crate::metrics::figure;
use proc::{Cpu, memory_usage, network_bytes};

/// Usage is told over no less than this, so that it is of the machine and not of whoever asks.
const LEAST: Duration = Duration::from_secs(1);

/// The machine, watched from now on.
#[derive(Debug)]
pub struct Host(Mutex<Watched>);

/// How busy the machine is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// The share of its processors' time that was used since it was last asked for, from 0 to 1.
    pub cpu: f64,
    /// The share of its memory that programs can't have, from 0 to 1.
    pub memory: f64,
    /// Bytes a second sent and received by its network interfaces, but for the loopback, since it was last asked for.
    pub network: f64,
}

#[derive(Debug)]
struct Watched {
    at: Instant,
    cpu: Cpu,
    network_bytes: u64,
    /// What was found between this and the reading before.
    usage: Usage,
}

impl Host {
    /// Begins to watch.
    #[must_use]
    pub fn watch() -> Self {
        let (cpu, network_bytes) = (Cpu::read(), network_bytes());
        Self(Mutex::new(Watched { at: Instant::now(), cpu, network_bytes, usage: Usage::default() }))
    }

    /// How busy it is: since somebody last asked, but over a second at least; whoever asks sooner is told what was found
    /// last. Blocks for as long as it takes to read a few files of `/proc`.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = watched.at.elapsed();
        if elapsed >= LEAST {
            let (cpu, network) = (Cpu::read(), network_bytes());
            let moved = figure(network.saturating_sub(watched.network_bytes));
            let network_usage = moved / elapsed.as_secs_f64();
            let usage = Usage { cpu: cpu.usage_since(watched.cpu), network: network_usage, memory: 0.0 };
            *watched = Watched { at: Instant::now(), cpu, network_bytes: network, usage };
        }
        Usage { memory: memory_usage(), ..watched.usage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usages_are_shares() {
        let usage = Host::watch().usage();
        assert!((0.0..=1.0).contains(&usage.cpu) && usage.memory > 0.0 && usage.memory < 1.0, "{usage:?}");
        assert!(usage.network >= 0.0, "{usage:?}");
        let disk = Disk::of(std::path::Path::new("/")).unwrap();
        assert!(disk.total_bytes > 0 && (0.0..=1.0).contains(&disk.usage()), "{disk:?}");
        let process = Process::read();
        assert!(process.resident_bytes > 0 && process.open_files > 0 && process.started_at > 1e9, "{process:?}");
    }
}

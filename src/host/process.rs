//! This process.

use super::proc::text;
use crate::metrics::figure;

/// What this process costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Its time on processors, in seconds.
    pub cpu_seconds: f64,
    /// Its memory in RAM.
    pub resident_bytes: u64,
    /// Files it has open, connections among them.
    pub open_files: u64,
    /// How many it may have.
    pub most_open_files: Option<u64>,
    /// When it started, in seconds since the Unix epoch.
    pub started_at: f64,
}

impl Process {
    /// As it is now.
    #[must_use]
    pub fn read() -> Self {
        let stat = text("/proc/self/stat");
        // The name stands in parentheses and may have spaces; what follows is counted from the state, field 3.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let ticks_a_second = figure(rustix::param::clock_ticks_per_second());
        let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(0);
        Self {
            cpu_seconds: figure(field(14) + field(15)) / ticks_a_second,
            resident_bytes: field(24).saturating_mul(page_bytes),
            open_files: std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64),
            most_open_files: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
            started_at: boot_time() + figure(field(22)) / ticks_a_second,
        }
    }
}

/// When the machine started.
fn boot_time() -> f64 {
    let stat = text("/proc/stat");
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0.0)
}

//! Benchmarks: `cargo bench`, or `cargo bench -- NAME …` for some. Each prints figures, and ratios to something plain that
//! is measured in the same run; none of them can fail for being slow.

#![allow(clippy::unwrap_used)]

mod idle;
mod million;
mod run;
mod submit;
#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::time::{Duration, Instant};

const ALL: [(&str, fn()); 4] =
    [("submit", submit::bench), ("run", run::bench), ("million", million::bench), ("idle", idle::bench)];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|name| !ALL.iter().any(|(known, _)| known == name)) {
        eprintln!("there is no benchmark {unknown}; there are {:?}", ALL.map(|(name, _)| name));
        std::process::exit(2);
    }
    for (name, bench) in ALL.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name)) {
        println!("== {name}");
        bench();
    }
}

/// A line of figures.
fn figure(what: &str, value: f64, unit: &str) {
    let shown = if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") };
    println!("{what:58} {shown:>9} {unit}");
}

/// How many a second.
#[allow(clippy::cast_precision_loss)]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// How long something takes.
fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = call();
    (result, start.elapsed())
}

/// The middle one and the one that 99 of 100 are below, in milliseconds.
fn quantiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    (at(50), at(99))
}

/// A number from `/proc/PID/status`, such as `VmRSS` in kB.
#[allow(clippy::cast_precision_loss)]
fn status(pid: u32, name: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() as f64
}

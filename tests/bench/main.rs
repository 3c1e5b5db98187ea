//! Benchmarks: `cargo bench`, or `cargo bench -- NAME …` for some. One table comes out: what was measured, against what in
//! the same run, and whether that is within reach.
//!
//! Absolute figures of one machine mean nothing on another, so nearly every line is a ratio of two things that were
//! measured in turn, prov, reference, prov, reference …: the median of the pairs, and in brackets the least and the most.
//! Nothing here fails for being slow.

#![allow(clippy::unwrap_used)]

mod command;
mod decide;
mod disk;
mod dispatch;
mod driving;
mod graph;
mod idle;
mod load;
mod measure;
mod million;
mod mutants;
mod others;
mod stock;
mod submit;
#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;
mod table;

use table::Table;

type Bench = fn(&mut Table);

/// What takes long and measures no time; only by name.
const APART: [(&str, Bench); 1] = [("mutants", mutants::bench)];

const ALL: [(&str, Bench); 7] = [
    ("dispatch", dispatch::bench),
    ("submit", submit::bench),
    ("million", million::bench),
    ("graph", graph::bench),
    ("idle", idle::bench),
    ("command", command::bench),
    ("decide", decide::bench),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let known: Vec<&(&str, Bench)> = ALL.iter().chain(&APART).collect();
    if let Some(unknown) = wanted.iter().find(|name| !known.iter().any(|(known, _)| known == name)) {
        eprintln!("there is no benchmark {unknown}; there are {:?}", known.iter().map(|row| row.0).collect::<Vec<_>>());
        std::process::exit(2);
    }
    let (started, load) = (std::time::Instant::now(), measure::load());
    let mut table = Table::default();
    let chosen = if wanted.is_empty() { ALL.iter().collect() } else { known };
    for (name, bench) in chosen.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name)) {
        eprintln!("{name} …");
        bench(&mut table);
    }
    println!("{table}");
    println!("on {}, in {} s", measure::machine(), started.elapsed().as_secs());
    println!(
        "its load was {load} before: above 0.5 others share the machine, and only the pairs of quiet moments count"
    );
}

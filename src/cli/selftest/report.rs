//! What a test found, counted.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::check::{Evidence, Promise, Violation};
use super::ledger::Direction;
use super::plan::Target;
use super::round::Round;
use crate::cli::printer::Rows;
use crate::model::status::BatchStatus;

/// The counts.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Report {
    seed: u64,
    /// Rounds that were played.
    rounds: u32,
    /// What was killed how often.
    kills: BTreeMap<Target, u32>,
    /// How many of the kills met a rollback.
    kills_during_rollback: u32,
    /// How the batches ended.
    batches: BTreeMap<&'static str, u32>,
    /// Operations and compensations that began, each attempt counted.
    operations_run: u64,
    lost: u32,
    duplicated: u32,
    stuck: u32,
    left_running: u32,
    out_of_order: u32,
    untrue: u32,
    /// From the start of a new daemon's process until both of its APIs answer, in milliseconds.
    recovery_ms: Recovery,
    /// How long all of it took.
    took_seconds: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Violation>,
    #[serde(skip)]
    recoveries: Vec<Duration>,
}

/// How long recoveries took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Recovery {
    /// How many there were.
    count: usize,
    p50: u64,
    p99: u64,
    longest: u64,
}

impl Report {
    /// Of a test that has not begun.
    pub(super) fn of(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// The seed of the test.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Counts what a round did, whether or not it came to its end.
    pub(super) fn round(&mut self, round: &Round) {
        self.rounds += 1;
        for strike in &round.strikes {
            *self.kills.entry(strike.target).or_default() += 1;
        }
        self.recoveries.extend(&round.recoveries);
    }

    /// Counts what came of a round.
    pub(super) fn evidence(&mut self, round: &Round, evidence: &Evidence) {
        self.operations_run += evidence.ledger.begun;
        if let Some(view) = &evidence.view {
            *self.batches.entry(view.summary.status.as_str()).or_default() += 1;
        }
        let spans = || evidence.plan.operations.iter().filter_map(|one| evidence.ledger.span(Direction::Undo, one.id));
        let (first, last) = (spans().map(|(first, _)| first).min(), spans().map(|(_, last)| last).max());
        if let (Some(first), Some(last)) = (first, last) {
            let met = round.strikes.iter().filter(|strike| first < strike.lines && strike.lines <= last).count();
            self.kills_during_rollback += u32::try_from(met).unwrap_or(u32::MAX);
        }
    }

    /// Counts promises that were broken.
    pub(super) fn broken(&mut self, violations: &[Violation]) {
        for violation in violations {
            *match violation.broken {
                Promise::Lost => &mut self.lost,
                Promise::Duplicated => &mut self.duplicated,
                Promise::Stuck => &mut self.stuck,
                Promise::LeftRunning => &mut self.left_running,
                Promise::Disordered => &mut self.out_of_order,
                Promise::Untrue => &mut self.untrue,
            } += 1;
        }
        self.violations.extend_from_slice(violations);
    }

    /// The test is over.
    pub(super) fn finish(&mut self, took: Duration) {
        self.took_seconds = took.as_secs_f64();
        self.recoveries.sort_unstable();
        self.recovery_ms = Recovery {
            count: self.recoveries.len(),
            p50: percentile(&self.recoveries, 50),
            p99: percentile(&self.recoveries, 99),
            longest: percentile(&self.recoveries, 100),
        };
    }

    /// For people: a line a count.
    pub(super) fn rows(&self) -> Rows {
        let mut rows = Vec::new();
        let mut row = |what: &str, count: String| rows.push(vec![what.to_owned(), count]);
        row("seed", self.seed.to_string());
        row("rounds", self.rounds.to_string());
        for target in Target::ALL {
            row(&format!("kills of {target}"), self.kills.get(&target).copied().unwrap_or(0).to_string());
        }
        row("kills during a rollback, of all these", self.kills_during_rollback.to_string());
        for status in BatchStatus::ALL {
            if let Some(count) = self.batches.get(status.as_str()) {
                row(&format!("batches {status}"), count.to_string());
            }
        }
        row("operations and compensations run", self.operations_run.to_string());
        let broken = [
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("stuck", self.stuck),
            ("left running", self.left_running),
            ("out of order", self.out_of_order),
            ("untrue", self.untrue),
        ];
        for (promise, count) in broken {
            row(promise, count.to_string());
        }
        let Recovery { p50, p99, longest, .. } = self.recovery_ms;
        row("recovery, from start of the daemon until it answers, p50", format!("{p50} ms"));
        row("recovery, p99", format!("{p99} ms"));
        row("recovery, longest", format!("{longest} ms"));
        row("took", format!("{:.1} s", self.took_seconds));
        Rows { header: vec!["WHAT", "COUNT"], narrow: 2, rows }
    }
}

/// The least of the sorted durations that so many in a hundred don't exceed (nearest rank), in milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0, |duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!([50, 99, 100].map(|percent| percentile(&sorted, percent)), [100, 198, 200]);
        assert_eq!(percentile(&sorted[..1], 50), 1);
        assert_eq!(percentile(&[], 99), 0);
    }
}

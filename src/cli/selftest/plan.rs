//! What a round does: the reference batch, which of its operations fail on purpose, and what is killed when.
//!
//! All of it comes from the dice, so that the same seed gives the same rounds. What the kills meet does not: that depends
//! on the host, and a round that is played again meets something else.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::dice::Dice;

/// An operation's id, and what it depends on.
type Node = (&'static str, &'static [&'static str]);

/// The graph: a diamond, and a chain beside it.
const GRAPH: &[Node] = &[
    ("diamond-start", &[]),
    ("diamond-left", &["diamond-start"]),
    ("diamond-right", &["diamond-start"]),
    ("diamond-end", &["diamond-left", "diamond-right"]),
    ("chain-1", &[]),
    ("chain-2", &["chain-1"]),
    ("chain-3", &["chain-2"]),
    ("chain-4", &["chain-3"]),
];
/// Operations of the longest way through the graph.
const DEPTH: u64 = 4;
/// Milliseconds that an operation takes at least and at most.
const SHORTEST: u64 = 1;
const LONGEST: u64 = 40;
/// Milliseconds that are reckoned for the start of an operation.
const START: u64 = 15;

/// Notes its begin and its end with one append each, so that lines stay whole whoever is killed when. `$5` attempts fail
/// on purpose. What it prints must become its output.
const SCRIPT: &str = r#"echo "$2 begin $3 $PROV_ATTEMPT $PPID" >> "$1"
sleep "$4"
if [ "$PROV_ATTEMPT" -le "$5" ]; then echo "$2 fail $3 $PROV_ATTEMPT $PPID" >> "$1"; exit 3; fi
echo "$2 end $3 $PROV_ATTEMPT $PPID" >> "$1"
echo "$3 $PROV_ATTEMPT""#;

/// A round's plan.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// What its batch is called.
    pub(super) name: String,
    /// The operations, each after those that it depends on.
    pub(super) operations: Vec<Operation>,
    /// Whether a failure undoes what was done.
    pub(super) rollback: bool,
    parallel_limit: u64,
    /// What is killed when, in order.
    pub(super) blows: Vec<Blow>,
}

/// An operation of the batch.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    /// Its id.
    pub(super) id: &'static str,
    /// Operations that must be Completed before it.
    pub(super) dependencies: &'static [&'static str],
    /// Attempts it may have.
    pub(super) max_attempts: u32,
    /// So many of its attempts fail on purpose.
    fails: u32,
    takes: Duration,
    undo_takes: Duration,
}

/// Something is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blow {
    /// What.
    pub(super) target: Target,
    /// When.
    pub(super) moment: Moment,
    /// The daemon that is started next is killed as well, so long after its start.
    pub(super) again_after: Option<Duration>,
}

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    /// The daemon alone.
    Daemon,
    /// The supervisor alone.
    Supervisor,
    /// The first process of a task that runs.
    Task,
    /// The daemon and the supervisor.
    DaemonAndSupervisor,
    /// Both, and every process of every task.
    Everything,
}

/// When something is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// So long after the request was sent that submits the batch, whether or not it is answered by then.
    Submitting(Duration),
    /// So long after the batch was accepted, or after the recovery from the blow before.
    After(Duration),
    /// So long after the first compensation began.
    RollingBack(Duration),
}

impl Target {
    /// Every target, in the order that it is told in.
    pub(super) const ALL: [Self; 5] =
        [Self::Daemon, Self::Supervisor, Self::Task, Self::DaemonAndSupervisor, Self::Everything];

    /// Whether the daemon is hit.
    pub(super) const fn hits_daemon(self) -> bool {
        matches!(self, Self::Daemon | Self::DaemonAndSupervisor | Self::Everything)
    }

    fn roll(dice: &mut Dice) -> Self {
        match dice.between(1, 100) {
            1..=55 => Self::Daemon,
            56..=67 => Self::Supervisor,
            68..=77 => Self::Task,
            78..=90 => Self::DaemonAndSupervisor,
            _ => Self::Everything,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Daemon => "the daemon",
            Self::Supervisor => "the supervisor",
            Self::Task => "a task",
            Self::DaemonAndSupervisor => "the daemon and the supervisor",
            Self::Everything => "the daemon, the supervisor and every task",
        })
    }
}

impl Plan {
    /// The plan of a round.
    pub(super) fn of_round(seed: u64, round: u32) -> Self {
        let mut dice = Dice::of_round(seed, round);
        let mut operations: Vec<Operation> = GRAPH.iter().map(|node| Operation::roll(node, &mut dice)).collect();
        let fails = dice.percent(35);
        if fails {
            let failing = usize::try_from(dice.between(1, GRAPH.len() as u64 - 1)).unwrap_or(1);
            operations[failing].fails = operations[failing].max_attempts;
        }
        let rollback = dice.percent(85);
        let (parallel_limit, undoes) = (dice.between(2, 5), fails && rollback);
        let blows = blows(&mut dice, undoes);
        Self { name: format!("selftest-{round:06}"), operations, rollback, parallel_limit, blows }
    }

    /// The operation of this id.
    pub(super) fn operation(&self, id: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.id == id)
    }

    /// Whether `later` depends on `earlier`, directly or through others.
    pub(super) fn depends(&self, later: &str, earlier: &str) -> bool {
        let dependencies = self.operation(later).map_or(&[][..], |operation| operation.dependencies);
        dependencies.iter().any(|dependency| *dependency == earlier || self.depends(dependency, earlier))
    }

    /// The batch to submit, whose operations write to this ledger.
    pub(super) fn batch(&self, ledger: &Path) -> Value {
        let operations: Vec<Value> = self.operations.iter().map(|operation| operation.wire(ledger)).collect();
        json!({
            "name": self.name,
            "infra": "selftest",
            "rollback_enabled": self.rollback,
            "parallel_limit": self.parallel_limit,
            "operations": operations,
        })
    }
}

impl Operation {
    fn roll((id, dependencies): &Node, dice: &mut Dice) -> Self {
        let max_attempts = if dice.percent(50) { 2 } else { 1 };
        let is_flaky = max_attempts > 1 && dice.percent(20);
        let mut takes = || Duration::from_millis(dice.between(SHORTEST, LONGEST));
        let (takes, undo_takes) = (takes(), takes());
        Self { id, dependencies, max_attempts, fails: u32::from(is_flaky), takes, undo_takes }
    }

    fn wire(&self, ledger: &Path) -> Value {
        let args = |direction: &str, takes: Duration, fails: u32| {
            let (ledger, takes) = (ledger.display().to_string(), format!("{:.3}", takes.as_secs_f64()));
            json!(["-c", SCRIPT, "sh", ledger, direction, self.id, takes, fails.to_string()])
        };
        json!({
            "id": self.id,
            "type": "command",
            "command": "sh",
            "args": args("do", self.takes, self.fails),
            "dependencies": self.dependencies,
            "retry": { "max_attempts": self.max_attempts, "initial_delay_seconds": 0, "max_delay_seconds": 0 },
            "rollback": { "command": "sh", "args": args("undo", self.undo_takes, 0) },
        })
    }
}

fn blows(dice: &mut Dice, undoes: bool) -> Vec<Blow> {
    let way = DEPTH * (START + u64::midpoint(SHORTEST, LONGEST));
    let target = Target::roll(dice);
    let moment = match dice.between(1, 100) {
        1..=10 if target == Target::Daemon => Moment::Submitting(Duration::from_micros(dice.between(0, 12_000))),
        11..=60 if undoes => Moment::RollingBack(Duration::from_millis(dice.between(0, way))),
        _ => Moment::After(Duration::from_millis(dice.between(0, way))),
    };
    let again_after = (target.hits_daemon() && dice.percent(12)).then(|| Duration::from_millis(dice.between(0, 120)));
    let mut blows = vec![Blow { target, moment, again_after }];
    if dice.percent(20) {
        let moment = Moment::After(Duration::from_millis(dice.between(0, way)));
        blows.push(Blow { target: Target::roll(dice), moment, again_after: None });
    }
    blows
}

#[cfg(test)]
impl Plan {
    /// The diamond alone, of operations that have so many attempts and don't fail.
    pub(super) fn diamond(rollback: bool, max_attempts: u32) -> Self {
        let takes = Duration::ZERO;
        let operation = |(id, dependencies): &Node| Operation {
            id,
            dependencies,
            max_attempts,
            fails: 0,
            takes,
            undo_takes: takes,
        };
        let operations = GRAPH[..4].iter().map(operation).collect();
        Self { name: "diamond".to_owned(), operations, rollback, parallel_limit: 4, blows: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::batch::BatchRequest;

    #[test]
    fn every_round_is_a_batch_that_the_daemon_takes() {
        for round in 1..=200 {
            let plan = Plan::of_round(1, round);
            let request = BatchRequest::read(&plan.batch(Path::new("/ledger"))).unwrap();
            assert_eq!(request.spec.operations.len(), plan.operations.len());
        }
    }

    #[test]
    fn two_hundred_rounds_meet_every_kind_of_blow() {
        let blows: Vec<Blow> = (1..=200).flat_map(|round| Plan::of_round(1, round).blows).collect();
        for target in Target::ALL {
            assert!(blows.iter().filter(|blow| blow.target == target).count() >= 5, "{target}");
        }
        assert!(blows.iter().any(|blow| matches!(blow.moment, Moment::Submitting(_))));
        assert!(blows.iter().filter(|blow| matches!(blow.moment, Moment::RollingBack(_))).count() >= 10);
        assert!(blows.iter().any(|blow| blow.again_after.is_some()));
        assert!(blows.len() > 210, "some rounds have two");
    }

    #[test]
    fn what_depends_on_what_reaches_through() {
        let plan = Plan::of_round(1, 1);
        assert!(plan.depends("chain-4", "chain-1") && plan.depends("diamond-end", "diamond-start"));
        assert!(!plan.depends("chain-1", "chain-4") && !plan.depends("chain-2", "diamond-start"));
    }
}

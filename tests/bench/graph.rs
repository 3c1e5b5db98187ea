//! A batch of 100,000 operations, three dependencies each, against one of 1,000: what an operation costs to admit through the
//! API, to carry through the engine, and to carry through the scheduler's driver with all that is written on the way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use prov::api::batch::BatchRequest;
use prov::engine::{Command, Engine, Inputs, Outcome, Phase, Shape};
use prov::model::id::{TaskId, WorkId};
use prov::model::status::BatchStatus;
use prov::model::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::driving;
use super::load::{Connection, Request};
use super::measure::{Spread, memory, timed};
use super::support::{Daemon, run};
use super::table::{Reach, Table};

const LARGE: usize = 100_000;
const SMALL: usize = 1000;
const PAIRS: usize = 3;
/// Small batches for each large one.
const SMALL_RUNS: usize = 10;
const DEPENDENCIES: usize = 3;
const PARALLEL: usize = 8;
const NOW: Timestamp = Timestamp(1_790_000_000_000);

pub fn bench(table: &mut Table) {
    let (large, small) = (graph(LARGE), graph(SMALL));
    let admission = admission(table, &large, &small);
    let [large, small] = [large, small].map(|body| BatchRequest::read(&body).unwrap());
    let driver = in_turn(driving::through, &large, &small);
    let [large, small] = [large, small].map(|request| Arc::new(Shape::of(&request.spec)));
    let engine = in_turn(through_engine, &large, &small);
    admission.and(&driver).show(
        table,
        "an operation of a batch of 100,000: admission and scheduling",
        Reach::AtMost(1.5),
    );
    admission.show(table, "  its admission, to the answer", Reach::Shown);
    driver.show(table, "  its way through the driver", Reach::Shown);
    engine.show(table, "  of that, the engine alone", Reach::Shown);
    table.remark(
        "what a large batch costs more in the engine is memory that no cache holds: the number of steps is the same",
    );
}

fn in_turn<T>(through: impl Fn(&T) -> Duration, large: &T, small: &T) -> Costs {
    let mut costs = Costs::default();
    for _ in 0..PAIRS {
        costs.large.push(microseconds(through(large), LARGE));
        let took: Duration = (0..SMALL_RUNS).map(|_| through(small)).sum();
        costs.small.push(microseconds(took, SMALL * SMALL_RUNS));
    }
    costs
}

/// What an operation costs, in microseconds.
#[derive(Default)]
struct Costs {
    large: Vec<f64>,
    small: Vec<f64>,
}

impl Costs {
    /// Both together, run by run.
    fn and(&self, other: &Self) -> Self {
        let sums = |one: &[f64], two: &[f64]| one.iter().zip(two).map(|(one, two)| one + two).collect();
        Self { large: sums(&self.large, &other.large), small: sums(&self.small, &other.small) }
    }

    fn show(&self, table: &mut Table, what: &str, reach: Reach) {
        let ratio = Spread::of(self.large.iter().zip(&self.small).map(|(large, small)| large / small));
        table.line(what, "of a batch of 1,000", &ratio, "×", reach);
        table.line("    its cost", "", &Spread::of(self.large.clone()), "µs", Reach::Shown);
    }
}

/// A batch whose operations depend on three others at most, chosen by a fixed sequence that looks random.
fn graph(count: usize) -> Value {
    let mut random = 42u64;
    let mut below = |end: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % end
    };
    let mut operation = |n: usize| {
        let mut others: Vec<usize> = (0..DEPENDENCIES.min(n)).map(|_| below(n)).collect();
        others.sort_unstable();
        others.dedup();
        let dependencies: Vec<String> = others.iter().map(|other| format!("o{other}")).collect();
        json!({ "id": format!("o{n}"), "type": "command", "command": "true", "dependencies": dependencies })
    };
    let operations: Vec<Value> = (0..count).map(&mut operation).collect();
    json!({ "name": "graph", "parallel_limit": PARALLEL, "operations": operations })
}

#[allow(clippy::cast_precision_loss)]
fn microseconds(took: Duration, operations: usize) -> f64 {
    took.as_secs_f64() * 1e6 / operations as f64
}

/// From the submission to the answer, which names every operation; by daemons that start none.
fn admission(table: &mut Table, large: &Value, small: &Value) -> Costs {
    let mut costs = Costs::default();
    let (mut waiting, mut most) = (Vec::new(), Vec::new());
    run(async {
        for _ in 0..PAIRS {
            let daemon = Daemon::start(&["--max-parallel", "0"]).await;
            let mut connection = Connection::to(&daemon).await;
            let request = Request::post(&daemon, "/batch/execute", large);
            costs.large.push(microseconds(connection.send(&request).await.0, LARGE));
            waiting.push(memory(daemon.pid(), "VmRSS"));
            most.push(memory(daemon.pid(), "VmHWM"));
            let request = Request::post(&daemon, "/batch/execute", small);
            let mut took = Duration::ZERO;
            for _ in 0..SMALL_RUNS {
                took += connection.send(&request).await.0;
            }
            costs.small.push(microseconds(took, SMALL * SMALL_RUNS));
        }
    });
    let what = "memory with 100,000 waiting operations";
    table.line(what, "", &Spread::of(waiting), "MB", Reach::AtMost(400.0));
    table.line("  the most it was while they were admitted", "", &Spread::of(most), "MB", Reach::Shown);
    costs
}

/// Carries a batch from its acceptance to its end, every event committed at once.
fn through_engine(shape: &Arc<Shape>) -> Duration {
    let id = WorkId(Uuid::from_u128(1));
    let mut tasks = 0;
    let mut new_task = || {
        tasks += 1;
        TaskId(Uuid::from_u128(tasks))
    };
    let mut inputs = Inputs { now: NOW, new_task: &mut new_task };
    let (engine, took) = timed(|| {
        let mut engine = Engine::new(PARALLEL);
        let step = engine.accept(id, Arc::clone(shape), &mut inputs);
        step.events.iter().for_each(|event| engine.committed(id, event));
        let mut running = VecDeque::new();
        loop {
            while let Some(attempt) = engine.next_launch() {
                running.push_back(attempt);
            }
            let Some(attempt) = running.pop_front() else { break };
            let (operation, attempt) = (attempt.operation, attempt.attempt);
            let started = Command::Started { operation, attempt, at: NOW };
            let exited = Command::Exited { operation, attempt, at: NOW, outcome: Outcome::Success };
            for command in [started, exited] {
                let step = engine.handle(id, &command, &mut inputs).unwrap();
                step.events.iter().for_each(|event| engine.committed(id, event));
            }
        }
        engine
    });
    assert_eq!(engine.work(id).unwrap().phase, Phase::Ended(BatchStatus::Completed));
    took
}

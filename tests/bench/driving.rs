//! The scheduler's driver without a daemon around it: what it decides is carried out at once, and what it writes is let go.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use prov::api::batch::BatchRequest;
use prov::engine::Outcome;
use prov::exec::wire::Request;
use prov::exec::{Key, Places};
use prov::model::batch::BatchSpec;
use prov::model::id::{BatchId, WorkId};
use prov::model::status::{BatchStatus, OperationStatus};
use prov::model::time::Timestamp;
use prov::scheduler::command::Program;
use prov::scheduler::driver::{Driver, Effect};
use prov::scheduler::recover::Before;
use prov::scheduler::report::{Happening, Told};
use prov::scheduler::{Config, Rows, Submission};
use prov::store::record::{BatchRecord, OperationRecord, WorkKind, WorkRecord};
use uuid::Uuid;

use super::measure::timed;

const NOW: Timestamp = Timestamp(1_790_000_000_000);

/// How long the driver takes to carry a batch from its submission to its end.
pub fn through(request: &BatchRequest) -> Duration {
    let mut ids = 0;
    let next_id = move || {
        ids += 1;
        Uuid::from_u128(ids)
    };
    let limit = request.spec.parallel_limit as usize;
    let supervisor = Told::Connected { connection: 1, known: Vec::new(), now: NOW };
    let before = Before { epoch: 1, live: Vec::new(), supervisor };
    let mut driver = Driver::take_up(config(limit), before, Box::new(next_id), NOW);
    let submission = submission(request.spec.clone());
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let mut running: VecDeque<Key> = VecDeque::new();
    let ((), took) = timed(|| {
        driver.submit(submission, reply, NOW);
        loop {
            driver.settle(NOW);
            let effects = driver.take_effects();
            if effects.is_empty() && running.is_empty() {
                break;
            }
            for effect in effects {
                match effect {
                    Effect::Commit(ticket, _) => driver.committed(ticket, Ok(()), NOW),
                    Effect::Tell(_, Request::Spawn(spawn)) => running.push_back(spawn.key),
                    Effect::Tell(..) | Effect::Announce => {}
                }
            }
            for key in running.drain(..) {
                driver.hear(Told::Happened(Happening::Started { key, at: NOW }), NOW);
                let (outcome, code, output) = (Outcome::Success, Some(0), Some(String::new()));
                let exited = Happening::Exited { key, at: NOW, outcome, code, output, ended: 0 };
                driver.hear(Told::Happened(exited), NOW);
            }
        }
    });
    took
}

fn config(max_parallel: usize) -> Config {
    let places = Places { directory: PathBuf::from("/nowhere"), logs: PathBuf::from("/nowhere"), log_limit: 0 };
    let program = Program { path: PathBuf::from("/bin/true") };
    Config { max_parallel, program, workspace: PathBuf::from("/"), places, grace: Duration::from_secs(1) }
}

fn submission(spec: BatchSpec) -> Submission {
    let id = BatchId(Uuid::from_u128(u128::MAX));
    let operation = |(index, operation): (usize, &prov::model::batch::Operation)| OperationRecord {
        batch: id,
        index: u32::try_from(index).unwrap(),
        id: operation.id.clone(),
        kind: operation.payload.kind().to_owned(),
        provider: operation.provider.clone(),
        status: OperationStatus::Pending,
        task: None,
        undo_task: None,
        attempt: 0,
        max_attempts: operation.retry.max_attempts,
        started_at: None,
        completed_at: None,
        error: None,
    };
    let operations: Vec<OperationRecord> = spec.operations.iter().enumerate().map(operation).collect();
    let batch = BatchRecord {
        id,
        name: spec.name.clone(),
        version: spec.version.clone(),
        status: BatchStatus::Pending,
        infra: spec.infra.clone(),
        parallel_limit: spec.parallel_limit,
        rollback_enabled: spec.rollback_enabled,
        total: u32::try_from(operations.len()).unwrap(),
        completed: 0,
        created_at: NOW,
        started_at: None,
        completed_at: None,
        cancel_requested: false,
        error: None,
        left: Vec::new(),
        warnings: Vec::new(),
        submitted_by: "bench".to_owned(),
    };
    let work = WorkRecord { kind: WorkKind::Batch { spec }, submitted_by: "bench".to_owned(), created_at: NOW };
    Submission { id: WorkId::from(id), work, rows: Rows::Batch(Box::new(batch), operations), remember: None }
}

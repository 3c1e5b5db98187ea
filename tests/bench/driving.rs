//! The scheduler's driver without a daemon around it: what it decides is carried out at once, and what it writes is let go.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use prov::api::batch::BatchRequest;
use prov::engine::Outcome;
use prov::exec::wire::Request;
use prov::exec::{Key, Places};
use prov::model::id::BatchId;
use prov::model::rehearsal::ProviderMode;
use prov::model::time::Timestamp;
use prov::scheduler::command::Program;
use prov::scheduler::driver::{Driver, Effect};
use prov::scheduler::recover::Before;
use prov::scheduler::report::{Happening, Told};
use prov::scheduler::{Config, Submission};
use prov::store::Store;
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
    let id = BatchId(Uuid::from_u128(u128::MAX));
    let submission = Submission::batch(id, request.spec.clone(), Vec::new(), "bench", NOW);
    let (reply, _answer) = tokio::sync::oneshot::channel();
    let store = Store::in_memory().expect("an empty store");
    let mut running: VecDeque<Key> = VecDeque::new();
    let ((), took) = timed(|| {
        driver.submit(submission, store.reads(), reply, NOW);
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
    let program = Program { path: PathBuf::from("/bin/true"), mode: ProviderMode::Live };
    let (workspace, grace) = (PathBuf::from("/"), Duration::from_secs(1));
    Config { max_parallel, program, workspace, places, grace, checkpoint_every: 5 }
}

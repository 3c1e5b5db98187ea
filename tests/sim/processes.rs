//! The supervisor without processes: it answers requests as the real one does, and survives the daemon.

use std::collections::BTreeMap;
use std::time::Duration;

use prov::engine::{Direction, Outcome};
use prov::exec::wire::Request;
use prov::exec::{Key, Spawn};
use prov::model::id::BatchId;
use prov::model::time::Timestamp;
use prov::scheduler::report::{Happening, Told};

use super::ledger::{Check, Ledger, What};
use super::plan::UNDO;

/// What runs, and what is kept until the daemon has it.
#[derive(Debug, Default)]
pub struct Supervisor {
    running: BTreeMap<Key, Process>,
    results: BTreeMap<Key, Vec<Happening>>,
    /// The next starts are refused, for a while (`true`) or for good.
    refusals: Vec<bool>,
}

/// How far the supervisor's clock is ahead of the daemon's.
const AHEAD: Duration = Duration::from_hours(1);
/// How long an operation may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The exit status of a check that found something to change.
const CHANGES: i32 = 3;

#[derive(Debug)]
struct Process {
    what: What,
    since: Timestamp,
    /// It was asked to end.
    ending: bool,
}

impl Supervisor {
    /// Carries out a request; what the daemon is told of it.
    pub fn take(&mut self, request: Request, now: Timestamp, ledger: &mut Ledger) -> Result<Vec<Happening>, String> {
        match request {
            Request::Spawn(spawn) => self.spawn(&spawn, now, ledger),
            Request::End { key, .. } => {
                if let Some(process) = self.running.get_mut(&key) {
                    process.ending = true;
                    let is_rolled_back = process.what.direction == Direction::Undo && !process.what.is_proof;
                    if is_rolled_back && now < process.since.plus(TIMEOUT) {
                        return Err(format!("the compensation {:?} is ended before its time is up", process.what));
                    }
                }
                Ok(Vec::new())
            }
            Request::Forget { key } => {
                self.results.remove(&key);
                Ok(Vec::new())
            }
            Request::Retire => Ok(Vec::new()),
        }
    }

    fn spawn(&mut self, spawn: &Spawn, now: Timestamp, ledger: &mut Ledger) -> Result<Vec<Happening>, String> {
        let key = spawn.key;
        if self.running.contains_key(&key) || self.results.contains_key(&key) {
            return Ok(Vec::new());
        }
        if let Some(transient) = self.refusals.pop() {
            return Ok(vec![Happening::Refused { key, transient, at: now, error: "no".to_owned() }]);
        }
        let what = what(spawn);
        ledger.begins(what, key)?;
        self.running.insert(key, Process { what, since: now, ending: false });
        Ok(vec![Happening::Started { key, at: now }])
    }

    /// The next start is refused.
    pub fn refuse(&mut self, transient: bool) {
        self.refusals.push(transient);
    }

    /// Nothing is refused any more.
    pub fn calm(&mut self) {
        self.refusals.clear();
    }

    /// One of what runs ends; one that was asked to end does so, unless it was about to succeed anyway.
    pub fn end_one(
        &mut self,
        pick: usize,
        success: bool,
        now: Timestamp,
        ledger: &mut Ledger,
    ) -> Result<Vec<Happening>, String> {
        let Some(key) = self.running.keys().nth(pick % self.running.len().max(1)).copied() else {
            return Ok(Vec::new());
        };
        let Some(process) = self.running.remove(&key) else { return Ok(Vec::new()) };
        let outcome = match (process.ending, success) {
            (true, _) if pick % 4 != 1 => Outcome::Ended("ended by SIGTERM".to_owned()),
            (_, true) => Outcome::Success,
            (_, false) => Outcome::Failure("exit status 1".to_owned()),
        };
        ledger.ends(process.what, key, outcome == Outcome::Success)?;
        let (code, output) = (Some(CHANGES).filter(|_| process.what.is_proof), None);
        let exited = Happening::Exited { key, at: now, outcome, code, output, ended: 0 };
        self.results.insert(key, vec![Happening::Started { key, at: process.since }, exited.clone()]);
        Ok(vec![exited])
    }

    /// It is killed with all that runs; the next one tells what is known.
    pub fn die(&mut self, now: Timestamp, ledger: &mut Ledger) -> Check {
        for (key, process) in std::mem::take(&mut self.running) {
            ledger.ends(process.what, key, false)?;
            let outcome = Outcome::Lost("the supervisor was killed".to_owned());
            let lost = Happening::Exited { key, at: now, outcome, code: None, output: None, ended: 0 };
            self.results.insert(key, vec![Happening::Started { key, at: process.since }, lost]);
        }
        Ok(())
    }

    /// What a daemon that connects is told, in times of the supervisor's own clock.
    pub fn greet(&self, connection: u64, now: Timestamp) -> Told {
        let running = self.running.iter().map(|(key, process)| Happening::Started { key: *key, at: process.since });
        let known = self.results.values().flatten().cloned().chain(running);
        let known = known.map(|happening| happening.moved(|at| at.plus(AHEAD))).collect();
        Told::Connected { connection, known, now: now.plus(AHEAD) }
    }

    /// Whether anything runs.
    pub fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// Results that nobody said he has.
    pub fn unforgotten(&self) -> usize {
        self.results.len()
    }
}

/// What a process is for, as it can see itself.
fn what(spawn: &Spawn) -> What {
    let variable = |name: &str| spawn.env.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    let batch: BatchId = variable("PROV_BATCH_ID").unwrap().parse().unwrap();
    let operation = variable("PROV_OPERATION_ID").unwrap().trim_start_matches('o').parse().unwrap();
    let undoes = spawn.program == UNDO || spawn.args.iter().any(|arg| arg == "delete");
    let is_proof = spawn.args.iter().any(|arg| arg == "--check");
    What { batch, operation, direction: if undoes { Direction::Undo } else { Direction::Do }, is_proof }
}

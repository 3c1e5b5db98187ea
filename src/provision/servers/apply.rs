//! Carrying out a plan: several servers at once, each under its lock, and every one accounted for.
//!
//! Each step is idempotent, so a plan that was cut short is carried on by planning and applying again. Before anything
//! is destroyed the server is looked at once more, under its lock: what somebody made anew meanwhile stays.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::{Done, Failure, Outcome, Servers, ServersError};
use crate::provision::error::chain;
use crate::provision::lock::{LockError, ServerLocks};
use crate::provision::plan::{Action, Change, Changes};
use crate::provision::provider::{Provider, ProviderError, Server, ServerSpec, ServerState};

/// How a plan is carried out.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Servers at once.
    pub parallel: usize,
    /// Whether to wait until commands can run in each server, and how long.
    pub ready_within: Option<Duration>,
    /// Whether to try the other servers after one has failed.
    pub keep_going: bool,
}

impl Options {
    /// Servers that are worked on at once where nobody says.
    pub const DEFAULT_PARALLEL: usize = 8;
    /// How long a server may take to be ready.
    pub const READY_WITHIN: Duration = Duration::from_mins(5);
}

impl Default for Options {
    fn default() -> Self {
        Self { parallel: Self::DEFAULT_PARALLEL, ready_within: None, keep_going: false }
    }
}

/// Why one server could not be done.
#[derive(Debug, thiserror::Error)]
enum WorkError {
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("it has changed since the plan was made; plan again")]
    Changed,
}

/// What came of one change: the server, if it is there now.
type Work = Result<Option<Server>, WorkError>;

/// What became of each change of a plan, by its position.
struct Progress<'c> {
    changes: Vec<&'c Change>,
    next: AtomicUsize,
    ended: AtomicUsize,
    stop: AtomicBool,
    results: Mutex<Vec<Option<Work>>>,
}

impl Servers<'_> {
    /// Carries out `changes`.
    ///
    /// # Errors
    /// [`ServersError::Incomplete`] with what was done, what failed and what was not tried.
    pub fn apply(&self, changes: &Changes, options: &Options) -> Result<Outcome, ServersError> {
        let changes: Vec<&Change> = changes.changes.iter().filter(|change| change.action != Action::Leave).collect();
        let results = Mutex::new(changes.iter().map(|_| None).collect());
        let progress = Progress {
            changes,
            next: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            results,
        };
        let workers = options.parallel.clamp(1, progress.changes.len().max(1));
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| self.work(&progress, options));
            }
        });
        let outcome = progress.outcome();
        for note in outcome.notes() {
            self.reporter.say(&format!("note: {note}"));
        }
        if outcome.failed.is_empty() { Ok(outcome) } else { Err(ServersError::Incomplete(Box::new(outcome))) }
    }

    /// Takes one change after the other until none is left.
    fn work(&self, progress: &Progress<'_>, options: &Options) {
        while !progress.stop.load(Ordering::Acquire) {
            let position = progress.next.fetch_add(1, Ordering::Relaxed);
            let Some(change) = progress.changes.get(position) else { return };
            let result = self.carry_out(change, options);
            if result.is_err() && !options.keep_going {
                progress.stop.store(true, Ordering::Release);
            }
            let ended = progress.ended.fetch_add(1, Ordering::Relaxed) + 1;
            let (action, server, total) = (change.action, &change.server, progress.changes.len());
            match &result {
                Ok(_) if action.is_change() => {
                    self.reporter.progress(ended, total, &format!("{action} {server}: done"));
                }
                Ok(_) => self.reporter.advance(ended, total, &format!("{server}: as declared")),
                Err(error) => {
                    let step = format!("{action} {server}: failed: {}", chain(error));
                    self.reporter.progress(ended, total, &step);
                }
            }
            progress.results.lock().unwrap_or_else(PoisonError::into_inner)[position] = Some(result);
        }
    }

    fn carry_out(&self, change: &Change, options: &Options) -> Work {
        let _lock = ServerLocks::acquire(self.workspace, &self.infra, [&change.server], self.reporter)?;
        if change.action.is_change() {
            let detail = format!("{}, {}", change.plan, change.provider);
            self.reporter.step(&format!("{} {} ({detail})", change.action, change.server));
        }
        let provider = self.provider(&change.provider)?;
        let server = match (change.action, &change.wanted, &change.actual) {
            (Action::Create, Some(wanted), _) => provider.create(wanted)?,
            // As it was made: that somebody else wants it now doesn't make it somebody else's.
            (Action::Start, _, Some(actual)) => provider.create(&actual.spec)?,
            (Action::Update, Some(wanted), _) => {
                let server = provider.relabel(&self.infra, &wanted.name, &wanted.labels)?;
                // It may have stopped, or never have been made to the end.
                if server.state == ServerState::Running { server } else { provider.create(&server.spec)? }
            }
            (Action::Replace, Some(wanted), Some(actual)) => self.replace(actual, provider, wanted)?,
            (Action::Keep, _, Some(actual)) => actual.clone(),
            (Action::Delete, _, Some(actual)) => {
                self.delete(actual)?;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        match options.ready_within {
            Some(limit) => Ok(Some(provider.wait_ready(&self.infra, &server.spec.name, limit)?)),
            None => Ok(Some(server)),
        }
    }

    fn replace(&self, actual: &Server, provider: &dyn Provider, wanted: &ServerSpec) -> Result<Server, WorkError> {
        self.delete(actual)?;
        Ok(provider.create(wanted)?)
    }

    /// Deletes `actual`, if it is still that one.
    fn delete(&self, actual: &Server) -> Result<(), WorkError> {
        let provider = self.provider(&actual.provider)?;
        if actual.stray {
            return Ok(provider.delete_stray(actual)?);
        }
        let now = provider.list(&self.infra)?.into_iter().find(|server| server.spec.name == actual.spec.name);
        match now {
            Some(now) if is_another(&now, actual) => Err(WorkError::Changed),
            // Absent as well: what is left of it that no list shows goes.
            _ => Ok(provider.delete(&self.infra, &actual.spec.name)?),
        }
    }
}

/// Whether a server was made anew since it was looked at. One that was ordered and not yet seen has no id until then.
fn is_another(now: &Server, then: &Server) -> bool {
    (!then.id.is_empty() && now.id != then.id) || now.spec != then.spec
}

impl Progress<'_> {
    fn outcome(self) -> Outcome {
        let mut outcome = Outcome::default();
        let results = self.results.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (change, result) in self.changes.into_iter().zip(results) {
            let (action, server) = (change.action, change.server.clone());
            match result {
                None => outcome.untried.push((action, server)),
                Some(Ok(made)) => outcome.done.push(Done { action, name: server, server: made }),
                Some(Err(error)) => {
                    let hint = if let WorkError::Provider(error) = &error { error.hint() } else { None };
                    outcome.failed.push(Failure { action, server, why: chain(&error), hint });
                }
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, Sample, wanted};
    use super::*;
    use crate::provision::plan::Others;

    fn options() -> Options {
        Options { parallel: 4, ready_within: Some(Duration::from_secs(1)), keep_going: false }
    }

    #[test]
    fn what_is_wanted_is_made_once() {
        let sample = Sample::new(Fake::default());
        let servers = sample.servers();
        let wants = [wanted("a", 1), wanted("b", 1), wanted("c", 1)];
        let outcome = servers.apply(&servers.plan(&wants, Others::Leave).unwrap(), &options()).unwrap();
        assert_eq!(outcome.sentence(), "Successfully created 3 servers");
        assert!(outcome.servers().iter().all(|server| server.state == ServerState::Running));
        let again = servers.apply(&servers.plan(&wants, Others::Leave).unwrap(), &options()).unwrap();
        assert_eq!(again.sentence(), "Nothing to do: 3 servers are as declared");
        assert_eq!(sample.fake().created(), ["a", "b", "c"]);
    }

    #[test]
    fn a_failure_is_told_with_what_was_made_and_what_was_not_tried() {
        let sample = Sample::new(Fake::default().failing("b"));
        let servers = sample.servers();
        let wants = [wanted("a", 1), wanted("b", 1), wanted("c", 1)];
        let one_by_one = Options { parallel: 1, ..options() };
        let error = servers.apply(&servers.plan(&wants, Others::Leave).unwrap(), &one_by_one).unwrap_err();
        let expected = "1 server failed:\n  b: can't create: making it failed: no room\ncreated: a\nnot tried: c";
        assert_eq!(error.to_string(), expected);
        assert_eq!(sample.fake().created(), ["a"]);
        // The second run carries on where the first was cut short.
        sample.fake().heal();
        let outcome = servers.apply(&servers.plan(&wants, Others::Leave).unwrap(), &one_by_one).unwrap();
        assert_eq!(outcome.sentence(), "Successfully created 2 servers, kept 1");
    }

    #[test]
    fn deleting_goes_on_after_a_failure() {
        let sample = Sample::new(Fake::default());
        let servers = sample.servers();
        let wants = [wanted("a", 1), wanted("b", 1), wanted("c", 1)];
        servers.apply(&servers.plan(&wants, Others::Leave).unwrap(), &options()).unwrap();
        sample.fake().fail("a");
        let changes = Changes::deleting(&sample.infra, &servers.list().unwrap(), |_| true);
        let error = servers.apply(&changes, &Options { parallel: 1, keep_going: true, ..options() }).unwrap_err();
        let expected = "1 server failed:\n  a: can't delete: deleting it failed: no room\ndeleted: b, c";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_server_that_differs_is_replaced_and_one_that_stopped_is_started() {
        let sample = Sample::new(Fake::default());
        let servers = sample.servers();
        servers.apply(&servers.plan(&[wanted("a", 1), wanted("b", 1)], Others::Leave).unwrap(), &options()).unwrap();
        sample.fake().stop("b");
        let outcome =
            servers.apply(&servers.plan(&[wanted("a", 2), wanted("b", 1)], Others::Leave).unwrap(), &options());
        assert_eq!(outcome.unwrap().sentence(), "Successfully started 1 server, replaced 1");
        let plans: Vec<u32> = servers.list().unwrap().iter().map(|server| server.spec.plan.cpus).collect();
        assert_eq!(plans, [2, 1]);
    }

    #[test]
    fn other_labels_are_put_on_the_server_that_is_there() {
        let sample = Sample::new(Fake::default());
        let servers = sample.servers();
        servers.apply(&servers.plan(&[wanted("a", 1)], Others::Leave).unwrap(), &options()).unwrap();
        sample.fake().stop("a");
        let mut labelled = wanted("a", 1);
        labelled.spec.labels.insert("team".to_owned(), "x".to_owned());
        let wants = [labelled];
        let outcome = servers.apply(&servers.plan(&wants, Others::Leave).unwrap(), &options()).unwrap();
        assert_eq!(outcome.sentence(), "Successfully updated 1 server");
        assert_eq!(sample.fake().created(), ["a"], "it was not made anew");
        assert!(!servers.plan(&wants, Others::Leave).unwrap().any());
    }

    #[test]
    fn what_was_made_anew_since_the_plan_is_not_deleted() {
        let sample = Sample::new(Fake::default());
        let servers = sample.servers();
        servers.apply(&servers.plan(&[wanted("a", 1)], Others::Leave).unwrap(), &options()).unwrap();
        let changes = Changes::deleting(&sample.infra, &servers.list().unwrap(), |_| true);
        let fake = sample.fake();
        fake.delete(&sample.infra, &changes.changes[0].server).unwrap();
        fake.create(&wanted("a", 2).spec).unwrap();
        let error = servers.apply(&changes, &options()).unwrap_err().to_string();
        assert!(error.contains("it has changed since the plan was made"), "{error}");
        assert_eq!(servers.list().unwrap().len(), 1);
        // What is gone already counts as deleted.
        fake.delete(&sample.infra, &changes.changes[0].server).unwrap();
        assert_eq!(servers.apply(&changes, &options()).unwrap().sentence(), "Successfully deleted 1 server");
    }

    /// Between the plan and its turn, a machine whose order was cut short comes into its provider's lists.
    #[test]
    fn what_was_ordered_and_is_listed_only_now_is_deleted() {
        let sample = Sample::new(Fake::default());
        let servers = sample.servers();
        servers.apply(&servers.plan(&[wanted("a", 1)], Others::Leave).unwrap(), &options()).unwrap();
        let mut ordered = servers.list().unwrap();
        ordered[0].id.clear();
        let changes = Changes::deleting(&sample.infra, &ordered, |_| true);
        assert_eq!(servers.apply(&changes, &options()).unwrap().sentence(), "Successfully deleted 1 server");
        assert!(servers.list().unwrap().is_empty());
    }

    #[test]
    fn a_provider_that_cannot_be_asked_hides_nothing_of_the_others() {
        let sample = Sample::new(Fake::default());
        let mut servers = sample.servers();
        servers.apply(&servers.plan(&[wanted("a", 1)], Others::Leave).unwrap(), &options()).unwrap();
        servers.providers.insert("another".to_owned(), Box::new(Fake::default().failing("list")));
        let mut seen = servers.seen();
        let (failures, there) = (std::mem::take(&mut seen.unasked), seen.all());
        assert_eq!(there.iter().map(|server| server.spec.name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].to_string(), "can't list the servers of i at another");
        assert!(servers.all().is_err(), "whoever decides by what there is needs to know all");
    }

    #[test]
    fn what_a_provider_would_refuse_is_found_before_anything_is_made() {
        let sample = Sample::new(Fake::default());
        let servers = sample.servers();
        let mut bad = wanted("b", 1);
        bad.spec.extra.insert("wheels".to_owned(), 4.into());
        let error = servers.validate(&[wanted("a", 1), bad.clone(), bad]).unwrap_err();
        assert_eq!(error.to_string(), "2 servers are wrong:\n  b: unknown field wheels\n  b: unknown field wheels");
        assert!(error.is_invalid());
    }
}

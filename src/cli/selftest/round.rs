//! One round: submit, kill, start again, wait for the end, and gather what is known.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::check::{Evidence, Harm};
use super::dice::Dice;
use super::ledger::Ledger;
use super::plan::{Blow, Moment, Plan, Target};
use crate::api::batch::{BatchQuery, BatchView};
use crate::api::list::Page;
use crate::api::task::{Task, TaskFilter, TaskQuery};
use crate::cli::connect::failure;
use crate::cli::error::CliError;
use crate::cli::own_daemon::OwnDaemon;
use crate::cli::processes::Process;
use crate::client::{Client, Servers};
use crate::model::id::BatchId;

/// How long a batch may take to end.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often the batch is looked at.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long something to kill, or the begin of a rollback, is waited for.
const CHANCE: Duration = Duration::from_secs(2);
/// How long what was killed may take to vanish.
const VANISHING: Duration = Duration::from_secs(5);

/// The daemon and a client that is logged in to it.
pub(super) struct Link<'o> {
    /// The daemon.
    pub(super) own: &'o mut OwnDaemon,
    /// A client of its present life.
    pub(super) client: Client,
    token: String,
    renew_at: Instant,
}

impl<'o> Link<'o> {
    /// Starts the daemon for the first time and logs in.
    pub(super) async fn open(own: &'o mut OwnDaemon) -> Result<Self, CliError> {
        let client = Client::new(own.start().await?).map_err(|error| failure(&error))?;
        let mut link = Self { own, client, token: String::new(), renew_at: Instant::now() };
        link.connect(link.client.servers().clone()).await?;
        Ok(link)
    }

    /// Waits for the daemon that was started again. The session survives it.
    pub(super) async fn resume(&mut self) -> Result<(), CliError> {
        let servers = self.own.ready().await?;
        self.connect(servers).await
    }

    async fn connect(&mut self, servers: Servers) -> Result<(), CliError> {
        let client = Client::new(servers).map_err(|error| failure(&error))?;
        if Instant::now() >= self.renew_at {
            let pair = self.own.log_in(&client).await?;
            self.renew_at = Instant::now() + Duration::from_secs(pair.expires_in / 2);
            self.token = pair.token;
        }
        self.client = client.with_token(self.token.clone());
        Ok(())
    }

    async fn view(&self, id: BatchId) -> Result<BatchView, CliError> {
        self.client.batch_get(id).await.map_err(|error| failure(&error))
    }
}

/// A round that is played.
#[derive(Debug)]
pub(super) struct Round {
    /// Counted from 1.
    pub(super) number: u32,
    /// What it does.
    pub(super) plan: Plan,
    /// What was killed so far.
    pub(super) strikes: Vec<Strike>,
    /// How long each start of the daemon took until both APIs answered.
    pub(super) recoveries: Vec<Duration>,
    /// The batch, once it is known.
    pub(super) batch: Option<BatchId>,
    ledger: PathBuf,
    harm: Harm,
    dice: Dice,
    began: Instant,
}

/// Something was killed.
#[derive(Clone, Debug)]
pub(super) struct Strike {
    /// How long after the begin of the round.
    pub(super) after: Duration,
    /// What.
    pub(super) target: Target,
    /// The processes, in words.
    pub(super) hit: String,
    /// How many lines the ledger had.
    pub(super) lines: usize,
}

impl Round {
    /// A round of which nothing has happened yet.
    pub(super) fn new(seed: u64, number: u32, own: &OwnDaemon) -> Self {
        Self {
            number,
            plan: Plan::of_round(seed, number),
            strikes: Vec::new(),
            recoveries: Vec::new(),
            batch: None,
            ledger: own.directory().join(format!("ledger-{number:06}")),
            harm: Harm::default(),
            dice: Dice::of_round(!seed, number),
            began: Instant::now(),
        }
    }

    /// What the operations have written so far.
    pub(super) fn ledger(&self) -> String {
        fs::read_to_string(&self.ledger).unwrap_or_default()
    }

    /// Plays it to the end of its batch.
    pub(super) async fn play(&mut self, link: &mut Link<'_>) -> Result<Evidence, CliError> {
        let blows = self.plan.blows.clone();
        let id = self.submit(link, &blows).await?;
        for blow in blows.iter().filter(|blow| !matches!(blow.moment, Moment::Submitting(_))) {
            self.wait(blow.moment).await;
            self.strike(link, blow).await?;
        }
        self.ended(link, id).await?;
        self.gather(link, id).await
    }

    /// Submits the batch; the daemon may be killed meanwhile. A request that was not answered may have been accepted or
    /// not: then the daemon is asked, and where it knows of no such batch the request is made again.
    async fn submit(&mut self, link: &mut Link<'_>, blows: &[Blow]) -> Result<BatchId, CliError> {
        let batch = self.plan.batch(&self.ledger);
        let Some(Blow { moment: Moment::Submitting(delay), again_after, .. }) = blows.first().copied() else {
            let (view, _) = link.client.batch_execute(&batch).await.map_err(|error| failure(&error))?;
            return Ok(*self.batch.insert(view.summary.batch_id));
        };
        let Link { own, client, .. } = &mut *link;
        let killed = async {
            sleep(delay).await;
            self.kill_daemon(own);
        };
        let (answer, ()) = tokio::join!(client.batch_execute(&batch), killed);
        self.revive(link, again_after).await?;
        let known = self.copies(link).await?;
        let id = match (answer, known.first()) {
            (Ok((view, _)), _) => view.summary.batch_id,
            (Err(_), Some(id)) => *id,
            (Err(_), None) => {
                let (view, _) = link.client.batch_execute(&batch).await.map_err(|error| failure(&error))?;
                view.summary.batch_id
            }
        };
        Ok(*self.batch.insert(id))
    }

    /// The batches of this round's name.
    async fn copies(&self, link: &Link<'_>) -> Result<Vec<BatchId>, CliError> {
        let listed = link.client.batch_list(&BatchQuery::default()).await.map_err(|error| failure(&error))?;
        let own = listed.items.iter().filter(|batch| batch.name == self.plan.name);
        Ok(own.map(|batch| batch.batch_id).collect())
    }

    async fn wait(&self, moment: Moment) {
        match moment {
            Moment::Submitting(_) => {}
            Moment::After(delay) => sleep(delay).await,
            Moment::RollingBack(delay) => {
                let deadline = Instant::now() + CHANCE;
                while !self.ledger().contains("undo ") && Instant::now() < deadline {
                    sleep(Duration::from_millis(2)).await;
                }
                sleep(delay).await;
            }
        }
    }

    /// Kills what the blow is meant for, and starts the daemon again where that was hit.
    async fn strike(&mut self, link: &mut Link<'_>, blow: &Blow) -> Result<(), CliError> {
        match blow.target {
            Target::Daemon => self.kill_daemon(link.own),
            Target::Supervisor => self.kill_supervisors(link.own, Target::Supervisor),
            Target::Task => self.kill_task(link.own).await,
            Target::DaemonAndSupervisor | Target::Everything => self.kill_supervisors(link.own, blow.target),
        }
        if blow.target.hits_daemon() { self.revive(link, blow.again_after).await } else { Ok(()) }
    }

    fn kill_daemon(&mut self, own: &mut OwnDaemon) {
        if let Some(pid) = own.pid()
            && own.kill()
        {
            self.note(Target::Daemon, format!("daemon {pid}"));
        }
    }

    /// Kills supervisors, and with them the daemon and all tasks where the target says so.
    fn kill_supervisors(&mut self, own: &mut OwnDaemon, target: Target) {
        let supervisors = own.supervisors();
        let mut hit: Vec<String> = Vec::new();
        supervisors.iter().for_each(Process::kill);
        hit.extend(supervisors.iter().map(|process| format!("supervisor {}", process.pid)));
        self.harm.supervisor |= !supervisors.is_empty();
        if target.hits_daemon()
            && let Some(pid) = own.pid()
            && own.kill()
        {
            hit.push(format!("daemon {pid}"));
        }
        if target == Target::Everything {
            for process in own.task_processes() {
                self.harm.attempts.extend(attempt(&process));
                process.kill();
                hit.push(format!("process {} of {}", process.pid, task_in_words(&process)));
            }
        }
        if !hit.is_empty() {
            self.note(target, hit.join(", "));
        }
    }

    /// Kills the first process of a task that runs, as soon as there is one.
    async fn kill_task(&mut self, own: &OwnDaemon) {
        let deadline = Instant::now() + CHANCE;
        while Instant::now() < deadline {
            let processes = own.task_processes();
            // Its parent is no process of a task: so it is the first.
            let is_first = |process: &&Process| processes.iter().all(|other| other.pid != process.parent);
            let running: Vec<&Process> =
                processes.iter().filter(is_first).filter(|process| attempt(process).is_some()).collect();
            if !running.is_empty() {
                let process = *self.dice.choose(&running);
                process.kill();
                self.harm.attempts.extend(attempt(process));
                self.note(Target::Task, format!("process {} of {}", process.pid, task_in_words(process)));
                return;
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    fn note(&mut self, target: Target, hit: String) {
        let lines = self.ledger().lines().count();
        self.strikes.push(Strike { after: self.began.elapsed(), target, hit, lines });
    }

    /// Starts the daemon again; with `again_after`, kills it once more as it starts.
    async fn revive(&mut self, link: &mut Link<'_>, again_after: Option<Duration>) -> Result<(), CliError> {
        if let Some(delay) = again_after {
            link.own.launch()?;
            sleep(delay).await;
            self.kill_daemon(link.own);
        }
        let start = Instant::now();
        link.own.launch()?;
        link.resume().await?;
        self.recoveries.push(start.elapsed());
        Ok(())
    }

    /// Waits until the batch has ended, or has had its time.
    async fn ended(&self, link: &Link<'_>, id: BatchId) -> Result<(), CliError> {
        let deadline = Instant::now() + PATIENCE;
        while !link.view(id).await?.summary.status.is_terminal() && Instant::now() < deadline {
            sleep(INTERVAL).await;
        }
        Ok(())
    }

    async fn gather(&mut self, link: &Link<'_>, id: BatchId) -> Result<Evidence, CliError> {
        let copies = self.copies(link).await?;
        let view = if copies.contains(&id) { Some(link.view(id).await?) } else { None };
        let tasks = self.tasks(link, id).await?;
        let running = self.running(link).await;
        if self.harm.supervisor {
            self.harm.survivors = link.own.supervisors().iter().map(|process| process.pid).collect();
        }
        let ledger = Ledger::read(&self.ledger());
        let (plan, harm) = (self.plan.clone(), self.harm.clone());
        Ok(Evidence { plan, ledger, copies: copies.len(), view, tasks, running, harm })
    }

    async fn tasks(&self, link: &Link<'_>, id: BatchId) -> Result<Vec<Task>, CliError> {
        let filter = TaskFilter { batch_id: Some(id), ..TaskFilter::default() };
        let query = TaskQuery { filter, page: Page { limit: Page::MAX_LIMIT, ..Page::default() } };
        link.client.task_list(&query).await.map(|part| part.items).map_err(|error| failure(&error))
    }

    /// Processes of tasks that don't vanish.
    async fn running(&self, link: &Link<'_>) -> Vec<String> {
        let deadline = Instant::now() + VANISHING;
        loop {
            let left = link.own.task_processes();
            if left.is_empty() || Instant::now() > deadline {
                let word = |process: &Process| format!("{} ({})", process.pid, process.line.trim());
                return left.iter().map(word).collect();
            }
            sleep(INTERVAL).await;
        }
    }
}

/// The attempt that a process belongs to, by its environment.
fn attempt(process: &Process) -> Option<(crate::model::id::TaskId, u32)> {
    Some((process.variable("PROV_TASK_ID")?.parse().ok()?, process.variable("PROV_ATTEMPT")?.parse().ok()?))
}

fn task_in_words(process: &Process) -> String {
    attempt(process).map_or_else(|| "a task".to_owned(), |(task, attempt)| format!("attempt {attempt} of task {task}"))
}

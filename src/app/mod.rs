//! Use cases, one file a resource: authorise → validate → scheduler or store.
//!
//! Every method that needs a right takes an operation [`Context`] and asks it for a [`Permit`] by the operation's name;
//! what the daemon owns is behind [`guard::Guarded`], which opens only to a permit. Forgetting to authorise doesn't
//! compile. Knows no HTTP; [`Error`] says what happened, not how it is answered.

mod about;
mod accounts;
mod audit;
mod auth;
mod authorise;
mod batch;
mod bootstrap;
mod context;
mod daemon_log;
mod error;
mod events;
mod guard;
mod idempotency;
mod in_force;
mod infra;
mod infras;
mod keys;
mod limit;
mod login;
mod logs;
mod memo;
mod mfa;
mod owned;
mod plane;
mod policy;
mod proof;
mod refusals;
mod requests;
mod rollback;
mod seats;
mod sessions;
mod state;
mod task;
mod tokens;
mod trail;
mod users;
mod visible;
mod webhooks;
mod workflow;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore, watch};

pub use crate::policy::Reach;
pub use authorise::Denial;
pub use bootstrap::{BootstrapError, admin};
pub use context::{Caller, Context, Permit};
pub use daemon_log::LogFollower;
pub use error::Error;
pub use events::Subscription;
pub use idempotency::Idempotency;
pub use in_force::InForce;
pub use keys::Keys;
pub use limit::{Limits, Quota};
pub use policy::{PolicyStartError, policies};
pub use requests::Requests;
pub use seats::{Seat, SeatKind, StreamLimits};
pub use webhooks::Webhooks;

use crate::api::batch::{BatchPlan, BatchView};
use crate::audit::{Key, Keyring};
use crate::exec::Clock;
use crate::host::Host;
use crate::logging::Logging;
use crate::model::user::Role;
use crate::scheduler::Scheduler;
use crate::scheduler::command::Program;
use crate::store::Store;

/// Password checks at once: each takes 19 MiB and a processor.
const PASSWORD_CHECKS: usize = 2;

/// What the use cases work with.
pub struct App {
    guarded: guard::Guarded<Resources>,
    clock: Clock,
    keys: Arc<Keys>,
    policies: Arc<InForce>,
    reach: Reach,
    infras: Arc<infras::Infras>,
    /// Held while a change of the policies is on its way.
    policy_changes: Mutex<()>,
    sessions: Arc<sessions::Sessions>,
    accounts: Arc<accounts::Accounts>,
    api_tokens: Arc<tokens::ApiTokens>,
    feed: Arc<events::Feed>,
    health: events::Board,
    logging: Logging,
    seats: seats::Seats,
    counters: limit::Counters,
    refusals: refusals::Refusals,
    webhooks: Webhooks,
    requests: Requests,
    host: Arc<Host>,
    started: Instant,
    key_rotation: Option<Duration>,
    audit_keys: Keyring,
    audit_retention_days: u32,
    require_mfa: Vec<Role>,
    max_parallel: usize,
    password_checks: Arc<Semaphore>,
    /// Held while work is retried under an idempotency key.
    keyed_retries: Mutex<()>,
    phase: watch::Sender<Phase>,
}

/// What only a permit opens.
pub(crate) struct Resources {
    pub(crate) store: Store,
    pub(crate) scheduler: Scheduler,
    pub(crate) program: Program,
    pub(crate) logs: PathBuf,
    pub(crate) workspace: PathBuf,
    pub(crate) data_dir: PathBuf,
    /// Who asks the execution plane waits for a turn.
    pub(crate) plane: Semaphore,
}

/// Processes of the execution plane that are asked at once.
const PLANE_AT_ONCE: usize = 4;

/// What an [`App`] is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Store,
    /// What runs the work.
    pub scheduler: Scheduler,
    /// The program of the execution plane.
    pub program: Program,
    /// Where tasks' output stands.
    pub logs: PathBuf,
    /// Where the infras are.
    pub workspace: PathBuf,
    /// Where store, keys and logs are.
    pub data_dir: PathBuf,
    /// The time.
    pub clock: Clock,
    /// What signs tokens.
    pub keys: Keys,
    /// How much is too much.
    pub limits: Limits,
    /// After how long another key signs; never when absent.
    pub key_rotation: Option<Duration>,
    /// What seals the audit trail.
    pub audit_key: Key,
    /// How long audit entries are kept; 0 is for ever.
    pub audit_retention_days: u32,
    /// Whoever has one of these roles may do nothing without a second factor but set one up.
    pub require_mfa: Vec<Role>,
    /// Attempts at once.
    pub max_parallel: usize,
    /// What decides who may do what.
    pub policies: InForce,
    /// From where administrators can come.
    pub reach: Reach,
    /// The daemon's own log.
    pub logging: Logging,
    /// What sends to webhooks.
    pub webhooks: Webhooks,
}

/// Whether the daemon takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes them.
    Ready,
    /// It takes no new work, and waits for what runs.
    Draining,
    /// Nothing happens any more; who follows is let go.
    Ending,
}

impl Phase {
    /// Waits until nothing happens any more.
    pub async fn ending(phase: &mut watch::Receiver<Self>) {
        // Whoever could say otherwise is gone with the app.
        let _ = phase.wait_for(|phase| *phase == Self::Ending).await.is_ok();
    }
}

/// An answer with remarks.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// What was asked for.
    pub data: T,
    /// What the caller should know although it worked.
    pub warnings: Vec<String>,
}

/// What became of a batch that was sent to be executed.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Executed {
    /// It was accepted.
    Started(Box<BatchView>),
    /// In check mode: what it would do.
    Planned(Box<BatchPlan>),
}

/// A task's log as it is read, or as it grows.
pub type LogBody = Pin<Box<dyn futures_util::Stream<Item = std::io::Result<Vec<u8>>> + Send>>;

/// A task's log.
pub struct LogText {
    /// Where in its stream it begins; none where it is both streams'.
    pub offset: Option<u64>,
    /// What follows.
    pub body: LogBody,
}

/// Does what may take more than a few milliseconds where it keeps no other request waiting.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    // What is logged on the thread belongs to whoever asked.
    let asked = tracing::Span::current();
    let done = tokio::task::spawn_blocking(move || asked.in_scope(work)).await;
    done.map_err(|error| Error::Internal(Box::new(error)))
}

impl App {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let infras = Arc::new(infras::Infras::new(parts.workspace.clone(), &parts.program.path));
        Self {
            keys: Arc::new(parts.keys),
            guarded: guard::Guarded::new(Resources {
                store: parts.store,
                scheduler: parts.scheduler,
                program: parts.program,
                logs: parts.logs,
                workspace: parts.workspace,
                data_dir: parts.data_dir,
                plane: Semaphore::new(PLANE_AT_ONCE),
            }),
            clock: parts.clock,
            policies: Arc::new(parts.policies),
            reach: parts.reach,
            infras,
            policy_changes: Mutex::new(()),
            sessions: Arc::default(),
            accounts: Arc::default(),
            api_tokens: Arc::default(),
            feed: Arc::default(),
            health: watch::Sender::new(None),
            logging: parts.logging,
            seats: seats::Seats::default(),
            counters: limit::Counters::new(parts.limits),
            refusals: refusals::Refusals::default(),
            webhooks: parts.webhooks,
            requests: Requests::default(),
            host: Arc::new(Host::watch()),
            started: Instant::now(),
            key_rotation: parts.key_rotation,
            audit_keys: Keyring::new(parts.audit_key),
            audit_retention_days: parts.audit_retention_days,
            require_mfa: parts.require_mfa,
            max_parallel: parts.max_parallel,
            password_checks: Arc::new(Semaphore::new(PASSWORD_CHECKS)),
            keyed_retries: Mutex::new(()),
            phase: watch::Sender::new(Phase::Ready),
        }
    }

    /// How much is too much.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.counters.limits
    }

    /// Where answered requests are counted.
    #[must_use]
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Forgets what has had its time; called now and then.
    ///
    /// # Errors
    /// When the store or a key can't be read or written.
    pub async fn tidy(&self) -> Result<(), Error> {
        self.turn_keys().await?;
        let resources = self.guarded.open(&Permit::own());
        idempotency::forget_expired(&resources.store, self.clock.now()).await?;
        self.settle_refusals().await?;
        self.forget_entries().await
    }

    /// Whether requests are taken.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether requests are taken, for whoever waits for a change of it.
    #[must_use]
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Writes what is still in memory; called at the end.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn finish(&self) -> Result<(), Error> {
        self.settle_refusals().await
    }

    /// From now on new work is refused; with [`Phase::Ending`], who follows is let go as well.
    pub fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }
}

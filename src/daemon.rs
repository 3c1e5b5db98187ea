//! The composition root of the daemon: store → scheduler → app → listeners; signals; drain.

mod descriptors;
mod encryption;
mod memory;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app::{
    self, App, BootstrapError, Keys, Limits, Parts, Phase, PolicyStartError, Reach, StreamLimits, Webhooks,
};
use crate::audit;
use crate::auth::audit_key::{self, AuditKeyError};
use crate::auth::key_files::KeyError;
use crate::config::{self, Daemon, DrainAction};
use crate::exec::{Clock, Places};
use crate::logging::Logging;
use crate::scheduler::command::Program;
use crate::scheduler::{Config, Scheduler, StartError};
use crate::server::listen::{self, Connections, ListenError};
use crate::server::tls::{Tls, TlsError};
use crate::server::{control_center, orchestrator};
use crate::store::{Store, StoreError};
use crate::webhook::{Reachable, Schedule, SendError};

/// The store's memory.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// How long, and how often, a store is tried that another process holds.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

/// How often what has had its time is forgotten.
const TIDY_INTERVAL: Duration = Duration::from_mins(10);

/// Why the daemon could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A directory can't be used.
    #[error("can't use {what} {path}")]
    Directory {
        /// What it is for.
        what: &'static str,
        /// The directory.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store can't be opened.
    #[error("can't open the store in {path}")]
    Store {
        /// The data directory.
        path: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// An address can't be had.
    #[error("can't start {what}")]
    Listen {
        /// The API.
        what: &'static str,
        /// Why.
        #[source]
        source: ListenError,
    },
    /// The signing keys can't be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key of the audit trail can't be had.
    #[error(transparent)]
    AuditKey(#[from] AuditKeyError),
    /// Connections can't be encrypted.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The administrator can't be made.
    #[error("can't make the administrator")]
    Bootstrap(#[from] BootstrapError),
    /// The policies can't be had.
    #[error("can't put the policies into force")]
    Policies(#[from] PolicyStartError),
    /// Work from before can't be taken up.
    #[error("can't start the scheduler")]
    Start(#[from] StartError),
    /// Nothing can be sent to webhooks.
    #[error(transparent)]
    Webhooks(#[from] SendError),
    /// The runtime or a signal handler can't be had.
    #[error("can't start the daemon")]
    Runtime(#[source] io::Error),
    /// The ready file can't be written.
    #[error("can't write the ready file {path}")]
    ReadyFile {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl DaemonError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store { source: StoreError::Locked(_), .. } => {
                Some("another daemon uses this data directory: stop it, or give --data-dir another one".to_owned())
            }
            Self::Store { source: StoreError::Newer { .. }, .. } => {
                Some("a newer prov wrote this store: use that one, or give --data-dir another directory".to_owned())
            }
            Self::Store { .. } => {
                Some("is the disk full or read-only, or the file damaged? A backup can be put in its place".to_owned())
            }
            Self::AuditKey(error) => error.hint(),
            Self::Policies(PolicyStartError::Policies(_)) => Some(
                "start it with --reset-policies: those that ship are made as they ship, all others disabled".to_owned(),
            ),
            Self::Directory { .. } => {
                Some("check that the directory is there and yours, or name another one".to_owned())
            }
            Self::Listen { what, source: ListenError::InUse { .. } } => {
                Some(format!("give {} another address, or port 0 for a free one", flag(what)))
            }
            Self::Listen { source: ListenError::Exposed { .. }, .. } => {
                let ways = "give --tls-certificate and --tls-key, or --tls-self-signed in a lab, or --insecure";
                Some(format!("{ways}; or listen on 127.0.0.1 behind a proxy that encrypts"))
            }
            _ => None,
        }
    }
}

fn flag(what: &str) -> &'static str {
    if what == ORCHESTRATOR { "--listen" } else { "--control-listen" }
}

const ORCHESTRATOR: &str = "the orchestrator";
const CONTROL_CENTER: &str = "the control center";

/// What begins anew with a start: the ways back for whoever owns the host. Never settings, because they hold for one start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reset {
    /// The user `admin` gets a new password and loses its second factor.
    pub admin: bool,
    /// The policies that ship are made as they ship, all others disabled.
    pub policies: bool,
}

/// Runs the daemon until it is told to end.
///
/// # Errors
/// When it can't start.
pub fn run(config: Daemon, reset: Reset, logging: Logging) -> Result<(), DaemonError> {
    memory::give_large_blocks_back();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(DaemonError::Runtime)?;
    runtime.block_on(serve(config, reset, logging))
}

async fn serve(config: Daemon, reset: Reset, logging: Logging) -> Result<(), DaemonError> {
    let workspace = fs::canonicalize(&config.workspace).map_err(|source| DaemonError::Directory {
        what: "the workspace",
        path: config.workspace.display().to_string(),
        source,
    })?;
    // Addresses first: a port that is taken must not cost the start of everything else.
    let guarded = config.insecure || config.encryption.is_some();
    let listener = listen(ORCHESTRATOR, config.listen, guarded)?;
    let control = listen(CONTROL_CENTER, config.control_listen, guarded)?;
    let data_dir = private_directory(&config.data_dir)?;
    let addresses = [address(&listener)?, address(&control)?];
    let tls = config.encryption.as_ref().map(|wanted| encryption::open(wanted, &data_dir, &addresses)).transpose()?;
    let tls = tls.map(Arc::new);
    let (store, audit_key) = open_store(&data_dir).await?;
    let clock = Clock::start();
    let keys = Keys::open(&data_dir, clock.now())?;
    if let Some(path) = app::admin(&store, &data_dir, reset.admin, clock.now()).await? {
        let why = if reset.admin { "reset" } else { "first start" };
        eprintln!("prov: {why}: the password of the user admin is in {}", path.display());
    }
    let policies = app::policies(&store, reset.policies, clock.now()).await?;
    let program = program(&config)?;
    let places = places(&config, &data_dir);
    let scheduling = Config {
        max_parallel: config.max_parallel,
        program: program.clone(),
        workspace: workspace.clone(),
        places: places.clone(),
        grace: Duration::from_secs(config.grace_seconds),
        checkpoint_every: config.checkpoint_every,
    };
    let scheduler = Scheduler::start(scheduling, store.clone(), clock).await?;
    let limits = limits(&config);
    let parts = Parts {
        store,
        scheduler: scheduler.clone(),
        program,
        logs: places.logs,
        workspace,
        data_dir: data_dir.clone(),
        clock,
        keys,
        limits,
        key_rotation: (config.key_rotation_days > 0)
            .then(|| Duration::from_hours(24 * u64::from(config.key_rotation_days))),
        audit_key,
        audit_retention_days: config.audit_retention_days,
        require_mfa: config.require_mfa.0.clone(),
        max_parallel: config.max_parallel,
        policies,
        logging,
        reach: if config.control_listen.ip().is_loopback() { Reach::Host } else { Reach::Anywhere },
        webhooks: webhooks(&config)?,
    };
    let app = Arc::new(App::new(parts));
    tokio::spawn(tidy(Arc::clone(&app)));
    if let Err(error) = app.webhooks_begin().await {
        tracing::error!(%error, "can't read the webhooks; nothing is sent to them");
    }
    tokio::spawn(Arc::clone(&app).watch_health());

    let (stop, stopping) = watch::channel(false);
    let connections = Connections::new(descriptors::for_connections());
    let serve = |listener, router| {
        let (tls, connections) = (tls.clone(), Arc::clone(&connections));
        tokio::spawn(listen::serve(listener, router, tls, connections, stopping.clone()))
    };
    let serving = [
        serve(listener, orchestrator::router(Arc::clone(&app))),
        serve(control, control_center::router(Arc::clone(&app))),
    ];
    // Before anybody is told that the daemon is ready, who may tell it at once to end.
    let mut signals = Signals::new()?;
    if let Some(tls) = &tls {
        let hangup = signal(SignalKind::hangup()).map_err(DaemonError::Runtime)?;
        tokio::spawn(encryption::renew(Arc::clone(tls), hangup));
    }
    announce(&config, addresses, tls.as_deref())?;
    signals.next().await;
    tracing::info!("ending: no new work is taken, what runs may go on for {} s", config.drain_seconds);
    app.enter(Phase::Draining);
    tokio::select! {
        () = drain(&scheduler, &config) => {}
        () = signals.next() => tracing::warn!("told again to end: ending at once"),
    }
    app.enter(Phase::Ending);
    let _ = stop.send(true);
    app.webhooks_end().await;
    for server in serving {
        let _ = server.await;
    }
    if let Err(error) = app.finish().await {
        tracing::warn!(%error, "can't write what was counted of refused requests");
    }
    Ok(())
}

/// Waits for what runs; what outlasts that goes on under the supervisor, or is cancelled.
async fn drain(scheduler: &Scheduler, config: &Daemon) {
    let patience = Duration::from_secs(config.drain_seconds);
    if tokio::time::timeout(patience, scheduler.drain(false)).await.is_ok() {
        return;
    }
    match config.drain_action {
        DrainAction::Leave => tracing::info!("tasks still run; they go on, and the next daemon takes them up"),
        DrainAction::Cancel => {
            let patience = Duration::from_secs(config.grace_seconds + 5);
            let _ = tokio::time::timeout(patience, scheduler.drain(true)).await;
        }
    }
}

fn listen(what: &'static str, address: SocketAddr, insecure: bool) -> Result<TcpListener, DaemonError> {
    listen::bind(address, insecure).map_err(|source| DaemonError::Listen { what, source })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, DaemonError> {
    listener.local_addr().map_err(DaemonError::Runtime)
}

/// The directory, made if need be, with nothing in it for others to read.
fn private_directory(path: &Path) -> Result<PathBuf, DaemonError> {
    let failed =
        |source| DaemonError::Directory { what: "the data directory", path: path.display().to_string(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    fs::canonicalize(path).map_err(failed)
}

/// The store with the key of its audit trail, once it is let go: a daemon that was killed just as it started a supervisor
/// leaves a process that holds the lock until it has become the supervisor.
async fn open_store(data_dir: &Path) -> Result<(Store, audit::Key), DaemonError> {
    let failed = |source| DaemonError::Store { path: data_dir.display().to_string(), source };
    let (begun, mut told) = (Instant::now(), false);
    loop {
        let kept = audit_key::read(data_dir)?;
        let secret = kept.map_or_else(audit_key::generate, Ok)?;
        let key = audit::Key::from_bytes(1, secret);
        match Store::open(data_dir, CACHE_BYTES, key.clone()) {
            Err(StoreError::Locked(_)) if begun.elapsed() < LOCK_PATIENCE => {
                if !told {
                    tracing::warn!("another process holds the store; waiting a moment for it to let go");
                    told = true;
                }
                tokio::time::sleep(LOCK_INTERVAL).await;
            }
            opened => {
                let store = opened.map_err(failed)?;
                if kept.is_none() {
                    // Another key than the one that sealed the entries would make all of them look forged.
                    if store.read(|reads| reads.audit_head()).await.map_err(failed)? != audit::Head::START {
                        return Err(audit_key::missing(data_dir).into());
                    }
                    audit_key::keep(data_dir, &secret)?;
                }
                return Ok((store, key));
            }
        }
    }
}

fn program(config: &Daemon) -> Result<Program, DaemonError> {
    let path = match &config.command {
        Some(command) => command.clone(),
        None => std::env::current_exe().map_err(DaemonError::Runtime)?,
    };
    Ok(Program { path, mode: config.provider_mode.clone() })
}

fn places(config: &Daemon, data_dir: &Path) -> Places {
    Places { directory: data_dir.join("supervisor"), logs: data_dir.join("logs"), log_limit: config.max_log_bytes }
}

fn webhooks(config: &Daemon) -> Result<Webhooks, SendError> {
    let config::Webhooks { allow, retry_initial, retry_max, retry_for } = config.webhooks.clone();
    let schedule = Schedule { initial: retry_initial, longest: retry_max, give_up: retry_for };
    Webhooks::new(Reachable { allowed: allow }, schedule)
}

fn limits(config: &Daemon) -> Limits {
    Limits {
        login_failures: config.login_failures_per_minute,
        requests: config.requests_per_minute,
        body_bytes: config.max_body_bytes,
        batch_bytes: config.max_batch_bytes,
        streams: StreamLimits {
            websockets: config.websockets_per_user,
            streams: config.streams_per_user,
            heartbeat: Duration::from_secs(u64::from(config.heartbeat_seconds.get())),
            lag: config.lag_sequences,
        },
    }
}

/// Forgets now and then what has had its time, and gives memory back that a busy time left behind.
async fn tidy(app: Arc<App>) {
    let mut interval = tokio::time::interval(TIDY_INTERVAL);
    loop {
        interval.tick().await;
        if let Err(error) = app.tidy().await {
            tracing::warn!(%error, "can't forget what has had its time");
        }
        memory::give_free_memory_back();
    }
}

/// Says that both APIs answer: to people, to scripts, to systemd.
fn announce(config: &Daemon, [orchestrator, control]: [SocketAddr; 2], tls: Option<&Tls>) -> Result<(), DaemonError> {
    let (scheme, fingerprint) = (if tls.is_some() { "https" } else { "http" }, tls.map(Tls::fingerprint));
    if let Some(path) = &config.ready_file {
        let ready = json!({
            "orchestrator": format!("{scheme}://{orchestrator}"),
            "control_center": format!("{scheme}://{control}"),
            "fingerprint": fingerprint,
            "pid": std::process::id(),
        });
        let partial = path.with_extension("partial");
        let written = fs::write(&partial, format!("{ready}\n")).and_then(|()| fs::rename(&partial, path));
        written.map_err(|source| DaemonError::ReadyFile { path: path.display().to_string(), source })?;
    }
    notify_systemd();
    eprintln!("prov: orchestrator on {scheme}://{orchestrator}, control center on {scheme}://{control}");
    if let Some(fingerprint) = fingerprint {
        eprintln!("prov: the certificate's fingerprint is {fingerprint}");
    }
    Ok(())
}

/// `READY=1` to the socket that systemd names (`sd_notify(3)`); without one, nothing.
fn notify_systemd() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let Some(name) = std::env::var_os("NOTIFY_SOCKET").and_then(|name| name.into_string().ok()) else { return };
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&name),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(b"READY=1", &address));
    if let Err(error) = sent {
        tracing::warn!(%error, "can't tell systemd that the daemon is ready");
    }
}

/// The signals that end the daemon.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, DaemonError> {
        let listen = |kind| signal(kind).map_err(DaemonError::Runtime);
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

//! The daemon's side of the supervisor: starts it, speaks with it, and when it is gone starts the next.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream as StdUnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};

use super::wire::{Report, Request};
use crate::model::time::Timestamp;

/// The socket's name below the supervisor's directory.
pub(super) const SOCKET: &str = "socket";
/// How long a new supervisor may take to listen.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long a supervisor that is let go may take to exit.
const RETIRE_LIMIT: Duration = Duration::from_secs(2);

/// Why the supervisor could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// Its directory can't be used.
    #[error("can't use {path}")]
    Directory {
        /// The directory or file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It can't be started.
    #[error("can't start the supervisor")]
    Start(#[source] io::Error),
    /// It was started and doesn't listen.
    #[error("the supervisor was started and did not listen within {} s; see {log}", START_LIMIT.as_secs())]
    Silent {
        /// Its log.
        log: String,
    },
}

/// Where the supervisor keeps what.
#[derive(Clone, Debug)]
pub struct Places {
    /// Socket, journal and log of the supervisor.
    pub directory: PathBuf,
    /// Output of tasks.
    pub logs: PathBuf,
    /// Bytes each stream of a task may keep.
    pub log_limit: u64,
}

/// What comes from the supervisor.
#[derive(Clone, Debug)]
pub enum Heard {
    /// A supervisor is there, the first one or one that takes the place of another.
    Connected {
        /// Counted from 1. What is told to the connections before it is not heard any more.
        connection: u64,
        /// Everything it knows. An attempt that isn't among it was never begun.
        known: Vec<Report>,
        /// What its clock shows, by which its times are meant.
        now: Timestamp,
    },
    /// Something happened since.
    Said(Report),
}

/// A handle to the supervisor: requests go in, what is heard comes out of the channel given to [`Executor::start`].
#[derive(Clone, Debug)]
pub struct Executor {
    requests: mpsc::UnboundedSender<(u64, Request)>,
    /// Closed once nobody speaks with a supervisor any more.
    conversation: watch::Receiver<()>,
    /// Whether there is a supervisor at the moment.
    is_connected: Arc<AtomicBool>,
}

impl Executor {
    /// Connects to the supervisor that runs, or starts one. [`Heard::Connected`] comes first, and again whenever the
    /// supervisor had to be replaced.
    ///
    /// # Errors
    /// When there is none and none can be started.
    pub async fn start(places: Places, heard: mpsc::UnboundedSender<Heard>) -> Result<Self, ExecError> {
        let directory = |path: &Path| {
            let path = path.to_owned();
            move |source| ExecError::Directory { path: path.display().to_string(), source }
        };
        fs::create_dir_all(&places.directory).map_err(directory(&places.directory))?;
        fs::create_dir_all(&places.logs).map_err(directory(&places.logs))?;
        let stream = connect(&places).await?;
        let (requests, queue) = mpsc::unbounded_channel();
        let (end, conversation) = watch::channel(());
        let is_connected = Arc::new(AtomicBool::new(true));
        let connected = Arc::clone(&is_connected);
        tokio::spawn(async move {
            converse(places, stream, queue, heard, &connected).await;
            connected.store(false, Ordering::Relaxed);
            drop(end);
        });
        Ok(Self { requests, conversation, is_connected })
    }

    /// Whether there is a supervisor at the moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    /// Waits until the supervisor that was let go is gone. A daemon that ended without waiting could take the request with
    /// it, and the supervisor would stay.
    pub async fn gone(&self) {
        let mut conversation = self.conversation.clone();
        if tokio::time::timeout(RETIRE_LIMIT, conversation.changed()).await.is_err() {
            tracing::warn!("the supervisor does not go; it will once it has been alone for a while");
        }
    }

    /// Tells the supervisor of this connection; one that came after it does not hear it.
    pub fn tell(&self, connection: u64, request: Request) {
        // The conversation only ends with the daemon, and then nobody waits for an answer.
        let _ = self.requests.send((connection, request));
    }
}

/// Carries requests and reports; when the supervisor is gone, says what is known and goes on with a new one.
async fn converse(
    places: Places,
    stream: UnixStream,
    mut requests: mpsc::UnboundedReceiver<(u64, Request)>,
    heard: mpsc::UnboundedSender<Heard>,
    is_connected: &AtomicBool,
) {
    let mut stream = Some(stream);
    let mut connection = 0;
    loop {
        let Some(connected) = stream.take() else {
            match connect(&places).await {
                Ok(connected) => stream = Some(connected),
                Err(error) => {
                    tracing::error!(%error, "the supervisor is gone and can't be replaced; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            continue;
        };
        is_connected.store(true, Ordering::Relaxed);
        let (read, write) = connected.into_split();
        connection += 1;
        let mut reading = tokio::spawn(hear(read, connection, heard.clone()));
        if !speak(write, connection, &mut requests, &mut reading).await {
            return;
        }
        is_connected.store(false, Ordering::Relaxed);
        reading.abort();
        tracing::warn!("the supervisor is gone; starting another");
    }
}

/// Sends the requests of this connection until the supervisor is gone (`true`), or until the daemon ends or has let it go
/// (`false`): one that was let go is not replaced. Requests of another connection are passed over: whoever made them hears
/// of this one, and decides anew.
async fn speak(
    write: OwnedWriteHalf,
    connection: u64,
    requests: &mut mpsc::UnboundedReceiver<(u64, Request)>,
    reading: &mut tokio::task::JoinHandle<()>,
) -> bool {
    let mut write = BufWriter::new(write);
    let mut line = Vec::new();
    let mut is_let_go = false;
    loop {
        tokio::select! {
            request = requests.recv() => {
                let Some(mut request) = request else { return false };
                loop {
                    let (of, body) = &request;
                    line.clear();
                    if *of == connection {
                        is_let_go |= matches!(body, Request::Retire);
                        serde_json::to_writer(&mut line, body).expect("a request has no map with keys that aren't text");
                        line.push(b'\n');
                    }
                    if write.write_all(&line).await.is_err() {
                        return !is_let_go;
                    }
                    match requests.try_recv() {
                        Ok(next) => request = next,
                        Err(_) => break,
                    }
                }
                if write.flush().await.is_err() {
                    return !is_let_go;
                }
            }
            _ = &mut *reading => return !is_let_go,
        }
    }
}

/// Passes on what the supervisor says: all that it knows at once, then each report.
async fn hear(read: OwnedReadHalf, connection: u64, heard: mpsc::UnboundedSender<Heard>) {
    let mut lines = BufReader::with_capacity(64 * 1024, read).lines();
    let mut known = Some(Vec::new());
    while let Ok(Some(line)) = lines.next_line().await {
        let report = match serde_json::from_str(&line) {
            Ok(report) => report,
            Err(error) => {
                tracing::warn!(%error, "the supervisor said something unknown");
                continue;
            }
        };
        let told = match (&mut known, report) {
            (Some(all), Report::Known { now }) => Heard::Connected { connection, known: std::mem::take(all), now },
            (Some(all), report) => {
                all.push(report);
                continue;
            }
            (None, report) => Heard::Said(report),
        };
        known = None;
        if heard.send(told).is_err() {
            return;
        }
    }
}

/// A connection to the running supervisor; when there is none, a new one is started, which knows what the last one wrote.
async fn connect(places: &Places) -> Result<UnixStream, ExecError> {
    if let Some(stream) = reach(&places.directory) {
        return Ok(stream);
    }
    launch(places)?;
    let deadline = Instant::now() + START_LIMIT;
    loop {
        if let Some(stream) = reach(&places.directory) {
            return Ok(stream);
        }
        if Instant::now() > deadline {
            return Err(ExecError::Silent { log: places.directory.join("log").display().to_string() });
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn reach(directory: &Path) -> Option<UnixStream> {
    let stream = short_path(directory, |path| StdUnixStream::connect(path)).ok()?;
    stream.set_nonblocking(true).ok()?;
    UnixStream::from_std(stream).ok()
}

/// The supervisor's listening socket, at a place that was left by a dead one or by nobody.
pub(super) fn listen(directory: &Path) -> io::Result<UnixListener> {
    let _ = fs::remove_file(directory.join(SOCKET));
    short_path(directory, |path| UnixListener::bind(path))
}

/// Calls `with` with a path to the socket that is short whatever the directory: a socket's path has at most 107 bytes.
fn short_path<T>(directory: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let directory = File::open(directory)?;
    with(Path::new(&format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd())))
}

/// Starts a supervisor in a session of its own, so that nothing sent to the daemon's terminal or group reaches it.
fn launch(places: &Places) -> Result<(), ExecError> {
    let log_path = places.directory.join("log");
    let directory = |source| ExecError::Directory { path: log_path.display().to_string(), source };
    let log = File::options().create(true).append(true).open(&log_path).map_err(directory)?;
    // The running program itself, even where its file was replaced meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("prov")
        .args(["internal", "supervisor"])
        .args([&places.directory, &places.logs])
        .arg(places.log_limit.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    // SAFETY: setsid is async-signal-safe and touches no memory.
    unsafe {
        command.pre_exec(|| rustix::process::setsid().map(drop).map_err(io::Error::from));
    }
    let mut child = command.spawn().map_err(ExecError::Start)?;
    // It outlives this process as a rule; if it doesn't, somebody must take its exit status.
    std::thread::spawn(move || child.wait());
    Ok(())
}

//! What the driver remembers of a server, and who may touch it when: the state directory, its two locks, its records.
//!
//! ```text
//! .prov/local/INFRA/SERVER/
//!   lock           held by whoever makes or unmakes the server
//!   init.lock      held by the server's init for life: taken = running, whatever became of its pid
//!   spec.json      the server was asked for          deleting.json  the same, while it is being deleted
//!   made           it has been made completely once
//!   engine.json    it is a container, and that is the socket of its engine
//!   init.json      written by init once commands can run
//!   disk/ data/    what the server wrote             root/          where its root is put together
//! ```
//!
//! Every change is one rename or one unlink, so a crash leaves a state that has a name. Knows nothing of namespaces.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::ServerSpec;
use super::procs::start_of;

/// Says that a server is a container.
const ENGINE: &str = "engine.json";

/// What was decided about a server when it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// As it was asked for.
    pub spec: ServerSpec,
    /// The server's id: the workspace's hash, the infra and the name.
    pub id: String,
    /// What its container carries so that it is taken for nobody else's: paths and names are given again. Older records have
    /// none, nor has what is no container.
    #[serde(default)]
    pub token: Option<String>,
    /// The state directory that it was made in. The workspace may have been renamed since, or this may be a copy of it.
    #[serde(default)]
    pub home: Option<PathBuf>,
    /// Its address in the workspace's network, where it has one.
    pub address: Option<Ipv4Addr>,
    /// The control groups whose limits hold for it.
    pub cgroups: Vec<PathBuf>,
    /// How the limits hold, for people.
    pub limits: String,
    /// What its user should know.
    pub notes: Vec<String>,
}

impl Record {
    /// The hash of the workspace, with which the id begins.
    #[must_use]
    pub fn workspace(&self) -> &str {
        self.id.split(':').next().unwrap_or_default()
    }

    /// One that was written when defaults were recorded as they were spelt.
    fn normal(self) -> Self {
        Self { spec: super::normal(self.spec), ..self }
    }
}

/// What a running init tells about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitRecord {
    /// Its pid as the host sees it.
    pub pid: i32,
    /// When it started, in clock ticks since boot: with the pid, it names the process for good.
    pub start: u64,
    /// What its user should know of how it was started.
    pub notes: Vec<String>,
    /// Whether it has a user namespace of its own.
    pub user_namespace: bool,
}

/// The state directory of one server, there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerDir(PathBuf);

/// A lock that ends with its holder.
#[derive(Debug)]
pub struct Held {
    _file: File,
}

impl ServerDir {
    /// The state directory at `path`.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path below it.
    #[must_use]
    pub fn join(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }

    /// Waits for the right to make or unmake the server; makes the directory if need be.
    pub fn lock(&self) -> io::Result<Held> {
        loop {
            // Closed to others: a server's root may leave programs there that run as root.
            match DirBuilder::new().recursive(true).mode(0o700).create(&self.0) {
                // So may they do to the directory above it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                made => made?,
            }
            let path = self.join("lock");
            let file = match OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path) {
                // Whoever deleted the server took the directory with it: begin again.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            flock(&file, FlockOperation::LockExclusive)?;
            // The holder before may have deleted the file that this process waited for.
            if fs::metadata(&path).is_ok_and(|there| file.metadata().is_ok_and(|held| held.ino() == there.ino())) {
                return Ok(Held { _file: file });
            }
        }
    }

    /// Makes the file of init's lock.
    pub fn prepare_init(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600).open(self.join("init.lock")).map(drop)
    }

    /// Takes init's lock, or says that an init holds it. The file must be there: an init that starts late must not
    /// leave anything in the directory of a server that was deleted.
    pub fn lock_for_init(&self) -> io::Result<Option<Held>> {
        let file = OpenOptions::new().write(true).open(self.join("init.lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Held { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an init lives, ready or not.
    pub fn has_init(&self) -> io::Result<bool> {
        let file = match File::open(self.join("init.lock")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        // Shared, so that two who look at once don't take each other for an init.
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The init that commands can be run beside, if there is one.
    pub fn ready_init(&self) -> io::Result<Option<InitRecord>> {
        if !self.has_init()? {
            return Ok(None);
        }
        // The record may still be the one of the init before.
        let record: Option<InitRecord> = read(&self.join("init.json"))?;
        Ok(record.filter(|init| start_of(init.pid) == Some(init.start)))
    }

    /// What was decided about the server; `None` when there is none, or it is being deleted.
    pub fn record(&self) -> io::Result<Option<Record>> {
        Ok(read(&self.join("spec.json"))?.map(Record::normal))
    }

    /// The record of a server whose deletion has begun and not ended.
    pub fn deleting(&self) -> io::Result<Option<Record>> {
        Ok(read(&self.join("deleting.json"))?.map(Record::normal))
    }

    /// The record of a server that is there or being deleted, as far as it can be read.
    #[must_use]
    pub fn known(&self) -> Option<Record> {
        self.record().ok().flatten().or_else(|| self.deleting().ok().flatten())
    }

    /// Whether this is a copy of a state directory whose original is still there: what `record` names is the original's.
    #[must_use]
    pub fn is_copy(&self, record: &Record) -> bool {
        let original = record.home.as_ref().filter(|home| **home != self.0).map(|home| Self::at(home.clone()));
        original.is_some_and(|original| {
            original.known().is_some_and(|there| there.id == record.id && there.token == record.token)
        })
    }

    /// From here on the server can only be deleted.
    pub fn begin_deletion(&self) -> io::Result<()> {
        match fs::rename(self.join("spec.json"), self.join("deleting.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync(&self.0),
        }
    }

    /// The server that is being deleted has left its network: its address holds the network no longer.
    pub fn forget_address(&self) -> io::Result<()> {
        match self.deleting() {
            // Not forced to disk: no network outlives the machine's crash.
            Ok(Some(record)) => write(&self.0, "deleting.json", &Record { address: None, ..record }, Durable::No),
            // One that can't be read holds no address either.
            Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(error),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Whether the server was made completely once.
    #[must_use]
    pub fn is_made(&self) -> bool {
        self.join("made").exists()
    }

    /// Remembers that the server was made completely.
    pub fn mark_made(&self) -> io::Result<()> {
        File::create(self.join("made"))?;
        sync(&self.0)
    }

    /// Whether it holds nothing of any server.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).all(|name| name == "lock")
    }

    /// Whether the server is a container.
    #[must_use]
    pub fn is_container(&self) -> bool {
        self.join(ENGINE).exists()
    }

    /// The socket of the engine that has the server.
    pub fn engine(&self) -> io::Result<Option<PathBuf>> {
        read(&self.join(ENGINE))
    }

    /// Remembers that the server is a container of the engine behind `socket`.
    pub fn write_engine(&self, socket: &Path) -> io::Result<()> {
        write(&self.0, ENGINE, &socket, Durable::Yes)
    }

    /// Writes the record so that it is there wholly or not at all, whenever the machine stops.
    pub fn write_record(&self, record: &Record) -> io::Result<()> {
        write(&self.0, "spec.json", record, Durable::Yes)
    }
}

/// Whether a change must outlive a crash of the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durable {
    Yes,
    No,
}

/// Writes `value` to `dir/name` by way of a new file that gets the name when it is complete.
fn write(dir: &Path, name: &str, value: &impl Serialize, durable: Durable) -> io::Result<()> {
    let new = dir.join(format!("{name}.new"));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    if durable == Durable::Yes {
        file.sync_all()?;
    }
    fs::rename(&new, dir.join(name))?;
    if durable == Durable::Yes { sync(dir) } else { Ok(()) }
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_init_is_there_as_long_as_it_holds_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let server = ServerDir::at(dir.path().join("web"));
        assert!(!server.has_init().unwrap());
        let held = server.lock().unwrap();
        server.prepare_init().unwrap();
        let init = server.lock_for_init().unwrap().expect("nobody else has it");
        assert!(server.has_init().unwrap());
        assert!(server.lock_for_init().unwrap().is_none());
        assert_eq!(server.ready_init().unwrap(), None, "it has not said that it is ready");
        drop((init, held));
        assert!(!server.has_init().unwrap());
    }

    #[test]
    fn a_lock_on_a_directory_deleted_meanwhile_is_not_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let server = ServerDir::at(dir.path().join("web"));
        let first = server.lock().unwrap();
        let second = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| server.lock().unwrap());
            fs::remove_dir_all(server.path()).unwrap();
            drop(first);
            waiting.join().unwrap()
        });
        assert!(server.join("lock").exists(), "the second holder made it anew");
        drop(second);
    }
}

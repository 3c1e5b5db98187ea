//! A private directory with a short name for ssh's sockets and logs. Its connections end with it.
//!
//! It is this process's own: a connection ends with the work that it was made for, and no other process relies on it. What
//! a killed process left is removed by the next one.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

/// What the names of the directories begin with.
const PREFIX: &str = "prov-ssh-";
/// The file that its process keeps locked.
const LOCK: &str = "lock";
/// What the names of logs begin with.
const LOG: &str = "log-";
/// How old a directory must be to count as left behind: a new one may not be locked yet.
const SETTLED: Duration = Duration::from_mins(1);

/// The directory, as long as somebody has it.
#[derive(Debug)]
pub struct Room {
    dir: PathBuf,
    logs: AtomicUsize,
    _lock: File,
}

impl Room {
    /// The room of this process; made where nobody has it.
    ///
    /// # Errors
    /// When there is no place for it.
    pub fn shared() -> io::Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Room>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = shared.upgrade() {
            return Ok(room);
        }
        let room = Arc::new(Self::make(&parent())?);
        *shared = Arc::downgrade(&room);
        Ok(room)
    }

    fn make(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let id = uuid::Uuid::now_v7().simple().to_string();
        let dir = parent.join(format!("{PREFIX}{}", &id[id.len() - 12..]));
        DirBuilder::new().mode(0o700).create(&dir)?;
        let lock = File::create(dir.join(LOCK))?;
        lock.try_lock()?;
        Ok(Self { dir, logs: AtomicUsize::new(0), _lock: lock })
    }

    /// Where the sockets are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file that nobody else has.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join(format!("{LOG}{}", self.logs.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name != LOCK && !name.to_string_lossy().starts_with(LOG) {
                end(&entry.path());
            }
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Ends the connection behind a socket. It would end by itself a little later.
fn end(socket: &Path) {
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-O", "exit", "-S"]).arg(socket).args(["--", "any"]);
    let _ = ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

/// The user's own directory where the system has one: sockets have little room for a name.
fn parent() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    own.filter(|dir| dir.is_absolute() && dir.is_dir() && dir.as_os_str().len() < 40).unwrap_or_else(|| "/tmp".into())
}

/// Removes what processes that are gone left behind.
fn sweep(parent: &Path) {
    let me = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let Some(found) = is_ours.then(|| entry.metadata().ok()).flatten() else { continue };
        let age = found.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if found.is_dir() && found.uid() == me && age.is_some_and(|age| age > SETTLED) {
            let held = File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_err());
            if !held {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_goes_with_the_last_who_has_it_and_what_is_left_behind_with_the_next() {
        let parent = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - SETTLED * 2;
        let left = parent.path().join(format!("{PREFIX}left"));
        std::fs::create_dir(&left).unwrap();
        File::open(&left).unwrap().set_modified(old).unwrap();
        let first = Room::make(parent.path()).unwrap();
        File::open(first.dir()).unwrap().set_modified(old).unwrap();
        assert!(!left.exists());
        let second = Room::make(parent.path()).unwrap();
        assert!(first.dir().is_dir() && first.log() != first.log());
        let dirs = [first.dir().to_owned(), second.dir().to_owned()];
        drop((first, second));
        assert!(dirs.iter().all(|dir| !dir.exists()));
    }
}

//! The right to change the machine's networks: a lock that one process holds at a time.
//!
//! Root's lock is a file that only root can reach, or anybody could keep root from working. An ordinary user, who can't
//! change the machine's networks, has one per user, or per workspace where the session has no place for it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::unprivileged;

/// Root's directory for it.
const ROOTS: &str = "/run/prov";
/// Where a user's session keeps such things (XDG Base Directory Specification).
const USERS_VARIABLE: &str = "XDG_RUNTIME_DIR";
/// How long the lock is waited for; it is held for milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// The right. It ends with its holder.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the right; `state` is where this workspace's servers are. The error names the lock.
    pub fn take(state: &Path) -> io::Result<Self> {
        Self::take_within(&directory(state), PATIENCE)
    }

    fn take_within(directory: &Path, patience: Duration) -> io::Result<Self> {
        let path = directory.join("networks.lock");
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        own(directory).map_err(named)?;
        let file = open(&path).map_err(named)?;
        let begun = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK) if begun.elapsed() >= patience => {
                    let taken = format!("another process has held it for {} s", patience.as_secs());
                    return Err(named(io::Error::new(io::ErrorKind::TimedOut, taken)));
                }
                // It can't be waited for with a deadline.
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(1)),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(named(error.into())),
            }
        }
    }
}

fn directory(state: &Path) -> PathBuf {
    if unprivileged::is_privileged() {
        return PathBuf::from(ROOTS);
    }
    let session = std::env::var_os(USERS_VARIABLE).map(PathBuf::from).filter(|dir| is_own(dir).unwrap_or(false));
    session.map_or_else(|| state.parent().unwrap_or(state).to_owned(), |session| session.join("prov"))
}

/// Makes the directory for nobody but this user, and refuses one that is somebody else's.
fn own(directory: &Path) -> io::Result<()> {
    // The file is its owner's even where the directory is open to others: they can't open it.
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    if is_own(directory)? { Ok(()) } else { Err(io::Error::other("its directory belongs to somebody else")) }
}

fn is_own(directory: &Path) -> io::Result<bool> {
    let there = fs::symlink_metadata(directory)?;
    Ok(there.is_dir() && there.uid() == rustix::process::geteuid().as_raw())
}

fn open(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_the_lock_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take_within(dir.path(), Duration::ZERO).unwrap();
        let error = Lock::take_within(dir.path(), Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("networks.lock: another process has held it"), "{error}");
        drop(held);
        Lock::take_within(dir.path(), Duration::ZERO).unwrap();
    }

    #[test]
    fn a_directory_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        let error = Lock::take_within(&link, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("belongs to somebody else"), "{error}");
    }
}

//! Locks on servers: no two processes of prov work on one server at once.
//!
//! A lock is an flock on a file below `.prov/locks/INFRA/`; it ends with the process that holds it, however that ends.
//! The files stay: removing one while another process waits for it would make two holders. Knows nothing of servers
//! but their names.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::report::Reporter;
use super::workspace::Workspace;
use crate::model::name::Name;

/// How long a lock is waited for; longer than any single server takes.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often a taken lock is tried again: flock can't be waited for with a deadline.
const INTERVAL: Duration = Duration::from_millis(100);

/// Locks on several servers, held until this is dropped.
#[derive(Debug)]
pub struct ServerLocks {
    _files: Vec<File>,
}

/// Why a lock can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Its file.
    #[error("can't lock the server {name} by {}", path.display())]
    File {
        /// The server.
        name: Name,
        /// The lock's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process keeps it.
    #[error("another prov process has been working on the server {name} for {} s", waited.as_secs())]
    Taken {
        /// The server.
        name: Name,
        /// How long it was waited for.
        waited: Duration,
    },
}

impl ServerLocks {
    /// Locks the servers `names` of `infra`, waiting for whoever has them.
    ///
    /// # Errors
    /// [`LockError`] names the server.
    pub fn acquire<'n>(
        workspace: &Workspace,
        infra: &Name,
        names: impl IntoIterator<Item = &'n Name>,
        reporter: &Reporter,
    ) -> Result<Self, LockError> {
        Self::acquire_within(workspace, infra, names, reporter, PATIENCE)
    }

    fn acquire_within<'n>(
        workspace: &Workspace,
        infra: &Name,
        names: impl IntoIterator<Item = &'n Name>,
        reporter: &Reporter,
        patience: Duration,
    ) -> Result<Self, LockError> {
        let dir = locks_dir(workspace).join(infra.as_str());
        let mut names: Vec<&Name> = names.into_iter().collect();
        // Everybody locks in the same order, so nobody waits in a circle.
        names.sort();
        names.dedup();
        let mut files = Vec::with_capacity(names.len());
        for name in names {
            let path = dir.join(format!("{name}.lock"));
            let failed = |source| LockError::File { name: name.clone(), path: path.clone(), source };
            std::fs::create_dir_all(&dir).map_err(failed)?;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?;
            let file = File::from(file);
            wait(&file, name, reporter, patience, failed)?;
            files.push(file);
        }
        Ok(Self { _files: files })
    }
}

/// The infras in whose servers work was ever done, by name: more than the workspace describes, since batches may name
/// any.
#[must_use]
pub fn known_infras(workspace: &Workspace) -> Vec<Name> {
    let entries = std::fs::read_dir(locks_dir(workspace)).into_iter().flatten().flatten();
    let mut names: Vec<Name> =
        entries.filter_map(|entry| Name::new(entry.file_name().into_string().ok()?).ok()).collect();
    names.sort();
    names
}

fn locks_dir(workspace: &Workspace) -> PathBuf {
    workspace.state_dir().join("locks")
}

fn wait(
    file: &File,
    name: &Name,
    reporter: &Reporter,
    patience: Duration,
    failed: impl Fn(io::Error) -> LockError,
) -> Result<(), LockError> {
    let until = Instant::now() + patience;
    let mut said = false;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() >= until => {
                return Err(LockError::Taken { name: name.clone(), waited: patience });
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                if !said {
                    reporter.step(&format!("waiting for another prov process that works on {name}"));
                    said = true;
                }
                std::thread::sleep(INTERVAL);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| Name::new(*text).unwrap()).collect()
    }

    #[test]
    fn a_server_has_one_holder_and_is_free_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        let infra = Name::new("i").unwrap();
        let acquire = |servers: &[&str]| {
            let names = names(servers);
            ServerLocks::acquire_within(&workspace, &infra, &names, &Reporter::silent(), Duration::ZERO)
        };
        let held = acquire(&["b", "a", "a"]).unwrap();
        let error = acquire(&["c", "b"]).unwrap_err();
        assert_eq!(error.to_string(), "another prov process has been working on the server b for 0 s");
        drop(acquire(&["c"]).unwrap());
        drop(held);
        drop(acquire(&["a", "b", "c"]).unwrap());
        assert_eq!(known_infras(&workspace), std::slice::from_ref(&infra));
    }
}

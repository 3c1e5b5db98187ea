//! The key of a workspace: how prov gets into the machines that it makes there.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::provision::error::ProviderError;
use crate::provision::workspace::Workspace;

const PRIVATE: &str = "id_ed25519";
const PUBLIC: &str = "id_ed25519.pub";

/// The key's two halves; the private one is known by its file alone.
#[derive(Clone, Debug)]
pub struct Key {
    private: PathBuf,
    public: String,
}

impl Key {
    /// The key of `workspace`, made where there is none yet.
    ///
    /// # Errors
    /// When it is there and can't be read, or can't be made.
    pub fn of(workspace: &Workspace) -> Result<Self, ProviderError> {
        let dir = dir(workspace);
        let failed = |source: io::Error| ProviderError::Failed {
            attempt: format!("can't make the workspace's ssh key in {}", dir.display()),
            source: Box::new(source),
        };
        Self::in_dir(&dir).map_err(|error| match error {
            Unmade::NoProgram => ProviderError::Unavailable {
                what: "this host has no ssh-keygen".to_owned(),
                hint: Some("install OpenSSH's client (Debian: openssh-client)".to_owned()),
            },
            Unmade::Io(error) => failed(error),
        })
    }

    fn in_dir(dir: &Path) -> Result<Self, Unmade> {
        make_dir(dir)?;
        // Whoever comes second finds what the first one made.
        let lock = File::create(dir.join("lock"))?;
        lock.lock()?;
        let private = dir.join(PRIVATE);
        if !private.exists() {
            make(dir)?;
        }
        // ssh refuses a key that others could read.
        std::fs::set_permissions(&private, Permissions::from_mode(0o600))?;
        let public = match std::fs::read_to_string(dir.join(PUBLIC)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => keygen(&["-y", "-P", "", "-f"], &private)?,
            read => read?,
        };
        Ok(Self { private, public: public.trim().to_owned() })
    }

    /// The private key's file.
    #[must_use]
    pub fn private(&self) -> &Path {
        &self.private
    }

    /// The public key, as a line of `authorized_keys`.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }
}

/// Where a workspace keeps what has to do with ssh.
#[must_use]
pub fn dir(workspace: &Workspace) -> PathBuf {
    workspace.state_dir().join("ssh")
}

/// Makes a directory for this user alone, with those above it.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

enum Unmade {
    NoProgram,
    Io(io::Error),
}

impl From<io::Error> for Unmade {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Both halves are on disk before either has its name, and the private one gets its name last: it says that there is a key.
fn make(dir: &Path) -> Result<(), Unmade> {
    let new = tempdir(dir)?;
    let private = new.join(PRIVATE);
    let made = keygen(&["-q", "-t", "ed25519", "-N", "", "-C", "prov", "-f"], &private).and_then(|_| {
        for name in [PUBLIC, PRIVATE] {
            File::open(new.join(name))?.sync_all()?;
            std::fs::rename(new.join(name), dir.join(name))?;
        }
        Ok(File::open(dir)?.sync_all()?)
    });
    let _ = std::fs::remove_dir_all(&new);
    made
}

fn tempdir(dir: &Path) -> io::Result<PathBuf> {
    let new = dir.join("new");
    // The lock is held: whatever is there was cut short.
    let _ = std::fs::remove_dir_all(&new);
    DirBuilder::new().mode(0o700).create(&new)?;
    Ok(new)
}

fn keygen(arguments: &[&str], file: &Path) -> Result<String, Unmade> {
    let mut command = Command::new("ssh-keygen");
    let output = command.args(arguments).arg(file).stdin(Stdio::null()).output();
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Unmade::NoProgram,
        _ => Unmade::Io(error),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Unmade::Io(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_has_one_key_however_many_ask_for_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join(".prov/ssh/new")).unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        let keys = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..4).map(|_| scope.spawn(|| Key::of(&workspace).unwrap())).collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(keys.iter().all(|key| key.public() == keys[0].public()));
        assert!(keys[0].public().starts_with("ssh-ed25519 AAAA"));
        let mode = std::fs::metadata(keys[0].private()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_file(dir.path().join(".prov/ssh/id_ed25519.pub")).unwrap();
        assert!(keys[0].public().starts_with(Key::of(&workspace).unwrap().public()));
    }
}

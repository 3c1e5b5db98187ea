//! The secret that seals the audit trail: 32 bytes in `audit-key` of the data directory, readable by its owner alone.
//!
//! Unlike the keys that sign tokens it can't be replaced: without it nobody can tell any more whether the entries that it
//! sealed are what was written. So nothing here says to remove it. Whether there are such entries is the store's to know.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::key_files::write_secret;
use super::secret::NoRandomness;

/// Why there is no audit key.
#[derive(Debug, thiserror::Error)]
pub enum AuditKeyError {
    /// The file can't be read or written.
    #[error("can't use the audit key {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can read the file.
    #[error("the audit key {path} can be read by others (mode {mode:04o}): whoever reads it can forge entries")]
    Exposed {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// What the file holds is no key.
    #[error("the audit key {path} is damaged: it has {bytes} bytes, a key has 32")]
    Damaged {
        /// The file.
        path: String,
        /// How long it is.
        bytes: usize,
    },
    /// There is no file, but there are entries.
    #[error(
        "the audit key {path} is missing: it sealed the audit trail, and another one would make every entry look forged"
    )]
    Missing {
        /// The file.
        path: String,
    },
    /// No key could be made.
    #[error("no audit key can be made")]
    Generate(#[from] NoRandomness),
}

impl AuditKeyError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exposed { path, .. } => Some(format!("chmod 600 {path}")),
            Self::Damaged { .. } | Self::Missing { .. } => {
                let lost = "where there is none, keep this data directory as it is and begin with another one";
                Some(format!("restore it from a backup; {lost}"))
            }
            Self::File { .. } | Self::Generate(_) => None,
        }
    }
}

/// The secret of a data directory; nothing when there is no file.
///
/// # Errors
/// When the file can't be read, is damaged, or others can read it.
pub fn read(data_dir: &Path) -> Result<Option<[u8; 32]>, AuditKeyError> {
    let path = file(data_dir);
    let failed = |source| failed(&path, source);
    // Permissions are those of the file that is read, not of what stands under its name a moment later.
    let mut file = match File::open(&path) {
        Ok(file) => file,
        // A link to nothing is a key that is gone, not a place for another one.
        Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(&path).is_err() => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(AuditKeyError::Exposed { path: path.display().to_string(), mode });
    }
    let mut secret = Vec::new();
    file.read_to_end(&mut secret).map_err(failed)?;
    let damaged = |secret: Vec<u8>| AuditKeyError::Damaged { path: path.display().to_string(), bytes: secret.len() };
    secret.try_into().map(Some).map_err(damaged)
}

/// A new secret, for a trail that has no entries yet.
///
/// # Errors
/// When the system gives no random numbers.
pub fn generate() -> Result<[u8; 32], AuditKeyError> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| NoRandomness)?;
    Ok(secret)
}

/// Keeps the secret: it is on disk when this returns.
///
/// # Errors
/// When the file can't be written.
pub fn keep(data_dir: &Path, secret: &[u8; 32]) -> Result<(), AuditKeyError> {
    let path = file(data_dir);
    write_secret(&path, secret).map_err(|source| failed(&path, source))
}

/// There is no secret although there are entries.
#[must_use]
pub fn missing(data_dir: &Path) -> AuditKeyError {
    AuditKeyError::Missing { path: file(data_dir).display().to_string() }
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("audit-key")
}

fn failed(path: &Path, source: io::Error) -> AuditKeyError {
    AuditKeyError::File { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_secret_is_kept_privately_and_read_again() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(read(data.path()).unwrap(), None);
        let secret = generate().unwrap();
        keep(data.path(), &secret).unwrap();
        assert_eq!(read(data.path()).unwrap(), Some(secret));
        assert_eq!(fs::metadata(file(data.path())).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn no_error_says_to_remove_what_nothing_can_replace() {
        let data = tempfile::tempdir().unwrap();
        let path = file(data.path());
        write_secret(&path, b"short").unwrap();
        let damaged = read(data.path()).unwrap_err();
        assert!(matches!(damaged, AuditKeyError::Damaged { bytes: 5, .. }), "{damaged}");
        keep(data.path(), &[7; 32]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let exposed = read(data.path()).unwrap_err();
        assert_eq!(exposed.hint(), Some(format!("chmod 600 {}", path.display())));
        for error in [damaged, exposed, missing(data.path())] {
            let text = format!("{error}; {}", error.hint().unwrap());
            assert!(!text.contains("remove") && !text.contains("delete"), "{text}");
        }
        fs::remove_file(&path).unwrap();
        symlink(data.path().join("elsewhere"), &path).unwrap();
        assert!(matches!(read(data.path()), Err(AuditKeyError::File { .. })));
    }
}

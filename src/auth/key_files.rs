//! Where signing keys are kept: one file a key in `keys/` of the data directory, readable by its owner alone.
//!
//! A file is called `<milliseconds>.pk8`, after the time from which its key signs, so the names tell the order. A single
//! `signing-key.pk8`, as it was before keys rotated, becomes the first of them. A key that others can read is refused:
//! whoever can read it can be anybody.
//!
//! The keys of old vanish, and what they signed may be kept elsewhere for years. `signers` beside the directory has the
//! ids of all that ever signed, one a line: an id is the digest of the public half, so it is enough to recognise a key.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::keys::{KeyRing, SigningKey};
use super::secret::NoRandomness;
use crate::model::time::Timestamp;

const EXTENSION: &str = "pk8";
const SINGLE: &str = "signing-key.pk8";
const SIGNERS: &str = "signers";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file or the directory can't be read or written.
    #[error("can't use the signing key {path}")]
    File {
        /// The file or directory.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can read the file.
    #[error(
        "the signing key {path} can be read by others (mode {mode:04o}): remove it to have a new one made, or say `chmod 600` when nobody can have read it"
    )]
    Exposed {
        /// The file.
        path: String,
        /// Its permissions.
        mode: u32,
    },
    /// What the file holds is no key.
    #[error("the signing key {path} is damaged: remove it; another one is used or made, and access tokens are renewed")]
    Damaged {
        /// The file.
        path: String,
    },
    /// No key could be made.
    #[error("no signing key can be made")]
    Generate(#[from] NoRandomness),
}

/// The directory of the keys.
#[derive(Debug)]
pub struct KeyFiles {
    directory: PathBuf,
    signers: PathBuf,
}

impl KeyFiles {
    /// The keys of a data directory; a first one is made when there is none.
    ///
    /// # Errors
    /// When a file can't be used, holds no key or can be read by others.
    pub fn open(data_dir: &Path, now: Timestamp) -> Result<(Self, KeyRing), KeyError> {
        let files = Self { directory: data_dir.join("keys"), signers: data_dir.join(SIGNERS) };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&files.directory);
        made.map_err(|source| failed(&files.directory, source))?;
        files.take_in(&data_dir.join(SINGLE))?;
        let ring = match KeyRing::from_keys(files.read()?) {
            Some(ring) => {
                files.remember(&ring)?;
                ring.without_over(now)
            }
            None => KeyRing::of(SigningKey::generate(now)?),
        };
        files.keep(&ring)?;
        Ok((files, ring))
    }

    /// Makes the files those of the ring: the key that signs is on disk when this returns, those of no key are gone.
    ///
    /// # Errors
    /// When a file can't be written or removed.
    pub fn keep(&self, ring: &KeyRing) -> Result<(), KeyError> {
        self.remember(ring)?;
        let path = self.path(ring.signing().since());
        if !path.exists() {
            write_secret(&path, ring.signing().pkcs8()).map_err(|source| failed(&path, source))?;
        }
        let kept: Vec<Timestamp> = ring.entries().map(|entry| entry.key.since()).collect();
        for (since, path) in self.list()? {
            if !kept.contains(&since) {
                fs::remove_file(&path).map_err(|source| failed(&path, source))?;
            }
        }
        Ok(())
    }

    /// Whether a key with this id ever signed.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn has_signed(&self, kid: &str) -> Result<bool, KeyError> {
        Ok(self.remembered()?.lines().any(|known| known == kid))
    }

    /// Writes down that the keys of the ring sign, or did, before one of them does.
    fn remember(&self, ring: &KeyRing) -> Result<(), KeyError> {
        let mut known = self.remembered()?;
        let before = known.len();
        for entry in ring.entries() {
            let kid = entry.key.kid();
            if !known.lines().any(|line| line == kid) {
                known.push_str(kid);
                known.push('\n');
            }
        }
        if known.len() == before {
            return Ok(());
        }
        write_secret(&self.signers, known.as_bytes()).map_err(|source| failed(&self.signers, source))
    }

    fn remembered(&self) -> Result<String, KeyError> {
        match fs::read_to_string(&self.signers) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|source| failed(&self.signers, source)),
        }
    }

    /// Makes the single key of before the first of the directory. It began to sign when it was written.
    fn take_in(&self, single: &Path) -> Result<(), KeyError> {
        let written = match fs::symlink_metadata(single).and_then(|metadata| metadata.modified()) {
            Ok(written) => written.duration_since(UNIX_EPOCH).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(failed(single, source)),
        };
        let to = self.path(Timestamp(0).plus(written));
        read_key(single, Timestamp(0))?;
        fs::rename(single, &to).map_err(|source| failed(single, source))
    }

    fn read(&self) -> Result<Vec<SigningKey>, KeyError> {
        self.list()?.into_iter().map(|(since, path)| read_key(&path, since)).collect()
    }

    /// The files that are named like keys.
    fn list(&self) -> Result<Vec<(Timestamp, PathBuf)>, KeyError> {
        let failed = |source| failed(&self.directory, source);
        let entries = fs::read_dir(&self.directory).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let keys = entries.into_iter().filter_map(|entry| {
            let path = entry.path();
            let stem = path.file_stem()?.to_str()?.parse().ok()?;
            (path.extension()? == EXTENSION).then_some((Timestamp(stem), path))
        });
        Ok(keys.collect())
    }

    fn path(&self, since: Timestamp) -> PathBuf {
        self.directory.join(format!("{}.{EXTENSION}", since.0))
    }
}

fn failed(path: &Path, source: io::Error) -> KeyError {
    KeyError::File { path: path.display().to_string(), source }
}

fn read_key(path: &Path, since: Timestamp) -> Result<SigningKey, KeyError> {
    let failed = |source| failed(path, source);
    // Permissions are those of the file that is read, not of what stands under its name a moment later.
    let mut file = File::open(path).map_err(failed)?;
    check_private(path, &file)?;
    let mut pkcs8 = Vec::new();
    file.read_to_end(&mut pkcs8).map_err(failed)?;
    SigningKey::from_pkcs8(pkcs8, since).ok_or_else(|| KeyError::Damaged { path: path.display().to_string() })
}

fn check_private(path: &Path, file: &File) -> Result<(), KeyError> {
    let mode = file.metadata().map_err(|source| failed(path, source))?.mode() & 0o7777;
    let for_others = mode & 0o077;
    if for_others == 0 { Ok(()) } else { Err(KeyError::Exposed { path: path.display().to_string(), mode }) }
}

/// Writes a file that only its owner can read, whole or not at all; an existing one is replaced.
///
/// # Errors
/// When it can't be written.
pub fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let _ = fs::remove_file(&partial);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::token::ACCESS_LIFETIME;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    fn names(data: &Path) -> Vec<String> {
        let entries = fs::read_dir(data.join("keys")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_key_is_made_once_and_is_private() {
        let data = tempfile::tempdir().unwrap();
        let (_, first) = KeyFiles::open(data.path(), Timestamp(5)).unwrap();
        let (_, second) = KeyFiles::open(data.path(), Timestamp(6)).unwrap();
        assert_eq!(first.signing().kid(), second.signing().kid());
        assert_eq!(names(data.path()), ["5.pk8"]);
        let mode = |path: &str| fs::metadata(data.path().join(path)).unwrap().mode() & 0o777;
        assert_eq!((mode("keys"), mode("keys/5.pk8")), (0o700, 0o600));
    }

    #[test]
    fn rotated_keys_are_read_again_and_go_when_they_are_over() {
        let data = tempfile::tempdir().unwrap();
        let (files, first) = KeyFiles::open(data.path(), Timestamp(0)).unwrap();
        let second = first.rotate(Timestamp(1000)).unwrap();
        files.keep(&second).unwrap();
        assert_eq!(names(data.path()), ["0.pk8", "1000.pk8"]);
        let (_, read) = KeyFiles::open(data.path(), Timestamp(2000)).unwrap();
        assert_eq!(read.signing().kid(), second.signing().kid());
        assert_eq!(read.jwks(Timestamp(2000)), second.jwks(Timestamp(2000)));
        let later = Timestamp(2000).plus(ACCESS_LIFETIME).plus(Duration::from_mins(1));
        files.keep(&read.without_over(later)).unwrap();
        assert_eq!(names(data.path()), ["1000.pk8"]);
    }

    #[test]
    fn whoever_ever_signed_is_known_for_ever() {
        let data = tempfile::tempdir().unwrap();
        let (files, first) = KeyFiles::open(data.path(), Timestamp(0)).unwrap();
        let second = first.rotate(Timestamp(1000)).unwrap();
        files.keep(&second).unwrap();
        let late = Timestamp(1000).plus(ACCESS_LIFETIME).plus(Duration::from_mins(2));
        fs::remove_file(data.path().join(SIGNERS)).unwrap();
        let (files, read) = KeyFiles::open(data.path(), late).unwrap();
        assert_eq!(read.entries().count(), 1, "the first is over");
        let signed = |kid: &str| files.has_signed(kid).unwrap();
        assert!(signed(first.signing().kid()) && signed(second.signing().kid()));
        let stranger = SigningKey::generate(Timestamp(0)).unwrap();
        assert!(!signed(stranger.kid()) && !signed(""));
    }

    #[test]
    fn the_single_key_of_before_becomes_the_first() {
        let data = tempfile::tempdir().unwrap();
        let single = data.path().join(SINGLE);
        let key = SigningKey::generate(Timestamp(0)).unwrap();
        write_secret(&single, key.pkcs8()).unwrap();
        let (files, ring) = KeyFiles::open(data.path(), Timestamp(0)).unwrap();
        assert_eq!(ring.signing().kid(), key.kid());
        assert!(ring.signing().since() > Timestamp(0), "it signs since it was written");
        assert!(!single.exists());
        let next = ring.rotate(ring.signing().since().plus(Duration::from_secs(1))).unwrap();
        files.keep(&next).unwrap();
        let (_, read) = KeyFiles::open(data.path(), next.signing().since()).unwrap();
        assert_eq!(read.signing().kid(), next.signing().kid());
        assert_eq!(read.entries().count(), 2);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        for (single, mode) in [(false, 0o640), (false, 0o604), (false, 0o660), (true, 0o644)] {
            let data = tempfile::tempdir().unwrap();
            let (_, ring) = KeyFiles::open(data.path(), Timestamp(7)).unwrap();
            let path = data.path().join(if single { SINGLE } else { "keys/7.pk8" });
            write_secret(&path, ring.signing().pkcs8()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = KeyFiles::open(data.path(), Timestamp(8)).unwrap_err();
            assert!(matches!(error, KeyError::Exposed { mode: found, .. } if found == mode), "{error}");
            assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
            assert!(path.exists());
        }
    }

    #[test]
    fn a_damaged_key_is_named_and_what_is_no_key_is_left_alone() {
        let data = tempfile::tempdir().unwrap();
        KeyFiles::open(data.path(), Timestamp(7)).unwrap();
        for other in ["README", "8.partial", "notes.pk8"] {
            fs::write(data.path().join("keys").join(other), "x").unwrap();
        }
        assert!(KeyFiles::open(data.path(), Timestamp(8)).is_ok());
        assert_eq!(names(data.path()).len(), 4);
        write_secret(&data.path().join("keys/7.pk8"), b"nonsense").unwrap();
        let error = KeyFiles::open(data.path(), Timestamp(8)).unwrap_err();
        assert!(matches!(&error, KeyError::Damaged { path } if path.ends_with("keys/7.pk8")), "{error}");
    }
}

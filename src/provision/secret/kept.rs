//! What is kept between commands: in the kernel's keyring of this user where it works, else in a file for this user alone.
//!
//! Each credential has a file that says where it is; a keyring can't be listed. The keyring is probed by writing and reading
//! back, and forgets at a reboot and what was not used for days (`persistent-keyring(7)`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::Serialize;

use super::Secret;
use crate::model::name::Name;

const SERVICE: &str = "prov";
/// What the file of a credential says that is in the keyring.
const IN_KEYRING: &str = "keyring\n";
/// What the file of a credential begins with that is in it.
const HERE: &str = "file\n";

/// Where a credential is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the kernel's keyring of this user; gone after a reboot, and when it was not used for days.
    Keyring,
    /// In a file that this user alone can read.
    File,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Keyring => "the keyring",
            Self::File => "a file of this user alone",
        })
    }
}

/// Keeps a secret `at` this place, or in a file where the keyring doesn't take it; says where.
///
/// # Errors
/// When that can't be written down.
pub fn keep(name: &Name, secret: &Secret, at: Place) -> io::Result<Place> {
    keep_in(&directory()?, name, secret, at)
}

/// The secret that is kept under this name.
///
/// # Errors
/// When that can't be said.
pub fn find(name: &Name) -> io::Result<Option<Secret>> {
    find_in(&directory()?, name)
}

/// Where it is kept, if it is.
///
/// # Errors
/// When that can't be said.
pub fn place(name: &Name) -> io::Result<Option<Place>> {
    let Ok(directory) = directory() else { return Ok(None) };
    Ok(read(&directory, name)?.map(|(place, _)| place))
}

/// Forgets it; whether there was one.
///
/// # Errors
/// When it is still there.
pub fn forget(name: &Name) -> io::Result<bool> {
    let directory = directory()?;
    if let Some(entry) = entry(&directory, name) {
        let _ = entry.delete_credential();
    }
    match fs::remove_file(directory.join(name.as_str())) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The names of all that is kept.
///
/// # Errors
/// When they can't be listed.
pub fn names() -> io::Result<Vec<Name>> {
    let entries = match fs::read_dir(directory()?) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string().ok().and_then(|text| Name::new(text).ok()));
    }
    names.sort();
    Ok(names)
}

fn directory() -> io::Result<PathBuf> {
    let base = etcetera::choose_base_strategy();
    let base = base.map_err(|error| io::Error::new(io::ErrorKind::NotFound, error.to_string()))?;
    Ok(base.config_dir().join("prov/credentials"))
}

fn keep_in(directory: &Path, name: &Name, secret: &Secret, at: Place) -> io::Result<Place> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let in_keyring = at == Place::Keyring && in_keyring(directory, name, secret);
    let place = if in_keyring { Place::Keyring } else { Place::File };
    // A name never begins with a dot: what is cut short is no credential.
    let partial = directory.join(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    match place {
        Place::Keyring => file.write_all(IN_KEYRING.as_bytes())?,
        Place::File => file.write_all(format!("{HERE}{}", secret.expose()).as_bytes())?,
    }
    file.sync_all()?;
    fs::rename(&partial, directory.join(name.as_str()))?;
    if let (Place::File, Some(entry)) = (place, entry(directory, name)) {
        // What an earlier one left in the keyring is nobody's any more.
        let _ = entry.delete_credential();
    }
    Ok(place)
}

fn find_in(directory: &Path, name: &Name) -> io::Result<Option<Secret>> {
    Ok(match read(directory, name)? {
        None => None,
        Some((Place::File, secret)) => Some(secret),
        // A keyring forgets at reboot, which is no damage.
        Some((Place::Keyring, _)) => {
            entry(directory, name).and_then(|entry| entry.get_password().ok()).map(Secret::new)
        }
    })
}

fn read(directory: &Path, name: &Name) -> io::Result<Option<(Place, Secret)>> {
    let path = directory.join(name.as_str());
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if text == IN_KEYRING {
        return Ok(Some((Place::Keyring, Secret::new(String::new()))));
    }
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()));
    let secret = text.strip_prefix(HERE).ok_or_else(damaged)?;
    Ok(Some((Place::File, Secret::new(secret.to_owned()))))
}

/// The keyring belongs to the user, the file to a home: entries of different homes must differ.
fn entry(directory: &Path, name: &Name) -> Option<keyring_core::Entry> {
    if keyring_core::get_default_store().is_none() {
        keyring_core::set_default_store(linux_keyutils_keyring_store::Store::new().ok()?);
        // A process that has no session keyring gets one with its first entry, which itself still looks where the process
        // was before: what it finds another process wouldn't.
        let _ = keyring_core::Entry::new(SERVICE, "session");
    }
    keyring_core::Entry::new(SERVICE, &format!("credential {} {name}", directory.display())).ok()
}

/// Whether the keyring took the secret and gives it back.
fn in_keyring(directory: &Path, name: &Name, secret: &Secret) -> bool {
    let Some(entry) = entry(directory, name) else { return false };
    let text = secret.expose();
    let kept = entry.set_password(text).is_ok() && entry.get_password().is_ok_and(|back| back == text);
    if !kept {
        let _ = entry.delete_credential();
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let (directory, name) = (dir.path().join("credentials"), Name::new("UPCLOUD_TOKEN").unwrap());
        assert!(find_in(&directory, &name).unwrap().is_none());
        let place =
            keep_in(&directory, &name, &Secret::new("s3cret\nof two lines\n".to_owned()), Place::Keyring).unwrap();
        assert_eq!(find_in(&directory, &name).unwrap().unwrap().expose(), "s3cret\nof two lines\n");
        let path = directory.join(name.as_str());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap().contains("s3cret"), place == Place::File);
        let place = keep_in(&directory, &name, &Secret::new("0ther".to_owned()), Place::File).unwrap();
        assert_eq!((place, fs::read_to_string(&path).unwrap()), (Place::File, format!("{HERE}0ther")));
        assert_eq!(find_in(&directory, &name).unwrap().unwrap().expose(), "0ther");
        assert!(entry(&directory, &name).is_none_or(|entry| entry.get_password().is_err()), "the keyring has none");
        fs::write(&path, "nonsense").unwrap();
        let error = find_in(&directory, &name).unwrap_err().to_string();
        assert!(error.ends_with("is damaged"), "{error}");
        let _ = entry(&directory, &name).map(|entry| entry.delete_credential());
    }
}

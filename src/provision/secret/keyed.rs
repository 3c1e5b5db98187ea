//! Digests of secrets: a changed value is noticed, and nobody can try values against one, for its key is the workspace's
//! own and stands in no record. A key that is lost makes every value look changed, nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::{hmac, rand};

use super::Secret;
use crate::provision::workspace::Workspace;

/// The file with the key, in the workspace's state.
const FILE: &str = "secrets.key";
/// Bytes of a key.
const LENGTH: usize = 32;

/// The digest of a secret under the workspace's key, which is made where there is none.
///
/// # Errors
/// Where the key can't be read or made.
pub fn digest(workspace: &Workspace, secret: &Secret) -> io::Result<String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key(&workspace.state_dir())?);
    let tag = hmac::sign(&key, secret.expose().as_bytes());
    Ok(tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn key(directory: &Path) -> io::Result<Vec<u8>> {
    let path = directory.join(FILE);
    match fs::read(&path) {
        Ok(key) if key.len() == LENGTH => return Ok(key),
        Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()))),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    fs::create_dir_all(directory)?;
    let mut key = [0u8; LENGTH];
    rand::fill(&mut key).map_err(|_| io::Error::other("the system has no randomness to give"))?;
    let mut name = [0u8; 8];
    rand::fill(&mut name).map_err(|_| io::Error::other("the system has no randomness to give"))?;
    let partial = directory.join(format!(".{FILE}.{:016x}", u64::from_ne_bytes(name)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    file.write_all(&key)?;
    file.sync_all()?;
    // A link fails where somebody was faster, and then theirs is the key.
    let linked = fs::hard_link(&partial, &path);
    fs::remove_file(&partial)?;
    match linked {
        Ok(()) => File::open(directory)?.sync_all().map(|()| key.to_vec()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fs::read(&path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_the_workspaces_own_and_tells_values_apart() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let of =
            |dir: &Path, text: &str| digest(&Workspace::open(dir).unwrap(), &Secret::new(text.to_owned())).unwrap();
        let same: Vec<String> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| of(one.path(), "a"))).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(same.iter().all(|digest| *digest == same[0]), "all of them agree on the key");
        assert_ne!(of(one.path(), "b"), same[0]);
        assert_ne!(of(two.path(), "a"), same[0]);
        assert_eq!(fs::read_dir(one.path().join(".prov")).unwrap().count(), 1, "nothing is left over");
    }
}

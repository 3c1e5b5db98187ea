//! Artifacts that were fetched: `.prov/cache/artifacts/SHA256`. What stands there under a name has been checked, and is
//! checked again each time that it is used.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{FlockOperation, flock};

use super::{Artifact, ArtifactError, download};
use crate::model::digest::{Sha256, hexadecimal};

/// The artifact's file in the cache `directory`, fetched if it isn't there or is damaged.
///
/// # Errors
/// [`ArtifactError`].
pub fn get(directory: &Path, artifact: &Artifact, deadline: Instant) -> Result<PathBuf, ArtifactError> {
    fs::create_dir_all(directory)?;
    let place = directory.join(&artifact.sha256);
    // Processes and threads that want the same one wait for whoever fetches it.
    let lock = File::create(directory.join(format!("{}.lock", artifact.sha256)))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(io::Error::from)?;
    match checksum(&place) {
        Ok(sum) if sum == artifact.sha256 => return Ok(place),
        Ok(_) => fs::remove_file(&place)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let part = directory.join(format!("{}.part", artifact.sha256));
    download::fetch(artifact, &part, deadline)?;
    File::open(&part)?.sync_all()?;
    fs::rename(&part, &place)?;
    File::open(directory)?.sync_all()?;
    Ok(place)
}

/// The SHA-256 of a file, in hexadecimal digits.
///
/// # Errors
/// When it can't be read.
pub fn checksum(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut piece) = (Sha256::default(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hexadecimal(&hash.finish())),
            count => hash.update(&piece[..count]),
        }
    }
}

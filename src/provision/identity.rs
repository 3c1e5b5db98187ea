//! Which workspace this is: an id in its `.prov`, made once, by which its machines are told from those of another workspace
//! that works at the same account.
//!
//! Whoever loses `.prov` is another workspace from then on, and takes its old machines over by their old id.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use uuid::Uuid;

use super::disk;
use super::workspace::Workspace;

/// The file with the id, in the workspace's state.
const FILE: &str = "workspace-id";

/// The id, if the workspace ever had one.
///
/// # Errors
/// When it can't be read, or isn't one.
pub fn of(workspace: &Workspace) -> io::Result<Option<String>> {
    read(&workspace.state_dir().join(FILE))
}

/// The id, made where there is none: whoever asks at the same time gets the same one. It is on disk when this returns.
///
/// # Errors
/// When it can't be read or made.
pub fn made(workspace: &Workspace) -> io::Result<String> {
    let directory = workspace.state_dir();
    let path = directory.join(FILE);
    if let Some(id) = read(&path)? {
        return Ok(id);
    }
    disk::make(&directory)?;
    let id = Uuid::now_v7();
    let new = directory.join(format!("{FILE}.{id}"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(id.to_string().as_bytes())?;
    file.sync_all()?;
    // A name is given to one file only, wholly written: all others take that one.
    let named = fs::hard_link(&new, &path);
    fs::remove_file(&new)?;
    match named {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => File::open(&directory)?.sync_all()?,
    }
    read(&path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    match Uuid::try_parse(text.trim()) {
        Ok(id) => Ok(Some(id.to_string())),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} holds no id of a workspace; put back what it held", path.display()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn many_who_ask_at_once_get_one_id_and_it_stays() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        assert_eq!(of(&workspace).unwrap(), None);
        assert!(!dir.path().join(".prov").exists(), "who only asks makes nothing");
        let ids: BTreeSet<String> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| made(&workspace).unwrap())).collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1);
        assert_eq!(of(&workspace).unwrap(), ids.first().cloned());
        assert_eq!(fs::read_dir(dir.path().join(".prov")).unwrap().count(), 1, "nothing else is left there");
        fs::write(dir.path().join(".prov").join(FILE), "").unwrap();
        assert!(made(&workspace).unwrap_err().to_string().contains("holds no id"), "a damaged one is not replaced");
    }
}

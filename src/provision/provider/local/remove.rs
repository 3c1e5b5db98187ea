//! Removing what a server wrote: whole trees, several directories at once.
//!
//! A file system that discards freed blocks answers each removal only when the device has; several at once take no
//! longer than one. The server is stopped by then, so nobody exchanges a directory for a link meanwhile.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many are removed at once.
const AT_ONCE: usize = 16;

/// Removes a file or a whole tree; absent is fine. The error names what could not be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => remove_tree(path),
        Ok(_) => gone(path, fs::remove_file(path)),
        Err(error) => gone(path, Err(error)),
    }
}

fn remove_tree(top: &Path) -> io::Result<()> {
    let mut levels = vec![vec![top.to_path_buf()]];
    while let Some(level) = levels.last() {
        let mut below = Vec::new();
        for dir in level {
            for entry in entries(dir)?.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                below.push(entry.path());
            }
        }
        if below.is_empty() {
            break;
        }
        levels.push(below);
    }
    // From the deepest level up: a directory is removed after all that is in it.
    levels.iter().rev().try_for_each(|level| remove_level(level))
}

/// The entries of a directory, which its owner may have closed: overlays leave some behind that only root may enter.
fn entries(dir: &Path) -> io::Result<impl Iterator<Item = fs::DirEntry>> {
    let opened = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            gone(dir, fs::set_permissions(dir, fs::Permissions::from_mode(0o700)))?;
            fs::read_dir(dir)
        }
        opened => opened,
    };
    match opened {
        Ok(entries) => Ok(entries.flatten()),
        Err(error) => Err(naming(dir, &error)),
    }
}

/// Removes directories that hold nothing but files, with the files.
fn remove_level(dirs: &[PathBuf]) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let work = || {
        while let Some(dir) = dirs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = remove_dir(dir) {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..AT_ONCE.min(dirs.len()) {
            scope.spawn(work);
        }
        work();
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    // One that only others may write to is its owner's to open.
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
    for entry in entries(dir)? {
        gone(&entry.path(), fs::remove_file(entry.path()))?;
    }
    gone(dir, fs::remove_dir(dir))
}

fn gone(path: &Path, result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(naming(path, &error)),
        _ => Ok(()),
    }
}

fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("can't remove {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_tree_goes_and_what_links_point_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, tree) = (dir.path().join("kept"), dir.path().join("tree"));
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "").unwrap();
        for number in 0..50 {
            let below = tree.join(format!("{number}/a/b"));
            fs::create_dir_all(&below).unwrap();
            fs::write(below.join("file"), "").unwrap();
            symlink(&kept, below.join("link")).unwrap();
            fs::set_permissions(&below, fs::Permissions::from_mode(0o000)).unwrap();
        }
        remove(&tree).unwrap();
        assert!(!tree.exists() && kept.join("file").exists());
        remove(&tree).unwrap();
        symlink(&kept, &tree).unwrap();
        remove(&tree).unwrap();
        assert!(kept.join("file").exists());
    }
}

//! The workspace that `prov init` starts people with: an infra, a batch and a task service, each with comments that teach.
//!
//! Owns the files and how they are written. What they say is checked by tests that evaluate them.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, File, include_dir};

/// The files, embedded.
static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/provision/scaffold/files");

/// Why the workspace could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// Files of those names are there; nothing was written.
    #[error("{} has {} already", dir.display(), list(existing))]
    Exists {
        /// The directory.
        dir: PathBuf,
        /// What is there, relative to it.
        existing: Vec<PathBuf>,
    },
    /// A file could not be written.
    #[error("can't write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ScaffoldError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => Some("name a new directory: prov init DIR".to_owned()),
            Self::Write { .. } => None,
        }
    }
}

/// Writes the example workspace to `dir`, which is made if need be, and says what it wrote, relative to `dir`.
///
/// # Errors
/// [`ScaffoldError::Exists`] before anything is written where any of the files is there; nothing is ever overwritten.
pub fn write(dir: &Path) -> Result<Vec<PathBuf>, ScaffoldError> {
    let mut files = Vec::new();
    collect(&FILES, &mut files);
    let mut paths: Vec<(PathBuf, &File<'_>)> = files.into_iter().map(|file| (destination(file), file)).collect();
    paths.sort_by(|(a, _), (b, _)| a.cmp(b));
    let is_there = |(path, _): &&(PathBuf, _)| dir.join(path).symlink_metadata().is_ok();
    let existing: Vec<PathBuf> = paths.iter().filter(is_there).map(|(path, _)| path.clone()).collect();
    if !existing.is_empty() {
        return Err(ScaffoldError::Exists { dir: dir.to_owned(), existing });
    }
    for (path, file) in &paths {
        let path = dir.join(path);
        write_new(&path, file.contents()).map_err(|source| ScaffoldError::Write { path, source })?;
    }
    Ok(paths.into_iter().map(|(path, _)| path).collect())
}

fn collect<'d>(dir: &'d Dir<'d>, files: &mut Vec<&'d File<'d>>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => collect(dir, files),
            DirEntry::File(file) => files.push(file),
        }
    }
}

/// Where a file goes. One is embedded under another name: under its own it would govern this project's repository.
fn destination(file: &File<'_>) -> PathBuf {
    if file.path() == Path::new("gitignore") { PathBuf::from(".gitignore") } else { file.path().to_owned() }
}

fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let is_script = path.extension().is_some_and(|extension| extension == "sh");
    let mode = if is_script { 0o755 } else { 0o644 };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(contents)
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn everything_is_written_and_nothing_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("deep/ws");
        let written = write(&target).unwrap();
        let extension = "extensions/taskservs/examples/hello";
        for expected in [".gitignore", "batches/demo.ncl", "infra/production/config.ncl", "prov.toml"] {
            assert!(written.contains(&PathBuf::from(expected)), "{written:?}");
            assert!(target.join(expected).is_file());
        }
        let script = target.join(extension).join("install-hello.sh");
        assert_eq!(script.metadata().unwrap().permissions().mode() & 0o777, 0o755);
        std::fs::write(target.join("prov.toml"), "mine").unwrap();
        std::fs::remove_file(target.join("batches/demo.ncl")).unwrap();
        let error = write(&target).unwrap_err();
        assert!(error.to_string().contains("has .gitignore, "), "{error}");
        assert!(!target.join("batches/demo.ncl").exists(), "nothing is written where something is there");
        assert_eq!(std::fs::read_to_string(target.join("prov.toml")).unwrap(), "mine");
    }
}

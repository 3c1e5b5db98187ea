//! Secrets in files: read only where nobody else can read them too.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Secret;

/// The largest file that is read.
const MOST_BYTES: u64 = 64 << 10;
/// What the kernel shows as files; an environment is among it.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Why a file gives no secret. Nothing of its contents is in it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can be read, and holds no secret.
    #[error("{} {what}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl FileError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unfit { path, what } if *what == OPEN => Some(format!("chmod o-rwx {}", path.display())),
            Self::Read { .. } | Self::Unfit { .. } => None,
        }
    }
}

const OPEN: &str = "can be read by everybody on this machine";

/// The secret in the file at `path`, without the line end that editors add.
///
/// # Errors
/// [`FileError`], above all where others may read the file.
pub fn read(path: &Path) -> Result<Secret, FileError> {
    let failed = |source| FileError::Read { path: path.to_owned(), source };
    let unfit = |what| FileError::Unfit { path: path.to_owned(), what };
    let real = path.canonicalize().map_err(failed)?;
    if KERNEL.iter().any(|top| real.starts_with(top)) {
        return Err(unfit("is no file that somebody wrote"));
    }
    // What is judged is what is read: both are the open file's. A pipe would be waited for.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&real).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let owners = [0, rustix::process::geteuid().as_raw()];
    let fault = [
        (!found.is_file(), "is no file"),
        (found.permissions().mode() & 0o007 != 0, OPEN),
        (!owners.contains(&found.uid()), "belongs to another user"),
        (found.len() > MOST_BYTES, "is too large for a secret (64 KiB at most)"),
    ];
    if let Some((_, what)) = fault.into_iter().find(|(is_so, _)| *is_so) {
        return Err(unfit(what));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| unfit("holds no text (UTF-8)"))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    match text {
        "" => Err(unfit("is empty")),
        text if text.contains('\0') => Err(unfit("holds a NUL character")),
        text => Ok(Secret::new(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn a_file_is_read_only_where_others_cannot() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "s3cret\n").unwrap();
        for (mode, good) in [(0o600, true), (0o640, true), (0o644, false), (0o604, false), (0o602, false)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path).is_ok(), good, "{mode:o}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path).unwrap().expose(), "s3cret");
        for (text, why) in [("\n", "is empty"), ("a\0b", "NUL"), (&"x".repeat(70_000), "too large")] {
            fs::write(&path, text).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains(why), "{why}");
        }
        assert!(read(Path::new("/proc/self/environ")).unwrap_err().to_string().contains("no file that somebody wrote"));
        assert!(matches!(read(&dir.path().join("none")), Err(FileError::Read { .. })));
    }
}

//! Where a task's output stands on disk: `LOGS/PREFIX/TASK.out` and `TASK.err`, all attempts of a task one after the
//! other. A stream that nothing was written to has no file.
//!
//! `PREFIX` is the first six digits of the id, which for a version 7 id is its time to about five hours: a directory
//! stays small enough, and old ones can be removed whole.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::model::id::TaskId;

/// One of a task's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// The file of a stream.
#[must_use]
pub fn path(logs: &Path, task: TaskId, stream: Stream) -> PathBuf {
    let suffix = match stream {
        Stream::Out => "out",
        Stream::Err => "err",
    };
    directory(logs, task).join(format!("{task}.{suffix}"))
}

/// The file that the task's process may write progress and outputs to, one JSON object a line.
#[must_use]
pub fn events_path(logs: &Path, task: TaskId) -> PathBuf {
    directory(logs, task).join(format!("{task}.events"))
}

fn directory(logs: &Path, task: TaskId) -> PathBuf {
    let id = task.0.simple().to_string();
    logs.join(&id[..6])
}

/// The last `limit` bytes of a stream from `start` on, as text; a character cut in two at the start is left out.
///
/// # Errors
/// When the file is there and can't be read.
pub fn last(path: &Path, start: u64, limit: usize) -> io::Result<String> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let from = length.saturating_sub(limit as u64).max(start);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::with_capacity(usize::try_from(length.saturating_sub(from)).unwrap_or(0).min(limit));
    file.take(limit as u64).read_to_end(&mut bytes)?;
    let cut = if from > start {
        bytes.iter().take(4).take_while(|byte| **byte & 0b1100_0000 == 0b1000_0000).count()
    } else {
        0
    };
    Ok(String::from_utf8_lossy(&bytes[cut..]).into_owned())
}

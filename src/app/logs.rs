//! Reading a task's log and progress from the files that its process writes.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::LogText;
use crate::api::task::{LogQuery, LogStream};
use crate::exec::logs::{Stream, events_path, last, path};
use crate::model::id::TaskId;
use crate::model::status::TaskStatus;
use crate::model::task::Task;
use crate::store::Store;

/// How often a growing file is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How much of a log is sent at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// How much of the end of the progress file is read: several lines.
const PROGRESS_BYTES: usize = 4096;
/// How much of a step's name is shown.
const STEP_CHARS: usize = 200;

/// Where a task's log comes from.
pub(super) struct Source {
    pub(super) store: Store,
    pub(super) changes: watch::Receiver<u64>,
    pub(super) logs: PathBuf,
    pub(super) task: TaskId,
}

impl Source {
    /// The task's log as a stream; it ends with the log, or when following with the task.
    ///
    /// # Errors
    /// When a file is there and can't be read.
    pub(super) async fn read(self, query: LogQuery) -> std::io::Result<LogText> {
        let streams: &[Stream] = match query.stream {
            LogStream::Stdout => &[Stream::Out],
            LogStream::Stderr => &[Stream::Err],
            LogStream::All => &[Stream::Out, Stream::Err],
        };
        let mut files = Vec::with_capacity(streams.len());
        for stream in streams {
            let path = path(&self.logs, self.task, *stream);
            let tail = match query.tail {
                Some(lines) => tail_start(&path, lines).await?,
                None => 0,
            };
            files.push((path, tail.max(query.offset.unwrap_or(0))));
        }
        let offset = if let [(_, from)] = files[..] { Some(from) } else { None };
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(async move {
            let mut log = Log { files, last: None, chunks: sender };
            if let Err(error) = log.send(self.store, self.changes, self.task, query.follow).await {
                let _ = log.chunks.send(Err(error)).await;
            }
        });
        Ok(LogText { offset, body: ReceiverStream::new(receiver).boxed() })
    }
}

struct Log {
    /// Each file with how far it was sent.
    files: Vec<(PathBuf, u64)>,
    /// The file that was last sent from, and the last byte sent.
    last: Option<(usize, u8)>,
    chunks: mpsc::Sender<std::io::Result<Vec<u8>>>,
}

impl Log {
    async fn send(
        &mut self,
        store: Store,
        mut changes: watch::Receiver<u64>,
        task: TaskId,
        follow: bool,
    ) -> std::io::Result<()> {
        loop {
            // Whether the task has ended is asked before reading, so that nothing written before its end is missed.
            let ended = match store.read(move |reads| reads.task(task)).await {
                Ok(task) => task.is_none_or(|task| task.status.is_terminal()),
                Err(error) => return Err(std::io::Error::other(error)),
            };
            if !self.send_what_is_there().await? || !follow || ended {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                result = changes.changed() => if result.is_err() { return Ok(()) },
                () = self.chunks.closed() => return Ok(()),
            }
        }
    }

    /// `false` when nobody reads any more.
    async fn send_what_is_there(&mut self) -> std::io::Result<bool> {
        for (stream, (path, from)) in self.files.iter_mut().enumerate() {
            let Some(mut file) = open(path).await? else { continue };
            file.seek(SeekFrom::Start(*from)).await?;
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                let count = file.read(&mut chunk).await?;
                if count == 0 {
                    break;
                }
                chunk.truncate(count);
                *from += count as u64;
                // A line that one stream left open is not glued to the other's.
                if self.last.is_some_and(|(other, byte)| other != stream && byte != b'\n') {
                    chunk.insert(0, b'\n');
                }
                self.last = chunk.last().map(|byte| (stream, *byte));
                if self.chunks.send(Ok(chunk)).await.is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

async fn open(path: &Path) -> std::io::Result<Option<File>> {
    match File::open(path).await {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the last so many lines start; reads backwards, a chunk at a time.
async fn tail_start(path: &Path, lines: usize) -> std::io::Result<u64> {
    let Some(mut file) = open(path).await? else { return Ok(0) };
    let length = file.metadata().await?.len();
    let (mut end, mut found, mut chunk) = (length, 0, vec![0; CHUNK_BYTES]);
    while end > 0 {
        let start = end.saturating_sub(CHUNK_BYTES as u64);
        file.seek(SeekFrom::Start(start)).await?;
        let part = &mut chunk[..usize::try_from(end - start).unwrap_or(CHUNK_BYTES)];
        file.read_exact(part).await?;
        for (index, byte) in part.iter().enumerate().rev() {
            let at = start + index as u64;
            // The line break at the very end closes the last line, it doesn't start another.
            if *byte == b'\n' && at + 1 < length {
                found += 1;
                if found == lines {
                    return Ok(at + 1);
                }
            }
        }
        end = start;
    }
    Ok(if lines == 0 { length } else { 0 })
}

/// What a task's command last reported of its progress; each as far as it did.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reported {
    /// From 0 to 1.
    pub(super) progress: Option<f64>,
    /// What it does, in one line.
    pub(super) step: Option<String>,
    /// How many steps there are.
    pub(super) total_steps: Option<u32>,
    /// How many of them are done.
    pub(super) completed_steps: Option<u32>,
}

impl Reported {
    /// What lines say, the last first.
    fn of<'l>(lines: impl Iterator<Item = &'l str>) -> Self {
        let mut found = Self::default();
        for line in lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
            let number = |name: &str| line.get(name).and_then(|number| u32::try_from(number.as_u64()?).ok());
            let progress = line.get("progress").and_then(serde_json::Value::as_f64);
            found.progress = found.progress.or(progress.map(|progress| progress.clamp(0.0, 1.0)));
            found.step = found.step.or_else(|| line.get("step")?.as_str().and_then(one_line));
            found.total_steps = found.total_steps.or_else(|| number("total_steps"));
            found.completed_steps = found.completed_steps.or_else(|| number("completed_steps"));
        }
        found
    }
}

/// The first line of a text, without control characters and no longer than people read.
fn one_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(STEP_CHARS).collect())
}

/// What a task's command last reported; nothing where it reported nothing.
pub(super) async fn reported(logs: &Path, task: TaskId) -> Reported {
    let path = events_path(logs, task);
    let read = tokio::task::spawn_blocking(move || last(&path, 0, PROGRESS_BYTES)).await;
    let text = read.ok().and_then(Result::ok).unwrap_or_default();
    Reported::of(text.lines().rev())
}

/// Shows a running task's progress, and what it does.
pub(super) async fn fill_progress(logs: &Path, task: &mut Task) {
    if task.status == TaskStatus::Running {
        let reported = reported(logs, task.id).await;
        task.progress = reported.progress.unwrap_or(task.progress);
        task.step = reported.step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_is_what_counts_whatever_else_is_written() {
        let lines = [
            r#"{"progress":0.2,"step":"a","total_steps":5,"completed_steps":1}"#,
            r#"{"progress":7,"step":"two\nlines\u0007"}"#,
            "no JSON",
            r#"{"step":3,"completed_steps":-1}"#,
        ];
        let found = Reported::of(lines.into_iter().rev());
        let (step, total_steps, completed_steps) = (Some("two".to_owned()), Some(5), Some(1));
        assert_eq!(found, Reported { progress: Some(1.0), step, total_steps, completed_steps });
        assert_eq!(Reported::of([].into_iter()), Reported::default());
    }
}

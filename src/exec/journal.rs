//! What the supervisor writes down before and after each start, so that its own death leaves no doubt. The next supervisor
//! reads it and goes on in it.
//!
//! One JSON object a line, appended with one `write` each: a killed process leaves whole lines, but for the last. The
//! journal is not flushed to disk: what must survive the machine is in the store, and a machine that went down took every
//! process with it, which the boot id tells. What a start wrote in the last moments before that may be missing; then the
//! attempt counts as never begun, unless the store has heard of it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::wire::{Ending, Key};
use crate::model::time::Timestamp;

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// A supervisor begins to write, on this boot of the machine.
    Boot {
        /// The kernel's boot id.
        id: String,
    },
    /// It is about to start this.
    Begin {
        /// The attempt.
        key: Key,
        /// When.
        at: Timestamp,
        /// The number of its control group, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<u32>,
    },
    /// It was started.
    Started {
        /// The attempt.
        key: Key,
        /// Its process.
        pid: i32,
        /// What the clock since boot showed when the process had started, in ticks.
        start: u64,
    },
    /// It could not be started.
    Refused {
        /// The attempt.
        key: Key,
    },
    /// It is over.
    Exited {
        /// The attempt.
        key: Key,
        /// When.
        at: Timestamp,
        /// How.
        ending: Ending,
    },
    /// Nobody saw its end, and nothing of it is left.
    Lost {
        /// The attempt.
        key: Key,
        /// What is known.
        what: String,
    },
    /// The daemon has its result.
    Forgotten {
        /// The attempt.
        key: Key,
    },
}

/// What a journal says of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Trace {
    /// It was about to start; whether it did is not known.
    Begun {
        /// When.
        at: Timestamp,
        /// The number of its control group.
        group: Option<u32>,
    },
    /// It was started, and its end was not seen.
    Started {
        /// When.
        at: Timestamp,
        /// The number of its control group.
        group: Option<u32>,
        /// Its process.
        pid: i32,
        /// What the clock since boot showed when the process had started, in ticks.
        start: u64,
        /// Whether that was on the present boot of the machine.
        this_boot: bool,
    },
    /// It is over.
    Exited {
        /// When it was started.
        started: Timestamp,
        /// When it ended.
        at: Timestamp,
        /// How.
        ending: Ending,
    },
    /// Nobody saw its end, and nothing of it is left.
    Lost {
        /// When it was started.
        started: Timestamp,
        /// What is known.
        what: String,
    },
}

/// The file below the supervisor's directory.
#[must_use]
pub fn path(directory: &Path) -> PathBuf {
    directory.join("journal")
}

/// A journal being written.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    file: File,
    buffer: Vec<u8>,
    bytes: u64,
}

impl Journal {
    /// The journal in `directory`, to go on in. Nobody else can write it meanwhile.
    ///
    /// # Errors
    /// When the file can't be written, or another supervisor writes it.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let file = open(&path(directory))?;
        let bytes = file.metadata()?.len();
        let mut journal = Self { directory: directory.to_owned(), file, buffer: Vec::with_capacity(4096), bytes };
        // A line that was cut short must not swallow the next.
        journal.buffer.push(b'\n');
        journal.note(&Entry::Boot { id: boot_id() });
        journal.write()?;
        Ok(journal)
    }

    /// Adds a line to what the next [`write`](Self::write) writes.
    pub fn note(&mut self, entry: &Entry) {
        serde_json::to_writer(&mut self.buffer, entry).expect("an entry has no map with keys that aren't text");
        self.buffer.push(b'\n');
    }

    /// Writes what was noted.
    ///
    /// # Errors
    /// When the file can't be written; what was noted stays for the next call.
    pub fn write(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(&self.buffer) {
            // What was written of it must not swallow the line that it is repeated in.
            if self.buffer.first() != Some(&b'\n') {
                self.buffer.insert(0, b'\n');
            }
            return Err(error);
        }
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// How long the file is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Starts over with what `entries` say; the file is exchanged as a whole.
    ///
    /// # Errors
    /// When the file can't be written; then the old one goes on.
    pub fn rewrite(&mut self, entries: &[Entry]) -> io::Result<()> {
        let new = path(&self.directory).with_extension("new");
        let _ = fs::remove_file(&new);
        let mut file = open(&new)?;
        let mut text = Vec::new();
        let boot = Entry::Boot { id: boot_id() };
        for entry in std::iter::once(&boot).chain(entries) {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        file.write_all(&text)?;
        fs::rename(&new, path(&self.directory))?;
        // What was noted and not written is among the entries, or needed no more.
        self.buffer.clear();
        (self.file, self.bytes) = (file, text.len() as u64);
        Ok(())
    }
}

/// Opens a journal for appending, locked.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// What the journal in `directory` says of each attempt. A last line cut short is passed over.
///
/// # Errors
/// When the file is there and can't be read.
pub fn read(directory: &Path) -> io::Result<BTreeMap<Key, Trace>> {
    let text = match fs::read(path(directory)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut traces: BTreeMap<Key, Trace> = BTreeMap::new();
    let mut this_boot = false;
    for entry in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        match entry {
            Entry::Boot { id } => this_boot = id == boot_id(),
            Entry::Begin { key, at, group } => _ = traces.insert(key, Trace::Begun { at, group }),
            Entry::Started { key, pid, start } => {
                if let Some(Trace::Begun { at, group }) = traces.get(&key) {
                    let (at, group) = (*at, *group);
                    traces.insert(key, Trace::Started { at, group, pid, start, this_boot });
                }
            }
            Entry::Refused { key } | Entry::Forgotten { key } => _ = traces.remove(&key),
            Entry::Lost { key, what } => {
                if let Some(Trace::Begun { at, .. } | Trace::Started { at, .. }) = traces.get(&key) {
                    let started = *at;
                    traces.insert(key, Trace::Lost { started, what });
                }
            }
            Entry::Exited { key, at, ending } => {
                let started = match traces.get(&key) {
                    Some(Trace::Begun { at, .. } | Trace::Started { at, .. }) => *at,
                    _ => at,
                };
                traces.insert(key, Trace::Exited { started, at, ending });
            }
        }
    }
    Ok(traces)
}

/// The kernel's id of this boot of the machine; empty where it has none.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(attempt: u32) -> Key {
        Key { task: "0193abcd-0000-7000-8000-000000000001".parse().unwrap(), attempt }
    }

    #[test]
    fn a_line_cut_short_is_passed_over_and_swallows_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(directory.path()).unwrap();
        journal.note(&Entry::Begin { key: key(1), at: Timestamp(5), group: Some(7) });
        journal.note(&Entry::Started { key: key(1), pid: 7, start: 9 });
        journal.write().unwrap();
        let whole = journal.bytes();
        journal.note(&Entry::Exited { key: key(1), at: Timestamp(8), ending: Ending::default() });
        journal.write().unwrap();
        journal.file.set_len(whole + 10).unwrap();
        drop(journal);
        let mut journal = Journal::open(directory.path()).unwrap();
        journal.note(&Entry::Begin { key: key(2), at: Timestamp(6), group: Some(7) });
        journal.write().unwrap();
        let traces = read(directory.path()).unwrap();
        assert_eq!(
            traces[&key(1)],
            Trace::Started { at: Timestamp(5), group: Some(7), pid: 7, start: 9, this_boot: true }
        );
        assert_eq!(traces[&key(2)], Trace::Begun { at: Timestamp(6), group: Some(7) });
    }

    #[test]
    fn what_is_forgotten_or_refused_is_gone_and_a_rewrite_keeps_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(directory.path()).unwrap();
        assert!(Journal::open(directory.path()).is_err(), "it has one writer");
        for attempt in 1..=4 {
            journal.note(&Entry::Begin { key: key(attempt), at: Timestamp(attempt.into()), group: Some(7) });
        }
        journal.note(&Entry::Refused { key: key(1) });
        journal.note(&Entry::Lost { key: key(2), what: "gone".to_owned() });
        journal.note(&Entry::Exited { key: key(3), at: Timestamp(9), ending: Ending::default() });
        journal.note(&Entry::Forgotten { key: key(3) });
        journal.write().unwrap();
        let traces = read(directory.path()).unwrap();
        assert_eq!(traces.keys().copied().collect::<Vec<_>>(), [key(2), key(4)]);
        assert_eq!(traces[&key(2)], Trace::Lost { started: Timestamp(2), what: "gone".to_owned() });
        journal.rewrite(&[Entry::Begin { key: key(4), at: Timestamp(4), group: Some(7) }]).unwrap();
        assert!(Journal::open(directory.path()).is_err(), "the new file is locked as well");
        journal.note(&Entry::Begin { key: key(5), at: Timestamp(5), group: Some(7) });
        journal.write().unwrap();
        assert_eq!(read(directory.path()).unwrap().keys().copied().collect::<Vec<_>>(), [key(4), key(5)]);
    }
}

//! What the supervisor writes down before and after each start, so that its own death leaves no doubt.
//!
//! One JSON object a line, appended with one `write` each: a killed process leaves whole lines, but for the last. The
//! journal is not flushed to disk: what must survive the machine is in the store, and a machine that went down took every
//! process with it, which the boot id tells.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
    },
    /// It was started.
    Started {
        /// The attempt.
        key: Key,
        /// Its process.
        pid: i32,
        /// When the process started, in clock ticks since boot.
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
}

/// What a journal says of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Trace {
    /// It was about to start; whether it did is not known.
    Begun {
        /// When.
        at: Timestamp,
    },
    /// It was started, and its end was not seen.
    Started {
        /// When.
        at: Timestamp,
        /// Its process.
        pid: i32,
        /// When the process started, in clock ticks since boot.
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
}

/// The file below the supervisor's directory.
#[must_use]
pub fn path(directory: &Path) -> PathBuf {
    directory.join("journal")
}

/// A journal being written.
#[derive(Debug)]
pub struct Journal {
    file: File,
    buffer: Vec<u8>,
}

impl Journal {
    /// An empty journal; what the file held before is gone.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn create(directory: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path(directory))?;
        file.set_len(0)?;
        let mut journal = Self { file, buffer: Vec::with_capacity(4096) };
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
        if !self.buffer.is_empty() {
            self.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Starts over: nothing that was written is needed any more.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.note(&Entry::Boot { id: boot_id() });
        self.write()
    }
}

/// What the journal in `directory` says of each attempt. A last line cut short is passed over.
///
/// # Errors
/// When the file is there and can't be read.
pub fn read(directory: &Path) -> io::Result<BTreeMap<Key, Trace>> {
    let text = match fs::read_to_string(path(directory)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut traces: BTreeMap<Key, Trace> = BTreeMap::new();
    let mut this_boot = false;
    for entry in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        match entry {
            Entry::Boot { id } => this_boot = id == boot_id(),
            Entry::Begin { key, at } => _ = traces.insert(key, Trace::Begun { at }),
            Entry::Started { key, pid, start } => {
                if let Some(Trace::Begun { at }) = traces.get(&key) {
                    let at = *at;
                    traces.insert(key, Trace::Started { at, pid, start, this_boot });
                }
            }
            Entry::Refused { key } => _ = traces.remove(&key),
            Entry::Exited { key, at, ending } => {
                let started = match traces.get(&key) {
                    Some(Trace::Begun { at } | Trace::Started { at, .. }) => *at,
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

    #[test]
    fn a_line_cut_short_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let key = Key { task: "0193abcd-0000-7000-8000-000000000001".parse().unwrap(), attempt: 1 };
        let other = Key { attempt: 2, ..key };
        let mut journal = Journal::create(directory.path()).unwrap();
        journal.note(&Entry::Begin { key, at: Timestamp(5) });
        journal.note(&Entry::Started { key, pid: 7, start: 9 });
        journal.note(&Entry::Begin { key: other, at: Timestamp(6) });
        journal.write().unwrap();
        let whole = fs::metadata(path(directory.path())).unwrap().len();
        journal.note(&Entry::Exited { key, at: Timestamp(8), ending: Ending::default() });
        journal.write().unwrap();
        journal.file.set_len(whole + 10).unwrap();
        let traces = read(directory.path()).unwrap();
        assert_eq!(traces[&key], Trace::Started { at: Timestamp(5), pid: 7, start: 9, this_boot: true });
        assert_eq!(traces[&other], Trace::Begun { at: Timestamp(6) });
    }
}

//! Processes as `/proc` shows them (proc(5)), by way of a handle on the host's `/proc` that stays good when the
//! process that holds it has entered a server.

use std::os::fd::OwnedFd;

use rustix::fs::{Dir, Mode, OFlags};

/// A `/proc` that was opened once.
#[derive(Debug)]
pub struct Procs(OwnedFd);

impl Procs {
    /// The one that is mounted here now.
    pub fn open() -> std::io::Result<Self> {
        Ok(Self(rustix::fs::open("/proc", OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())?))
    }

    /// Every pid, itself included.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        let Ok(entries) = Dir::read_from(&self.0) else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok()).collect()
    }

    /// A small file of a process.
    #[must_use]
    pub fn read(&self, pid: i32, file: &str) -> Option<Vec<u8>> {
        let fd = rustix::fs::openat(&self.0, format!("{pid}/{file}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::fs::File::from(fd.ok()?), &mut bytes).ok()?;
        Some(bytes)
    }

    /// Which namespace of `kind` a process lives in, as `pid:[4026531836]`.
    #[must_use]
    pub fn namespace(&self, pid: i32, kind: &str) -> Option<Vec<u8>> {
        let link = rustix::fs::readlinkat(&self.0, format!("{pid}/ns/{kind}"), Vec::new()).ok()?;
        Some(link.into_bytes())
    }

    /// The process's own account of itself.
    #[must_use]
    pub fn stat(&self, pid: i32) -> Option<Stat> {
        Stat::parse(&self.read(pid, "stat")?)
    }

    /// Whether the process was started with `NAME=VALUE` in its environment.
    #[must_use]
    pub fn carries(&self, pid: i32, entry: &str) -> bool {
        self.read(pid, "environ").is_some_and(|all| all.split(|byte| *byte == 0).any(|one| one == entry.as_bytes()))
    }
}

/// Fields of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `Z` …
    pub state: u8,
    /// Its parent.
    pub parent: i32,
    /// Its session.
    pub session: i32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
}

impl Stat {
    fn parse(bytes: &[u8]) -> Option<Self> {
        // The name stands in parentheses and may hold anything; the last parenthesis ends it.
        let end = bytes.iter().rposition(|byte| *byte == b')')?;
        let fields: Vec<&str> = std::str::from_utf8(bytes.get(end + 2..)?).ok()?.split_ascii_whitespace().collect();
        Some(Self {
            state: *fields.first()?.as_bytes().first()?,
            parent: fields.get(1)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether it is a process that still runs, and not one that waits for its parent to notice its end.
    #[must_use]
    pub fn lives(&self) -> bool {
        !matches!(self.state, b'Z' | b'X')
    }
}

/// When the process started; `None` when there is none.
#[must_use]
pub fn start_of(pid: i32) -> Option<u64> {
    Some(Procs::open().ok()?.stat(pid)?.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_confuses_nobody() {
        let line = b"42 (a) b (c) S 7 42 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99887 0 0";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(stat, Stat { state: b'S', parent: 7, session: 41, start: 99887 });
        assert!(stat.lives());
        assert_eq!(Stat::parse(b"42 (x"), None);
    }

    #[test]
    fn it_finds_itself() {
        let procs = Procs::open().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(procs.pids().contains(&own));
        assert_eq!(start_of(own), procs.stat(own).map(|stat| stat.start));
    }
}

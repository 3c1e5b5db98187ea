//! A control group of version 2 for each attempt, where there can be: whatever a task starts is in its group, however it
//! hides, and the kernel ends a group whole. (Kernel documentation, admin-guide/cgroup-v2.)
//!
//! No controller is used, so nothing is limited here; limits are the execution plane's.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Groups that attempts are given, one after the other: to make one and to remove it costs as much as a small process.
#[derive(Debug)]
pub(super) struct Groups {
    base: PathBuf,
    /// Nobody's at the moment, and nothing in them.
    free: Vec<Group>,
    /// Of attempts that are over, with processes left that nobody asked the end of.
    lingering: VecDeque<Group>,
    /// The next one that is made bears this number.
    next: u32,
}

/// A group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Names it among the groups of its supervisor.
    pub(super) number: u32,
    path: PathBuf,
}

impl Groups {
    /// A place below the supervisor's own group, the same for every supervisor of `directory`; `None` where there is no
    /// version 2 or it can't be written.
    pub(super) fn find(directory: &Path) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
        // A supervisor that a task started would put its groups below that task's.
        let own = own.split_once("/prov-tasks-").map_or(own.as_str(), |(outer, _)| outer);
        let digest = crate::model::digest::sha256(directory.as_os_str().as_bytes());
        let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let base = mount()?.join(own).join(format!("prov-tasks-{name}"));
        let there = match fs::create_dir(&base) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return None,
            _ => fs::exists(base.join("cgroup.kill")).unwrap_or(false),
        };
        there.then_some(Self { base, free: Vec::new(), lingering: VecDeque::new(), next: 0 })
    }

    /// An empty group.
    pub(super) fn take(&mut self) -> io::Result<Group> {
        if self.free.is_empty() {
            // Of one that has just been left the kernel may not know yet that it is empty.
            self.sweep(2);
        }
        while let Some(group) = self.free.pop() {
            // Whoever tidies up a machine may take an empty group away.
            if group.path.exists() {
                return Ok(group);
            }
        }
        self.make()
    }

    fn make(&mut self) -> io::Result<Group> {
        loop {
            let group = self.of(self.next);
            self.next = self.next.wrapping_add(1);
            match fs::create_dir(&group.path) {
                // What a supervisor before this one could not remove.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| group),
            }
        }
    }

    /// The attempt is over that had it; somebody else gets it once nothing is left in it.
    pub(super) fn give_back(&mut self, group: Group) {
        if group.is_empty() {
            self.free.push(group);
        } else {
            self.lingering.push_back(group);
        }
    }

    /// Looks at so many of the groups that something was left in.
    pub(super) fn sweep(&mut self, most: usize) {
        for _ in 0..most.min(self.lingering.len()) {
            if let Some(group) = self.lingering.pop_front() {
                self.give_back(group);
            }
        }
    }

    /// The group with this number, which may be there.
    pub(super) fn of(&self, number: u32) -> Group {
        Group { number, path: self.base.join(number.to_string()) }
    }

    /// Removes every group that nothing is left in.
    pub(super) fn clear(&mut self) {
        self.free.clear();
        for entry in fs::read_dir(&self.base).into_iter().flatten().flatten() {
            let _ = remove_tree(&entry.path());
        }
    }

    /// Removes the place itself as well, if nothing is left in it.
    pub(super) fn remove(&mut self) {
        self.clear();
        let _ = fs::remove_dir(&self.base);
    }
}

/// Ends whatever is left in the groups of the supervisors of `directory`, and removes the groups: for when there will be no
/// supervisor any more that does so.
pub fn remove_groups(directory: &Path) {
    let Some(mut groups) = Groups::find(directory) else { return };
    for entry in fs::read_dir(&groups.base).into_iter().flatten().flatten() {
        if let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            super::inherit::end(&groups.of(number));
        }
    }
    groups.remove();
}

impl Group {
    /// What a process writes `0` to, to join.
    pub(super) fn door(&self) -> io::Result<File> {
        File::options().write(true).open(self.path.join("cgroup.procs"))
    }

    /// Whether no process is in the group or in groups made below it.
    fn is_empty(&self) -> bool {
        let events = fs::read_to_string(self.path.join("cgroup.events"));
        events.is_ok_and(|events| events.lines().any(|line| line == "populated 0"))
    }

    /// The processes of the group and of groups made below it.
    pub(super) fn members(&self) -> Vec<i32> {
        let mut members = Vec::new();
        let mut groups = vec![self.path.clone()];
        while let Some(group) = groups.pop() {
            let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            members.extend(text.lines().filter_map(|pid| pid.parse::<i32>().ok()));
            let entries = fs::read_dir(group).into_iter().flatten().flatten();
            groups.extend(entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()));
        }
        members
    }

    /// Ends every process of the group at once, those being forked included.
    pub(super) fn kill(&self) -> io::Result<()> {
        fs::write(self.path.join("cgroup.kill"), "1")
    }

    /// Removes the group, and groups that were made below it, when no process is left.
    pub(super) fn remove(&self) -> io::Result<()> {
        match remove_tree(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

fn remove_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}

/// Where version 2 is mounted.
fn mount() -> Option<PathBuf> {
    let mounts = fs::read("/proc/self/mounts").ok()?;
    mounts.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let (_, point, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == b"cgroup2").then(|| PathBuf::from(OsStr::from_bytes(point)))
    })
}

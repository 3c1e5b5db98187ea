//! A control group of version 2 for each attempt, where they can be made: whatever a task starts is in its group, however
//! it hides, and the kernel ends a group whole. (Kernel documentation, admin-guide/cgroup-v2.)
//!
//! No controller is used, so nothing is limited here; limits are the execution plane's.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::wire::Key;

/// Where groups can be made.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    base: PathBuf,
}

/// The group of one attempt.
#[derive(Debug)]
pub(super) struct Group {
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
        match fs::create_dir(&base) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => None,
            _ => fs::metadata(base.join("cgroup.kill")).ok().map(|_| Self { base }),
        }
    }

    /// Makes the group of an attempt.
    pub(super) fn make(&self, key: Key) -> io::Result<Group> {
        let group = self.of(key);
        fs::create_dir(&group.path)?;
        Ok(group)
    }

    /// The group of an attempt, which may be there.
    pub(super) fn of(&self, key: Key) -> Group {
        Group { path: self.base.join(key.to_string()) }
    }

    /// Removes the place itself, when nothing is left in it.
    pub(super) fn remove(&self) {
        let _ = fs::remove_dir(&self.base);
    }
}

/// Ends whatever is left in the groups of the supervisors of `directory`, and removes the groups: for when there will be no
/// supervisor any more that does so.
pub fn remove_groups(directory: &Path) {
    let Some(groups) = Groups::find(directory) else { return };
    for entry in fs::read_dir(&groups.base).into_iter().flatten().flatten() {
        let group = Group { path: entry.path() };
        if group.kill().is_ok() {
            super::inherit::end(&group);
        }
    }
    groups.remove();
}

impl Group {
    /// What a process writes `0` to, to join.
    pub(super) fn door(&self) -> io::Result<File> {
        File::options().write(true).open(self.path.join("cgroup.procs"))
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

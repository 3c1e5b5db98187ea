//! A control group of version 2 for one command, below its server's: whatever the command starts is in it, however it
//! hides, and the kernel ends a group whole. (Kernel documentation, admin-guide/cgroup-v2.)

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// How often leftovers are moved: new ones may be forked meanwhile.
const ATTEMPTS: usize = 50;

/// The group of one command.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
    server: PathBuf,
}

impl Group {
    /// Makes the group of the command `mark` below the one of `groups`, the server's, that can be ended whole; `None` where none of
    /// them can.
    pub fn make(groups: &[PathBuf], mark: &str) -> Option<Self> {
        let server = groups.iter().find(|group| group.join("cgroup.kill").exists())?.clone();
        let path = server.join(format!("command-{mark}"));
        fs::create_dir(&path).ok().map(|()| Self { path, server })
    }

    /// Whether `group`, one of the server's, is the one that this is below.
    pub fn is_below(&self, group: &Path) -> bool {
        self.server == group
    }

    /// Moves this process beside the command, into the server's group: out of the one of a task, which may be ended whole.
    pub fn stand_beside(&self) {
        let _ = fs::write(self.server.join("cgroup.procs"), "0");
    }

    /// What a process writes `0` to, to join.
    pub fn door(&self) -> io::Result<File> {
        File::options().write(true).open(self.path.join("cgroup.procs"))
    }

    /// The processes of the group, as the host knows them.
    pub fn members(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Ends all of them at once, those being forked included.
    pub fn kill(&self) {
        // What is left is seen by whoever asks for the members.
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
    }

    /// Removes the group; what still runs in it goes on as the server's. Where that can't be done it stays, until the
    /// server is deleted.
    pub fn dissolve(&self) {
        for _ in 0..ATTEMPTS {
            for pid in self.members() {
                // It may have ended since.
                let _ = fs::write(self.server.join("cgroup.procs"), pid.to_string());
            }
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
        }
    }
}

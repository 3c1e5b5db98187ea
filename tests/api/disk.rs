//! A disk that is full, and takes writes again later.

use std::fs;
use std::io::Write;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Daemon, run, script, until};

/// A small file system of its own.
struct Disk(TempDir);

impl Disk {
    /// `None` where this process may not mount.
    fn new(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let data = std::ffi::CString::new(options).unwrap();
        match mount("none", dir.path(), "tmpfs", MountFlags::empty(), data.as_c_str()) {
            Ok(()) => Some(Self(dir)),
            Err(error) => {
                println!("skipped: a file system of its own can't be mounted here: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

#[test]
fn on_a_full_disk_no_work_is_taken_and_what_was_taken_ends_once_there_is_room() {
    let Some(disk) = Disk::new("size=4m") else { return };
    run(async {
        let mut daemon = Daemon::new(&[]);
        std::os::unix::fs::symlink(disk.path(), daemon.path("data")).unwrap();
        daemon.boot().await;
        let (up, gate) = (daemon.path("up"), daemon.path("gate"));
        let text = format!("touch {}; while [ ! -e {} ]; do sleep 0.02; done", up.display(), gate.display());
        let accepted = daemon.batch(&json!({ "name": "before", "operations": [script("a", &text)] })).await;
        until("the task runs", || async { up.exists().then_some(()) }).await;
        let path = format!("/batch/operations/{accepted}");
        until("that is on record", || async { (daemon.get(&path).await.data()["status"] == "Running").then_some(()) })
            .await;

        let filler = disk.path().join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        drop(file);
        let batch = json!({ "name": "full", "operations": [script("a", "true")] });
        let refused = daemon.post("/batch/execute", &batch).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "unavailable"));
        fs::write(&gate, "").unwrap();
        let shown = daemon.get(&path).await;
        assert_eq!(shown.data()["status"], "Running", "reads go on");

        fs::remove_file(filler).unwrap();
        assert_eq!(daemon.ended(&accepted).await["status"], "Completed");
        let again = until("work is taken again", || async {
            let answer = daemon.post("/batch/execute", &batch).await;
            answer.status.is_success().then(|| answer.data()["batch_id"].as_str().unwrap().to_owned())
        });
        assert_eq!(daemon.ended(&again.await).await["status"], "Completed");
        assert_eq!(daemon.get("/batch/operations").await.headers["x-total-count"], "2");
    });
}

#[test]
fn a_read_only_directory_is_refused_with_what_to_do() {
    let Some(disk) = Disk::new("size=4m") else { return };
    rustix::mount::mount_remount(disk.path(), MountFlags::RDONLY, c"").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let output = crate::support::command(dir.path(), &disk.path().join("data"), crate::support::ANY_PORT).output();
    let output = output.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("hint:") && error.contains("ead-only"), "{error}");
}

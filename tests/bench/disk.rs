//! What the disk can do: one small record after the other, each written and flushed.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::measure::timed;

const RECORD: [u8; 512] = [7; 512];

/// How long each of `count` commits takes on the disk of `directory`.
pub fn commits(directory: &Path, count: usize) -> Vec<Duration> {
    let path = directory.join("commits");
    let mut file = File::create(&path).unwrap();
    let commit = |_| {
        timed(|| {
            file.write_all(&RECORD).unwrap();
            file.sync_data().unwrap();
        })
        .1
    };
    let times = (0..count).map(commit).collect();
    std::fs::remove_file(path).unwrap();
    times
}

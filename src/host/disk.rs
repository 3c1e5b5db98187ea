//! The disk that a directory lies on.

use std::io;
use std::path::Path;

use crate::metrics::figure;

/// How much there is of a disk, and how much of that can still be had by this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its size.
    pub total_bytes: u64,
    /// What is not used, what is kept for root among it.
    pub free_bytes: u64,
    /// What can be written yet.
    pub available_bytes: u64,
    /// Files that can be made yet; none where the file system doesn't count them.
    pub available_files: Option<u64>,
}

impl Disk {
    /// The one that `directory` lies on.
    ///
    /// # Errors
    /// When it can't be asked.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(directory)?;
        Ok(Self {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            free_bytes: found.f_bfree.saturating_mul(found.f_frsize),
            available_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            available_files: (found.f_files > 0).then_some(found.f_favail),
        })
    }

    /// The share that is used of what can be, from 0 to 1, as df(1) has it.
    #[must_use]
    pub fn usage(&self) -> f64 {
        let used = self.total_bytes.saturating_sub(self.free_bytes);
        let usable = used.saturating_add(self.available_bytes);
        if usable == 0 { 0.0 } else { figure(used) / figure(usable) }
    }
}

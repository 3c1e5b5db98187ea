//! In which regions this workspace's machines can be: nobody can ask all of AWS at once.
//!
//! They are those that a machine was ever ordered in, which a file remembers before the order goes out; those that wanted
//! servers name; and the one that is configured. Where there is no such file (a fresh copy of the workspace), every region
//! of the account is looked at once.
//!
//! ```text
//! WORKSPACE/.prov/aws/regions      a region a line; lines are only added
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::place::Region;

/// What is known of regions.
#[derive(Debug)]
pub struct Regions {
    path: PathBuf,
    named: Mutex<BTreeSet<Region>>,
}

impl Regions {
    /// Those of the workspace whose state is in this directory.
    #[must_use]
    pub fn of(state_dir: &std::path::Path) -> Self {
        Self { path: state_dir.join("aws").join("regions"), named: Mutex::default() }
    }

    /// A wanted server names this region.
    pub fn name(&self, region: &Region) {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).insert(region.clone());
    }

    /// Those that wanted servers named.
    #[must_use]
    pub fn named(&self) -> BTreeSet<Region> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those that the file remembers; `None` where there is no file.
    pub fn remembered(&self) -> io::Result<Option<BTreeSet<Region>>> {
        match fs::read_to_string(&self.path) {
            // A line that was cut short by a crash belongs to an order that was never sent.
            Ok(text) => Ok(Some(text.lines().filter_map(Region::new).collect())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Remembers these regions; they are on disk when this returns.
    pub fn remember<'r>(&self, regions: impl IntoIterator<Item = &'r Region>) -> io::Result<()> {
        let known = self.remembered()?;
        let is_known = |region: &&Region| known.as_ref().is_some_and(|known| known.contains(*region));
        let new: Vec<&Region> = regions.into_iter().filter(|region| !is_known(region)).collect();
        if known.is_some() && new.is_empty() {
            return Ok(());
        }
        let directory = self.path.parent().unwrap_or(std::path::Path::new("."));
        fs::create_dir_all(directory)?;
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        // A line break first: what a crash cut short must not swallow the next line.
        let lines: String = new.iter().map(|region| format!("\n{region}\n")).collect();
        file.write_all(lines.as_bytes())?;
        file.sync_all()?;
        File::open(directory)?.sync_all()
    }

    /// Where they are remembered, for messages.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_remembered_across_processes_and_crashes() {
        let dir = tempfile::tempdir().unwrap();
        let regions = || Regions::of(dir.path());
        let region = |text: &str| Region::new(text).unwrap();
        assert_eq!(regions().remembered().unwrap(), None);
        regions().remember([]).unwrap();
        assert_eq!(regions().remembered().unwrap(), Some(BTreeSet::new()));
        regions().remember([&region("eu-west-1"), &region("us-east-1")]).unwrap();
        let path = regions().path().to_owned();
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("ap-south");
        fs::write(&path, text).unwrap();
        regions().remember([&region("us-east-1"), &region("eu-north-1")]).unwrap();
        let all = BTreeSet::from(["eu-north-1", "eu-west-1", "us-east-1"].map(region));
        assert_eq!(regions().remembered().unwrap(), Some(all));
        assert_eq!(fs::read_to_string(&path).unwrap().matches("us-east-1").count(), 1);
    }
}

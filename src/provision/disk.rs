//! Files that must survive a crash of the machine.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file for its owner alone, with the directories above it: it is there wholly or as it was before, whenever the
/// machine stops, and it is on disk when this returns.
///
/// # Errors
/// When it isn't.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    make(directory)?;
    let mut part = path.as_os_str().to_owned();
    part.push(".new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    File::open(directory)?.sync_all()
}

/// Makes a directory with those above it, so that they are there after a crash, too.
///
/// # Errors
/// When they aren't.
pub fn make(directory: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = directory.ancestors().take_while(|above| !above.exists()).collect();
    fs::create_dir_all(directory)?;
    let mut above = missing.iter().filter_map(|made| made.parent()).filter(|above| !above.as_os_str().is_empty());
    above.try_for_each(|above| File::open(above)?.sync_all())
}

/// Removes a file for good; that there is none counts as removed.
///
/// # Errors
/// When it is left.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

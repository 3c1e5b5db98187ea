//! Taking a bundle: everything is checked before anything of the workspace is touched.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};

use super::{BundleError, CACHE, FORM, MANIFEST, MOST_MANIFEST, Manifest, Member, is_inside};
use crate::model::digest::{Sha256, hexadecimal};
use crate::provision::artifact::cache::checksum;
use crate::provision::workspace::Workspace;

/// Where members stand until all have been checked.
const STAGE: &str = "cache/unpacking";

/// Puts what the bundle `from` holds into the workspace; answers how many files that were. Files of the workspace that are
/// others are replaced only if `overwrite` says so.
///
/// # Errors
/// [`BundleError`]; unless it is about a file of the workspace, nothing has changed.
pub fn apply(workspace: &Workspace, from: &Path, overwrite: bool) -> Result<usize, BundleError> {
    let stage = workspace.state_dir().join(STAGE);
    let applied = check(from, &stage).and_then(|members| {
        if !overwrite {
            refuse_others(workspace, &members)?;
        }
        for (number, member) in members.iter().enumerate() {
            settle(workspace, &stage.join(number.to_string()), member)?;
        }
        Ok(members.len())
    });
    let _ = fs::remove_dir_all(&stage);
    applied
}

/// Unpacks everything into the stage, each member by its number, and checks it.
fn check(from: &Path, stage: &Path) -> Result<Vec<Member>, BundleError> {
    let damaged = |why: String| BundleError::Damaged { path: from.to_owned(), why };
    let unreadable = |error: io::Error| damaged(error.to_string());
    let file = File::open(from).map_err(BundleError::file("read", from))?;
    let _ = fs::remove_dir_all(stage);
    fs::create_dir_all(stage).map_err(BundleError::file("make", stage))?;
    let mut archive = Archive::new(GzDecoder::new(io::BufReader::new(file)));
    let mut entries = archive.entries().map_err(unreadable)?;
    let manifest = manifest(entries.next(), from)?;
    for (number, member) in manifest.members.iter().enumerate() {
        let mut entry = match entries.next() {
            Some(entry) => entry.map_err(unreadable)?,
            None => return Err(damaged(format!("it ends before {}", member.path))),
        };
        if entry.header().entry_type() != EntryType::Regular || *entry.path_bytes() != *member.path.as_bytes() {
            return Err(damaged(format!("something else stands in the place of {}", member.path)));
        }
        let place = stage.join(number.to_string());
        let (size, sha256) = copy(&mut entry, &place, member.size).map_err(unreadable)?;
        if (size, &sha256) != (member.size, &member.sha256) {
            return Err(damaged(format!(
                "{} is damaged: its SHA-256 is {sha256}, and {} was expected",
                member.path, member.sha256
            )));
        }
    }
    if entries.next().is_some() {
        return Err(damaged("it holds more than it says".to_owned()));
    }
    Ok(manifest.members)
}

fn manifest<R: Read>(first: Option<io::Result<Entry<'_, R>>>, from: &Path) -> Result<Manifest, BundleError> {
    let damaged = |why: String| BundleError::Damaged { path: from.to_owned(), why };
    let entry = first.and_then(Result::ok).ok_or_else(|| damaged("it is no archive of prov's".to_owned()))?;
    if *entry.path_bytes() != *MANIFEST.as_bytes() {
        return Err(damaged("it doesn't begin with a manifest".to_owned()));
    }
    let manifest: Manifest = serde_json::from_reader(entry.take(MOST_MANIFEST))
        .map_err(|error| damaged(format!("its manifest: {error}")))?;
    if manifest.form != FORM {
        return Err(damaged(format!("it is of form {}, and this prov knows form {FORM}", manifest.form)));
    }
    match manifest.members.iter().find(|member| !is_inside(&member.path)) {
        Some(member) => Err(damaged(format!("{:?} leads out of what a bundle may hold", member.path))),
        None => Ok(manifest),
    }
}

/// Copies at most one byte more than there should be; answers how many came, and their checksum.
fn copy(from: &mut impl Read, to: &Path, size: u64) -> io::Result<(u64, String)> {
    let (mut file, mut hash, mut total, mut piece) = (File::create(to)?, Sha256::default(), 0, vec![0; 1 << 20]);
    let mut from = from.take(size + 1);
    loop {
        match from.read(&mut piece)? {
            0 => break,
            count => {
                hash.update(&piece[..count]);
                file.write_all(&piece[..count])?;
                total += count as u64;
            }
        }
    }
    file.sync_all()?;
    Ok((total, hexadecimal(&hash.finish())))
}

/// Refuses what would replace files of the workspace that are others. The cache is prov's own.
fn refuse_others(workspace: &Workspace, members: &[Member]) -> Result<(), BundleError> {
    let others = members.iter().filter(|member| !member.path.starts_with(CACHE)).filter(|member| {
        let place = workspace.root().join(&member.path);
        place.symlink_metadata().is_ok() && checksum(&place).ok().as_ref() != Some(&member.sha256)
    });
    let others: Vec<String> = others.map(|member| member.path.clone()).collect();
    if others.is_empty() { Ok(()) } else { Err(BundleError::Differs(others)) }
}

/// Moves one member to its place.
fn settle(workspace: &Workspace, staged: &Path, member: &Member) -> Result<(), BundleError> {
    let place = workspace.root().join(&member.path);
    let failed = || BundleError::file("write", &place);
    let directory = place.parent().unwrap_or(workspace.root());
    fs::create_dir_all(directory).map_err(failed())?;
    // A link on the way may lead out of the workspace.
    if !directory.canonicalize().map_err(failed())?.starts_with(workspace.root()) {
        let source = io::Error::other("a link leads out of the workspace");
        return Err(BundleError::File { what: "write", path: place, source });
    }
    let mode = if member.executable { 0o755 } else { 0o644 };
    fs::set_permissions(staged, Permissions::from_mode(mode)).map_err(failed())?;
    fs::rename(staged, &place).map_err(failed())
}

//! Writing a bundle.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{BundleError, CACHE, FORM, MANIFEST, Manifest, Member, PARTS, gather, is_inside, is_secret};
use crate::model::name::Name;
use crate::provision::artifact::cache::checksum;
use crate::provision::report::Reporter;
use crate::provision::workspace::Workspace;

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Packed {
    /// How many files it holds.
    pub files: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// What looks secret, or leads out of the workspace, and was left out.
    pub left_out: Vec<String>,
}

/// Packs a workspace, with what the services of these infras (of all, if none is named) are made of, into the file `to`,
/// which is there wholly or not at all.
///
/// # Errors
/// [`BundleError`].
pub fn create(workspace: &Workspace, infras: &[Name], to: &Path, reporter: &Reporter) -> Result<Packed, BundleError> {
    let infras = if infras.is_empty() { workspace.infras()? } else { infras.to_vec() };
    for infra in &infras {
        workspace.infra_dir(infra)?;
    }
    let mut left_out = Vec::new();
    let mut files = Vec::new();
    for part in PARTS {
        walk(workspace.root(), part, &mut files, &mut left_out)?;
    }
    let fetched = gather::fetch(workspace, &infras, reporter)?;
    files.extend(fetched.into_iter().map(|(file, place)| (file, format!("{CACHE}/{place}"))));
    let members = files.iter().map(|(file, path)| member(file, path)).collect::<Result<Vec<_>, _>>()?;
    let bytes = members.iter().map(|member| member.size).sum();
    reporter.step(&format!("packing {} files", members.len()));
    let part = PathBuf::from(format!("{}.part", to.display()));
    let written = write(&part, &Manifest { form: FORM, members: members.clone() }, &files);
    let written = written.and_then(|()| fs::rename(&part, to));
    if let Err(source) = written {
        let _ = fs::remove_file(&part);
        return Err(BundleError::File { what: "write", path: to.to_owned(), source });
    }
    Ok(Packed { files: files.len(), bytes, left_out })
}

/// Every file at or below `path`, in order. Links are followed inside the workspace, and left out where they lead out of it.
fn walk(
    root: &Path,
    path: &str,
    files: &mut Vec<(PathBuf, String)>,
    left_out: &mut Vec<String>,
) -> Result<(), BundleError> {
    let place = root.join(path);
    let Ok(real) = place.canonicalize() else { return Ok(()) };
    let name = path.rsplit('/').next().unwrap_or(path);
    // A link to a directory above it would have no end.
    let leads_astray = !real.starts_with(root) || place.is_symlink() && real.is_dir();
    if leads_astray || is_secret(name) || !is_inside(path) {
        left_out.push(path.to_owned());
        return Ok(());
    }
    if real.is_file() {
        files.push((real, path.to_owned()));
        return Ok(());
    }
    if !real.is_dir() {
        left_out.push(path.to_owned());
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&real).map_err(BundleError::file("read", &real))? {
        let entry = entry.map_err(BundleError::file("read", &real))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    names.iter().try_for_each(|name| walk(root, &format!("{path}/{name}"), files, left_out))
}

fn member(file: &Path, path: &str) -> Result<Member, BundleError> {
    let about = fs::metadata(file).map_err(BundleError::file("read", file))?;
    let sha256 = checksum(file).map_err(BundleError::file("read", file))?;
    let executable = about.permissions().mode() & 0o100 != 0;
    Ok(Member { path: path.to_owned(), size: about.len(), sha256, executable })
}

fn write(to: &Path, manifest: &Manifest, files: &[(PathBuf, String)]) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(File::create(to)?, Compression::fast()));
    let json = serde_json::to_vec(manifest)?;
    archive.append_data(&mut header(json.len() as u64, false), MANIFEST, json.as_slice())?;
    for (member, (file, _)) in manifest.members.iter().zip(files) {
        // A file that changes meanwhile makes a bundle that nobody takes; one that shrinks, none.
        let content = io::Read::take(File::open(file)?, member.size);
        archive.append_data(&mut header(member.size, member.executable), &member.path, content)?;
    }
    let mut file = archive.into_inner()?.finish()?;
    file.flush()?;
    file.sync_all()
}

fn header(size: u64, executable: bool) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header
}

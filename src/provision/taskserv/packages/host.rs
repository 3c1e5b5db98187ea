//! Packages that apt on this host fetches into the workspace's cache, for servers whose network ends here.
//!
//! A server shows the host's own packages through, so what the host lacks is what the server lacks. For a bundle the host
//! acts as if it had little more than every Debian has ([`base`]), because the host that the bundle goes to may.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use super::{PackageError, Wanted, resolve};
use crate::model::digest::{hexadecimal, sha256};

/// Marks archives that came with a bundle: nothing is fetched in their place.
pub const BUNDLED: &str = "bundled";

/// The directory of what is wanted, below the cache of packages.
#[must_use]
pub fn directory(cache: &Path, wanted: &Wanted) -> PathBuf {
    let names = wanted.needed.iter().chain(&wanted.optional).map(ToString::to_string).collect::<Vec<_>>().join("+");
    // A file's name has an end.
    if names.len() <= 200 {
        return cache.join(names);
    }
    cache.join(hexadecimal(&sha256(names.as_bytes())))
}

/// Fetches what is wanted and what that needs; answers the archives.
///
/// # Errors
/// [`PackageError`].
pub fn fetch(directory: &Path, wanted: &Wanted) -> Result<Vec<PathBuf>, PackageError> {
    if !directory.join(BUNDLED).exists() {
        fetch_as(directory, wanted, &[])?;
    }
    archives(directory)
}

/// The same as if this host had little more than every Debian has.
///
/// # Errors
/// [`PackageError`].
pub fn fetch_whole(directory: &Path, wanted: &Wanted) -> Result<Vec<PathBuf>, PackageError> {
    fs::create_dir_all(directory)?;
    let status = directory.join("status");
    fs::write(&status, base(&fs::read_to_string("/var/lib/dpkg/status")?))?;
    let options = ["-o".to_owned(), format!("Dir::State::status={}", status.display())];
    fetch_as(directory, wanted, &options)?;
    archives(directory)
}

fn fetch_as(directory: &Path, wanted: &Wanted, options: &[String]) -> Result<(), PackageError> {
    fs::create_dir_all(directory.join("partial"))?;
    let lock = File::create(directory.join("prov.lock"))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(io::Error::from)?;
    let named = || wanted.needed.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(" ");
    let apt = |program: &str, args: &[String]| {
        let output =
            Command::new(program).args(args).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C").output();
        output.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => PackageError::NoApt { packages: named() },
            _ => PackageError::Cache(error),
        })
    };
    let resolved = resolve(wanted, |package| {
        let output = apt("apt-cache", &["madison".to_owned(), package.to_owned()])?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    })?;
    if resolved.is_empty() {
        return Ok(());
    }
    let mut args: Vec<String> = ["install", "-y", "--download-only", "--no-install-recommends", "--allow-downgrades"]
        .map(str::to_owned)
        .to_vec();
    args.extend(["-o".to_owned(), format!("Dir::Cache::archives={}", directory.display())]);
    args.extend(
        ["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=2"].map(str::to_owned),
    );
    // A mirror that hangs must not hang the work.
    args.extend(["-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"].map(str::to_owned));
    args.extend(options.iter().cloned().chain(resolved));
    let output = apt("apt-get", &args)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let why: Vec<&str> = text.lines().filter(|line| line.starts_with("E:")).collect();
    Err(PackageError::Fetch { packages: named(), why: why.join("; ") })
}

fn archives(directory: &Path) -> Result<Vec<PathBuf>, PackageError> {
    let mut archives: Vec<PathBuf> = match fs::read_dir(directory) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    archives.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    archives.sort();
    Ok(archives)
}

/// Of what dpkg says is installed: what every Debian has, and what that needs.
fn base(status: &str) -> String {
    let mut by_name: BTreeMap<&str, &str> = BTreeMap::new();
    for paragraph in status.split("\n\n").filter(|paragraph| field(paragraph, "Status") == Some("install ok installed"))
    {
        if let Some(name) = field(paragraph, "Package") {
            by_name.insert(name, paragraph);
        }
    }
    let is_basic = |paragraph: &str| {
        field(paragraph, "Essential") == Some("yes")
            || matches!(field(paragraph, "Priority"), Some("required" | "important"))
            || field(paragraph, "Package") == Some("apt")
    };
    let mut left: Vec<&str> =
        by_name.iter().filter(|(_, paragraph)| is_basic(paragraph)).map(|(name, _)| *name).collect();
    let mut kept = BTreeSet::new();
    while let Some(name) = left.pop() {
        let Some(paragraph) = by_name.get(name).filter(|_| kept.insert(name)) else { continue };
        let needs = ["Depends", "Pre-Depends"].into_iter().filter_map(|key| field(paragraph, key));
        // Of alternatives all that are there count: which one is relied on isn't said.
        left.extend(
            needs
                .flat_map(|needs| needs.split([',', '|']))
                .map(|one| one.trim().split([' ', ':', '(']).next().unwrap_or_default()),
        );
    }
    by_name
        .iter()
        .filter(|(name, _)| kept.contains(*name))
        .map(|(_, paragraph)| format!("{}\n\n", paragraph.trim_matches('\n')))
        .collect()
}

/// The field of a paragraph, if it stands on one line.
fn field<'p>(paragraph: &'p str, key: &str) -> Option<&'p str> {
    paragraph.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_what_is_essential_and_what_that_needs() {
        let package = |name: &str, rest: &str| format!("Package: {name}\nStatus: install ok installed\n{rest}\n\n");
        let status = [
            package("bash", "Essential: yes\nPre-Depends: libc6 (>= 2.36), libtinfo6:any | other"),
            package("libc6", "Priority: optional\nDepends: libgcc"),
            package("libgcc", "Priority: optional"),
            package("libtinfo6", "Priority: optional"),
            package("nginx", "Priority: optional\nDepends: libc6"),
            "Package: gone\nStatus: deinstall ok config-files\nEssential: yes\n\n".to_owned(),
        ]
        .concat();
        let base = base(&status);
        let names: Vec<&str> = base.lines().filter_map(|line| line.strip_prefix("Package: ")).collect();
        assert_eq!(names, ["bash", "libc6", "libgcc", "libtinfo6"]);
    }
}

//! Debian packages for servers whose network ends at this host.
//!
//! apt on the host fetches what the host itself lacks into the workspace's cache (a server shows the host's own packages
//! through, so that is what it lacks too); apt in the server installs from there, without a network.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::host::{Host, HostError, last_words};

/// Where the server keeps what it was sent.
const ARCHIVES: &str = "/var/cache/prov/archives";

/// Makes the archives' directory, and has packages leave their daemons alone: the install scripts start them.
const ROOM: &str = r#"mkdir -p "$1/partial"
policy=/usr/sbin/policy-rc.d
[ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy"; }"#;

/// Why packages can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackageError {
    #[error(
        "this host has no apt-get, so {packages} can't be fetched; a service that needs no package, such as tiny-http, works here"
    )]
    NoApt { packages: String },
    #[error("apt-get can't fetch {packages} (no connection to a mirror, or `apt-get update` was never run): {why}")]
    Fetch { packages: String, why: String },
    #[error("the cache of packages can't be used")]
    Cache(#[source] io::Error),
    #[error("apt-get in the server failed with status {status}{last_words}")]
    Install { status: i32, last_words: String },
    #[error(transparent)]
    Host(Box<HostError>),
}

/// Has the packages installed in the server.
pub(super) fn install(host: &Host<'_>, packages: &[String], limit: Duration) -> Result<(), PackageError> {
    if packages.is_empty() || are_there(host, packages)? {
        return Ok(());
    }
    let archives = fetch(&host.cache.join(packages.join("+")), packages)?;
    let failed = |error| PackageError::Host(Box::new(error));
    host.housekeep("make room for packages", &["sh", "-c", ROOM, "sh", ARCHIVES], b"").map_err(failed)?;
    for archive in archives {
        let name = archive.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = fs::read(&archive).map_err(PackageError::Cache)?;
        let put = ["sh", "-c", r#"[ -s "$1" ] || cat > "$1""#, "sh", &format!("{ARCHIVES}/{name}")];
        host.housekeep("send a package", &put, &bytes).map_err(failed)?;
    }
    let mut argv =
        vec!["apt-get".to_owned(), "install".to_owned(), "-y".to_owned(), "--no-install-recommends".to_owned()];
    argv.extend(["--no-download".to_owned(), "-o".to_owned(), format!("Dir::Cache::archives={ARCHIVES}")]);
    argv.extend(["-o", "Dpkg::Options::=--force-confold", "-o", "APT::Sandbox::User=root"].map(str::to_owned));
    argv.extend(packages.iter().cloned());
    let env = vec![("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned())];
    let result = host.exec(argv, env, b"", limit).map_err(failed)?;
    if result.status == 0 && !result.timed_out {
        return Ok(());
    }
    Err(PackageError::Install { status: result.status, last_words: last_words(&result) })
}

fn are_there(host: &Host<'_>, packages: &[String]) -> Result<bool, PackageError> {
    let mut argv: Vec<&str> = vec![
        "sh",
        "-c",
        r#"for p; do dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null | grep -q '^install ok installed' || { echo missing; break; }; done"#,
        "sh",
    ];
    argv.extend(packages.iter().map(String::as_str));
    let result = host.housekeep("ask for packages", &argv, b"").map_err(|error| PackageError::Host(Box::new(error)))?;
    Ok(result.stdout.is_empty())
}

/// Fetches the packages and what they need; answers the files.
fn fetch(cache: &Path, packages: &[String]) -> Result<Vec<PathBuf>, PackageError> {
    let named = || packages.join(" ");
    fs::create_dir_all(cache.join("partial")).map_err(PackageError::Cache)?;
    let lock = File::create(cache.join("prov.lock")).map_err(PackageError::Cache)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|errno| PackageError::Cache(errno.into()))?;
    let mut command = Command::new("apt-get");
    command
        .args(["install", "-y", "--download-only", "--no-install-recommends"])
        .arg("-o")
        .arg(format!("Dir::Cache::archives={}", cache.display()))
        .args(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=2"])
        // A mirror that hangs must not hang the work.
        .args(["-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C");
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => PackageError::NoApt { packages: named() },
        _ => PackageError::Cache(error),
    })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let why: Vec<&str> = text.lines().filter(|line| line.starts_with("E:")).collect();
        return Err(PackageError::Fetch { packages: named(), why: why.join("; ") });
    }
    let entries = fs::read_dir(cache).map_err(PackageError::Cache)?;
    let mut archives: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    archives.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    archives.sort();
    Ok(archives)
}

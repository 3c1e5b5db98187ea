//! Servers of an ordinary user: a user namespace in which that one user is root.
//!
//! Every other owner of the host's files is unknown there, and the kernel lets nobody write through an overlay below a
//! directory whose owner it doesn't know. So the upper layer gets all directories beforehand, owned by the user, own
//! copies of the small trees whose files are written in place, and empty files for those that can't be read. Programs
//! that give files to other users are told that it worked: see [`filter`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Access, XattrFlags};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use super::hidden::Hidden;
use super::layers::upper_dir;
use super::sys::{Fault, at};

/// Trees whose files are written in place: package databases, configuration.
const COPIED: [&str; 5] = ["etc", "var/lib/dpkg", "var/lib/apt", "var/cache/debconf", "var/lib/systemd"];
/// Trees whose files are appended to, and whose content is the host's affair.
const EMPTIED: [&str; 1] = ["var/log"];
/// The capability that mounting needs (linux/capability.h).
const CAP_SYS_ADMIN: u32 = 21;

/// Whether this process may make namespaces without a user namespace. Root of a user namespace holds the capability for
/// what belongs to that one only — no devices, no control groups of the host's — and is served like an ordinary user.
#[must_use]
pub fn is_privileged() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if map.split_ascii_whitespace().ne(["0", "0", "4294967295"]) {
        return false;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    effective & (1 << CAP_SYS_ADMIN) != 0
}

/// Makes `uid` and `gid` root of the user namespace that this process has just made and entered.
pub fn become_root(uid: u32, gid: u32) -> Result<(), Fault> {
    // Giving up setgroups is the condition for a group map without privileges (user_namespaces(7)).
    for (file, text) in
        [("setgroups", "deny".to_owned()), ("uid_map", format!("0 {uid} 1")), ("gid_map", format!("0 {gid} 1"))]
    {
        fs::write(format!("/proc/self/{file}"), text).map_err(at(format!("can't set the user namespace's {file}")))?;
    }
    Ok(())
}

/// Why namespaces could not be made, with the setting of the kernel that forbids it.
#[must_use]
pub fn explain(error: io::Error) -> Fault {
    let fault = at::<io::Error>("can't make namespaces")(error);
    let forbids = |file: &str, value: &str| fs::read_to_string(file).is_ok_and(|text| text.trim() == value);
    if forbids("/proc/sys/user/max_user_namespaces", "0") {
        fault.hint("the kernel allows no user namespaces: `sysctl user.max_user_namespaces=10000`, or run prov as root")
    } else if forbids("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        fault.hint(
            "only root may make user namespaces: `sysctl kernel.unprivileged_userns_clone=1`, or run prov as root",
        )
    } else if forbids("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        fault.hint("AppArmor forbids user namespaces: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or run prov as root")
    } else {
        fault.hint(
            "a container or a security module seems to forbid it; run prov outside, or as root with CAP_SYS_ADMIN",
        )
    }
}

/// Fills the upper layers of `overlays`.
pub fn fill_upper(overlays: &[String], hidden: &Hidden) -> Result<(), Fault> {
    for path in overlays {
        let Ok(top) = fs::metadata(format!("/{path}")) else { continue };
        Filler { device: top.dev(), hidden }.fill(path, Treatment::of(path, Treatment::Shown))?;
    }
    Ok(())
}

/// What becomes of the files of a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Shown,
    Copied,
    Emptied,
}

impl Treatment {
    fn of(path: &str, above: Self) -> Self {
        if COPIED.contains(&path) {
            Self::Copied
        } else if EMPTIED.contains(&path) {
            Self::Emptied
        } else {
            above
        }
    }
}

/// Fills the upper layer of one overlay.
struct Filler<'h> {
    /// Of the overlay's lower layer: what is mounted below it is no part of it.
    device: u64,
    hidden: &'h Hidden,
}

impl Filler<'_> {
    fn fill(&self, path: &str, treatment: Treatment) -> Result<(), Fault> {
        upper_dir(path)?;
        let Ok(entries) = fs::read_dir(format!("/{path}")) else {
            // What can't be read is not merged but covered.
            return rustix::fs::setxattr(format!("disk/up/{path}"), "user.overlay.opaque", b"y", XattrFlags::empty())
                .map_err(at(format!("can't cover /{path}")));
        };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let below = format!("{path}/{name}");
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if !self.hidden.contains(&below) && entry.metadata().is_ok_and(|there| there.dev() == self.device) {
                    self.fill(&below, Treatment::of(&below, treatment))?;
                }
            } else if kind.is_file() {
                give_file(&below, treatment)?;
            }
        }
        Ok(())
    }
}

fn give_file(path: &str, treatment: Treatment) -> Result<(), Fault> {
    let (host, upper) = (format!("/{path}"), format!("disk/up/{path}"));
    let readable = rustix::fs::access(&host, Access::READ_OK).is_ok();
    if treatment == Treatment::Shown && readable {
        return Ok(());
    }
    if Path::new(&upper).exists() {
        return Ok(());
    }
    if treatment == Treatment::Copied && readable {
        return fs::copy(&host, &upper).map(drop).map_err(at(format!("can't copy {host}")));
    }
    let mode = fs::metadata(&host).map_or(0o600, |there| there.mode() & 0o777);
    fs::write(&upper, "")
        .and_then(|()| fs::set_permissions(&upper, fs::Permissions::from_mode(mode)))
        .map_err(at(format!("can't make {upper}")))
}

/// A filter of system calls that answers "done" to every change of owner or of the process's user, without doing it.
/// Installing packages needs both and depends on neither where there is one user only.
pub fn filter() -> Result<BpfProgram, Fault> {
    const PRETENDED: &[libc::c_long] = &[
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chown,
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lchown,
        libc::SYS_fchown,
        libc::SYS_fchownat,
        libc::SYS_setuid,
        libc::SYS_setgid,
        libc::SYS_setreuid,
        libc::SYS_setregid,
        libc::SYS_setresuid,
        libc::SYS_setresgid,
        libc::SYS_setgroups,
        libc::SYS_setfsuid,
        libc::SYS_setfsgid,
        libc::SYS_capset,
    ];
    let rules: BTreeMap<_, _> = PRETENDED.iter().map(|call| (*call, Vec::new())).collect();
    let wrong = |error: &dyn std::error::Error| Fault::new(format!("can't make the filter of system calls: {error}"));
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| wrong(&error))?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(0), arch);
    filter.and_then(BpfProgram::try_from).map_err(|error| wrong(&error))
}

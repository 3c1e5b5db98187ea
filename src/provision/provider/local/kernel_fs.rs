//! The kernel's own file systems in a server: `proc`, `sys` and the control groups, with what reaches the whole machine
//! made read-only. This guards against accidents of scripts, not against malice of the server's root.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::mount::MountFlags;

use super::root_fs::{Style, bind, make_dir};
use super::sys::{Fault, at};

/// Settings of the whole machine below `/proc`.
const MACHINE_WIDE: [&str; 4] = ["sys", "sysrq-trigger", "irq", "bus"];

/// Mounts them below `root/`; `groups` are the control groups that the server has joined.
pub fn mount_all(style: Style, groups: &[PathBuf]) -> Result<(), Fault> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "root/proc", "proc", flags, None).map_err(|error| {
        at("can't mount the server's /proc")(error)
            .hint("a container that hides parts of /proc doesn't allow it; run prov outside, or with an unmasked /proc")
    })?;
    protect_proc(style)?;
    if rustix::mount::mount("sysfs", "root/sys", "sysfs", flags | MountFlags::RDONLY, None).is_err() {
        // Without a network namespace of its own a server may only see the host's.
        rustix::mount::mount_bind_recursive("/sys", "root/sys").map_err(at("can't show /sys"))?;
    }
    control_groups(groups, flags);
    Ok(())
}

fn protect_proc(style: Style) -> Result<(), Fault> {
    if style.in_user_namespace {
        // The kernel refuses these writes by itself there.
        return Ok(());
    }
    // The network's settings are the server's own: kept writable through a bind made before the rest is closed.
    make_dir("root/run/net", 0o755)?;
    bind("root/proc/sys/net", "root/run/net")?;
    for name in MACHINE_WIDE {
        let path = format!("root/proc/{name}");
        if Path::new(&path).exists() {
            bind(&path, &path)?;
            rustix::mount::mount_remount(&path, MountFlags::BIND | MountFlags::RDONLY, c"")
                .map_err(at(format!("can't protect {path}")))?;
        }
    }
    rustix::mount::mount_move("root/run/net", "root/proc/sys/net").map_err(at("can't show /proc/sys/net"))?;
    fs::remove_dir("root/run/net").map_err(at("can't remove /run/net"))
}

/// Shows the server's part of the control groups that it has joined, which container engines inside want. Nothing else
/// depends on it.
fn control_groups(groups: &[PathBuf], flags: MountFlags) {
    let target = Path::new("root/sys/fs/cgroup");
    let mut is_empty = true;
    for hierarchy in groups.iter().filter_map(|group| group.parent()) {
        if hierarchy.join("cgroup.controllers").exists() {
            if is_empty {
                let _ = rustix::mount::mount("cgroup2", target, "cgroup2", flags, None);
            }
            return;
        }
        if is_empty && rustix::mount::mount("tmpfs", target, "tmpfs", flags, c"mode=755").is_err() {
            return;
        }
        is_empty = false;
        let Some(name) = hierarchy.file_name().and_then(|name| name.to_str()) else { continue };
        let inside = target.join(name);
        let options = CString::new(if name == "systemd" { "none,name=systemd" } else { name });
        if fs::create_dir(&inside).is_ok() {
            let _ = rustix::mount::mount("cgroup", &inside, "cgroup", flags, options.ok().as_deref());
        }
        // Several controllers in one hierarchy are known by each one's name too.
        for alias in name.split(',').filter(|alias| *alias != name) {
            let _ = symlink(name, target.join(alias));
        }
    }
}

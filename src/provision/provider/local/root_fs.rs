//! The root of a server: the host's own directories, copy-on-write, without what is the host's alone.
//!
//! The directories ([`super::layers`]) are put together on a small tmpfs. One overlay of `/` would show the whole host,
//! home directories and keys included. Runs in the server's mount namespace, in the server's state directory: all paths
//! below are relative to it, so that no character of the workspace's path can be taken for a mount option.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::state::Record;
use super::sys::{Fault, at};

/// The server's own directories on the disk, with their modes.
const OWN: [(&str, u32); 3] = [("root", 0o700), ("home", 0o755), ("srv", 0o755)];
/// Where container engines keep layers: they make overlays of their own, which can't lie on an overlay.
const PLAIN: [&str; 4] = ["containerd", "docker", "kubelet", "containers"];
/// Device nodes: name, major, minor.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// How the server's root is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Inside a user namespace: no device nodes can be made, and overlay keeps its marks in `user.` attributes.
    pub in_user_namespace: bool,
    /// Whether the root is the server's first, so that it must be given its own names and keys.
    pub first: bool,
}

/// Puts the root together in `root/` of the current directory, which must be the server's state directory.
/// Directories of the host that are `private` are left out. Answers what the server's user should know.
pub fn build(style: Style, record: &Record, private: &[PathBuf]) -> Result<Vec<String>, Fault> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(at("can't make the server's mounts private"))?;
    for dir in ["root", "disk", "data"] {
        fs::create_dir_all(dir).map_err(at(format!("can't make the directory {dir}")))?;
    }
    tmpfs("root", "mode=755", MountFlags::empty())?;
    let shown = super::layers::show_host(style, private)?;
    for (name, mode) in OWN {
        let data = format!("data/{name}");
        make_dir(&data, mode)?;
        make_dir(&format!("root/{name}"), mode)?;
        bind(&data, &format!("root/{name}"))?;
    }
    for name in ["mnt", "media", "boot", "proc", "sys", "dev", "run", "tmp"] {
        make_dir(&format!("root/{name}"), 0o755)?;
    }
    tmpfs("root/tmp", "mode=1777", MountFlags::NOSUID | MountFlags::NODEV)?;
    tmpfs("root/run", "mode=755", MountFlags::NOSUID | MountFlags::NODEV)?;
    make_dir("root/run/lock", 0o1777)?;
    plain_dirs()?;
    devices(style)?;
    super::kernel_fs::mount_all(style, &record.cgroups)?;
    if style.first || shown.is_volatile {
        super::own_files::write_all(Path::new("root"), record.spec.name.as_str())?;
    }
    if Path::new(super::hosts::FILE).exists() {
        bind(super::hosts::FILE, "root/etc/hosts")?;
    }
    Ok(shown.notes)
}

/// Makes `root/` the root of this process and lets go of the host's.
pub fn enter() -> Result<(), Fault> {
    std::env::set_current_dir("root").map_err(at("can't enter the server's root"))?;
    // Both at one place: the old root ends up on top of the new one, and is taken off (pivot_root(2)).
    rustix::process::pivot_root(".", ".").map_err(at("can't change the root"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(at("can't let go of the host's root"))?;
    std::env::set_current_dir("/").map_err(at("can't enter the new root"))
}

fn plain_dirs() -> Result<(), Fault> {
    for name in PLAIN {
        let data = format!("data/{name}");
        make_dir(&data, 0o711)?;
        let target = format!("root/var/lib/{name}");
        fs::create_dir_all(&target).map_err(at(format!("can't make {target}")))?;
        bind(&data, &target)?;
    }
    Ok(())
}

fn devices(style: Style) -> Result<(), Fault> {
    tmpfs("root/dev", "mode=755", MountFlags::NOSUID | MountFlags::NOEXEC)?;
    for (name, group, number) in NODES {
        let path = format!("root/dev/{name}");
        if style.in_user_namespace {
            fs::File::create(&path).map_err(at(format!("can't make {path}")))?;
            bind(&format!("/dev/{name}"), &path)?;
        } else {
            let device = rustix::fs::makedev(group, number);
            rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), device)
                .map_err(at(format!("can't make the device {path}")))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).map_err(at(format!("can't open {path}")))?;
        }
    }
    for (target, name) in [
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
        ("pts/ptmx", "ptmx"),
    ] {
        symlink(target, format!("root/dev/{name}")).map_err(at(format!("can't link /dev/{name}")))?;
    }
    make_dir("root/dev/shm", 0o1777)?;
    tmpfs("root/dev/shm", "mode=1777", MountFlags::NOSUID | MountFlags::NODEV)?;
    make_dir("root/dev/pts", 0o755)?;
    let settings = if style.in_user_namespace {
        c"newinstance,ptmxmode=0666,mode=620"
    } else {
        c"newinstance,ptmxmode=0666,mode=620,gid=5"
    };
    rustix::mount::mount("devpts", "root/dev/pts", "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, settings)
        .map_err(at("can't mount the server's terminals"))
}

/// Makes a directory with exactly this mode, whatever the umask; one that is there keeps its own.
pub fn make_dir(path: &str, mode: u32) -> Result<(), Fault> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
            .map_err(at(format!("can't make the directory {path}"))),
    }
}

/// Mounts an empty file system in memory.
pub fn tmpfs(target: &str, options: &str, flags: MountFlags) -> Result<(), Fault> {
    let options = std::ffi::CString::new(options).expect("the options are ours and hold no zero");
    rustix::mount::mount("tmpfs", target, "tmpfs", flags, options.as_c_str())
        .map_err(at(format!("can't mount a tmpfs on {target}")))
}

/// Shows `source` at `target` too.
pub fn bind(source: &str, target: &str) -> Result<(), Fault> {
    rustix::mount::mount_bind(source, target).map_err(at(format!("can't bind {source} on {target}")))
}

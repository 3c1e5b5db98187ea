//! The host's directories as a server sees them: overlays, each with its upper layer in `disk/up/` and its work directory in
//! `disk/wk/` of the server's state directory, which is the current one.
//!
//! Usually one overlay for each of `usr etc var opt`, with what is [hidden](super::hidden) covered. The directory that
//! holds the workspace itself can't be the lower layer of its own upper layer; it is split: an overlay for each of its
//! subdirectories, what is hidden left out, and the workspace with all around it is hidden.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::hidden::Hidden;
use super::root_fs::{Style, bind, make_dir, tmpfs};
use super::sys::{Fault, at};
use super::unprivileged;

/// The host's directories that a server sees.
pub const SHOWN: [&str; 4] = ["usr", "etc", "var", "opt"];
/// Directories that are symbolic links into `usr` on today's systems, and real ones on older systems.
const PROGRAMS: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// The state directory stands so many levels below the workspace.
const LEVELS: usize = 4;
/// Characters that mean something in overlay's options.
const SPECIAL: [char; 3] = [',', ':', '\\'];

/// How the host's directories came to be shown.
#[derive(Debug, Default)]
pub struct Shown {
    /// The upper layers had to be put in memory, where they end with the server.
    pub is_volatile: bool,
    /// What its user should know.
    pub notes: Vec<String>,
}

/// Shows them below `root/`, but for what is private.
pub fn show_host(style: Style, private: &[PathBuf]) -> Result<Shown, Fault> {
    let state = std::env::current_dir().map_err(at("can't tell the state directory"))?;
    let workspace = state.ancestors().nth(LEVELS).unwrap_or(&state).to_path_buf();
    let hidden = Hidden::find(&workspace, private);
    let mut plan = Plan { workspace, hidden, first: style.first, overlays: Vec::new() };
    for name in SHOWN.into_iter().chain(PROGRAMS) {
        plan.add_top(name)?;
    }
    prepare(&plan, style, style.first)?;
    let mut shown = Shown::default();
    for path in &plan.overlays {
        match mount(path, style) {
            // Upper layers can't lie on an overlay or a network file system.
            Err(Errno::INVAL) if !shown.is_volatile => {
                // Both must lie on one mount.
                tmpfs("disk", "mode=755", MountFlags::empty())?;
                prepare(&plan, style, true)?;
                shown.is_volatile = true;
                mount(path, style)
            }
            mounted => mounted,
        }
        .map_err(|error| explain(path, error))?;
    }
    if shown.is_volatile {
        let lost = "what it writes to /usr, /etc, /var and /opt is gone when it stops";
        shown.notes.push(format!("its disk is in memory, for overlays can't use the workspace's file system: {lost}"));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for point in mounted_below(&mounts, &plan.overlays).filter(|point| Path::new(point).is_dir()) {
        shown.notes.push(format!(
            "{point} is a file system of its own on this host: the server sees the directory without it"
        ));
    }
    Ok(shown)
}

/// Mount points below the host's directories that overlays of them don't show, as mountinfo lists them (proc(5)).
fn mounted_below<'m>(mountinfo: &'m str, overlays: &'m [String]) -> impl Iterator<Item = &'m str> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| {
        let below = |path: &String| point.strip_prefix('/')?.strip_prefix(path.as_str())?.strip_prefix('/');
        overlays.iter().any(|path| below(path).is_some())
    })
}

fn explain(path: &str, error: Errno) -> Fault {
    let fault = at(format!("can't put an overlay on /{path}"))(error);
    match error {
        Errno::NODEV => fault.hint("this kernel has no overlay file system: load it with `modprobe overlay`"),
        Errno::PERM => fault.hint("an ordinary user needs Linux 5.11 or later for this; or run prov as root"),
        _ => fault.hint("put the workspace on a local disk with ext4, xfs or btrfs"),
    }
}

fn mount(path: &str, style: Style) -> Result<(), Errno> {
    let extra = if style.in_user_namespace { ",userxattr" } else { "" };
    let work = work_dir(path);
    let options = format!("lowerdir=/{path},upperdir=disk/up/{path},workdir={work}{extra}");
    let options = CString::new(options).map_err(|_| Errno::INVAL)?;
    rustix::mount::mount("overlay", format!("root/{path}"), "overlay", MountFlags::empty(), options.as_c_str())
}

fn work_dir(path: &str) -> String {
    format!("disk/wk/{}", path.replace('/', "+"))
}

/// Makes upper layers and work directories, and hides in them what is the host's alone.
fn prepare(plan: &Plan, style: Style, fresh: bool) -> Result<(), Fault> {
    for dir in ["disk/up", "disk/wk"] {
        make_dir(dir, 0o755)?;
    }
    for path in &plan.overlays {
        upper_dir(path)?;
        make_dir(&work_dir(path), 0o755)?;
    }
    plan.hidden.cover()?;
    if style.in_user_namespace && fresh {
        unprivileged::fill_upper(&plan.overlays, &plan.hidden)?;
    }
    Ok(())
}

/// Which overlays there are.
struct Plan {
    workspace: PathBuf,
    hidden: Hidden,
    first: bool,
    overlays: Vec<String>,
}

impl Plan {
    fn add_top(&mut self, name: &str) -> Result<(), Fault> {
        let host = Path::new("/").join(name);
        if let Ok(target) = fs::read_link(&host) {
            return symlink(target, format!("root/{name}")).map_err(at(format!("can't link /{name}")));
        }
        if !host.is_dir() {
            return Ok(());
        }
        make_dir(&format!("root/{name}"), 0o755)?;
        if !self.workspace.starts_with(&host) {
            self.overlays.push(name.to_owned());
            return Ok(());
        }
        let data = format!("data/split-{name}");
        make_dir(&data, 0o755)?;
        bind(&data, &format!("root/{name}"))?;
        self.split(name)
    }

    /// The entries of a directory that holds the workspace, one by one.
    fn split(&mut self, path: &str) -> Result<(), Fault> {
        let entries = fs::read_dir(Path::new("/").join(path)).map_err(at(format!("can't read /{path}")))?;
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let (host, below) = (entry.path(), format!("{path}/{name}"));
            let target = format!("root/{below}");
            let Ok(there) = fs::symlink_metadata(&host) else { continue };
            if host == self.workspace || name.contains(SPECIAL) {
                continue;
            }
            if there.is_dir() {
                if !self.hidden.contains(&below) {
                    make_dir(&target, there.mode() & 0o7777)?;
                    if self.workspace.starts_with(&host) {
                        self.split(&below)?;
                    } else {
                        self.overlays.push(below);
                    }
                } else if !self.workspace.starts_with(&host) {
                    make_dir(&target, there.mode() & 0o7777)?;
                }
            } else if self.first && there.is_symlink() {
                // Left over from a start that was cut short, or made just now: the same either way.
                let _ = fs::read_link(&host).and_then(|link| symlink(link, &target));
            } else if self.first && there.is_file() {
                let _ = fs::copy(&host, &target);
            }
        }
        Ok(())
    }
}

/// Makes a directory of the upper layer, and those above it, like the host's: the upper directory's owner and mode are
/// what the server sees.
pub fn upper_dir(path: &str) -> Result<(), Fault> {
    let mut below = String::new();
    for part in path.split('/') {
        if !below.is_empty() {
            below.push('/');
        }
        below.push_str(part);
        let upper = format!("disk/up/{below}");
        match fs::create_dir(&upper) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made.map_err(at(format!("can't make {upper}")))?,
        }
        // A directory that the host lacks is an ordinary one.
        let Ok(lower) = fs::metadata(format!("/{below}")) else { continue };
        // An owner that a user namespace doesn't know can't be given; the server's root owns the directory then.
        let _ = std::os::unix::fs::chown(&upper, Some(lower.uid()), Some(lower.gid()));
        fs::set_permissions(&upper, fs::Permissions::from_mode(lower.mode() & 0o7777))
            .map_err(at(format!("can't set the mode of {upper}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_below_an_overlay_are_named() {
        let mountinfo = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /var rw - ext4 /dev/b rw\n\
                         3 2 8:3 / /var/log rw - ext4 /dev/c rw\n4 1 8:4 / /variety/x rw - ext4 /dev/d rw\n";
        let overlays = ["usr".to_owned(), "var".to_owned()];
        assert_eq!(mounted_below(mountinfo, &overlays).collect::<Vec<_>>(), ["/var/log"]);
    }
}

//! What of the host a server must not see: secrets, data of the host's services, other people's machines, and all that
//! is prov's own — daemons' data, workspaces.
//!
//! A covered directory is *opaque* in the upper layer: the server sees an empty one, which it may fill. The host's usual
//! places are known by name. prov's are looked for, because they may be anywhere: whoever started this process says
//! which directories are private, and whatever holds [`STORE`] or [`STATE`] is found. Of each the whole
//! [territory](territory) is covered, so that what lies beside it — a key, a password — is not seen either.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::layers::{SHOWN, upper_dir};
use super::sys::Fault;

/// Directories whose content is the host's alone.
const HOSTS: [&str; 22] = [
    "etc/kubernetes",
    "etc/letsencrypt",
    "etc/ssl/private",
    "etc/wireguard",
    "var/backups",
    "var/lib/containerd",
    "var/lib/containers",
    "var/lib/docker",
    "var/lib/etcd",
    "var/lib/kubelet",
    "var/lib/libvirt",
    "var/lib/lxc",
    "var/lib/lxd",
    "var/lib/machines",
    "var/lib/mysql",
    "var/lib/postgresql",
    "var/lib/private",
    "var/lib/redis",
    "var/lib/vault",
    "var/mail",
    "var/spool/cron",
    "var/tmp",
];
/// prov's own places, covered even where the host has none yet: a daemon may be installed while the server runs.
const OWN: [&str; 3] = ["etc/prov", "var/lib/prov", "var/log/prov"];
/// Directories that many programs share: whatever is below one of them, and is none itself, is somebody's own.
const SHARED: [&str; 24] = [
    "etc",
    "etc/opt",
    "opt",
    "usr",
    "usr/bin",
    "usr/include",
    "usr/lib",
    "usr/libexec",
    "usr/local",
    "usr/local/bin",
    "usr/local/etc",
    "usr/local/lib",
    "usr/local/share",
    "usr/sbin",
    "usr/share",
    "usr/src",
    "var",
    "var/cache",
    "var/lib",
    "var/local",
    "var/log",
    "var/opt",
    "var/spool",
    "var/www",
];
/// Where prov's places are looked for, and to which depth below.
const SEARCHED: [&str; 4] = ["etc", "opt", "usr/local", "var"];
const DEPTH: usize = 4;
/// The file by which a daemon's data directory is known.
const STORE: &str = "prov.redb";
/// The directory by which a workspace is known.
const STATE: &str = ".prov";
/// Variables that name a daemon's data directory, or one above it.
const VARIABLES: [&str; 4] = ["PROV_DATA_DIR", "PROV_WORKSPACE", "STATE_DIRECTORY", "XDG_STATE_HOME"];

/// The directories to cover, relative to `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden(BTreeSet<String>);

/// Directories that the environment of this process says are prov's: they are found even where nothing marks them.
#[must_use]
pub fn private_by_environment() -> Vec<PathBuf> {
    let named = VARIABLES.iter().filter_map(std::env::var_os);
    let named = named.flat_map(|value| std::env::split_paths(&value).collect::<Vec<_>>());
    // A task's events stand below the data directory of the daemon that started it.
    let events = std::env::var_os(crate::provision::report::EVENTS_VARIABLE).map(PathBuf::from);
    let data = events.iter().flat_map(|events| events.ancestors()).find(|dir| dir.join(STORE).exists());
    named.chain(data.map(Path::to_owned)).filter_map(|dir| dir.canonicalize().ok()).collect()
}

impl Hidden {
    /// What is to be covered on this host for a server of `workspace`, with `private` besides what is found.
    #[must_use]
    pub fn find(workspace: &Path, private: &[PathBuf]) -> Self {
        let known = HOSTS.iter().filter(|path| Path::new("/").join(path).is_dir()).chain(&OWN);
        let mut hidden = Self(known.map(|path| (*path).to_owned()).collect());
        for dir in private.iter().map(PathBuf::as_path).chain([workspace]) {
            let shown = dir.strip_prefix("/").ok().filter(|path| SHOWN.iter().any(|top| path.starts_with(top)));
            hidden.0.extend(shown.and_then(Path::to_str).and_then(territory));
        }
        for top in SEARCHED {
            hidden.search(Path::new("/"), top, DEPTH);
        }
        hidden
    }

    /// Covers what is marked as prov's below `path` of `root`. A marked directory that many programs share keeps its place; its
    /// mark is covered, where that is a directory.
    fn search(&mut self, root: &Path, path: &str, depth: usize) {
        let host = root.join(path);
        let is_workspace = host.join(STATE).is_dir();
        if is_workspace || host.join(STORE).is_file() {
            match territory(path) {
                Some(own) => {
                    self.0.insert(own);
                    return;
                }
                None if is_workspace => drop(self.0.insert(format!("{path}/{STATE}"))),
                None => {}
            }
        }
        let Some(depth) = depth.checked_sub(1) else { return };
        for entry in fs::read_dir(host).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let below = format!("{path}/{name}");
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !self.contains(&below) {
                self.search(root, &below, depth);
            }
        }
    }

    /// Whether the directory at `path` is covered.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    /// Marks the directories opaque in the upper layer, before the overlays are mounted.
    pub fn cover(&self) -> Result<(), Fault> {
        for path in &self.0 {
            // What the server has put something else in the place of shows nothing of the host.
            let is_replaced =
                |part: &Path| fs::symlink_metadata(Path::new("disk/up").join(part)).is_ok_and(|there| !there.is_dir());
            if Path::new(path).ancestors().any(is_replaced) {
                continue;
            }
            upper_dir(path)?;
            let upper = format!("disk/up/{path}");
            for attribute in ["trusted.overlay.opaque", "user.overlay.opaque"] {
                // One of the two is the overlay's; which one depends on how it will be mounted, and the other does no harm.
                let _ = rustix::fs::setxattr(&upper, attribute, b"y", rustix::fs::XattrFlags::empty());
            }
        }
        Ok(())
    }
}

/// The topmost directory on the way to `path` that is somebody's own; `None` where all of them are shared.
fn territory(path: &str) -> Option<String> {
    let mut own = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if !own.is_empty() {
            own.push('/');
        }
        own.push_str(part);
        if !SHARED.contains(&own.as_str()) {
            return Some(own);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_territory_is_whole_and_nothing_that_others_share() {
        let cases = [
            ("var/lib/prov/workspace", Some("var/lib/prov")),
            ("opt/acme/infra/ws", Some("opt/acme")),
            ("usr/local/share/x/y", Some("usr/local/share/x")),
            ("var/lib", None),
            ("", None),
        ];
        for (path, own) in cases {
            assert_eq!(territory(path).as_deref(), own, "{path}");
        }
    }

    #[test]
    fn daemons_data_and_workspaces_are_found_by_their_marks() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["opt/acme/data", "opt/other/a/b/.prov", "var/lib/plain/x", "var/lib/.prov", "opt/deep/1/2/3/4/5"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        fs::write(dir.path().join("opt/acme/data").join(STORE), "").unwrap();
        fs::write(dir.path().join("opt/acme/admin-password"), "").unwrap();
        let mut hidden = Hidden::default();
        for top in ["opt", "var", "absent"] {
            hidden.search(dir.path(), top, DEPTH);
        }
        let found: Vec<&str> = hidden.0.iter().map(String::as_str).collect();
        assert_eq!(found, ["opt/acme", "opt/other", "var/lib/.prov"]);
    }
}

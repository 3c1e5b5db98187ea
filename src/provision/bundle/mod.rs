//! Bundles: everything that a workspace needs, in one file, for a host without a network.
//!
//! A bundle is a tar archive, compressed by gzip, that begins with a [`Manifest`]: every member with its size and SHA-256.
//! [`pack`] writes one of a workspace's settings, batches and extensions, and of the packages and artifacts of the services
//! that its settings declare ([`gather`]); [`unpack`] checks one and puts it into a workspace. Secrets and what the execution
//! plane remembers of servers are left out. Knows no daemon.

mod gather;
mod pack;
mod unpack;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::pack::{Packed, create};
pub use self::unpack::apply;
use super::artifact::ArtifactError;
use super::cluster::ClusterError;
use super::secret::SecretError;
use super::settings::SettingsError;
use super::taskserv::TaskservError;
use super::taskserv::packages::PackageError;
use super::workspace::WorkspaceError;
use crate::model::name::Name;

/// The member that comes first.
const MANIFEST: &str = "prov-bundle.json";
/// The version of the form.
const FORM: u32 = 1;
/// The most bytes that a manifest may have.
const MOST_MANIFEST: u64 = 16 << 20;
/// What of a workspace is packed, besides the cache.
const PARTS: [&str; 4] = ["prov.toml", "infra", "batches", "extensions"];
/// The cache, which is packed as far as it is of use.
const CACHE: &str = ".prov/cache";

/// What a bundle holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    /// [`FORM`].
    form: u32,
    /// The members after this one, in their order.
    members: Vec<Member>,
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    /// Its path in the workspace.
    path: String,
    size: u64,
    sha256: String,
    /// Whether it can be run.
    #[serde(default)]
    executable: bool,
}

/// Why a bundle can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file of this host.
    #[error("can't {what} {}", path.display())]
    File {
        /// What was to be done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is no bundle, or a damaged one.
    #[error("{} is no bundle that can be used: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The workspace has other files by the same names.
    #[error("the workspace has other files of the same names: {}", .0.join(", "))]
    Differs(Vec<String>),
    /// The workspace.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// An infra's settings.
    #[error("the settings of {infra} can't be used")]
    Settings {
        /// The infra.
        infra: Name,
        /// Why.
        #[source]
        source: Box<SettingsError>,
    },
    /// A task service.
    #[error(transparent)]
    Taskserv(Box<TaskservError>),
    /// A cluster.
    #[error(transparent)]
    Cluster(Box<ClusterError>),
    /// A secret that an address is.
    #[error("a secret can't be had")]
    Secret(#[from] SecretError),
    /// A service's packages.
    #[error("the packages of {taskserv} can't be had")]
    Packages {
        /// The service.
        taskserv: Name,
        /// Why.
        #[source]
        source: Box<PackageError>,
    },
    /// A service's artifacts.
    #[error("{taskserv} can't be packed")]
    Artifact {
        /// The service.
        taskserv: Name,
        /// Why.
        #[source]
        source: Box<ArtifactError>,
    },
}

impl From<TaskservError> for BundleError {
    fn from(error: TaskservError) -> Self {
        Self::Taskserv(Box::new(error))
    }
}

impl From<ClusterError> for BundleError {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(Box::new(error))
    }
}

impl BundleError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Differs(_) => Some("name an empty workspace, or replace them: --overwrite".to_owned()),
            Self::Workspace(error) => error.hint(),
            Self::Taskserv(error) => error.hint(),
            Self::Cluster(error) => error.hint(),
            Self::Secret(error) => error.hint(),
            _ => None,
        }
    }

    /// Whether what was asked for is at fault.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Settings { .. } => true,
            Self::Taskserv(error) => error.is_invalid(),
            Self::Cluster(error) => error.is_invalid(),
            _ => false,
        }
    }

    fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }
}

/// Whether a path may stand in a bundle: below one of the [`PARTS`] or the [`CACHE`], and never elsewhere.
fn is_inside(path: &str) -> bool {
    let is_clean = !path.contains(['\0', '\\', '\n']) && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let below = |part: &&str| path == *part || path.strip_prefix(*part).is_some_and(|rest| rest.starts_with('/'));
    is_clean
        && (PARTS.iter().any(below)
            || path.starts_with(".prov/cache/apt/")
            || path.starts_with(".prov/cache/artifacts/"))
}

/// Whether a file's name says that nobody else should have it.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let endings = [".pem", ".key", ".p12", ".pfx", ".token", ".secret", ".kubeconfig"];
    name.starts_with('.')
        || name.starts_with("id_")
        || endings.iter().any(|ending| name.ends_with(ending))
        || ["secret", "password", "credential"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_may_stand_in_a_bundle() {
        for path in ["prov.toml", "infra/a/config.ncl", ".prov/cache/apt/x/y.deb", "extensions/taskservs/a/b/c.sh"] {
            assert!(is_inside(path), "{path}");
        }
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "infra/../../x",
            ".prov/local/x",
            ".prov/cache/../local/x",
            "infra//x",
            "infra/",
            "infra/./x",
            "infrared",
            "bin/x",
            ".ssh/x",
        ] {
            assert!(!is_inside(path), "{path}");
        }
    }

    #[test]
    fn what_looks_secret_is_left_out() {
        for name in [".env", "id_ed25519", "tls.key", "my-secrets.yaml", "DB_PASSWORD.txt"] {
            assert!(is_secret(name), "{name}");
        }
        assert!(!is_secret("config.ncl") && !is_secret("keyboard.ncl"));
    }

    proptest! {
        #[test]
        fn what_may_stand_in_a_bundle_stays_in_the_workspace(path in "([./a]|\\.\\.|infra|\\.prov|cache|apt){1,8}") {
            if is_inside(&path) {
                prop_assert!(!Path::new("/w").join(&path).components().any(|part| part == Component::ParentDir));
                prop_assert!(Path::new("/w").join(&path).starts_with("/w"));
            }
        }
    }
}

//! A workspace: the directory that holds a user's infras, batches and own extensions.
//!
//! Owns where things stand in it and that nothing named by a user leads out of it. Knows no file's contents.
//!
//! ```text
//! WORKSPACE/prov.toml                  marks the directory as a workspace
//! WORKSPACE/infra/NAME/config.ncl      an infra's settings (or config.yaml, config.json)
//! WORKSPACE/batches/                   batches
//! WORKSPACE/extensions/                task services of the user's own
//! WORKSPACE/.prov/                     what the execution plane remembers; not for people
//! ```

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::model::name::{Name, PathError, relative_path};
use crate::model::rehearsal::ProviderMode;

/// The file that marks a directory as a workspace.
pub const MARKER: &str = "prov.toml";
/// The directory of what the execution plane remembers.
const STATE_DIR: &str = ".prov";
/// What rehearsals remember, in there: nothing of them is mixed up with what is real.
const REHEARSAL_DIR: &str = "rehearsal";
/// The directory of the infras.
const INFRA_DIR: &str = "infra";

/// An existing directory, with its symbolic links resolved.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
    /// As people wrote it, for what is shown to them.
    given: PathBuf,
    mode: ProviderMode,
}

/// Why something of a workspace can't be had.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The directory can't be opened.
    #[error("can't open the workspace {}", dir.display())]
    Open {
        /// The directory as given.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text is no path inside a workspace.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A symbolic link leads out of the workspace.
    #[error("{} leads out of the workspace {}", path.display(), root.display())]
    Leaves {
        /// The path as given, relative to the workspace.
        path: PathBuf,
        /// The workspace.
        root: PathBuf,
    },
    /// The directory holds nothing of a workspace.
    #[error("{} is no workspace", dir.display())]
    NotOne {
        /// The directory as given.
        dir: PathBuf,
    },
    /// The workspace has no such infra.
    #[error("there is no infra {name} in the workspace {}", root.display())]
    NoInfra {
        /// The infra asked for.
        name: Name,
        /// The workspace.
        root: PathBuf,
        /// The infras that it has.
        known: Vec<Name>,
    },
    /// Something in the workspace can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl WorkspaceError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoInfra { known, .. } if known.is_empty() => {
                Some("make a workspace with an example infra: prov init DIR".to_owned())
            }
            Self::NoInfra { known, .. } => {
                let known: Vec<&str> = known.iter().map(Name::as_str).collect();
                Some(format!("the workspace has: {}", known.join(", ")))
            }
            Self::Open { .. } | Self::NotOne { .. } => {
                Some("name a directory with --workspace, or make one: prov init DIR".to_owned())
            }
            Self::Leaves { .. } => Some("copy the file into the workspace instead of linking to it".to_owned()),
            Self::Path(_) | Self::Read { .. } => None,
        }
    }

    /// Whether something that was asked for is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NoInfra { .. } => true,
            Self::Open { source, .. } | Self::Read { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Path(_) | Self::Leaves { .. } | Self::NotOne { .. } => false,
        }
    }
}

impl Workspace {
    /// Opens the workspace at `dir`; any directory will do, an empty one just holds no infra.
    ///
    /// # Errors
    /// [`WorkspaceError::Open`] where `dir` is no directory that can be reached.
    pub fn open(dir: &Path) -> Result<Self, WorkspaceError> {
        let failed = |source| WorkspaceError::Open { dir: dir.to_owned(), source };
        let root = dir.canonicalize().map_err(failed)?;
        if !root.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::NotADirectory)));
        }
        Ok(Self { root, given: dir.to_owned(), mode: ProviderMode::Live })
    }

    /// The same workspace, whose providers are reached so.
    #[must_use]
    pub fn with_mode(self, mode: ProviderMode) -> Self {
        Self { mode, ..self }
    }

    /// How its providers are reached.
    #[must_use]
    pub const fn mode(&self) -> &ProviderMode {
        &self.mode
    }

    /// The workspace at `dir`, which must hold something of one: for those who only look.
    ///
    /// # Errors
    /// [`WorkspaceError::Open`], [`WorkspaceError::NotOne`].
    pub fn existing(dir: &Path) -> Result<Self, WorkspaceError> {
        let workspace = Self::open(dir)?;
        if [MARKER, INFRA_DIR, STATE_DIR].iter().any(|name| workspace.root.join(name).exists()) {
            return Ok(workspace);
        }
        Err(WorkspaceError::NotOne { dir: dir.to_owned() })
    }

    /// The workspace that `file` belongs to: the nearest directory above it with a `prov.toml` of the same owner or of
    /// this user, else its own directory. Somebody else's marker, as in `/tmp`, must not open more to a file's imports.
    ///
    /// # Errors
    /// [`WorkspaceError::Read`] where `file` can't be reached.
    pub fn containing(file: &Path) -> Result<Self, WorkspaceError> {
        let real = file.canonicalize().map_err(|source| WorkspaceError::Read { path: file.to_owned(), source })?;
        let own = real.parent().unwrap_or(&real);
        let owner = |path: &Path| path.metadata().ok().filter(std::fs::Metadata::is_file).map(|found| found.uid());
        let trusted = [owner(&real), Some(rustix::process::geteuid().as_raw())];
        let is_marked = |dir: &&Path| owner(&dir.join(MARKER)).is_some_and(|uid| trusted.contains(&Some(uid)));
        let root = own.ancestors().find(is_marked).unwrap_or(own);
        Self::open(root)
    }

    /// The directory, absolute and free of symbolic links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of the infra `name`.
    ///
    /// # Errors
    /// [`WorkspaceError::NoInfra`] with the infras that there are; [`WorkspaceError::Leaves`].
    pub fn infra_dir(&self, name: &Name) -> Result<PathBuf, WorkspaceError> {
        match self.resolve_inside(&format!("{INFRA_DIR}/{name}")) {
            Ok(dir) if dir.is_dir() => Ok(dir),
            Ok(_) => Err(self.no_infra(name)),
            Err(error) if error.is_not_found() => Err(self.no_infra(name)),
            Err(error) => Err(error),
        }
    }

    fn no_infra(&self, name: &Name) -> WorkspaceError {
        let known = self.infras().unwrap_or_default();
        WorkspaceError::NoInfra { name: name.clone(), root: self.root.clone(), known }
    }

    /// The infras by name; directories whose name is no [`Name`] are none.
    ///
    /// # Errors
    /// [`WorkspaceError::Read`] where `infra/` is there and can't be read.
    pub fn infras(&self) -> Result<Vec<Name>, WorkspaceError> {
        let dir = self.root.join(INFRA_DIR);
        let failed = |source| WorkspaceError::Read { path: dir.clone(), source };
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().into_string().ok().and_then(|text| Name::new(text).ok());
            names.extend(name.filter(|_| entry.path().is_dir()));
        }
        names.sort();
        Ok(names)
    }

    /// The real path of `relative`, which must be there and inside the workspace, symbolic links followed.
    ///
    /// # Errors
    /// [`WorkspaceError::Path`], [`WorkspaceError::Leaves`], [`WorkspaceError::Read`].
    pub fn resolve_inside(&self, relative: &str) -> Result<PathBuf, WorkspaceError> {
        let path = self.root.join(relative_path(relative)?);
        match path.canonicalize() {
            Ok(real) if real.starts_with(&self.root) => Ok(real),
            Ok(_) => Err(WorkspaceError::Leaves { path: relative.into(), root: self.root.clone() }),
            Err(source) => Err(WorkspaceError::Read { path, source }),
        }
    }

    /// Where the execution plane remembers things; made when something is written.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        let own = self.root.join(STATE_DIR);
        if self.mode == ProviderMode::Live { own } else { own.join(REHEARSAL_DIR) }
    }

    /// The path `relative` of the workspace as whoever named the workspace would write it.
    #[must_use]
    pub fn shown(&self, relative: &str) -> String {
        let path = self.given.join(relative);
        path.strip_prefix(".").unwrap_or(&path).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn sample() -> (tempfile::TempDir, Workspace) {
        let dir = tempfile::tempdir().unwrap();
        for infra in ["production", "staging", ".hidden", "bad name"] {
            fs::create_dir_all(dir.path().join("infra").join(infra)).unwrap();
        }
        fs::write(dir.path().join("infra/file"), "").unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        (dir, workspace)
    }

    #[test]
    fn infras_are_the_well_named_directories() {
        let (_dir, workspace) = sample();
        assert_eq!(workspace.infras().unwrap(), [name("production"), name("staging")]);
        assert!(workspace.infra_dir(&name("staging")).unwrap().ends_with("infra/staging"));
    }

    #[test]
    fn an_unknown_infra_names_the_known_ones() {
        let (_dir, workspace) = sample();
        for missing in ["prod", "file"] {
            let error = workspace.infra_dir(&name(missing)).unwrap_err();
            assert!(error.is_not_found());
            assert!(error.to_string().starts_with(&format!("there is no infra {missing} in")), "{error}");
            assert_eq!(error.hint().unwrap(), "the workspace has: production, staging");
        }
    }

    #[test]
    fn a_link_that_leaves_is_refused_and_one_that_stays_is_followed() {
        let (dir, workspace) = sample();
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path(), dir.path().join("infra/escape")).unwrap();
        symlink("production", dir.path().join("infra/alias")).unwrap();
        let error = workspace.infra_dir(&name("escape")).unwrap_err();
        assert!(matches!(error, WorkspaceError::Leaves { .. }), "{error}");
        assert!(workspace.infra_dir(&name("alias")).unwrap().ends_with("infra/production"));
    }

    #[test]
    fn the_workspace_of_a_file_is_where_the_marker_stands() {
        let (dir, workspace) = sample();
        fs::create_dir(dir.path().join("batches")).unwrap();
        let file = dir.path().join("batches/demo.ncl");
        fs::write(&file, "{}").unwrap();
        assert!(Workspace::containing(&file).unwrap().root().ends_with("batches"));
        fs::write(dir.path().join(MARKER), "").unwrap();
        assert_eq!(Workspace::containing(&file).unwrap().root(), workspace.root());
    }

    #[test]
    fn an_empty_directory_is_no_workspace_to_look_at() {
        let (dir, _) = sample();
        assert!(Workspace::existing(dir.path()).is_ok());
        let error = Workspace::existing(&dir.path().join("infra/staging")).unwrap_err();
        assert!(matches!(error, WorkspaceError::NotOne { .. }) && error.hint().unwrap().contains("prov init"));
    }

    #[test]
    fn a_file_is_no_workspace() {
        let (dir, _) = sample();
        assert!(Workspace::open(&dir.path().join("infra/file")).is_err());
        assert!(Workspace::open(&dir.path().join("nowhere")).unwrap_err().is_not_found());
    }
}

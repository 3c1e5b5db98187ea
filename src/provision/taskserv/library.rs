//! Where definitions are: `infra/INFRA/extensions` over the workspace's `extensions` over those built in. A nearer one
//! takes the place of a farther one whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::definition::{Definition, DefinitionError};
use crate::model::name::Name;
use crate::model::nearest::nearest;
use crate::provision::workspace::Workspace;

/// The extensions that come with prov.
pub static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/src/provision/extensions");
/// The largest file of an extension.
const MOST_BYTES: u64 = 1024 * 1024;

/// The extensions that an infra can use.
#[derive(Clone, Debug)]
pub struct Library {
    /// Directories with extensions, nearest first, and the workspace they may not leave.
    roots: Vec<PathBuf>,
    workspace: PathBuf,
}

/// The files of an extension by their paths below it, and where it is.
pub type Files = (String, BTreeMap<String, String>);

impl Library {
    /// What `infra` can use.
    #[must_use]
    pub fn of(workspace: &Workspace, infra: &Name) -> Self {
        let own = workspace.root().join("infra").join(infra.as_str()).join("extensions");
        Self { roots: vec![own, workspace.root().join("extensions")], workspace: workspace.root().to_owned() }
    }

    /// The definition of a task service.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn find(&self, name: &Name) -> Result<Definition, DefinitionError> {
        match self.files("taskservs", name)? {
            Some((place, files)) => Definition::read(name, &place, &files),
            None => Err(DefinitionError::Unknown { name: name.to_string(), hint: self.suggestion("taskservs", name) }),
        }
    }

    /// What is said where there is no extension of that name.
    #[must_use]
    pub fn suggestion(&self, kind: &str, name: &Name) -> String {
        let known = self.names(kind);
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        match nearest(name.as_str(), &known) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("there are {}", known.join(", ")),
        }
    }

    /// The names of all extensions of a kind.
    #[must_use]
    pub fn names(&self, kind: &str) -> Vec<String> {
        let mut names: Vec<String> = built_in(kind).map(|dir| file_name(dir.path())).collect();
        for root in &self.roots {
            names.extend(
                directories(&root.join(kind))
                    .iter()
                    .flat_map(|category| directories(category))
                    .map(|dir| file_name(&dir)),
            );
        }
        names.sort();
        names.dedup();
        names
    }

    /// The files of an extension, from the nearest place that has it.
    ///
    /// # Errors
    /// When one of them can't be read or leaves the workspace.
    pub fn files(&self, kind: &str, name: &Name) -> Result<Option<Files>, DefinitionError> {
        for root in &self.roots {
            for category in directories(&root.join(kind)) {
                let directory = category.join(name.as_str());
                if directory.is_dir() {
                    return self.read(&directory).map(Some);
                }
            }
        }
        let found = built_in(kind).find(|dir| file_name(dir.path()) == name.as_str());
        Ok(found.map(|dir| (format!("built-in {name}"), embedded(dir))))
    }

    fn read(&self, directory: &Path) -> Result<Files, DefinitionError> {
        let mut files = BTreeMap::new();
        for path in entries(directory) {
            if path.is_dir() {
                for inner in entries(&path).into_iter().filter(|inner| !inner.is_dir()) {
                    files.insert(format!("{}/{}", file_name(&path), file_name(&inner)), self.text(&inner)?);
                }
            } else {
                files.insert(file_name(&path), self.text(&path)?);
            }
        }
        let shown = directory.strip_prefix(&self.workspace).unwrap_or(directory).display().to_string();
        Ok((shown, files))
    }

    fn text(&self, path: &Path) -> Result<String, DefinitionError> {
        let file = path.strip_prefix(&self.workspace).unwrap_or(path).display().to_string();
        let invalid = |why: &str| DefinitionError::Invalid { file: file.clone(), why: why.to_owned() };
        let read = |source| DefinitionError::Read { file: file.clone(), source };
        if !path.canonicalize().map_err(read)?.starts_with(&self.workspace) {
            return Err(invalid("it is a link that leaves the workspace"));
        }
        let there = fs::metadata(path).map_err(read)?;
        // A FIFO or a device in the place of a file must not be waited for.
        if !there.is_file() {
            return Err(invalid("it is no regular file"));
        }
        if there.len() > MOST_BYTES {
            return Err(invalid("it has more than 1 MiB"));
        }
        fs::read_to_string(path).map_err(read)
    }
}

fn built_in(kind: &str) -> impl Iterator<Item = &'static Dir<'static>> {
    BUILT_IN.get_dir(kind).into_iter().flat_map(Dir::dirs).flat_map(Dir::dirs)
}

fn embedded(dir: &'static Dir<'static>) -> BTreeMap<String, String> {
    let below = |path: &Path| path.strip_prefix(dir.path()).unwrap_or(path).display().to_string();
    let files = dir.files().chain(dir.dirs().flat_map(Dir::files));
    files.filter_map(|file| Some((below(file.path()), file.contents_utf8()?.to_owned()))).collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

fn directories(directory: &Path) -> Vec<PathBuf> {
    entries(directory).into_iter().filter(|path| path.is_dir()).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_built_in_is_sound() {
        let workspace = tempfile::tempdir().unwrap();
        let library = Library::of(&Workspace::open(workspace.path()).unwrap(), &Name::new("i").unwrap());
        let names = library.names("taskservs");
        for expected in ["containerd", "etcd", "nginx", "postgresql", "redis", "tiny-http", "tiny-kv"] {
            assert!(names.iter().any(|name| name == expected), "{expected} is missing in {names:?}");
        }
        for name in names {
            let definition = library.find(&Name::new(name).unwrap()).unwrap();
            definition.environment(None, &serde_json::Map::new()).unwrap();
        }
    }

    #[test]
    fn the_nearest_one_counts_and_a_typo_is_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("extensions/taskservs/web/nginx");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("metadata.toml"), "name = \"nginx\"\nversion = \"own\"\ndescription = \"d\"\n").unwrap();
        for kind in ["install", "uninstall", "check"] {
            fs::write(own.join(format!("{kind}-nginx.sh")), "true").unwrap();
        }
        let library = Library::of(&Workspace::open(dir.path()).unwrap(), &Name::new("i").unwrap());
        assert_eq!(library.find(&Name::new("nginx").unwrap()).unwrap().version, "own");
        let error = library.find(&Name::new("ngnix").unwrap()).unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("did you mean nginx?"));
    }

    #[test]
    fn a_fifo_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        for place in ["metadata.toml", "default/defs.toml"] {
            let name = Name::new(place.split('.').next().unwrap().replace('/', "-")).unwrap();
            let path = dir.path().join("extensions/taskservs/web").join(name.as_str()).join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
            let library = Library::of(&Workspace::open(dir.path()).unwrap(), &Name::new("i").unwrap());
            let error = library.find(&name).unwrap_err().to_string();
            assert!(error.ends_with(&format!("{place}: it is no regular file")), "{error}");
        }
    }

    #[test]
    fn a_link_that_leaves_the_workspace_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("extensions/taskservs/web/leak");
        fs::create_dir_all(&own).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", own.join("metadata.toml")).unwrap();
        let library = Library::of(&Workspace::open(dir.path()).unwrap(), &Name::new("i").unwrap());
        let error = library.find(&Name::new("leak").unwrap()).unwrap_err();
        assert!(error.to_string().contains("leaves the workspace"), "{error}");
    }
}

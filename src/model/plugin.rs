//! Where a provider may be that is a program of its own: by its name alone, whoever asks.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::name::Name;

/// What the names of the programs begin with.
const PREFIX: &str = "prov-provider-";
/// Where a workspace has its own.
const DIRECTORY: &str = "providers";

/// The paths at which the provider `name` of a workspace may be, the first one that is there counts: in the workspace, then
/// in the directories of `search`, the value of `PATH`.
#[must_use]
pub fn paths(workspace: &Path, search: Option<&OsStr>, name: &Name) -> Vec<PathBuf> {
    let program = format!("{PREFIX}{name}");
    let directories = search.into_iter().flat_map(std::env::split_paths).filter(|directory| directory.is_absolute());
    let own = workspace.join(DIRECTORY).join(&program);
    std::iter::once(own).chain(directories.map(|directory| directory.join(&program))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspaces_own_comes_first_and_relative_directories_do_not_count() {
        let found = paths(Path::new("/w"), Some(OsStr::new("/a:b::/c")), &Name::new("x").unwrap());
        let expected = ["/w/providers/prov-provider-x", "/a/prov-provider-x", "/c/prov-provider-x"];
        assert_eq!(found, expected.map(PathBuf::from));
    }
}

//! The order in which services are installed: what is needed first, else as given. Pure.

use std::collections::BTreeMap;

use serde_json::Map;

use super::TaskservError;
use super::definition::Definition;
use super::library::Library;
use crate::model::batch::TaskservRef;
use crate::model::name::Name;

/// A service with what it is installed with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) definition: Definition,
    /// Its parameters as the scripts see them.
    pub(super) environment: Vec<(String, String)>,
}

/// The services and everything they need, each once, needed ones first.
pub(super) fn order(wanted: &[TaskservRef], library: &Library) -> Result<Vec<Placed>, TaskservError> {
    let asked: BTreeMap<&Name, &TaskservRef> = wanted.iter().map(|wanted| (&wanted.name, wanted)).collect();
    let mut ordered = Vec::new();
    let mut path = Vec::new();
    for wanted in wanted {
        visit(&wanted.name, &asked, library, &mut path, &mut ordered)?;
    }
    Ok(ordered)
}

fn visit(
    name: &Name,
    asked: &BTreeMap<&Name, &TaskservRef>,
    library: &Library,
    path: &mut Vec<Name>,
    ordered: &mut Vec<Placed>,
) -> Result<(), TaskservError> {
    if ordered.iter().any(|placed| placed.definition.name == *name) {
        return Ok(());
    }
    if let Some(start) = path.iter().position(|on_path| on_path == name) {
        let cycle = path[start..].iter().chain([name]).map(ToString::to_string).collect();
        return Err(TaskservError::Cycle(cycle));
    }
    path.push(name.clone());
    let definition = library.find(name)?;
    for dependency in &definition.dependencies {
        visit(dependency, asked, library, path, ordered)?;
    }
    path.pop();
    let asked = asked.get(name);
    let (profile, none) = (asked.and_then(|asked| asked.profile.as_ref()), Map::new());
    let environment = definition.environment(profile, asked.map_or(&none, |asked| &asked.params))?;
    ordered.push(Placed { definition, environment });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::workspace::Workspace;
    use std::fs;

    fn library(needs: &[(&str, &[&str])]) -> (tempfile::TempDir, Library) {
        let dir = tempfile::tempdir().unwrap();
        for (name, dependencies) in needs {
            let own = dir.path().join("extensions/taskservs/x").join(name);
            fs::create_dir_all(&own).unwrap();
            let metadata =
                format!("name = {name:?}\nversion = \"1\"\ndescription = \"d\"\ndependencies = {dependencies:?}\n");
            fs::write(own.join("metadata.toml"), metadata).unwrap();
            for kind in ["install", "uninstall", "check"] {
                fs::write(own.join(format!("{kind}-{name}.sh")), "true").unwrap();
            }
        }
        let library = Library::of(&Workspace::open(dir.path()).unwrap(), &Name::new("i").unwrap());
        (dir, library)
    }

    fn wanted(name: &str) -> TaskservRef {
        TaskservRef { name: Name::new(name).unwrap(), servers: Vec::new(), profile: None, params: Map::new() }
    }

    #[test]
    fn what_is_needed_comes_first_and_once() {
        let (_dir, library) = library(&[("a", &["c"]), ("b", &["c", "a"]), ("c", &[])]);
        let ordered = order(&[wanted("b"), wanted("a")], &library).unwrap();
        let names: Vec<_> = ordered.iter().map(|placed| placed.definition.name.as_str()).collect();
        assert_eq!(names, ["c", "a", "b"]);
    }

    #[test]
    fn a_cycle_is_shown_with_its_path() {
        let (_dir, library) = library(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
        let error = order(&[wanted("a")], &library).unwrap_err();
        assert_eq!(error.to_string(), "these task services need each other: b → c → b");
    }
}

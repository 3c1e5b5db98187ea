//! The order in which services are installed: what is needed first, else as given. Pure.

use std::collections::BTreeMap;

use serde_json::Map;

use super::TaskservError;
use super::definition::Definition;
use super::library::Library;
use super::parameter::Parameters;
use super::record::Stored;
use super::software::Software;
use crate::model::batch::TaskservRef;
use crate::model::name::Name;

/// A service with what it is installed with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) definition: Definition,
    /// Its parameters, secrets not yet had.
    pub(super) environment: Parameters,
    /// What it is made of.
    pub(super) software: Software,
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
    let mut environment = definition.environment(profile, asked.map_or(&none, |asked| &asked.params))?;
    let software = Software::of(&definition, &mut environment)?;
    ordered.push(Placed { definition, environment, software });
    Ok(())
}

/// The order in which services are removed: what needs another goes before it, else the last installed first.
pub(super) fn removal(going: Vec<Stored>) -> Vec<Stored> {
    let mut left = going;
    left.sort_by_key(|stored| stored.record.at);
    let mut ordered = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let is_needed = |one: &Stored| left.iter().any(|other| other.record.dependencies.contains(&one.record.name));
        // Records that need each other in a circle were tampered with; they go all the same.
        let next = left.iter().rposition(|one| !is_needed(one)).unwrap_or(left.len() - 1);
        ordered.push(left.remove(next));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::definition::Timeouts;
    use super::super::record::Record;
    use super::*;
    use crate::model::time::Timestamp;
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

    proptest! {
        #[test]
        fn whatever_needs_another_is_removed_before_it(needs in vec(vec(0usize..12, 0..4), 1..12)) {
            let name = |number: usize| Name::new(format!("s{number}")).unwrap();
            // A service needs only those of lower numbers; times say nothing, as after a reinstallation.
            let stored = needs.iter().enumerate().map(|(number, needs)| {
                let lower = needs.iter().filter(|needed| **needed < number).map(|needed| name(*needed));
                let record = Record {
                    name: name(number), version: String::new(), digest: String::new(), operation: String::new(),
                    at: Timestamp::now(), complete: true, dependencies: lower.collect(),
                };
                Stored { record, environment: Vec::new(), timeouts: Timeouts::default() }
            });
            let mut stored: Vec<Stored> = stored.collect();
            stored.reverse();
            let ordered = removal(stored.clone());
            prop_assert_eq!(ordered.len(), stored.len());
            for (position, one) in ordered.iter().enumerate() {
                let mut later = ordered[position..].iter();
                prop_assert!(!later.any(|other| other.record.dependencies.contains(&one.record.name)));
            }
        }
    }

    #[test]
    fn a_cycle_is_shown_with_its_path() {
        let (_dir, library) = library(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]);
        let error = order(&[wanted("a")], &library).unwrap_err();
        assert_eq!(error.to_string(), "these task services need each other: b → c → b");
    }
}

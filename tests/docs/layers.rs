//! Imports against the tables of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use prov::api::logs::COMPONENTS;

use super::{files, table};

/// The module of the crate that a file belongs to.
fn module(path: &Path) -> String {
    let first = path.components().nth(1).unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// A file's code without its unit tests and comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// What stands after each `prefix` in the code, as far as it is a name.
fn names_after<'c>(code: &'c str, prefix: &str) -> BTreeSet<&'c str> {
    let rests = code.split(prefix).skip(1);
    rests.map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap_or_default()).collect()
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let rows = table("module");
    let allowed: BTreeMap<String, BTreeSet<String>> =
        rows.into_iter().map(|row| (row[0][0].clone(), row[2].iter().cloned().collect())).collect();
    let (mut used, mut wrong) = (BTreeSet::new(), Vec::new());
    for (path, text) in files("src", ".rs") {
        let module = module(&path);
        if module == "main" || module == "lib" {
            continue;
        }
        let row = allowed.get(&module).unwrap_or_else(|| panic!("{module} has no row in ARCHITECTURE.md"));
        let code = code(&text);
        assert!(!code.contains("crate::{"), "{}: one `use crate::…` a module", path.display());
        for name in names_after(&code, "crate::").into_iter().filter(|name| *name != module) {
            used.insert((module.clone(), name.to_owned()));
            if !row.contains(name) {
                wrong.push(format!("{} uses {name}", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    let unused = allowed.iter().flat_map(|(module, row)| row.iter().map(|name| (module.clone(), name.clone())));
    let unused: Vec<_> = unused.filter(|pair| !used.contains(pair)).collect();
    assert_eq!(unused, [], "the table allows what nobody uses");
}

/// The room of the execution plane that a file belongs to, and what stands before a room's name in it: the way from the
/// crate, and the one up from where the file is.
fn room(path: &Path) -> Option<(String, [String; 2])> {
    let inside = path.strip_prefix("src/provision").ok()?;
    let parts: Vec<String> =
        inside.components().map(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()).collect();
    let depth = parts.iter().filter(|part| *part != "mod").count();
    let ways = ["crate::provision::".to_owned(), format!("use {}", "super::".repeat(depth))];
    (depth > 0).then(|| (parts[0].clone(), ways))
}

#[test]
fn rooms_of_the_execution_plane_use_only_what_stands_above_them() {
    let rows = table("room");
    let order: Vec<&str> = rows.iter().map(|row| row[0][0].as_str()).collect();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in files("src/provision", ".rs") {
        let Some((room, ways)) = room(&path) else { continue };
        let code = code(&text);
        let names =
            ways.iter().flat_map(|way| names_after(&code, way)).filter(|name| order.contains(name) && *name != room);
        used.entry(room.clone()).or_default().extend(names.map(str::to_owned));
    }
    let rooms: BTreeSet<&str> = used.keys().map(String::as_str).collect();
    assert_eq!(rooms, order.iter().copied().collect(), "the rooms there are, and those in the table");
    for (place, row) in rows.iter().enumerate() {
        let (name, allowed) = (&row[0][0], row[2].iter().cloned().collect::<BTreeSet<String>>());
        assert_eq!(used[name], allowed, "what {name} uses, and what the table says");
        let below: Vec<_> = allowed.iter().filter(|other| order[place..].contains(&other.as_str())).collect();
        assert!(below.is_empty(), "{name} uses {below:?}, which don't stand above it");
    }
}

#[test]
fn technologies_live_where_the_table_says() {
    for row in table("crate") {
        let (name, homes) = (&row[0][0], row[1].iter().cloned().collect::<BTreeSet<String>>());
        let paths = [format!("{name}::"), format!("use {name};")];
        let users = files("src", ".rs").into_iter().filter(|(_, text)| {
            let code = code(text);
            paths.iter().any(|path| code.split(path.as_str()).count() > 1 && is_path(&code, path))
        });
        let users: BTreeSet<String> = users.map(|(path, _)| module(&path)).collect();
        assert_eq!(users, homes, "{name}");
    }
}

/// Whether `path` stands in the code as a path of its own, not as the end of another name.
fn is_path(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

#[test]
fn every_module_says_what_it_owns_and_stays_small() {
    for (path, text) in files("src", ".rs") {
        let documented = text.starts_with("//!") || text.starts_with("#![doc");
        assert!(documented, "{} doesn't say what it is", path.display());
        assert!(text.lines().count() <= 500, "{} is long", path.display());
    }
    for (path, text) in files("tests", ".rs") {
        assert!(text.starts_with("//!"), "{} doesn't say what it is", path.display());
    }
}

#[test]
fn the_components_of_the_log_are_the_modules_that_log() {
    let all = files("src", ".rs");
    let logs = all.iter().filter(|(_, text)| code(text).contains("tracing::"));
    let logging: BTreeSet<String> = logs.map(|(path, _)| module(path)).collect();
    // What runs apart from the daemon has no part in its log.
    let apart = BTreeSet::from(["provision".to_owned()]);
    let named: BTreeSet<String> = COMPONENTS.iter().map(|name| (*name).to_owned()).collect();
    let unnamed: Vec<&String> = logging.difference(&apart).filter(|name| !named.contains(*name)).collect();
    assert_eq!(unnamed, Vec::<&String>::new());
    let modules: BTreeSet<String> = all.iter().map(|(path, _)| module(path)).collect();
    assert!(named.is_subset(&modules), "{named:?}");
}

#[test]
fn every_file_named_in_the_architecture_exists() {
    for name in super::ARCHITECTURE.split('`').skip(1).step_by(2) {
        let is_path = name.ends_with('/') || Path::new(name).extension().is_some_and(|extension| extension == "rs");
        let path = if name.starts_with("tests/") { name.to_owned() } else { format!("src/{name}") };
        assert!(!is_path || super::root().join(&path).exists(), "there is no {path}");
    }
}

//! What the daemon has to know of an infra before it lets anybody work on it: `prov internal describe WORKSPACE INFRA
//! [FILE]` prints one line of JSON.
//!
//! Started by the daemon, never by people. Without a file it is the infra's own settings that count; an infra that has none
//! goes by its name. Fails where settings can't be read, and says why on standard error; what that means is the daemon's to
//! say.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::settings::{self, SettingsError};
use super::workspace::Workspace;
use crate::model::name::Name;

/// The word after `prov internal` that means this process.
pub const SUBCOMMAND: &str = "describe";

/// Runs the process with the words after [`SUBCOMMAND`].
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    let words: Vec<&str> = args.iter().filter_map(|word| word.to_str()).collect();
    let (workspace, infra, file) = match words[..] {
        _ if words.len() != args.len() => return refuse("a word is not UTF-8"),
        [workspace, infra] => (workspace, infra, None),
        [workspace, infra, file] => (workspace, infra, Some(file)),
        _ => return refuse("wrong number of arguments"),
    };
    let Ok(infra) = Name::new(infra.to_owned()) else { return refuse("that is no infra's name") };
    match describe(Path::new(workspace), &infra, file) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&error.to_string()),
    }
}

fn describe(workspace: &Path, infra: &Name, file: Option<&str>) -> Result<String, SettingsError> {
    let workspace = Workspace::open(workspace)?;
    let file = match file.map_or_else(|| settings::default_file(&workspace, infra), Ok) {
        Ok(file) => file,
        // Nothing describes it, so it goes by its name.
        Err(error) if error.is_not_found() => return Ok(json!({ "environment": infra }).to_string()),
        Err(error) => return Err(error),
    };
    let settings = settings::load(&workspace, infra, file)?;
    let of_servers = settings.servers.iter().map(|server| &server.provider);
    let of_clusters = settings.clusters.iter().map(|cluster| &cluster.provider);
    let providers: BTreeSet<&Name> = of_servers.chain(of_clusters).collect();
    Ok(json!({ "environment": settings.environment, "providers": providers }).to_string())
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

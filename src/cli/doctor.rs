//! `prov doctor`: what this host and account can do for servers.

use std::process::ExitCode;

use super::Global;
use super::error::{CliError, Kind};
use super::printer::{Printer, Rows, or_dash};
use super::servers::workspace_error;
use crate::provision::provider::local::LocalProvider;
use crate::provision::provider::local::probe::Probe;
use crate::provision::workspace::Workspace;

pub(super) fn run(global: &Global) -> Result<ExitCode, CliError> {
    let workspace = Workspace::open(&global.workspace).map_err(|error| workspace_error(&error))?;
    let provider = LocalProvider::new(workspace.root()).map_err(|error| CliError::of(Kind::Failure, &error))?;
    let printer = Printer::new(global);
    printer.remark("making a server of the provider local to see what works here, and deleting it again");
    let was_there = workspace.state_dir().exists();
    let probes = provider.probe();
    if !was_there {
        // Empty by now; where it isn't, somebody else has begun to use it.
        let _ = std::fs::remove_dir(workspace.state_dir());
    }
    printer.list(&probes, rows)?;
    for probe in &probes {
        if let Some(remedy) = &probe.remedy {
            printer.remark(&format!("hint: {}: {remedy}", probe.what));
        }
    }
    let is_usable = ["servers", "commands"].iter().all(|what| probes.iter().any(|one| one.what == *what && one.works));
    Ok(if is_usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn rows(probes: &[Probe]) -> Rows {
    let row = |probe: &Probe| {
        let works = if probe.works { "yes" } else { "no" };
        vec![probe.what.to_owned(), works.to_owned(), probe.detail.clone(), or_dash(probe.remedy.as_deref())]
    };
    Rows { header: vec!["WHAT", "WORKS", "DETAIL", "REMEDY"], narrow: 3, rows: probes.iter().map(row).collect() }
}

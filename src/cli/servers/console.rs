//! `prov servers console`: the last that a server wrote on its console.
//!
//! It may have written anything: on its way to people, nothing of it commands their terminal.

use std::process::ExitCode;

use serde::Serialize;

use super::super::error::{CliError, Kind};
use super::super::invisible::blanked;
use super::super::printer::Printer;
use super::super::provider::{failed, lacks};
use super::super::{Global, complete};
use super::{servers_error, workspace_error};
use crate::model::name::Name;
use crate::provision::provider;
use crate::provision::report::Reporter;
use crate::provision::servers::{existing, require_infra};
use crate::provision::workspace::Workspace;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The server
    #[arg(value_name = "SERVER", add = complete::servers())]
    name: Name,
    /// The infra
    #[arg(short, long, value_name = "NAME", env = "PROV_INFRA", add = complete::infras())]
    infra: Name,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Written<'a> {
    server: &'a Name,
    output: String,
}

pub(super) fn run(
    args: &Args,
    workspace: &Workspace,
    reporter: &Reporter,
    global: &Global,
) -> Result<ExitCode, CliError> {
    let Args { name, infra } = args;
    require_infra(workspace, infra).map_err(|error| workspace_error(&error))?;
    let servers = existing(workspace, infra, reporter);
    let mut seen = servers.seen();
    let Some(server) = seen.there.into_iter().find(|server| server.spec.name == *name) else {
        // It may be at a provider that couldn't be asked.
        return Err(seen.unasked.pop().map_or_else(
            || CliError::new(Kind::NotFound, format!("there is no server {name} in {infra}")),
            |error| servers_error(&error),
        ));
    };
    let provider = provider::open(&server.provider, workspace, reporter).map_err(failed)?;
    let console = provider.console().ok_or_else(|| lacks(provider.name(), "consoles"))?;
    let bytes = console.read_console(infra, name).map_err(failed)?;
    let printer = Printer::new(global);
    if bytes.is_empty() {
        printer.remark(&format!("nothing has been written on the console of {name} yet"));
    }
    let written = Written { server: name, output: String::from_utf8_lossy(&bytes).into_owned() };
    printer.item(&written, name.as_str(), |written| harmless(&written.output))?;
    Ok(ExitCode::SUCCESS)
}

/// The lines of the text, with nothing in them that commands a terminal.
fn harmless(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", blanked(line.trim_end_matches('\r')))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_on_a_console_commands_a_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\r\nc\td\x07"), "a [2Jb\nc d \n");
        assert_eq!(harmless(""), "");
    }
}

//! `prov context …`: several daemons, and which of them is meant.

use std::process::ExitCode;

use clap::Subcommand;

use super::error::{CliError, Kind};
use super::printer::{Rows, or_dash};
use super::{Global, Printer, complete, connect};
use crate::client::session::Context;
use crate::model::name::Name;
use crate::model::nearest::unknown;

/// Contexts: the daemons that you are logged in to
///
/// `prov login --context NAME` makes one. Commands use the current one, or that of `PROV_CONTEXT`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the contexts
    List,
    /// Use this context from now on
    Use {
        /// Its name
        #[arg(value_name = "NAME", add = complete::contexts())]
        name: Name,
    },
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let (sessions, printer) = (connect::sessions()?, Printer::new(global));
    let failed = |error| CliError::new(Kind::Failure, format!("can't use the contexts: {error}"));
    let contexts = sessions.contexts().map_err(failed)?;
    match &args.verb {
        Verb::List => printer.list(&contexts, rows)?,
        Verb::Use { name } => {
            if !contexts.iter().any(|context| context.name == *name) {
                let names: Vec<&str> = contexts.iter().map(|context| context.name.as_str()).collect();
                let error = CliError::new(Kind::NotFound, unknown("context", name.as_str(), &names));
                return Err(
                    error.hint(format!("make it with `prov login --context {name} --server URL --control-center URL`"))
                );
            }
            sessions.of(name.clone()).make_current().map_err(failed)?;
            printer.remark(&format!("using {name}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(contexts: &[Context]) -> Rows {
    let cells = |context: &Context| {
        let servers = context.servers.as_ref();
        vec![
            context.name.to_string(),
            if context.current { "yes" } else { "no" }.to_owned(),
            or_dash(context.username.as_ref()),
            or_dash(servers.map(|servers| &servers.orchestrator)),
            or_dash(servers.map(|servers| &servers.control_center)),
        ]
    };
    Rows {
        header: vec!["NAME", "CURRENT", "USER", "ORCHESTRATOR", "CONTROL CENTER"],
        narrow: 4,
        rows: contexts.iter().map(cells).collect(),
    }
}

//! `prov top`: everything that runs, on one screen that goes on by itself.
//!
//! [`model`] is what is shown and what keys and news do to it, and [`render`] how it looks; both are pure. [`driver`] reads,
//! follows the stream and draws; [`screen`] owns the terminal. Knows no more of work than the API tells.

mod driver;
mod log;
mod model;
mod render;
mod rows;
mod screen;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::process::ExitCode;

use super::connect;
use super::error::{CliError, Kind};
use super::{Global, Printer};

/// Show all work live, on the whole terminal
///
/// Batches, tasks and the daemon's figures as they change. Arrows or j and k move, Enter opens, l shows the log, c cancels, r
/// retries, / filters, s picks by status, Tab switches lists, ? shows all keys, q quits.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Begin with only what has this in its name, id, infra, status or step
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let can_draw = std::env::var_os("TERM").is_none_or(|term| term != "dumb" && !term.is_empty());
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() || !can_draw {
        let error = CliError::new(Kind::Usage, "top needs a terminal to draw on");
        return Err(error.hint("prov events, prov batch list".to_owned()));
    }
    connect::block_on(driver::run(connect::client()?, Printer::new(global).quietly(), args.filter))
}

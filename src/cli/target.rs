//! What the commands of the execution plane that change something have in common.

use std::process::ExitCode;

use clap::Args;

use super::complete;
use super::confirm::Yes;
use super::error::{CliError, Kind};
use super::{Global, Printer};
use crate::model::name::Name;
use crate::provision::operation::BatchOperation;
use crate::provision::plan::{Change, Changes};

/// Where something is changed, and how.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// The infra
    #[arg(short, long, value_name = "NAME", env = "PROV_INFRA", add = complete::infras())]
    pub(super) infra: Name,
    /// The settings file, relative to the infra's directory [default: config.ncl, config.yaml or config.json]
    #[arg(short, long, value_name = "FILE", conflicts_with = "operation")]
    pub(super) settings: Option<String>,
    /// Carry out an operation of a batch: a file with its JSON, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(super) operation: Option<String>,
    /// Show what would change, and change nothing
    #[arg(short, long)]
    pub(super) check: bool,
    /// Exit with 3 when something would change
    #[arg(long, requires = "check")]
    detailed_exitcode: bool,
    #[command(flatten)]
    yes: Yes,
}

impl Target {
    /// The operation to carry out, where one was given.
    pub(super) fn operation(&self) -> Result<Option<BatchOperation>, CliError> {
        let Some(from) = &self.operation else { return Ok(None) };
        BatchOperation::read(from).map(Some).map_err(|error| CliError::of(Kind::Usage, &error).hint(error.hint()))
    }

    /// How a check ends that found something to change, or nothing.
    pub(super) fn checked(&self, is_changing: bool) -> ExitCode {
        let is_three = self.detailed_exitcode && is_changing;
        ExitCode::from(if is_three { Kind::Changes.code() } else { 0 })
    }

    /// Has somebody agree to `what`.
    pub(super) fn agree(&self, what: &str, global: &Global) -> Result<(), CliError> {
        self.yes.agree(global, what)
    }

    /// Has somebody agree to what a plan destroys, if it destroys anything.
    pub(super) fn agree_to(&self, changes: &Changes, global: &Global) -> Result<(), CliError> {
        let destroyed = changes.changes.iter().filter(|change| change.action.is_destructive());
        let lines: Vec<String> = destroyed.map(destruction).collect();
        if lines.is_empty() { Ok(()) } else { self.agree(&lines.join("\n"), global) }
    }

    /// Shows what a plan would change.
    pub(super) fn show(&self, changes: &Changes, printer: Printer) -> Result<ExitCode, CliError> {
        super::servers::show(printer, changes)?;
        Ok(self.checked(changes.any()))
    }
}

fn destruction(change: &Change) -> String {
    let why: Vec<String> = change.differences.iter().map(ToString::to_string).collect();
    let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) };
    format!("{} {} with all it holds{why}", change.action, change.server)
}

//! `prov bundle`: what a host without a network needs, in one file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand, ValueHint};

use super::error::{CliError, Kind};
use super::printer::counted;
use super::servers::workspace_error;
use super::{Global, Printer, complete};
use crate::model::name::Name;
use crate::provision::bundle::{self, BundleError};
use crate::provision::report::Reporter;
use crate::provision::workspace::Workspace;

/// Bundles: a workspace with packages and artifacts in one file, for a host without a network
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Pack the workspace, and what its task services are made of, into a file
    Create(Create),
    /// Put what a bundle holds into the workspace
    Apply(Apply),
}

#[derive(Debug, ClapArgs)]
struct Create {
    /// The file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Packages and artifacts of this infra's services only [default: of all infras]
    #[arg(short, long, value_name = "NAME", add = complete::infras())]
    infra: Vec<Name>,
}

#[derive(Debug, ClapArgs)]
struct Apply {
    /// The file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Replace files of the workspace that differ
    #[arg(long)]
    overwrite: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let printer = Printer::new(global);
    match &args.command {
        Command::Create(create) => {
            let workspace = Workspace::existing(&global.workspace).map_err(|error| workspace_error(&error))?;
            let reporter = Reporter::from_env(global.is_quiet());
            let packed =
                bundle::create(&workspace, &create.infra, &create.file, &reporter).map_err(|error| failed(&error))?;
            for path in &packed.left_out {
                printer.remark(&format!("{path} is left out: it looks like a secret, or leads out of the workspace"));
            }
            let file = create.file.display().to_string();
            printer.item(&packed, &file, |packed| format!("Packed {} into {file}\n", counted(packed.files, "file")))?;
        }
        Command::Apply(apply) => {
            let workspace = Workspace::open(&global.workspace).map_err(|error| workspace_error(&error))?;
            let count = bundle::apply(&workspace, &apply.file, apply.overwrite).map_err(|error| failed(&error))?;
            let file = apply.file.display().to_string();
            printer.item(&count, &file, |count| format!("Unpacked {} from {file}\n", counted(*count, "file")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn failed(error: &BundleError) -> CliError {
    let kind = match error {
        BundleError::Differs(_) => Kind::Conflict,
        BundleError::Workspace(error) if error.is_not_found() => Kind::NotFound,
        error if error.is_invalid() => Kind::Usage,
        _ => Kind::Failure,
    };
    CliError::of(kind, error).hint(error.hint())
}

//! `prov init`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::error::{CliError, Kind};
use super::{Global, Printer};
use crate::provision::scaffold;

/// Make a workspace to start from
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory; made if need be, and nothing in it is overwritten
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let printer = Printer::new(global);
    let written =
        scaffold::write(&args.directory).map_err(|error| CliError::of(Kind::Usage, &error).hint(error.hint()))?;
    let paths: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    printer.list(&paths, |paths| super::printer::Rows {
        header: vec!["FILE"],
        narrow: 1,
        rows: paths.iter().map(|path| vec![path.clone()]).collect(),
    })?;
    printer.remark(&format!("next: prov serve --workspace {}", args.directory.display()));
    Ok(ExitCode::SUCCESS)
}

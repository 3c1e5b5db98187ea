//! `prov config view`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::error::{CliError, Kind};
use super::printer::Rows;
use super::{Global, Printer};
use crate::config::{self, Layer};

/// The daemon's configuration
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show every value, and with --show-origin where it comes from
    View {
        /// Show where each value comes from
        #[arg(long)]
        show_origin: bool,
        /// Read this configuration file instead of the usual ones
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let Verb::View { show_origin, config } = &args.verb;
    let read = config::daemon(&global.workspace, Layer::default(), config.as_deref());
    let (_, origins) = read.map_err(|error| CliError::of(Kind::Usage, &error))?;
    let values: Vec<_> =
        origins.iter().map(|o| json!({ "key": o.key, "value": o.value, "origin": o.origin })).collect();
    Printer::new(global).list(&values, |_| Rows {
        header: vec!["KEY", "VALUE", "ORIGIN"],
        narrow: if *show_origin { 3 } else { 2 },
        rows: origins.iter().map(|o| vec![o.key.to_owned(), o.value.clone(), o.origin.clone()]).collect(),
    })?;
    Ok(ExitCode::SUCCESS)
}

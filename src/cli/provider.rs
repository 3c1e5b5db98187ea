//! `prov provider`: what can be had at a provider.

use std::process::ExitCode;

use clap::Subcommand;

use super::Global;
use super::error::{CliError, Kind};
use super::printer::{Printer, Rows, or_dash};
use super::servers::workspace;
use crate::model::name::Name;
use crate::provision::provider::cloud::{Catalogue, Offer};
use crate::provision::provider::{self, ProviderError};

/// Providers: what can be had there
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the plans of a provider, as it sells them now
    Plans(At),
    /// List the zones of a provider
    Zones(At),
}

#[derive(Debug, clap::Args)]
struct At {
    /// The provider: local, ssh, upcloud, aws, or the NAME of a plugin prov-provider-NAME
    #[arg(value_name = "PROVIDER")]
    provider: Name,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let printer = Printer::new(global);
    match &args.command {
        Command::Plans(at) => {
            let plans = catalogue(at, global)?.plans;
            if plans.is_empty() {
                printer.remark(&format!("{} makes servers of any size", at.provider));
            }
            printer.list(&plans, plan_rows)?;
        }
        Command::Zones(at) => {
            let zones = catalogue(at, global)?.zones;
            if zones.is_empty() {
                printer.remark(&format!("{} takes any zone", at.provider));
            }
            printer.list(&zones, zone_rows)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn catalogue(at: &At, global: &Global) -> Result<Catalogue, CliError> {
    let failed = |error: ProviderError| {
        let (kind, hint) = match &error {
            ProviderError::Invalid { hint, .. } => (Kind::Usage, hint.clone()),
            ProviderError::Unavailable { hint, .. } => (Kind::Failure, hint.clone()),
            _ => (Kind::Failure, None),
        };
        CliError::of(kind, &error).hint(hint)
    };
    let opened = provider::open(at.provider.as_str(), &workspace(global)?).map_err(failed)?;
    opened.catalogue().map_err(failed)
}

fn plan_rows(plans: &[Offer]) -> Rows {
    let row = |offer: &Offer| vec![offer.name.clone(), offer.plan.to_string()];
    Rows { header: vec!["NAME", "PLAN"], narrow: 2, rows: plans.iter().map(row).collect() }
}

fn zone_rows(zones: &[String]) -> Rows {
    Rows { header: vec!["ZONE"], narrow: 1, rows: zones.iter().map(|zone| vec![or_dash(Some(zone))]).collect() }
}

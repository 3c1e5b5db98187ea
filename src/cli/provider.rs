//! `prov provider`: what can be had at a provider.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::Global;
use super::error::{CliError, Kind};
use super::invisible::blanked;
use super::printer::{Printer, Rows, or_dash};
use super::servers::workspace;
use crate::model::name::Name;
use crate::provision::provider::cloud::Offer;
use crate::provision::provider::optional::{Image, Price};
use crate::provision::provider::{self, Provider, ProviderError};
use crate::provision::report::Reporter;

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
    Plans(Plans),
    /// List the zones of a provider
    Zones(At),
    /// List the images that servers can be made of: the account's own, and those of known publishers
    Images(ImagesArgs),
}

#[derive(Debug, clap::Args)]
struct Plans {
    #[command(flatten)]
    at: At,
    /// Show what each costs in this zone, where the provider tells
    #[arg(long, value_name = "ZONE")]
    zone: Option<Name>,
}

#[derive(Debug, clap::Args)]
struct ImagesArgs {
    #[command(flatten)]
    at: At,
    /// The zone or region of the servers [default: the one that is configured, where it matters]
    #[arg(long, value_name = "ZONE")]
    zone: Option<Name>,
    /// Show so many at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// A plan, and what it costs where that was asked.
#[derive(Debug, Serialize)]
struct Sold {
    #[serde(flatten)]
    offer: Offer,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Price>,
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
        Command::Plans(Plans { at, zone }) => {
            let plans = plans(open(at, global)?.as_ref(), zone.as_ref())?;
            if plans.is_empty() {
                printer.remark(&format!("{} makes servers of any size", at.provider));
            }
            printer.list(&plans, |plans| plan_rows(plans, zone.is_some()))?;
        }
        Command::Images(args) => {
            let provider = open(&args.at, global)?;
            let told = provider.images().ok_or_else(|| lacks(provider.name(), "images"))?;
            let mut images = told.list_images(args.zone.as_ref()).map_err(failed)?;
            let left = images.len().saturating_sub(args.limit);
            if left > 0 {
                printer.remark(&format!("{left} more: --limit {}", images.len()));
            }
            images.truncate(args.limit);
            printer.list(&images, image_rows)?;
        }
        Command::Zones(at) => {
            let zones = open(at, global)?.catalogue().map_err(failed)?.zones;
            if zones.is_empty() {
                printer.remark(&format!("{} takes any zone", at.provider));
            }
            printer.list(&zones, zone_rows)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(at: &At, global: &Global) -> Result<Box<dyn Provider>, CliError> {
    provider::open(at.provider.as_str(), &workspace(global)?, &Reporter::from_env(global.is_quiet())).map_err(failed)
}

/// The error for a provider that failed.
// Taken by value to stand in `map_err`.
#[allow(clippy::needless_pass_by_value)]
pub(super) fn failed(error: ProviderError) -> CliError {
    let kind = match &error {
        ProviderError::Invalid { .. } => Kind::Usage,
        ProviderError::NotFound(_) => Kind::NotFound,
        _ => Kind::Failure,
    };
    CliError::of(kind, &error).hint(error.hint())
}

/// The error for a provider that doesn't tell something.
pub(super) fn lacks(provider: &str, what: &str) -> CliError {
    CliError::new(Kind::Failure, format!("the provider {provider} tells prov no {what}"))
}

/// The plans of the provider, with their prices in a zone where one is named.
fn plans(provider: &dyn Provider, zone: Option<&Name>) -> Result<Vec<Sold>, CliError> {
    let prices = match zone {
        None => Vec::new(),
        Some(zone) => {
            let hint = || "list the plans alone, without --zone".to_owned();
            let told = provider.prices().ok_or_else(|| lacks(provider.name(), "prices").hint(hint()))?;
            told.list_prices(zone).map_err(failed)?
        }
    };
    let price = |offer: &Offer| prices.iter().find(|price| price.plan == offer.name).cloned();
    let plans = provider.catalogue().map_err(failed)?.plans.into_iter();
    Ok(plans.map(|offer| Sold { price: price(&offer), offer }).collect())
}

fn plan_rows(plans: &[Sold], is_priced: bool) -> Rows {
    let price = |price: &Price| format!("{} {}", price.per_hour, price.unit);
    let row = |sold: &Sold| {
        let mut row = vec![sold.offer.name.clone(), sold.offer.plan.to_string()];
        row.extend(is_priced.then(|| or_dash(sold.price.as_ref().map(price).as_deref())));
        row
    };
    let header = ["NAME", "PLAN", "PER HOUR"][..2 + usize::from(is_priced)].to_vec();
    Rows { narrow: header.len(), header, rows: plans.iter().map(row).collect() }
}

fn image_rows(images: &[Image]) -> Rows {
    let row = |image: &Image| {
        let of = |text: &Option<String>| or_dash(text.as_deref());
        let (architecture, created) = (of(&image.architecture), of(&image.created));
        vec![image.id.clone(), blanked(&image.name), image.owner.clone(), architecture, created]
    };
    let header = vec!["ID", "NAME", "OWNER", "ARCHITECTURE", "CREATED"];
    Rows { narrow: 3, header, rows: images.iter().map(row).collect() }
}

fn zone_rows(zones: &[String]) -> Rows {
    Rows { header: vec!["ZONE"], narrow: 1, rows: zones.iter().map(|zone| vec![or_dash(Some(zone))]).collect() }
}

//! `prov hosts`: the hosts that a user has already, and whether they are who they say they are.

use std::process::ExitCode;

use clap::Subcommand;

use super::confirm::Yes;
use super::error::{CliError, Kind};
use super::infra::settings_error;
use super::servers::workspace;
use super::{Global, Printer, complete};
use crate::model::name::Name;
use crate::provision::plan::Wanted;
use crate::provision::provider::ProviderError;
use crate::provision::provider::ssh::{self, Fields};
use crate::provision::servers::{declared, wanted};
use crate::provision::transport::ssh::Ssh;

/// Hosts that you have already: confirm who they are
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Confirm that the host key which a server shows is its own
    Trust(Trust),
}

#[derive(Debug, clap::Args)]
struct Trust {
    /// The server, as the settings declare it
    #[arg(value_name = "SERVER")]
    name: Name,
    /// The infra
    #[arg(short, long, value_name = "NAME", env = "PROV_INFRA", add = complete::infras())]
    infra: Name,
    /// The settings file, relative to the infra's directory [default: config.ncl, config.yaml or config.json]
    #[arg(short, long, value_name = "FILE")]
    settings: Option<String>,
    /// The fingerprint that you know it has, `SHA256:…`: nothing is asked, and another one is refused
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<String>,
    #[command(flatten)]
    yes: Yes,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let Command::Trust(args) = &args.command;
    trust(args, global)
}

fn trust(args: &Trust, global: &Global) -> Result<ExitCode, CliError> {
    let workspace = workspace(global)?;
    let settings = declared::load(&workspace, &args.infra, args.settings.as_deref());
    let declared = wanted::by_settings(&settings.map_err(|error| settings_error(&error))?, "");
    let is_meant = |wanted: &Wanted| wanted.provider.as_str() == ssh::NAME && wanted.spec.name == args.name;
    let Some(Wanted { spec, .. }) = declared.into_iter().find(is_meant) else {
        let message = format!("{} declares no server {} at the provider ssh", args.infra, args.name);
        return Err(CliError::new(Kind::NotFound, message));
    };
    let fields = Fields::of(&spec).map_err(provider_error)?;
    let way = ssh::way(&workspace, &Fields { pinned: None, ..fields }).map_err(provider_error)?;
    let to = way.to.clone();
    let key = Ssh::new(way).and_then(|ssh| ssh.shown_key()).map_err(provider_error)?;
    let fingerprint = key.fingerprint();
    match args.fingerprint.as_deref().map(|known| known.trim_end_matches('=')) {
        Some(known) if known == fingerprint => {}
        Some(known) => {
            let message = format!("{to} shows another host key: {fingerprint}, not {known}");
            return Err(CliError::new(Kind::Conflict, message).hint("find out who answers there".to_owned()));
        }
        None => {
            let asked = format!("{to} shows the {} host key {fingerprint}. Is that its own?", key.kind());
            args.yes.agree(global, &asked)?;
        }
    }
    ssh::confirm(&workspace, &to, &key).map_err(provider_error)?;
    Printer::new(global).out(&format!("{to} is known by {fingerprint}\n"))?;
    Ok(ExitCode::SUCCESS)
}

// Taken by value to stand in `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn provider_error(error: ProviderError) -> CliError {
    CliError::of(Kind::Failure, &error).hint(error.hint())
}

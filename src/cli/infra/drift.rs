//! `prov infra drift` and `prov infra reconcile`: where settings, records and what there is differ, and what to do about it.

use std::collections::BTreeSet;
use std::process::ExitCode;

use uuid::Uuid;

use super::{Where, settings_error};
use crate::cli::Global;
use crate::cli::confirm::Yes;
use crate::cli::error::{CliError, Kind};
use crate::cli::printer::{Printer, Rows, or_dash};
use crate::cli::servers::{server_rows, servers_error, workspace_error};
use crate::model::name::Name;
use crate::provision::declared;
use crate::provision::drift::{self, Comparison};
use crate::provision::error::chain;
use crate::provision::plan::drift::{Drift, DriftKind};
use crate::provision::report::Reporter;
use crate::provision::servers::{self, Reconciled, Servers, ServersError, wanted};
use crate::provision::settings::{Settings, SettingsError};
use crate::provision::workspace::Workspace;

/// What is done about strays.
#[derive(Debug, clap::Args)]
pub(super) struct Reconcile {
    #[command(flatten)]
    at: Where,
    /// Record as this workspace's own what is as declared, or is not declared at all
    #[arg(long)]
    adopt: bool,
    /// Delete what is not adopted
    #[arg(long)]
    delete: bool,
    /// Look at the machines of this workspace, too: it is lost, or it was this one before its `.prov` was lost
    #[arg(long, value_name = "ID", conflicts_with = "delete")]
    from_workspace: Option<Uuid>,
    /// Take servers off the record that somebody else deleted
    #[arg(long)]
    forget: bool,
    #[command(flatten)]
    yes: Yes,
}

pub(super) fn drift(
    workspace: &Workspace,
    at: &Where,
    printer: Printer,
    reporter: &Reporter,
) -> Result<ExitCode, CliError> {
    let (servers, settings) = open(workspace, at, reporter, declared::everything)?;
    let compared = drift::compare(workspace, &at.infra, &servers, settings.as_ref());
    printer.list(&compared.drift, drift_rows)?;
    match unknown(&at.infra, &compared) {
        Some(error) => Err(error),
        None => Ok(ExitCode::from(if compared.drift.is_empty() { 0 } else { Kind::Changes.code() })),
    }
}

/// What nobody could be asked about neither agrees nor differs: whatever else was found, that is an error.
fn unknown(infra: &Name, compared: &Comparison) -> Option<CliError> {
    let things = compared.drift.iter().filter(|drift| drift.kind == DriftKind::Unknown);
    let things = things.map(|drift| format!("{}: {}", drift.subject(), drift.what));
    let causes: Vec<String> = compared.unasked.iter().map(|error| chain(error)).chain(things).collect();
    let mut error = CliError::new(Kind::Failure, format!("not everything of {infra} can be asked"));
    error.hints = compared.unasked.iter().filter_map(ServersError::hint).collect();
    error.hints.dedup();
    (!causes.is_empty()).then_some(CliError { causes, ..error })
}

pub(super) fn reconcile(
    workspace: &Workspace,
    args: &Reconcile,
    global: &Global,
    reporter: &Reporter,
) -> Result<ExitCode, CliError> {
    let printer = Printer::new(global);
    // Strays can be dealt with whatever is wrong with task services and clusters.
    let (servers, settings) = open(workspace, &args.at, reporter, servers::load)?;
    let wanted = settings.as_ref().map(|settings| wanted::by_settings(settings, "")).unwrap_or_default();
    let servers = servers.with_those_of(args.from_workspace.map(|id| id.to_string()));
    let failed = |error| servers_error(&error);
    let strays = || servers.list().and_then(|_| servers.strays()).map_err(failed);
    if !(args.adopt || args.delete || args.forget) {
        let strays = strays()?;
        printer.list(&strays, server_rows)?;
        let elsewhere = servers.elsewhere().map_err(failed)?;
        let of: BTreeSet<&String> = elsewhere.iter().filter_map(|stray| stray.workspace.as_ref()).collect();
        for id in of {
            reporter.say(&format!(
                "note: the workspace {id} has machines of this infra's name; see them: --from-workspace {id}"
            ));
        }
        return Ok(ExitCode::from(if strays.is_empty() { 0 } else { Kind::Changes.code() }));
    }
    let mut outcomes = Vec::new();
    if args.adopt {
        outcomes.extend(servers.adopt(&wanted).map_err(failed)?);
    }
    if args.delete {
        let lines: Vec<String> = strays()?
            .iter()
            .map(|stray| format!("delete {} at {} ({}) with all it holds", stray.spec.name, stray.provider, stray.id))
            .collect();
        if !lines.is_empty() {
            args.yes.agree(global, &lines.join("\n"))?;
            outcomes.retain(|outcome| outcome.done);
            outcomes.extend(servers.delete_strays().map_err(failed)?);
        }
    }
    if args.forget {
        outcomes.extend(servers.forget_gone().map_err(failed)?);
    }
    let is_done = outcomes.iter().all(|outcome| outcome.done);
    printer.list(&outcomes, outcome_rows)?;
    Ok(ExitCode::from(if is_done { 0 } else { Kind::Failure.code() }))
}

/// The infra's servers wherever they may be, and its settings as `load` reads them, if it has any.
fn open<'w>(
    workspace: &'w Workspace,
    at: &Where,
    reporter: &'w Reporter,
    load: impl Fn(&Workspace, &Name, Option<&str>) -> Result<Settings, SettingsError>,
) -> Result<(Servers<'w>, Option<Settings>), CliError> {
    servers::require_infra(workspace, &at.infra).map_err(|error| workspace_error(&error))?;
    let settings = match load(workspace, &at.infra, at.settings.as_deref()) {
        Ok(settings) => Some(settings),
        Err(error) if error.is_not_found() && at.settings.is_none() => None,
        Err(error) => return Err(settings_error(&error)),
    };
    // One that was named must be one.
    let named = at.providers.iter().map(Name::as_str);
    Servers::open(workspace, &at.infra, named.clone(), reporter).map_err(|error| servers_error(&error))?;
    Ok((servers::everywhere(workspace, &at.infra, settings.as_ref(), reporter).besides(named), settings))
}

fn drift_rows(drift: &[Drift]) -> Rows {
    let row = |one: &Drift| {
        let provider = or_dash(Some(&one.provider).filter(|provider| !provider.is_empty()));
        vec![one.subject(), one.kind.as_str().to_owned(), provider, one.what.clone()]
    };
    Rows { header: vec!["THING", "DRIFT", "PROVIDER", "WHAT"], narrow: 4, rows: drift.iter().map(row).collect() }
}

fn outcome_rows(outcomes: &[Reconciled]) -> Rows {
    let row = |one: &Reconciled| {
        let id = or_dash(Some(&one.id).filter(|id| !id.is_empty()));
        vec![one.server.to_string(), one.provider.clone(), id, one.outcome.clone()]
    };
    Rows { header: vec!["SERVER", "PROVIDER", "ID", "OUTCOME"], narrow: 4, rows: outcomes.iter().map(row).collect() }
}

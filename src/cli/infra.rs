//! `prov infra`: the infras of the workspace as their settings describe them.

mod drift;

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::error::{CliError, Kind};
use super::printer::{Printer, Rows, counted, or_dash};
use super::servers::{servers_error, workspace_error, workspace_kind, workspace_to_look_at};
use super::{Global, complete};
use crate::model::name::Name;
use crate::provision::declared;
use crate::provision::error::chain;
use crate::provision::report::Reporter;
use crate::provision::servers::{self, Servers, ServersError, wanted};
use crate::provision::settings::{self, Settings, SettingsError};
use crate::provision::workspace::Workspace;

/// Infras: list, show, validate their settings, compare them with what there is
#[derive(Debug, clap::Args)]
#[command(subcommand_required = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the infras of the workspace
    #[command(visible_alias = "ls")]
    List,
    /// Show an infra's settings as evaluated, with secrets covered
    #[command(visible_alias = "get")]
    Show {
        /// The infra
        #[arg(value_name = "NAME", add = complete::infras())]
        infra: Name,
        /// The settings file, relative to the infra's directory [default: config.ncl, config.yaml or config.json]
        #[arg(short, long, value_name = "FILE")]
        settings: Option<String>,
    },
    /// Check settings, and ask the providers whether they could make what is declared
    Validate {
        /// The infras [default: all of the workspace]
        #[arg(value_name = "NAME", add = complete::infras())]
        infras: Vec<Name>,
        /// The settings file, relative to the infra's directory [default: config.ncl, config.yaml or config.json]
        #[arg(short, long, value_name = "FILE")]
        settings: Option<String>,
    },
    /// Compare what is declared, what was made and what there is: servers, task services, clusters
    ///
    /// Declared is what the settings say; made, what this workspace has on record; what there is, what providers, the task
    /// services' own checks and versions, and the clusters' health checks say now. Nothing is changed. Exits with 0 where all
    /// agree, with 3 where something differs, and with 1 where something could not be asked, whatever else was found: a
    /// provider, or a server that doesn't answer, is `unknown`, and neither agrees nor differs.
    Drift {
        #[command(flatten)]
        at: Where,
    },
    /// Adopt or delete machines that carry the infra's labels and are on no record here; without an option, list them
    Reconcile(drift::Reconcile),
}

/// Which infra, and where else than at the providers of its settings to look.
#[derive(Debug, clap::Args)]
struct Where {
    /// The infra
    #[arg(value_name = "NAME", add = complete::infras())]
    infra: Name,
    /// The settings file, relative to the infra's directory [default: config.ncl, config.yaml or config.json]
    #[arg(short, long, value_name = "FILE")]
    settings: Option<String>,
    /// A provider to ask besides those of the settings and those where this workspace has made something; may be repeated
    #[arg(long = "provider", value_name = "PROVIDER")]
    providers: Vec<Name>,
}

/// An infra in a list.
#[derive(Debug, Serialize)]
struct Summary {
    name: Name,
    environment: Option<Name>,
    servers: Option<usize>,
    providers: BTreeSet<Name>,
    /// What is wrong with the settings; the rest is unknown then.
    problem: Option<String>,
}

/// An infra whose settings are valid.
#[derive(Debug, Serialize)]
struct Valid {
    infra: Name,
    servers: usize,
    taskservs: usize,
    clusters: usize,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let workspace = workspace_to_look_at(global)?;
    let printer = Printer::new(global);
    match &args.command {
        Command::List => list(&workspace, printer),
        Command::Show { infra, settings } => show(&workspace, infra, settings.as_deref(), printer),
        Command::Validate { infras, settings } => {
            validate(&workspace, infras, settings.as_deref(), printer, &Reporter::from_env(global.is_quiet()))
        }
        Command::Drift { at } => drift::drift(&workspace, at, printer, &Reporter::from_env(global.is_quiet())),
        Command::Reconcile(reconcile) => {
            drift::reconcile(&workspace, reconcile, global, &Reporter::from_env(global.is_quiet()))
        }
    }
}

fn list(workspace: &Workspace, printer: Printer) -> Result<ExitCode, CliError> {
    let infras = workspace.infras().map_err(|error| workspace_error(&error))?;
    let summaries: Vec<Summary> = infras.iter().map(|infra| summary(workspace, infra)).collect();
    printer.list(&summaries, summary_rows)?;
    Ok(ExitCode::SUCCESS)
}

fn summary(workspace: &Workspace, infra: &Name) -> Summary {
    match declared::everything(workspace, infra, None) {
        Ok(settings) => Summary {
            name: infra.clone(),
            environment: Some(settings.environment),
            servers: Some(settings.servers.len()),
            providers: settings.servers.into_iter().map(|server| server.provider).collect(),
            problem: None,
        },
        Err(error) => Summary {
            name: infra.clone(),
            environment: None,
            servers: None,
            providers: BTreeSet::new(),
            problem: Some(error.to_string()),
        },
    }
}

fn summary_rows(summaries: &[Summary]) -> Rows {
    let row = |summary: &Summary| {
        let providers: Vec<&str> = summary.providers.iter().map(Name::as_str).collect();
        let problem = summary.problem.as_deref().and_then(|problem| problem.lines().next());
        vec![
            summary.name.to_string(),
            or_dash(summary.environment.as_ref()),
            or_dash(summary.servers),
            or_dash(Some(providers.join(",")).filter(|providers| !providers.is_empty())),
            problem.map_or_else(|| "valid".to_owned(), |problem| format!("invalid: {problem}")),
        ]
    };
    let header = vec!["INFRA", "ENVIRONMENT", "SERVERS", "PROVIDERS", "SETTINGS"];
    Rows { narrow: header.len(), header, rows: summaries.iter().map(row).collect() }
}

fn show(workspace: &Workspace, infra: &Name, file: Option<&str>, printer: Printer) -> Result<ExitCode, CliError> {
    let settings = servers::load(workspace, infra, file).map_err(|error| settings_error(&error))?;
    let failed = |error: String| CliError::new(Kind::Failure, format!("can't show {infra}: {error}"));
    let value = serde_json::to_value(&settings).map_err(|error| failed(error.to_string()))?;
    let masked = settings::masked(&value);
    let yaml = serde_yaml::to_string(&masked).map_err(|error| failed(error.to_string()))?;
    printer.item(&masked, infra.as_str(), |_| yaml)?;
    Ok(ExitCode::SUCCESS)
}

fn validate(
    workspace: &Workspace,
    infras: &[Name],
    file: Option<&str>,
    printer: Printer,
    reporter: &Reporter,
) -> Result<ExitCode, CliError> {
    let infras = match infras {
        [] => workspace.infras().map_err(|error| workspace_error(&error))?,
        named => named.to_vec(),
    };
    let (mut valid, mut wrong) = (Vec::new(), Vec::new());
    for infra in &infras {
        match validated(workspace, infra, file, reporter) {
            Ok(settings) => valid.push(Valid {
                servers: settings.servers.len(),
                taskservs: settings.placed_taskservs().len(),
                clusters: settings.clusters.len(),
                infra: settings.name,
            }),
            Err(error) => wrong.push(error),
        }
    }
    if printer.format().is_for_people() {
        printer.out(&valid.iter().map(described).collect::<String>())?;
    }
    if let Some(error) = together(wrong) {
        return Err(error);
    }
    if !printer.format().is_for_people() {
        printer.list(&valid, |valid| Rows {
            header: vec!["INFRA"],
            narrow: 1,
            rows: valid.iter().map(|valid| vec![valid.infra.to_string()]).collect(),
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Several errors in one: the exit code and the hints are those of the first, the causes everybody's.
fn together(mut errors: Vec<CliError>) -> Option<CliError> {
    if errors.len() < 2 {
        return errors.pop();
    }
    let mut all = CliError::new(errors[0].kind, format!("{} infras are not valid", errors.len()));
    for error in errors {
        all.causes.push(error.message);
        all.causes.extend(error.causes);
        all.hints.extend(error.hints);
    }
    all.hints.dedup();
    Some(all)
}

fn validated(
    workspace: &Workspace,
    infra: &Name,
    file: Option<&str>,
    reporter: &Reporter,
) -> Result<Settings, CliError> {
    let settings = declared::everything(workspace, infra, file).map_err(|error| settings_error(&error))?;
    let wanted = wanted::by_settings(&settings, "");
    let providers = wanted.iter().map(|wanted| wanted.provider.as_str());
    match Servers::open(workspace, infra, providers, reporter) {
        Ok(servers) => servers.validate(&wanted).map_err(|error| servers_error(&error))?,
        // The file isn't wrong because this host can't reach a provider.
        Err(error @ ServersError::Provider { .. }) => {
            reporter.say(&format!("warning: {infra}: servers are not checked: {}", chain(&error)));
        }
        Err(error) => return Err(servers_error(&error)),
    }
    Ok(settings)
}

/// `production is valid: 3 servers, 1 task service`.
fn described(valid: &Valid) -> String {
    let parts = [(valid.servers, "server"), (valid.taskservs, "task service"), (valid.clusters, "cluster")];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, noun)| counted(count, noun)).collect();
    let parts = if parts.is_empty() { "it is empty".to_owned() } else { parts.join(", ") };
    format!("{} is valid: {parts}\n", valid.infra)
}

pub(super) fn settings_error(error: &SettingsError) -> CliError {
    CliError::of(settings_kind(error), error).hint(error.hint())
}

/// What can't be read or is wrong is an invalid file; only this host's failing is a failure.
pub(super) fn settings_kind(error: &SettingsError) -> Kind {
    match error {
        SettingsError::Workspace(error) => workspace_kind(error),
        SettingsError::Evaluator { .. } => Kind::Failure,
        _ => Kind::Usage,
    }
}

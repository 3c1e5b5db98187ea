//! `prov serve`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::error::{CliError, Kind};
use super::{Global, style};
use crate::config::{self, ConfigError, Layer, LogFormat};
use crate::daemon;
use crate::logging::levels::Levels;
use crate::logging::{Logging, Look};
use crate::model::rehearsal::ProviderMode;

/// Run the daemon: the orchestrator and the control center
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where store, keys and logs are kept
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Where the orchestrator listens [default: 127.0.0.1:9090]; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where the control center listens [default: 127.0.0.1:9080]; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    control_listen: Option<String>,
    /// Tasks at once [default: four for each processor]; 0 accepts work and runs none
    #[arg(long, value_name = "N")]
    max_parallel: Option<String>,
    /// What runs the work [default: prov itself]
    #[arg(long, value_name = "PROGRAM")]
    command: Option<String>,
    /// Read this configuration file instead of the usual ones
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How the log looks [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    log_format: Option<String>,
    /// Write the addresses to this file, as JSON, once both APIs answer
    #[arg(long, value_name = "FILE")]
    ready_file: Option<String>,
    /// How long running tasks may go on when the daemon is told to end [default: 30]
    #[arg(long, value_name = "SECONDS")]
    drain_seconds: Option<String>,
    /// What is done with tasks that still run then [default: leave]
    #[arg(long, value_name = "ACTION", value_parser = ["leave", "cancel"])]
    drain_action: Option<String>,
    /// Roles that take a second factor, parted by commas: without one, whoever has them may only set it up
    #[arg(long, value_name = "ROLES")]
    require_mfa: Option<String>,
    /// Let the user admin in again: a new password, in DATA_DIR/admin-password, and no second factor
    #[arg(long)]
    reset_admin: bool,
    /// Begin the policies anew: those that ship as they ship, all others disabled
    #[arg(long)]
    reset_policies: bool,
    /// Listen beyond this machine although nothing is encrypted
    #[arg(long)]
    insecure: bool,
    /// Encrypt connections with this certificate, in PEM; one that takes its place is used
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Encrypt connections with a certificate that the daemon makes itself, for a lab
    #[arg(long)]
    tls_self_signed: bool,
    /// Let only clients connect that have a certificate of these authorities, in PEM
    #[arg(long, value_name = "FILE")]
    tls_client_authorities: Option<String>,
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let file = args.config.clone();
    let reset = daemon::Reset { admin: args.reset_admin, policies: args.reset_policies };
    let (config, _) =
        config::daemon(&global.workspace, layer(args, global), file.as_deref()).map_err(|error| invalid(&error))?;
    let logging = Logging::new(levels()?);
    check(&config)?;
    logging.install(look(config.log_format));
    daemon::run(config, reset, logging).map_err(|error| CliError::of(Kind::Failure, &error).hint(error.hint()))?;
    Ok(ExitCode::SUCCESS)
}

fn invalid(error: &ConfigError) -> CliError {
    CliError::of(Kind::Usage, error)
}

fn layer(args: Args, global: &Global) -> Layer {
    let mode = &global.provider_mode;
    let values = [
        ("data_dir", args.data_dir),
        ("listen", args.listen),
        ("control_listen", args.control_listen),
        ("max_parallel", args.max_parallel),
        ("command", args.command),
        ("provider_mode", (*mode != ProviderMode::Live).then(|| mode.to_string())),
        ("log_format", args.log_format),
        ("ready_file", args.ready_file),
        ("drain_seconds", args.drain_seconds),
        ("drain_action", args.drain_action),
        ("require_mfa", args.require_mfa),
        ("insecure", args.insecure.then(|| "true".to_owned())),
        ("tls_certificate", args.tls_certificate),
        ("tls_key", args.tls_key),
        ("tls_client_authorities", args.tls_client_authorities),
        ("tls_self_signed", args.tls_self_signed.then(|| "true".to_owned())),
    ];
    let given = values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Layer { origin: "command line".to_owned(), values: given.collect::<BTreeMap<_, _>>() }
}

/// What can be found wrong before anything is started.
fn check(config: &config::Daemon) -> Result<(), CliError> {
    let Some(command) = &config.command else { return Ok(()) };
    let wrong = |why: String| {
        let error = CliError::new(Kind::Usage, format!("can't run work with {}: {why}", command.display()));
        Err(error.hint("give --command a program, or leave it away: prov runs the work itself".to_owned()))
    };
    match on_path(command).map(|path| std::fs::metadata(&path)) {
        None => wrong("it is not on PATH".to_owned()),
        Some(Err(error)) => wrong(error.to_string()),
        Some(Ok(found)) if !found.is_file() || found.permissions().mode() & 0o111 == 0 => {
            wrong("it is no program".to_owned())
        }
        Some(Ok(_)) => Ok(()),
    }
}

/// Where a program is: where its path says, or where `PATH` has its name.
fn on_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return Some(program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// How much is logged: `PROV_LOG`, by component where asked, else `info`.
fn levels() -> Result<Levels, CliError> {
    let Some(given) = std::env::var_os("PROV_LOG").filter(|given| !given.is_empty()) else {
        return Ok(Levels::default());
    };
    let given = given.to_string_lossy().into_owned();
    given.parse().map_err(|why| {
        let error = CliError::new(Kind::Usage, format!("PROV_LOG can't be {given:?}: {why}"));
        error.hint("write a level such as info, or levels by component such as warn,scheduler=debug".to_owned())
    })
}

/// How the log looks.
fn look(format: LogFormat) -> Look {
    match format {
        LogFormat::Text => Look::Text { coloured: style::on_stderr() },
        LogFormat::Json => Look::Json,
    }
}

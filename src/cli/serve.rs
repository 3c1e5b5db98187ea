//! `prov serve`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use super::Global;
use super::error::{CliError, Kind};
use crate::config::{self, ConfigError, Layer, LogFormat};
use crate::daemon;

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
    /// How the log looks: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Write the addresses to this file, as JSON, once both APIs answer
    #[arg(long, value_name = "FILE")]
    ready_file: Option<String>,
    /// How long running tasks may go on when the daemon is told to end [default: 30]
    #[arg(long, value_name = "SECONDS")]
    drain_seconds: Option<String>,
    /// What is done with tasks that still run then: leave or cancel [default: leave]
    #[arg(long, value_name = "ACTION")]
    drain_action: Option<String>,
    /// Listen beyond this machine although nothing is encrypted
    #[arg(long)]
    insecure: bool,
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let file = args.config.clone();
    let (config, _) =
        config::daemon(&global.workspace, layer(args), file.as_deref()).map_err(|error| invalid(&error))?;
    log(config.log_format);
    daemon::run(config).map_err(|error| CliError::of(Kind::Failure, &error).hint(error.hint()))?;
    Ok(ExitCode::SUCCESS)
}

fn invalid(error: &ConfigError) -> CliError {
    CliError::of(Kind::Usage, error)
}

fn layer(args: Args) -> Layer {
    let values = [
        ("data_dir", args.data_dir),
        ("listen", args.listen),
        ("control_listen", args.control_listen),
        ("max_parallel", args.max_parallel),
        ("command", args.command),
        ("log_format", args.log_format),
        ("ready_file", args.ready_file),
        ("drain_seconds", args.drain_seconds),
        ("drain_action", args.drain_action),
        ("insecure", args.insecure.then(|| "true".to_owned())),
    ];
    let given = values.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Layer { origin: "command line".to_owned(), values: given.collect::<BTreeMap<_, _>>() }
}

/// The daemon's log on standard error; `PROV_LOG` sets the level, by component where asked.
fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_env("PROV_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => subscriber.json().init(),
    }
}

//! `prov selftest`: prov puts its own promises to the test, on the host where they have to hold.
//!
//! A test plays rounds by a [`plan`] that comes from [`dice`]; a [`round`] submits a batch, kills what the plan says and
//! waits for the end; [`check`] holds what the daemon says against the [`ledger`] that the operations wrote; a [`report`]
//! counts. [`crash`] puts them together. What is not known here: how the engine decides, how the supervisor keeps its
//! journal. The test sees prov from outside, as its users do.

mod check;
mod crash;
mod dice;
mod history;
mod ledger;
mod plan;
mod report;
mod round;

use std::process::ExitCode;

use clap::Subcommand;

use super::Global;
use super::error::CliError;

/// Find out whether prov keeps its promises on this host
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Crash(CrashArgs),
}

/// Kill the daemon and its processes at random moments, and check that nothing is lost or done twice
///
/// Starts a daemon of its own, on free ports and in a temporary directory; daemons that run already are left alone. Each
/// round submits a batch of eight operations, some of which fail on purpose so that the batch is rolled back. Every
/// operation, and every compensation, writes its begin and its end to a ledger. At a random moment something is killed
/// with SIGKILL: the daemon, the supervisor, a task, or several of them; sometimes twice, sometimes during the rollback.
/// The daemon is started again where it was killed, and once the batch has ended the daemon's account is held against the
/// ledger:
///
/// - every accepted batch is there, has ended, and ended as the ledger says;
///
/// - every completed operation ended, and none ran twice unless its retry policy says so;
///
/// - everything was done in the order of its dependencies, and undone in the reverse order, once;
///
/// - no process is left.
///
/// In the end the daemon is stopped and started once more, and must know every batch and every task as they ended.
///
/// A daemon that is killed excuses nothing. When a task or the supervisor is killed, nobody can know whether the
/// operation would have succeeded: then it may fail or be tried again, as its policy says, and its error must say why.
///
/// Exits with 0 when every promise was kept. Otherwise with 1: the first round that broke one is shown with all that is
/// known of it, and its directory is kept.
#[derive(Debug, clap::Args)]
pub struct CrashArgs {
    /// Rounds to play; about three a second
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Play the rounds of this seed: the same batches and the same kills; what the kills meet is up to the host
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Keep the directory with the ledgers, the daemon's data and its log
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    match &args.command {
        Command::Crash(args) => crash::run(args, global),
    }
}

//! The command line, and the only place that knows clap.
//!
//! A noun is a file: an args struct whose doc comments are the help, `run`, which makes one typed call and renders its
//! answer, and pure functions that render. Data goes to standard output through [`Printer`], everything else to standard
//! error. Errors are [`CliError`]s: a kind, which decides the exit code, causes and hints.
//!
//! To add a noun: a file `cli/<noun>.rs` with `pub struct Args` and `pub fn run(args, &Global) -> Result<ExitCode,
//! CliError>`, and one line each in [`Command`] and [`dispatch`].

mod audit;
mod away;
mod batch;
mod bundle;
mod checkpoint;
mod cluster;
mod code;
mod complete;
mod config;
mod confirm;
mod connect;
mod context;
mod credentials;
mod demo;
mod doctor;
mod environment;
pub mod error;
mod events;
mod generate;
mod hosts;
mod infra;
mod init;
mod invisible;
mod login;
mod logs;
mod mfa;
mod own_daemon;
mod page;
mod password;
mod policy;
pub mod printer;
mod processes;
mod progress;
mod provider;
pub mod qr;
mod recognise;
mod rollback;
mod secret;
mod selftest;
mod serve;
mod servers;
mod state;
mod style;
mod target;
mod tasks;
mod taskserv;
mod token;
mod top;
mod usage;
mod users;
mod watch;
mod webhooks;
mod words;
mod workflow;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub use error::{CliError, Kind};
pub use printer::{Format, Printer};

use crate::model::rehearsal::ProviderMode;

/// Durable provisioning: describe an infrastructure, submit it, and get all of it or a clean way back.
#[derive(Debug, Parser)]
#[command(name = "prov", version, propagate_version = true, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: `prov help exit-codes`. Environment: `prov help environment`.")]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// How data is printed
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, help_heading = "Global options")]
    pub output: Format,
    /// No progress and no remarks on standard error
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Never prompt: fail and name the option that answers
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_input: bool,
    /// The workspace
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "PROV_WORKSPACE",
        default_value = ".",
        help_heading = "Global options"
    )]
    pub workspace: PathBuf,
    /// How providers are reached: `live`, or `rehearse` for a built-in twin of each, that fails as clouds do
    #[arg(
        long,
        global = true,
        value_name = "MODE",
        env = crate::model::rehearsal::MODE_VARIABLE,
        default_value = "live",
        help_heading = "Global options"
    )]
    pub provider_mode: ProviderMode,
}

impl Global {
    /// Whether remarks are unwanted: on request, and where a program reads standard error, which has the error alone.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet || (self.output.is_structured() && !std::io::stderr().is_terminal())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: the orchestrator and the control center
    Serve(serve::Args),
    /// Make a workspace to start from
    Init(init::Args),
    /// Show what prov does: one real batch run to its end, one that fails and is rolled back, then everything gone
    Demo(demo::Args),
    /// Servers: make, delete, list
    #[command(visible_aliases = ["server", "s"])]
    Servers(servers::Args),
    /// Providers: what can be had there
    #[command(visible_alias = "providers")]
    Provider(provider::Args),
    /// Task services: install, remove, list
    #[command(visible_alias = "t")]
    Taskserv(taskserv::Args),
    /// Clusters: make, delete, list
    #[command(visible_alias = "cl")]
    Cluster(cluster::Args),
    /// Infras: list, show, validate their settings, compare them with what there is
    #[command(visible_alias = "i")]
    Infra(infra::Args),
    /// Hosts that you have already: confirm who they are
    #[command(visible_alias = "host")]
    Hosts(hosts::Args),
    /// Log in, and remember the session
    Login(login::LoginArgs),
    /// End the session
    Logout(login::LogoutArgs),
    /// Show who is logged in
    Whoami,
    /// Contexts: the daemons that you are logged in to
    Context(context::Args),
    /// Change your password, and end your other sessions
    Password(password::Args),
    /// Your second factor: codes of an authenticator app that logins ask for
    Mfa(mfa::Args),
    /// Your sessions: where you are logged in
    Sessions(password::SessionsArgs),
    /// API tokens: what scripts present instead of a login
    #[command(visible_alias = "tokens")]
    Token(token::Args),
    /// Users: who may log in, and in which roles
    #[command(visible_alias = "user")]
    Users(users::Args),
    /// Roles: what each may do
    #[command(visible_alias = "role")]
    Roles(users::RolesArgs),
    /// Tasks: what the orchestrator runs
    #[command(visible_alias = "task")]
    Tasks(tasks::Args),
    /// Workflows: servers, task services and clusters of one infra
    #[command(visible_alias = "wf")]
    Workflow(workflow::Args),
    /// Batches: graphs of operations with a parallel limit and rollback
    #[command(visible_alias = "bat")]
    Batch(batch::Args),
    /// Bundles: a workspace with packages and artifacts in one file, for a host without a network
    Bundle(bundle::Args),
    /// Checkpoints: positions in the log of completed work that can be gone back to
    #[command(visible_alias = "checkpoints")]
    Checkpoint(checkpoint::Args),
    /// Rollbacks: undo what was completed, prove that it is gone, and decide about what is stuck
    #[command(visible_alias = "rollbacks")]
    Rollback(rollback::Args),
    /// State: how the daemon does, and what became of its work
    State(state::Args),
    /// Show what happens, as it happens
    Events(events::Args),
    /// Webhooks: events sent to URLs as they happen
    #[command(visible_alias = "webhook")]
    Webhooks(webhooks::Args),
    /// Show the daemon's own log, and how much it logs
    Logs(logs::Args),
    /// Show all work live, on the whole terminal
    Top(top::Args),
    /// The audit trail: who did what, to what, by whose leave
    Audit(audit::Args),
    /// Policies: who may do what
    #[command(visible_alias = "policies")]
    Policy(policy::Args),
    /// Credentials of providers, and secrets that settings refer to: set, list, delete
    Credentials(credentials::Args),
    /// Find out what this host and account can do for servers
    Doctor,
    /// Find out whether prov keeps its promises on this host
    Selftest(selftest::Args),
    /// The daemon's configuration
    Config(config::Args),
    /// Print what a shell loads to complete prov's arguments
    Completions(generate::CompletionsArgs),
    /// Write the man pages
    Man(generate::ManArgs),
    /// Show a help topic: exit-codes, environment, plugins, or a command
    Help(generate::HelpArgs),
    /// Show the version
    Version,
}

/// Parses the arguments, runs the command, and says what went wrong.
#[must_use]
pub fn main() -> ExitCode {
    clap_complete::CompleteEnv::with_factory(complete::tree).complete();
    style::init();
    let args: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error, &args),
    };
    let global = cli.global.clone();
    Printer::new(&global).warnings(&environment::suspicious(std::env::vars_os()));
    match dispatch(cli.command, &global) {
        Ok(code) => code,
        Err(error) => error.report(global.output),
    }
}

fn dispatch(command: Command, global: &Global) -> Result<ExitCode, CliError> {
    match command {
        Command::Serve(args) => serve::run(args, global),
        Command::Init(args) => init::run(&args, global),
        Command::Demo(args) => demo::run(&args, global),
        Command::Servers(args) => servers::run(&args, global),
        Command::Provider(args) => provider::run(&args, global),
        Command::Taskserv(args) => taskserv::run(&args, global),
        Command::Cluster(args) => cluster::run(&args, global),
        Command::Infra(args) => infra::run(&args, global),
        Command::Hosts(args) => hosts::run(&args, global),
        Command::Login(args) => login::login(&args, global),
        Command::Logout(args) => login::logout(&args, global),
        Command::Whoami => login::whoami(global),
        Command::Context(args) => context::run(&args, global),
        Command::Password(args) => password::run(&args, global),
        Command::Mfa(args) => mfa::run(&args, global),
        Command::Sessions(args) => password::sessions(&args, global),
        Command::Token(args) => token::run(args, global),
        Command::Users(args) => users::run(args, global),
        Command::Roles(args) => users::roles_list(&args, global),
        Command::Tasks(args) => tasks::run(args, global),
        Command::Workflow(args) => workflow::run(&args, global),
        Command::Checkpoint(args) => checkpoint::run(&args, global),
        Command::Rollback(args) => rollback::run(args, global),
        Command::State(args) => state::run(&args, global),
        Command::Events(args) => events::run(args, global),
        Command::Webhooks(args) => webhooks::run(args, global),
        Command::Logs(args) => logs::run(args, global),
        Command::Top(args) => top::run(args, global),
        Command::Batch(args) => batch::run(args, global),
        Command::Bundle(args) => bundle::run(&args, global),
        Command::Audit(args) => audit::run(args, global),
        Command::Policy(args) => policy::run(args, global),
        Command::Credentials(args) => credentials::run(&args, global),
        Command::Doctor => doctor::run(global),
        Command::Selftest(args) => selftest::run(&args, global),
        Command::Config(args) => config::run(&args, global),
        Command::Completions(args) => generate::completions(&args, global),
        Command::Man(args) => generate::man(&args, global),
        Command::Help(args) => generate::help(&args),
        Command::Version => generate::version(global),
    }
}

//! `prov completions`, `prov man`, `prov help`, `prov version`: what comes out of the command tree itself.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, ValueEnum};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use super::error::{CliError, Kind};
use super::{Cli, Global, Printer, complete, environment, printer};

/// A shell that completions can be had for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
    /// `PowerShell`
    Powershell,
    /// Elvish
    Elvish,
}

/// Print what a shell loads to complete prov's arguments
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(required_unless_present = "dir")]
    shell: Option<Shell>,
    /// Write the scripts of all shells to this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "shell")]
    dir: Option<PathBuf>,
}

impl Shell {
    /// The name under which the shell looks for prov's script.
    fn file_name(self) -> &'static str {
        match self {
            Self::Bash => "prov.bash",
            Self::Zsh => "_prov",
            Self::Fish => "prov.fish",
            Self::Powershell => "prov.ps1",
            Self::Elvish => "prov.elv",
        }
    }
}

/// Write the man pages
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Where to; without it, prov(1) goes to standard output
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Show a help topic
#[derive(Debug, clap::Args)]
pub struct HelpArgs {
    /// exit-codes, environment, plugins, or a command
    #[arg(value_name = "TOPIC", add = complete::topics())]
    topic: Vec<String>,
}

pub(super) fn completions(args: &CompletionsArgs, global: &Global) -> Result<ExitCode, CliError> {
    if let Some(shell) = args.shell {
        Printer::new(global).out(&script(shell)?)?;
    }
    if let Some(directory) = &args.dir {
        let failed = |error| CliError::new(Kind::Failure, format!("can't write {}: {error}", directory.display()));
        fs::create_dir_all(directory).map_err(failed)?;
        for shell in Shell::value_variants() {
            fs::write(directory.join(shell.file_name()), script(*shell)?).map_err(failed)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The script that a shell loads: it asks prov itself for candidates.
fn script(shell: Shell) -> Result<String, CliError> {
    let completer: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
        Shell::Powershell => &Powershell,
        Shell::Elvish => &Elvish,
    };
    let mut script = Vec::new();
    let failed =
        |error: std::io::Error| CliError::new(Kind::Failure, format!("can't write the completion script: {error}"));
    completer.write_registration("COMPLETE", "prov", "prov", "prov", &mut script).map_err(failed)?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

pub(super) fn man(args: &ManArgs, global: &Global) -> Result<ExitCode, CliError> {
    let failed = |error: std::io::Error| CliError::new(Kind::Failure, format!("can't write the man pages: {error}"));
    let Some(directory) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(failed)?;
        Printer::new(global).out(&String::from_utf8_lossy(&page))?;
        return Ok(ExitCode::SUCCESS);
    };
    write_pages(directory).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

fn write_pages(directory: &Path) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(Cli::command(), directory)
}

pub(super) fn version(global: &Global) -> Result<ExitCode, CliError> {
    let version = serde_json::json!({ "version": env!("CARGO_PKG_VERSION") });
    Printer::new(global)
        .item(&version, env!("CARGO_PKG_VERSION"), |_| format!("prov {}\n", env!("CARGO_PKG_VERSION")))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn help(args: &HelpArgs) -> Result<ExitCode, CliError> {
    match args.topic.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["exit-codes"] => printer::page(EXIT_CODES)?,
        ["environment"] => printer::page(&environment::help())?,
        ["plugins"] => printer::page(crate::provision::provider::plugin::PAGE)?,
        _ => {
            let words =
                ["prov".into()].into_iter().chain(args.topic.iter().map(OsString::from)).chain(["--help".into()]);
            match Cli::command().try_get_matches_from(words) {
                Err(error) if error.use_stderr() => {
                    let error = CliError::new(Kind::Usage, format!("there is no help on `{}`", args.topic.join(" ")));
                    return Err(error.hint("prov --help".to_owned()));
                }
                Err(error) => printer::page(&error.render().to_string())?,
                Ok(_) => {}
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

const EXIT_CODES: &str = "\
0    success; with waiting, the work Completed
1    failure not named below
2    usage, or an invalid file
3    changes present (--check --detailed-exitcode only)
4    not logged in, expired, MFA needed, a wrong password or code
5    denied by policy
6    not found
7    conflict
8    the work was cancelled
9    timed out waiting; the work goes on
10   the work failed, and was rolled back or had nothing to roll back
11   the work failed, and rollback is incomplete
12   daemon unreachable
130  interrupted
143  terminated
";

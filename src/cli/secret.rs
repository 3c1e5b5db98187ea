//! Passwords on their way in: from standard input, a file, or a prompt that doesn't show them. Never an option's value,
//! which every process of the machine can read.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use super::error::{CliError, Kind};
use super::{Global, Printer};

/// Where a password comes from.
#[derive(Debug, clap::Args)]
pub(super) struct PasswordArgs {
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password_file")]
    pub(super) password_stdin: bool,
    /// Read the password from a file
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
}

/// The password from where the options say; `None` where it is to be typed.
pub(super) fn given(args: &PasswordArgs, global: &Global) -> Result<Option<String>, CliError> {
    if args.password_stdin {
        return from_stdin(global).and_then(|text| password(Ok(text), "standard input")).map(Some);
    }
    if let Some(path) = &args.password_file {
        return password(std::fs::read_to_string(path), &path.display().to_string()).map(Some);
    }
    if !may_ask(global) {
        let error = CliError::new(Kind::Usage, "there is nobody to ask for the password");
        return Err(error.hint("give it with --password-stdin or --password-file FILE".to_owned()));
    }
    Ok(None)
}

/// Whether there is somebody who can type it.
pub(super) fn may_ask(global: &Global) -> bool {
    !global.no_input && std::io::stdin().is_terminal()
}

/// All of standard input.
pub(super) fn from_stdin(global: &Global) -> Result<String, CliError> {
    let mut text = String::new();
    if std::io::stdin().is_terminal() {
        Printer::new(global).remark("reading the password from standard input; end it with Ctrl-D");
    }
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| unreadable("standard input", &error))?;
    Ok(text)
}

/// A password typed at the terminal.
pub(super) fn typed(prompt: &str) -> Result<String, CliError> {
    password(rpassword::prompt_password(prompt), "the terminal")
}

/// The same of something that there may be none of.
pub(super) fn typed_or_none(prompt: &str) -> Result<Option<String>, CliError> {
    let text = rpassword::prompt_password(prompt).map_err(|error| unreadable("the terminal", &error))?;
    Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()).filter(|text| !text.is_empty()))
}

/// A new password, typed twice.
pub(super) fn typed_twice(prompt: &str) -> Result<String, CliError> {
    let first = typed(prompt)?;
    if typed("the same once more: ")? == first {
        return Ok(first);
    }
    Err(CliError::new(Kind::Usage, "the two passwords differ; nothing was done"))
}

/// A password without its line end.
pub(super) fn password(read: std::io::Result<String>, from: &str) -> Result<String, CliError> {
    let text = read.map_err(|error| unreadable(from, &error))?;
    let password = text.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err(CliError::new(Kind::Usage, format!("the password from {from} is empty")));
    }
    Ok(password.to_owned())
}

fn unreadable(from: &str, error: &std::io::Error) -> CliError {
    CliError::new(Kind::Usage, format!("can't read the password from {from}: {error}"))
}

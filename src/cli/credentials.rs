//! `prov credentials …`: what opens accounts at providers, and secrets that settings refer to, kept for this user.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::error::{CliError, Kind};
use super::printer::Rows;
use super::{Global, Printer, secret};
use crate::model::name::Name;
use crate::provision::credentials::{self, CredentialError, Meant, Origin};
use crate::provision::error::chain;
use crate::provision::secret::Secret;
use crate::provision::secret::kept::{self, Place};

/// Credentials of providers, and secrets that settings refer to: set, list, delete
///
/// A provider's credential is taken from the environment (UPCLOUD_TOKEN), from the file that a variable names
/// (UPCLOUD_TOKEN_FILE), or from what is kept here: in the keyring where there is one, else in a file of this user alone.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Keep a credential, or a secret that settings refer to as {"secret": {"keyring": "NAME"}}
    Set {
        /// A provider (upcloud, aws), a credential of one (UPCLOUD_PASSWORD), or any other name
        #[arg(value_name = "NAME")]
        name: Name,
        /// Read it from standard input instead of asking; of aws a line each: the access key's id, its secret, and the
        /// session token where there is one
        #[arg(long)]
        stdin: bool,
        /// Keep it in a file of this user alone: the keyring forgets at a reboot, and what was not used for days
        #[arg(long)]
        file: bool,
    },
    /// List the credentials that there are, and where each comes from; never what they are
    #[command(visible_alias = "ls")]
    List,
    /// Forget what is kept
    #[command(visible_alias = "rm")]
    Delete {
        /// As in `set`
        #[arg(value_name = "NAME")]
        name: Name,
    },
}

/// A credential, without itself.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    provider: Option<&'static str>,
    origin: Option<Origin>,
    /// Why it can't be had.
    problem: Option<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let printer = Printer::new(global);
    match &args.verb {
        Verb::Set { name, stdin, file } => {
            let meant = credentials::meant(name);
            let texts = given(&meant, *stdin, global)?;
            let at = if *file { Place::File } else { Place::Keyring };
            set(&meant, texts, at, printer)?;
        }
        Verb::List => printer.list(&listed()?, rows)?,
        Verb::Delete { name } => {
            let mut forgotten = credentials::meant(name);
            forget(&mut forgotten)?;
            if forgotten.is_empty() {
                return Err(CliError::new(Kind::NotFound, format!("no {name} is kept"))
                    .hint("see what there is: prov credentials list".to_owned()));
            }
            for Meant { name, .. } in &forgotten {
                printer.remark(&format!("{name} is forgotten"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Keeps what was given in place of what was kept.
fn set(meant: &[Meant], texts: Vec<Option<String>>, at: Place, printer: Printer) -> Result<(), CliError> {
    if meant.len() > 1 {
        // A new one beside an old one opens nothing: what a crash leaves must not pass for whole.
        forget(&mut meant.to_vec())?;
    }
    for (Meant { name, .. }, text) in meant.iter().zip(texts) {
        let Some(text) = text else { continue };
        let place = kept::keep(name, &Secret::new(text), at).map_err(|error| failed("keep", name, &error))?;
        let until = if place == Place::Keyring {
            ", until a reboot or days without use; --file keeps it for longer"
        } else {
            ""
        };
        printer.remark(&format!("{name} is kept in {place}{until}"));
    }
    Ok(())
}

/// Forgets them; leaves those that there were.
fn forget(meant: &mut Vec<Meant>) -> Result<(), CliError> {
    let mut failure = None;
    meant.retain(|Meant { name, .. }| {
        let forgotten = kept::forget(name);
        forgotten.unwrap_or_else(|error| {
            failure.get_or_insert_with(|| failed("forget", name, &error));
            false
        })
    });
    failure.map_or(Ok(()), Err)
}

/// A text for each; none for what isn't needed and wasn't given.
fn given(meant: &[Meant], stdin: bool, global: &Global) -> Result<Vec<Option<String>>, CliError> {
    if stdin {
        let text = secret::from_stdin(global)?;
        return match meant {
            [_] => secret::password(Ok(text), "standard input").map(|text| vec![Some(text)]),
            several => by_line(several, &text),
        };
    }
    if !secret::may_ask(global) {
        let error = CliError::new(Kind::Usage, format!("there is nobody to ask for {}", names(meant)));
        return Err(error.hint("give it with --stdin".to_owned()));
    }
    let typed = |Meant { name, is_needed }: &Meant| match is_needed {
        true => secret::typed(&format!("{name}: ")).map(Some),
        false => secret::typed_or_none(&format!("{name} (nothing if there is none): ")),
    };
    meant.iter().map(typed).collect()
}

/// The lines of the text, one for each.
fn by_line(meant: &[Meant], text: &str) -> Result<Vec<Option<String>>, CliError> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
    let texts: Vec<Option<String>> = meant.iter().map(|_| lines.next()).collect();
    let lacks = meant.iter().zip(&texts).any(|(one, text)| one.is_needed && text.is_none());
    if lacks || lines.next().is_some() {
        let error = CliError::new(Kind::Usage, "standard input hasn't a line for each credential");
        return Err(error.hint(format!("a line each, the last where there is one: {}", names(meant))));
    }
    Ok(texts)
}

fn names(meant: &[Meant]) -> String {
    meant.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The credentials of providers that there are, and everything else that is kept.
fn listed() -> Result<Vec<Listed>, CliError> {
    let of_providers = credentials::OF_PROVIDERS.iter().flat_map(|of| of.names().map(|name| (of.provider, name)));
    let of_providers: Vec<(&str, &str)> = of_providers.collect();
    let kept =
        kept::names().map_err(|error| CliError::new(Kind::Failure, format!("can't list what is kept: {error}")))?;
    let others = kept.iter().map(Name::as_str).filter(|name| !of_providers.iter().any(|(_, known)| known == name));
    let all =
        of_providers.iter().map(|(provider, name)| (Some(*provider), *name)).chain(others.map(|name| (None, name)));
    let found = all.map(|(provider, name)| (provider, name, credentials::find(name)));
    let listed = found.map(|(provider, name, found)| {
        let (origin, problem) = match found {
            Ok(found) => (found.map(|(_, origin)| origin), None),
            Err(error) => (None, Some(explained(&error))),
        };
        let is_kept = kept.iter().any(|kept| kept.as_str() == name);
        let lost =
            (origin.is_none() && problem.is_none() && is_kept).then(|| "the keyring has forgotten it".to_owned());
        Listed { name: name.to_owned(), provider, origin, problem: problem.or(lost) }
    });
    Ok(listed.filter(|one| one.origin.is_some() || one.problem.is_some()).collect())
}

fn explained(error: &CredentialError) -> String {
    chain(error)
}

fn rows(listed: &[Listed]) -> Rows {
    let cells = |one: &Listed| {
        let from = one.origin.as_ref().map(ToString::to_string);
        vec![
            one.name.clone(),
            one.provider.unwrap_or("-").to_owned(),
            from.or_else(|| one.problem.clone()).unwrap_or_default(),
        ]
    };
    Rows { header: vec!["NAME", "PROVIDER", "FROM"], narrow: 3, rows: listed.iter().map(cells).collect() }
}

fn failed(what: &str, name: &Name, error: &std::io::Error) -> CliError {
    CliError::new(Kind::Failure, format!("can't {what} {name}: {error}"))
}

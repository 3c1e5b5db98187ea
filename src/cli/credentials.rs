//! `prov credentials …`: what opens accounts at providers, and secrets that settings refer to, kept for this user.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::error::{CliError, Kind};
use super::printer::Rows;
use super::{Global, Printer, secret};
use crate::model::name::Name;
use crate::provision::credentials::{self, CredentialError, Origin};
use crate::provision::error::chain;
use crate::provision::secret::{Secret, kept};

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
        /// A provider (upcloud), a credential of one (UPCLOUD_PASSWORD), or any other name
        #[arg(value_name = "NAME")]
        name: Name,
        /// Read it from standard input instead of asking
        #[arg(long)]
        stdin: bool,
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
        Verb::Set { name, stdin } => {
            let name = credentials::meant(name);
            let text = given(&name, *stdin, global)?;
            let place = kept::keep(&name, &Secret::new(text)).map_err(|error| failed("keep", &name, &error))?;
            printer.remark(&format!("{name} is kept in {place}"));
        }
        Verb::List => printer.list(&listed()?, rows)?,
        Verb::Delete { name } => {
            let name = credentials::meant(name);
            if !kept::forget(&name).map_err(|error| failed("forget", &name, &error))? {
                return Err(CliError::new(Kind::NotFound, format!("no {name} is kept"))
                    .hint("see what there is: prov credentials list".to_owned()));
            }
            printer.remark(&format!("{name} is forgotten"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn given(name: &Name, stdin: bool, global: &Global) -> Result<String, CliError> {
    if stdin {
        return secret::from_stdin(global).and_then(|text| secret::password(Ok(text), "standard input"));
    }
    if !secret::may_ask(global) {
        let error = CliError::new(Kind::Usage, format!("there is nobody to ask for {name}"));
        return Err(error.hint("give it with --stdin".to_owned()));
    }
    secret::typed(&format!("{name}: "))
}

/// The credentials of providers that there are, and everything else that is kept.
fn listed() -> Result<Vec<Listed>, CliError> {
    let of_providers =
        credentials::OF_PROVIDERS.iter().flat_map(|(provider, names)| names.iter().map(|name| (*provider, *name)));
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

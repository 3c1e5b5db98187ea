//! `prov login`, `prov logout`, `prov whoami`.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use super::connect::{self, block_on, failure};
use super::error::{CliError, Kind};
use super::{Global, Printer};
use crate::api::auth::{LoginRequest, Verified};
use crate::client::session::{Place, Session};
use crate::client::{Client, Servers};

/// Log in, and remember the session
#[derive(Debug, clap::Args)]
pub struct LoginArgs {
    /// The orchestrator's address
    #[arg(long, value_name = "URL", env = "PROV_SERVER")]
    server: Option<String>,
    /// The control center's address
    #[arg(long, value_name = "URL", env = "PROV_CONTROL_CENTER")]
    control_center: Option<String>,
    /// Who logs in
    #[arg(long, short, value_name = "NAME", default_value = "admin")]
    username: String,
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,
    /// Read the password from a file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// End the session
#[derive(Debug, clap::Args)]
pub struct LogoutArgs {
    /// End all sessions of this user
    #[arg(long)]
    all: bool,
}

pub(super) fn login(args: &LoginArgs, global: &Global) -> Result<ExitCode, CliError> {
    let sessions = connect::sessions()?;
    let known = connect::servers(Some(&sessions));
    let trim = |url: &String| url.trim_end_matches('/').to_owned();
    let servers = Servers {
        orchestrator: args.server.as_ref().map_or(known.orchestrator, trim),
        control_center: args.control_center.as_ref().map_or(known.control_center, trim),
    };
    let password = password(args, global)?;
    let client = Client::new(servers.clone()).map_err(|error| failure(&error))?;
    let request = LoginRequest { username: args.username.clone(), password, mfa_code: None };
    let pair = block_on(async { client.auth_login(&request).await.map_err(|error| failure(&error)) })?;
    let place = sessions.keep(&Session::of(&pair, servers));
    let place = place
        .map_err(|error| CliError::new(Kind::Failure, format!("logged in, but can't keep the session: {error}")))?;
    let kept = match place {
        Place::Keyring => "the session is in the kernel's keyring".to_owned(),
        Place::File => format!("there is no keyring here; the session is in {}", sessions.path().display()),
    };
    Printer::new(global).remark(&format!("logged in as {}; {kept}", pair.user.username));
    Ok(ExitCode::SUCCESS)
}

fn password(args: &LoginArgs, global: &Global) -> Result<String, CliError> {
    let unreadable = |error: std::io::Error| CliError::new(Kind::Usage, format!("can't read the password: {error}"));
    let text = if args.password_stdin {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        text
    } else if let Some(path) = &args.password_file {
        std::fs::read_to_string(path).map_err(unreadable)?
    } else if global.no_input || !std::io::stdin().is_terminal() {
        let error = CliError::new(Kind::Usage, "there is nobody to ask for the password");
        return Err(error.hint("give it with --password-stdin or --password-file FILE".to_owned()));
    } else {
        rpassword::prompt_password(format!("password of {}: ", args.username)).map_err(unreadable)?
    };
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

pub(super) fn logout(args: &LogoutArgs, global: &Global) -> Result<ExitCode, CliError> {
    let sessions = connect::sessions()?;
    if sessions.load().is_none() {
        Printer::new(global).remark("there is no session");
        return Ok(ExitCode::SUCCESS);
    }
    let client = connect::client()?;
    let ended = block_on(async { client.auth_logout(args.all).await.map_err(|error| failure(&error)) });
    let forgotten = sessions.forget();
    forgotten.map_err(|error| CliError::new(Kind::Failure, format!("can't forget the session: {error}")))?;
    match ended {
        Ok(_) => Printer::new(global).remark("logged out"),
        Err(error) => {
            Printer::new(global)
                .remark(&format!("forgot the session; the daemon could not be told: {}", error.message));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn whoami(global: &Global) -> Result<ExitCode, CliError> {
    let client = connect::client()?;
    let verified = block_on(async { client.auth_verify().await.map_err(|error| failure(&error)) })?;
    Printer::new(global).item(&verified, &verified.user.username, render)?;
    Ok(ExitCode::SUCCESS)
}

fn render(verified: &Verified) -> String {
    let roles: Vec<String> = verified.user.roles.iter().map(ToString::to_string).collect();
    format!("{}\nroles: {}\ntoken good until: {}\n", verified.user.username, roles.join(", "), verified.expires_at)
}

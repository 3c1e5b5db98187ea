//! `prov password` and `prov sessions …`: one's own.

use std::process::ExitCode;

use clap::Subcommand;

use super::complete;
use super::connect::{self, ask, ask_with_proof, block_on};
use super::error::{CliError, Kind};
use super::printer::{Rows, age, counted};
use super::secret::{self, PasswordArgs};
use super::{Global, Printer};
use crate::api::token::OwnerQuery;
use crate::api::users::{PasswordChange, SessionView, UserKey};
use crate::model::id::SessionId;
use crate::model::time::Timestamp;

/// Change your password, and end your other sessions
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read two lines from standard input: the present password, and the new one
    #[arg(long)]
    password_stdin: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    let change = if args.password_stdin { read(global)? } else { typed(global)? };
    let changed = block_on(ask_with_proof(&printer, client.auth_password(&change)))?;
    let ended = counted(changed.sessions_ended, "other session");
    printer.remark(&format!("the password is changed; {ended} ended"));
    if changed.api_tokens_left > 0 {
        let stay = counted(changed.api_tokens_left, "API token");
        printer.remark(&format!("{stay} stay good; `prov token list` shows them, `prov token delete` revokes"));
    }
    Ok(ExitCode::SUCCESS)
}

fn read(global: &Global) -> Result<PasswordChange, CliError> {
    let text = secret::from_stdin(global)?;
    let mut lines = text.lines().map(str::to_owned);
    let (Some(current_password), Some(new_password), None) = (lines.next(), lines.next(), lines.next()) else {
        let message = "standard input must have two lines: the present password, and the new one";
        return Err(CliError::new(Kind::Usage, message));
    };
    Ok(PasswordChange { current_password, new_password })
}

fn typed(global: &Global) -> Result<PasswordChange, CliError> {
    let nothing_given = PasswordArgs { password_stdin: false, password_file: None };
    if secret::given(&nothing_given, global).is_err() {
        let error = CliError::new(Kind::Usage, "there is nobody to ask for the passwords");
        return Err(error.hint("give both with --password-stdin, one a line".to_owned()));
    }
    let current_password = secret::typed("present password (not shown): ")?;
    let new_password = secret::typed_twice("new password (not shown): ")?;
    Ok(PasswordChange { current_password, new_password })
}

/// Your sessions: where you are logged in
#[derive(Debug, clap::Args)]
pub struct SessionsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List your sessions, newest first
    List {
        /// Somebody else's, by name or id
        #[arg(long, value_name = "USER", add = complete::users())]
        user: Option<UserKey>,
    },
    /// End a session
    Delete {
        /// The session's id
        #[arg(value_name = "ID")]
        id: SessionId,
    },
}

pub(super) fn sessions(args: &SessionsArgs, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    match &args.verb {
        Verb::List { user } => {
            let of = OwnerQuery { user: user.clone() };
            let sessions = block_on(ask(&printer, client.session_list(&of)))?;
            printer.list(&sessions, |sessions| rows(sessions, Timestamp::now()))?;
        }
        Verb::Delete { id } => {
            block_on(ask(&printer, client.session_delete(*id)))?;
            printer.remark(&format!("ended session {id}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(sessions: &[SessionView], now: Timestamp) -> Rows {
    let word = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
    let cells = |session: &SessionView| {
        let (begun, ends) = (age(session.created_at, now), session.expires_at.to_string());
        vec![session.id.to_string(), word(session.current), begun, word(session.mfa), ends]
    };
    let header = vec!["ID", "THIS ONE", "AGE", "MFA", "EXPIRES"];
    Rows { header, narrow: 4, rows: sessions.iter().map(cells).collect() }
}

//! `prov token …`: API tokens.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::complete;
use super::confirm::Yes;
use super::connect::{self, ask, block_on};
use super::error::{CliError, Kind};
use super::printer::{Rows, age, or_dash, short};
use super::watch::duration;
use super::words::one_of;
use super::{Global, Printer};
use crate::api::token::{NewToken, OwnerQuery, TokenView};
use crate::api::users::UserKey;
use crate::client::Client;
use crate::model::id::ApiTokenId;
use crate::model::time::Timestamp;
use crate::model::user::Role;

/// API tokens: what scripts present instead of a login
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make an API token and print it: it is shown this once
    ///
    /// A script presents it in PROV_TOKEN, or in a file that PROV_TOKEN_FILE names. It never may more than you, and is good
    /// for nothing once you are gone.
    Create(CreateArgs),
    /// List your API tokens, newest first
    List {
        /// Somebody else's, by name or id
        #[arg(long, value_name = "USER", add = complete::users())]
        user: Option<UserKey>,
    },
    /// Revoke an API token: it is good for nothing from the next request on
    Delete {
        /// Its name, how it begins, or its id
        #[arg(value_name = "TOKEN", add = complete::tokens())]
        token: String,
        #[command(flatten)]
        yes: Yes,
    },
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// What you call it: what it is for
    #[arg(value_name = "NAME")]
    name: String,
    /// A role that it may act in; repeat it for more [default: all of yours]
    #[arg(long = "role", value_name = "ROLE", ignore_case = true, value_parser = one_of(Role::ALL, Role::as_str))]
    roles: Vec<Role>,
    /// How long it is good for, as in 12h or 30d; at most 366d [default: 90d]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    match args.verb {
        Verb::Create(args) => {
            let roles = Some(args.roles).filter(|roles| !roles.is_empty());
            let new = NewToken { name: args.name, roles, expires_in: args.expires.map(|time| time.as_secs()) };
            let made = block_on(ask(&printer, client.token_create(&new)))?;
            printer.item(&made, &made.view.id.to_string(), |made| format!("{}\n", made.token))?;
            let (name, expires) = (&made.view.name, made.view.expires_at);
            printer.remark(&format!("this is {name}, good until {expires}; keep it now, it is not shown again"));
        }
        Verb::List { user } => {
            let tokens = block_on(ask(&printer, client.token_list(&OwnerQuery { user })))?;
            printer.list(&tokens, |tokens| rows(tokens, Timestamp::now()))?;
        }
        Verb::Delete { token, yes } => {
            let (id, name) = block_on(named(&client, &printer, &token))?;
            yes.agree(global, &format!("the API token {name} is good for nothing any more"))?;
            block_on(ask(&printer, client.token_delete(id)))?;
            printer.remark(&format!("revoked {name}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The token that is meant. Only one's own are known by name; an id can be anybody's.
async fn named(client: &Client, printer: &Printer, given: &str) -> Result<(ApiTokenId, String), CliError> {
    if let Ok(id) = given.parse() {
        return Ok((id, given.to_owned()));
    }
    let tokens = ask(printer, client.token_list(&OwnerQuery::default())).await?;
    let found = tokens.into_iter().find(|token| token.name == given || token.prefix == given);
    found.map(|token| (token.id, token.name)).ok_or_else(|| {
        let error = CliError::new(Kind::NotFound, format!("you have no API token {given}"));
        error.hint("prov token list".to_owned())
    })
}

fn rows(tokens: &[TokenView], now: Timestamp) -> Rows {
    let cells = |token: &TokenView| {
        let roles: Vec<&str> = token.roles.iter().map(|role| role.as_str()).collect();
        let is_over = token.expires_at <= now;
        vec![
            token.name.clone(),
            token.prefix.clone(),
            roles.join(","),
            if is_over { "expired".to_owned() } else { format!("in {}", short(token.expires_at.since(now))) },
            or_dash(token.last_used_at.map(|used| age(used, now))),
            age(token.created_at, now),
            token.id.to_string(),
        ]
    };
    Rows {
        header: vec!["NAME", "BEGINS", "ROLES", "EXPIRES", "LAST USED", "AGE", "ID"],
        narrow: 6,
        rows: tokens.iter().map(cells).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::UserId;

    #[test]
    fn a_row_tells_what_a_token_is_worth() {
        let token = TokenView {
            id: ApiTokenId(uuid::Uuid::from_u128(1)),
            name: "ci".to_owned(),
            prefix: "prov_8Kd2mQxZ".to_owned(),
            owner: UserId(uuid::Uuid::from_u128(2)),
            roles: vec![Role::Operator, Role::Auditor],
            created_at: Timestamp(0),
            expires_at: Timestamp(60_000),
            last_used_at: None,
        };
        let row = |now| rows(std::slice::from_ref(&token), Timestamp(now)).rows.remove(0);
        assert_eq!(row(5000)[..5], ["ci", "prov_8Kd2mQxZ", "Operator,Auditor", "in 55s", "-"]);
        assert_eq!(row(60_000)[3], "expired");
    }
}

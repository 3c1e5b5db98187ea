//! `prov users …` and `prov roles …`.

use std::process::ExitCode;

use clap::Subcommand;

use super::complete;
use super::confirm::Yes;
use super::connect::{self, ask, block_on};
use super::error::CliError;
use super::page::PageArgs;
use super::printer::{Rows, age, or_dash};
use super::secret::{self, PasswordArgs};
use super::words::one_of;
use super::{Global, Printer};
use crate::api::users::{NewUser, RoleView, UserAccount, UserChange, UserKey};
use crate::model::time::Timestamp;
use crate::model::user::{NotAUsername, Role, username};

/// Users: who may log in, and in which roles
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List users, by name
    List(ListArgs),
    /// Show one user
    Get(One),
    /// Make a user
    Create(CreateArgs),
    /// Change a user's e-mail address, roles or password, shut them out, or take their second factor away
    Update(UpdateArgs),
    /// Delete a user, with sessions and API tokens
    Delete(DeleteArgs),
    /// End the lock that failed logins led to
    Unlock(One),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    part: PageArgs,
}

#[derive(Debug, clap::Args)]
struct One {
    /// The user's name or id
    #[arg(value_name = "USER", add = complete::users())]
    user: UserKey,
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// The name to log in with: letters, digits, `.`, `_` and `-`
    #[arg(value_name = "NAME", value_parser = |text: &str| -> Result<String, NotAUsername> { username(text) })]
    name: String,
    /// A role; repeat it for more
    #[arg(long = "role", value_name = "ROLE", required = true, ignore_case = true, value_parser = one_of(Role::ALL, Role::as_str))]
    roles: Vec<Role>,
    /// Where to reach them
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    email: String,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "prov users update <USER> [OPTIONS]")]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
struct UpdateArgs {
    /// The user's name or id
    #[arg(value_name = "USER", add = complete::users())]
    user: UserKey,
    /// A role; repeat it for more. They have these from now on and no others
    #[arg(long = "role", value_name = "ROLE", group = "change", ignore_case = true, value_parser = one_of(Role::ALL, Role::as_str))]
    roles: Vec<Role>,
    /// Where to reach them
    #[arg(long, value_name = "ADDRESS", group = "change")]
    email: Option<String>,
    /// Shut them out, and end their sessions
    #[arg(long, group = "change", conflicts_with = "enable")]
    disable: bool,
    /// Let them in again
    #[arg(long, group = "change")]
    enable: bool,
    /// Take away the second factor of somebody who lost it, and end their sessions
    #[arg(long, group = "change")]
    no_mfa: bool,
    /// Ask for a new password, which ends their sessions
    #[arg(long, group = "change", conflicts_with_all = ["password_stdin", "password_file"])]
    password: bool,
    /// Read a new password from standard input
    #[arg(long, group = "change", conflicts_with = "password_file")]
    password_stdin: bool,
    /// Read a new password from a file
    #[arg(long, value_name = "FILE", group = "change")]
    password_file: Option<std::path::PathBuf>,
}

#[derive(Debug, clap::Args)]
struct DeleteArgs {
    /// The user's name or id
    #[arg(value_name = "USER", add = complete::users())]
    user: UserKey,
    #[command(flatten)]
    yes: Yes,
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    let user = match args.verb {
        Verb::List(args) => {
            let page = args.part.page();
            let part = block_on(ask(&printer, client.user_list(&page)))?;
            printer.part(&part, args.part.offset, "--offset or --limit", |users| rows(users, Timestamp::now()))?;
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Get(one) => block_on(ask(&printer, client.user_get(&one.user)))?,
        Verb::Create(args) => {
            let prompt = format!("password of {} (not shown): ", args.name);
            let password = secret::given(&args.password, global)?.map_or_else(|| secret::typed_twice(&prompt), Ok)?;
            let user = NewUser { username: args.name, email: args.email, roles: args.roles, password };
            block_on(ask(&printer, client.user_create(&user)))?
        }
        Verb::Update(args) => {
            let change = change(&args, global)?;
            block_on(ask(&printer, client.user_update(&args.user, &change)))?
        }
        Verb::Delete(args) => {
            args.yes.agree(global, &format!("the user {} is deleted, with sessions and API tokens", args.user))?;
            block_on(ask(&printer, client.user_delete(&args.user)))?;
            printer.remark(&format!("deleted {}", args.user));
            return Ok(ExitCode::SUCCESS);
        }
        Verb::Unlock(one) => block_on(ask(&printer, client.user_unlock(&one.user)))?,
    };
    printer.item(&user, &user.username, |user| text(user, Timestamp::now()))?;
    Ok(ExitCode::SUCCESS)
}

fn change(args: &UpdateArgs, global: &Global) -> Result<UserChange, CliError> {
    let from = PasswordArgs { password_stdin: args.password_stdin, password_file: args.password_file.clone() };
    let password = if args.password || args.password_stdin || args.password_file.is_some() {
        let prompt = format!("new password of {} (not shown): ", args.user);
        Some(secret::given(&from, global)?.map_or_else(|| secret::typed_twice(&prompt), Ok)?)
    } else {
        None
    };
    Ok(UserChange {
        email: args.email.clone(),
        roles: (!args.roles.is_empty()).then(|| args.roles.clone()),
        password,
        disabled: (args.disable || args.enable).then_some(args.disable),
        mfa: args.no_mfa.then_some(false),
    })
}

/// What keeps a user out, in a word.
fn state(user: &UserAccount) -> &'static str {
    match user {
        _ if user.disabled => "disabled",
        _ if user.locked_until.is_some() => "locked",
        _ => "enabled",
    }
}

fn roles(user: &UserAccount) -> String {
    user.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",")
}

fn rows(users: &[UserAccount], now: Timestamp) -> Rows {
    let cells = |user: &UserAccount| {
        vec![
            user.username.clone(),
            roles(user),
            state(user).to_owned(),
            if user.mfa { "yes" } else { "no" }.to_owned(),
            or_dash(user.last_login_at.map(|login| age(login, now))),
            or_dash(Some(&user.email).filter(|email| !email.is_empty())),
            age(user.created_at, now),
            user.id.to_string(),
        ]
    };
    Rows {
        header: vec!["NAME", "ROLES", "STATE", "MFA", "LAST LOGIN", "EMAIL", "AGE", "ID"],
        narrow: 5,
        rows: users.iter().map(cells).collect(),
    }
}

fn text(user: &UserAccount, now: Timestamp) -> String {
    let lines = [
        format!("name:        {}", user.username),
        format!("id:          {}", user.id),
        format!("email:       {}", or_dash(Some(&user.email).filter(|email| !email.is_empty()))),
        format!("roles:       {}", roles(user)),
        format!("state:       {}", state(user)),
        format!("locked till: {}", or_dash(user.locked_until)),
        format!("mfa:         {}", if user.mfa { "yes" } else { "no" }),
        format!("created:     {} ({} ago)", user.created_at, age(user.created_at, now)),
        format!("last login:  {}", or_dash(user.last_login_at)),
    ];
    lines.join("\n") + "\n"
}

/// Roles: what each may do
#[derive(Debug, clap::Args)]
pub struct RolesArgs {
    #[command(subcommand)]
    verb: RolesVerb,
}

#[derive(Debug, Subcommand)]
enum RolesVerb {
    /// List the roles, with what the policies in force permit each
    List,
}

pub(super) fn roles_list(args: &RolesArgs, global: &Global) -> Result<ExitCode, CliError> {
    let RolesVerb::List = args.verb;
    let (client, printer) = (connect::client()?, Printer::new(global));
    let roles = block_on(ask(&printer, client.role_list()))?;
    printer.list(&roles, role_rows)?;
    Ok(ExitCode::SUCCESS)
}

fn role_rows(roles: &[RoleView]) -> Rows {
    let cells = |view: &RoleView| {
        let (everywhere, outside) = (view.actions.join(","), view.outside_production.join(","));
        vec![view.role.to_string(), view.description.clone(), everywhere, outside]
    };
    Rows {
        header: vec!["ROLE", "MAY", "EVERYWHERE", "OUTSIDE PRODUCTION"],
        narrow: 2,
        rows: roles.iter().map(cells).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::UserId;

    #[test]
    fn what_keeps_a_user_out_is_said() {
        let mut user = UserAccount {
            id: UserId(uuid::Uuid::from_u128(1)),
            username: "alice".to_owned(),
            email: String::new(),
            roles: vec![Role::Operator, Role::Auditor],
            disabled: false,
            locked_until: None,
            mfa: true,
            created_at: Timestamp(0),
            last_login_at: None,
        };
        let row = |user: &UserAccount| rows(std::slice::from_ref(user), Timestamp(5000)).rows.remove(0);
        assert_eq!(row(&user)[..5], ["alice", "Operator,Auditor", "enabled", "yes", "-"]);
        user.locked_until = Some(Timestamp(9));
        assert_eq!(row(&user)[2], "locked");
        user.disabled = true;
        assert_eq!(row(&user)[2], "disabled");
        assert!(text(&user, Timestamp(5000)).contains("locked till: 1970-01-01"));
    }
}

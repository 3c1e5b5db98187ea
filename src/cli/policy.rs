//! `prov policy …`.

use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::complete;
use super::confirm::Yes;
use super::connect::{self, ask, block_on};
use super::error::{CliError, Kind};
use super::page::PageArgs;
use super::printer::{Rows, age};
use super::words::one_of;
use super::{Global, Printer};
use crate::api::actions::Action;
use crate::api::envelope::Code;
use crate::api::policy::{
    Evaluate, EvaluateContext, Evaluated, NewPolicy, PolicyChange, PolicyProblem, PolicyQuery, PolicyView, Verdict,
};
use crate::client::{Client, ClientError};
use crate::model::name::Name;
use crate::model::time::Timestamp;
use crate::provision::settings::{Problem, SettingsError, excerpt};

/// Policies: who may do what
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List policies
    List(ListArgs),
    /// Show a policy
    Get(One),
    /// Make a policy from a file of Cedar
    Create(CreateArgs),
    /// Change a policy; what is not named stays as it is
    Update(UpdateArgs),
    /// Remove a policy with all its versions
    Delete(DeleteArgs),
    /// List every version of a policy, newest first
    Versions(One),
    /// Give a policy the name, text and state of one of its versions again
    Rollback(RollbackArgs),
    /// Check a file of Cedar, and mark every error in it
    Validate(FileArg),
    /// Show whether somebody may do something, and which policies say so
    Why(WhyArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    part: PageArgs,
}

#[derive(Debug, clap::Args)]
struct One {
    /// The policy's name or id
    #[arg(value_name = "POLICY", add = complete::policies())]
    policy: String,
}

#[derive(Debug, clap::Args)]
struct FileArg {
    /// The policy's text: a .cedar file, or - for standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// The policy's name
    #[arg(value_name = "NAME")]
    name: Name,
    #[command(flatten)]
    file: FileArg,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Make it, but let it not count yet
    #[arg(long)]
    disabled: bool,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "prov policy update <POLICY> [FILE] [OPTIONS]")]
#[group(id = "change", required = true, multiple = true, args = ["file", "name", "description", "enable", "disable"])]
struct UpdateArgs {
    /// The policy's name or id
    #[arg(value_name = "POLICY", add = complete::policies())]
    policy: String,
    /// Its new text: a .cedar file, or - for standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Another name
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Let it count
    #[arg(long)]
    enable: bool,
    /// Let it count no more
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Only if it is in this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct DeleteArgs {
    /// The policy's name or id
    #[arg(value_name = "POLICY", add = complete::policies())]
    policy: String,
    #[command(flatten)]
    yes: Yes,
}

#[derive(Debug, clap::Args)]
struct RollbackArgs {
    /// The policy's name or id
    #[arg(value_name = "POLICY", add = complete::policies())]
    policy: String,
    /// The version to return to
    #[arg(value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    to: u64,
}

#[derive(Debug, clap::Args)]
struct WhyArgs {
    /// Who: a user name
    #[arg(long = "as", value_name = "USER")]
    principal: String,
    /// What
    #[arg(long, value_name = "ACTION", value_parser = one_of(Action::ALL, |action: Action| action.as_str()))]
    action: Action,
    /// On which infra
    #[arg(long, short, value_name = "INFRA", add = complete::infras())]
    infra: Option<Name>,
    /// To what else: task/ID, batch/ID, user/NAME or policy/NAME
    #[arg(long, value_name = "RESOURCE", conflicts_with = "infra")]
    resource: Option<String>,
    /// With a second factor
    #[arg(long)]
    mfa: bool,
    /// In check mode
    #[arg(long)]
    check: bool,
    /// From this address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// Of this operation: create, delete, reinstall
    #[arg(long, value_name = "OPERATION")]
    operation: Option<String>,
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let printer = &Printer::new(global);
    if let Verb::Delete(args) = &args.verb {
        args.yes.agree(global, &format!("delete policy {} with all its versions", args.policy))?;
    }
    let client = connect::client()?;
    block_on(async {
        match args.verb {
            Verb::List(args) => list(&client, &args, printer).await?,
            Verb::Get(one) => show(&ask(printer, client.policy_get(&one.policy)).await?, printer)?,
            Verb::Create(args) => create(&client, args, printer).await?,
            Verb::Update(args) => update(&client, args, printer).await?,
            Verb::Delete(args) => {
                let gone = ask(printer, client.policy_delete(&args.policy)).await?;
                printer.item(&gone, gone.name.as_str(), |gone| format!("policy {} is deleted\n", gone.name))?;
            }
            Verb::Versions(one) => {
                let versions = ask(printer, client.policy_versions(&one.policy)).await?;
                printer.list(&versions, |versions| version_rows(versions, Timestamp::now()))?;
            }
            Verb::Rollback(args) => {
                let policy = ask(printer, client.policy_rollback(&args.policy, args.to)).await?;
                show_change(&policy, printer)?;
            }
            Verb::Validate(file) => {
                let text = read(&file.file)?;
                let valid = send(&file.file, &text, client.policy_validate(&text), printer).await?;
                let name = file.file.display().to_string();
                printer.item(&valid, &name, |_| format!("{name} is valid\n"))?;
            }
            Verb::Why(args) => why(&client, args, printer).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn list(client: &Client, args: &ListArgs, printer: &Printer) -> Result<(), CliError> {
    let page = args.part.page();
    let part = ask(printer, client.policy_list(&PolicyQuery { page })).await?;
    printer.part(&part, args.part.offset, "--offset or --limit", |policies| rows(policies, Timestamp::now()))
}

async fn create(client: &Client, args: CreateArgs, printer: &Printer) -> Result<(), CliError> {
    let CreateArgs { name, file: FileArg { file }, description, disabled } = args;
    let new = NewPolicy { name, description, content: read(&file)?, enabled: !disabled };
    let policy = send(&file, &new.content, client.policy_create(&new), printer).await?;
    show_change(&policy, printer)
}

async fn update(client: &Client, args: UpdateArgs, printer: &Printer) -> Result<(), CliError> {
    let content = args.file.as_deref().map(read).transpose()?;
    let enabled = (args.enable || args.disable).then_some(args.enable);
    let change =
        PolicyChange { name: args.name, description: args.description, content, enabled, version: args.if_version };
    let (file, text) = (args.file.unwrap_or_default(), change.content.clone().unwrap_or_default());
    let policy = send(&file, &text, client.policy_update(&args.policy, &change), printer).await?;
    show_change(&policy, printer)
}

async fn why(client: &Client, args: WhyArgs, printer: &Printer) -> Result<(), CliError> {
    let asked = Evaluate {
        principal: args.principal,
        action: args.action,
        resource: args.infra.map(|infra| format!("infra/{infra}")).or(args.resource),
        context: EvaluateContext {
            mfa: args.mfa,
            check_mode: args.check,
            ip: args.ip,
            operation: args.operation,
            ..EvaluateContext::default()
        },
    };
    let answer = ask(printer, client.policy_evaluate(&asked)).await?;
    printer.item(&answer, word(answer.decision), |answer| why_text(&asked, answer))
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    }
}

fn why_text(asked: &Evaluate, answer: &Evaluated) -> String {
    let on = asked.resource.as_ref().map(|resource| format!(" on {resource}")).unwrap_or_default();
    let (may, by) = match answer.decision {
        Verdict::Allow => ("may", "permitted by"),
        Verdict::Deny => ("may not", "forbidden by"),
    };
    let mut text = format!("{}: {} {may} {}{on}\n", word(answer.decision), asked.principal, asked.action);
    text += &match answer.policies.as_slice() {
        [] => "no policy permits it\n".to_owned(),
        policies => format!("{by}: {}\n", policies.join(", ")),
    };
    text.extend(answer.why_not.iter().map(|lacks| format!("{lacks}\n")));
    text.extend(answer.errors.iter().map(|error| format!("error: {error}\n")));
    text
}

/// The text of a file, or of standard input.
fn read(file: &Path) -> Result<String, CliError> {
    let unreadable =
        |error: std::io::Error| CliError::new(Kind::Usage, format!("can't read {}: {error}", file.display()));
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(unreadable)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(unreadable)
}

/// Sends a text. What is wrong with it is shown with its place in the file.
async fn send<T>(
    file: &Path,
    text: &str,
    call: impl Future<Output = Result<T, ClientError>>,
    printer: &Printer,
) -> Result<T, CliError> {
    match connect::answer(printer, call).await? {
        Err(ClientError::Answered(failure)) if failure.code == Code::InvalidRequest => {
            let problems = failure.details.as_ref().and_then(|details| details.get("problems")).cloned();
            let problems: Option<Vec<PolicyProblem>> =
                problems.and_then(|problems| serde_json::from_value(problems).ok());
            match problems.filter(|problems| problems.iter().all(|problem| problem.pointer == "/content")) {
                Some(problems) if !problems.is_empty() => {
                    Err(CliError { request_id: Some(failure.request_id), ..marked(file, text, problems) })
                }
                _ => Err(connect::failure(&ClientError::Answered(failure))),
            }
        }
        other => other.map_err(|error| connect::failure(&error)),
    }
}

/// The problems as those of any other file are shown: with the line, marked.
fn marked(file: &Path, text: &str, problems: Vec<PolicyProblem>) -> CliError {
    let file = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let located = |problem: PolicyProblem| Problem {
        file: file.clone(),
        position: Some((problem.line, problem.column)),
        path: String::new(),
        message: problem.what,
        excerpt: excerpt(text, (problem.line, problem.column)),
        hint: problem.hint,
    };
    let problems = problems.into_iter().map(located).collect();
    CliError::of(Kind::Usage, &SettingsError::Invalid { file: file.clone(), problems })
}

fn rows(policies: &[PolicyView], now: Timestamp) -> Rows {
    let cells = |policy: &PolicyView| {
        vec![
            policy.name.to_string(),
            if policy.enabled { "enabled" } else { "disabled" }.to_owned(),
            policy.version.to_string(),
            if policy.shipped { "prov" } else { "own" }.to_owned(),
            age(policy.updated_at, now),
            policy.description.clone(),
            by(&policy.updated_by),
            policy.id.to_string(),
        ]
    };
    let header = vec!["NAME", "STATE", "VERSION", "ORIGIN", "CHANGED", "DESCRIPTION", "BY", "ID"];
    Rows { header, narrow: 6, rows: policies.iter().map(cells).collect() }
}

fn version_rows(versions: &[PolicyView], now: Timestamp) -> Rows {
    let cells = |policy: &PolicyView| {
        vec![
            policy.version.to_string(),
            policy.name.to_string(),
            if policy.enabled { "enabled" } else { "disabled" }.to_owned(),
            age(policy.updated_at, now),
            by(&policy.updated_by),
            policy.description.clone(),
        ]
    };
    let header = vec!["VERSION", "NAME", "STATE", "AGE", "BY", "DESCRIPTION"];
    Rows { narrow: header.len(), header, rows: versions.iter().map(cells).collect() }
}

fn by(user: &str) -> String {
    if user.is_empty() { "prov".to_owned() } else { user.to_owned() }
}

fn show_change(policy: &PolicyView, printer: &Printer) -> Result<(), CliError> {
    let state = if policy.enabled { "in force" } else { "disabled" };
    printer.item(policy, policy.name.as_str(), |policy| {
        format!("policy {} is {state}, in version {}\n", policy.name, policy.version)
    })
}

fn show(policy: &PolicyView, printer: &Printer) -> Result<(), CliError> {
    printer.item(policy, policy.name.as_str(), |policy| {
        let state = if policy.enabled { "enabled" } else { "disabled" };
        format!(
            "name:         {}\nid:           {}\nstate:        {state}\nversion:      {}\ndescription:  {}\nchanged:      {} by {}\n\n{}\n",
            policy.name,
            policy.id,
            policy.version,
            policy.description,
            policy.updated_at,
            by(&policy.updated_by),
            policy.content.trim_end(),
        )
    })
}

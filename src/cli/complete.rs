//! Candidates for shell completion that only the daemon or the disk knows: ids of tasks, batches, checkpoints and rollbacks, names of policies, infras,
//! servers, task services and clusters.
//!
//! A shell waits while this runs, so the daemon has 200 ms; whatever goes wrong, there are just no candidates. Which
//! workspace is meant stands on the command line that is being completed, where it says so.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use super::Cli;
use super::connect;
use super::error::CliError;
use crate::api::batch::BatchQuery;
use crate::api::list::Page;
use crate::api::policy::PolicyQuery;
use crate::api::task::TaskQuery;
use crate::api::token::OwnerQuery;
use crate::api::users::UserAccount;
use crate::api::webhook::WebhookQuery;
use crate::client::{Client, ClientError};
use crate::model::name::Name;
use crate::provision::lock;
use crate::provision::report::Reporter;
use crate::provision::servers::existing;
use crate::provision::taskserv::library::Library;
use crate::provision::workspace::Workspace;

/// How long the daemon may take.
const PATIENCE: Duration = Duration::from_millis(200);

/// Ids of recent tasks.
pub(super) fn tasks() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        ask(async |client: Client| {
            let part = client.task_list(&TaskQuery::default()).await?;
            Ok(part.items.iter().map(|task| candidate(&task.id, &format!("{} {}", task.name, task.status))).collect())
        })
    })
}

/// Ids of recent batches.
pub(super) fn batches() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        ask(async |client: Client| {
            let part = client.batch_list(&BatchQuery::default()).await?;
            Ok(part
                .items
                .iter()
                .map(|batch| candidate(&batch.batch_id, &format!("{} {}", batch.name, batch.status)))
                .collect())
        })
    })
}

/// Ids of recent checkpoints.
pub(super) fn checkpoints() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        ask(async |client: Client| {
            let part = client.checkpoint_list(&Page::default()).await?;
            Ok(part.items.iter().map(|checkpoint| candidate(&checkpoint.id, &checkpoint.name)).collect())
        })
    })
}

/// Ids of recent rollbacks.
pub(super) fn rollbacks() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        ask(async |client: Client| {
            let part = client.rollback_list(&Page::default()).await?;
            Ok(part.items.iter().map(|one| candidate(&one.rollback_id, one.status.as_str())).collect())
        })
    })
}

/// Ids of recent batches and tasks.
pub(super) fn works() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        ask(async |client: Client| {
            let batches = client.batch_list(&BatchQuery::default()).await?.items;
            let batches =
                batches.iter().map(|batch| candidate(&batch.batch_id, &format!("{} {}", batch.name, batch.status)));
            let mut works: Vec<_> = batches.collect();
            let tasks = client.task_list(&TaskQuery::default()).await?.items;
            works.extend(tasks.iter().map(|task| candidate(&task.id, &format!("{} {}", task.name, task.status))));
            Ok(works)
        })
    })
}

/// Names of policies.
pub(super) fn policies() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        ask(async |client: Client| {
            let part = client.policy_list(&PolicyQuery::default()).await?;
            Ok(part.items.iter().map(|policy| candidate(&policy.name, &policy.description)).collect())
        })
    })
}

/// Names of users.
pub(super) fn users() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        ask(async |client: Client| {
            let part = client.user_list(&Page { limit: Page::MAX_LIMIT, ..Page::default() }).await?;
            let roles = |user: &UserAccount| user.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            Ok(part.items.iter().map(|user| candidate(&user.username, &roles(user))).collect())
        })
    })
}

/// Names of one's own API tokens.
pub(super) fn tokens() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        ask(async |client: Client| {
            let tokens = client.token_list(&OwnerQuery::default()).await?;
            Ok(tokens.iter().map(|token| candidate(&token.name, &token.prefix)).collect())
        })
    })
}

/// Ids of webhooks.
pub(super) fn webhooks() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        ask(async |client: Client| {
            let part = client.webhook_list(&WebhookQuery::default()).await?;
            Ok(part.items.iter().map(|webhook| candidate(&webhook.id, &webhook.url)).collect())
        })
    })
}

/// Names of the contexts that are kept.
pub(super) fn contexts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let contexts = connect::sessions().ok().and_then(|sessions| sessions.contexts().ok()).unwrap_or_default();
        named(contexts.into_iter().map(|context| context.name.to_string()).collect())
    })
}

/// What `prov help` knows.
pub(super) fn topics() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let cli = Cli::command();
        let commands = cli.get_subcommands().map(|command| command.get_name().to_owned());
        named(commands.chain(["exit-codes", "environment", "plugins"].map(str::to_owned)).collect())
    })
}

/// The command tree that candidates come from: an alias is for those who know it, and not offered beside its command.
pub(super) fn tree() -> Command {
    without_aliases(Cli::command())
}

fn without_aliases(command: Command) -> Command {
    let aliases: Vec<String> = command.get_visible_aliases().map(str::to_owned).collect();
    command.visible_alias(None::<&'static str>).aliases(aliases).mut_subcommands(without_aliases)
}

/// The infras of the workspace.
pub(super) fn infras() -> ArgValueCandidates {
    ArgValueCandidates::new(|| named(workspace().as_ref().map(all_infras).unwrap_or_default()))
}

/// The servers that were made in the workspace: of the infra named, else of all.
pub(super) fn servers() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let Some(workspace) = workspace() else { return Vec::new() };
        let infras = infra().map_or_else(|| lock::known_infras(&workspace), |infra| vec![infra]);
        let reporter = Reporter::silent();
        let servers = infras.iter().flat_map(|infra| existing(&workspace, infra, &reporter).recorded());
        named(servers.map(|name| name.to_string()).collect())
    })
}

/// The task services that the workspace knows, prov's own among them.
pub(super) fn taskservs() -> ArgValueCandidates {
    ArgValueCandidates::new(|| definitions("taskservs"))
}

/// The cluster definitions that the workspace knows.
pub(super) fn cluster_types() -> ArgValueCandidates {
    ArgValueCandidates::new(|| definitions("clusters"))
}

fn definitions(kind: &str) -> Vec<CompletionCandidate> {
    let Some(workspace) = workspace() else { return Vec::new() };
    let infra = infra().or_else(|| Name::new("none").ok());
    let names = infra.map(|infra| Library::of(&workspace, &infra).names(kind)).unwrap_or_default();
    named(names.into_iter().collect())
}

fn all_infras(workspace: &Workspace) -> BTreeSet<String> {
    let described = workspace.infras().unwrap_or_default().into_iter();
    described.chain(lock::known_infras(workspace)).map(|infra| infra.to_string()).collect()
}

fn named(names: BTreeSet<String>) -> Vec<CompletionCandidate> {
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn candidate(id: &impl ToString, help: &str) -> CompletionCandidate {
    CompletionCandidate::new(id.to_string()).help(Some(help.to_owned().into()))
}

/// The workspace of the command line that is being completed, else of the environment, else the current directory.
fn workspace() -> Option<Workspace> {
    let directory = given(&["--workspace"]).map(PathBuf::from);
    let directory = directory.or_else(|| std::env::var_os("PROV_WORKSPACE").map(PathBuf::from));
    Workspace::open(&directory.unwrap_or_else(|| PathBuf::from("."))).ok()
}

/// The infra of the command line that is being completed.
fn infra() -> Option<Name> {
    let given = given(&["--infra", "-i"]).or_else(|| std::env::var("PROV_INFRA").ok());
    given.and_then(|name| Name::new(name).ok())
}

/// The value of an option on the command line that is being completed: the shell hands it over behind `--`.
fn given(names: &[&str]) -> Option<String> {
    let words: Vec<String> = std::env::args().skip_while(|word| word != "--").skip(1).collect();
    value(&words, names)
}

fn value(words: &[String], names: &[&str]) -> Option<String> {
    let (mut words, mut found) = (words.iter(), None);
    while let Some(word) = words.next() {
        let (name, inline) = word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        if names.contains(&name) {
            found = inline.or_else(|| words.next().map(String::as_str)).map(str::to_owned);
        }
    }
    found.filter(|value| !value.is_empty())
}

fn ask<F>(list: impl FnOnce(Client) -> F) -> Vec<CompletionCandidate>
where
    F: Future<Output = Result<Vec<CompletionCandidate>, ClientError>>,
{
    let asked = connect::block_on(async {
        let client = connect::client()?;
        let listed = tokio::time::timeout(PATIENCE, list(client)).await;
        Ok::<_, CliError>(listed.ok().and_then(Result::ok).unwrap_or_default())
    });
    asked.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_on_the_line_that_is_completed() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let found = |line: &str| value(&words(line), &["--infra", "-i"]);
        assert_eq!(found("prov servers delete --infra a w"), Some("a".to_owned()));
        assert_eq!(found("prov servers delete -i a --infra=b w"), Some("b".to_owned()));
        assert_eq!(found("prov servers delete w"), None);
        assert_eq!(found("prov servers delete --infra"), None);
    }
}

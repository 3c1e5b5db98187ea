//! Candidates for shell completion that only the daemon or the disk knows: ids of tasks and batches, names of infras.
//!
//! A shell waits while this runs, so the daemon has 200 ms; whatever goes wrong, there are just no candidates.

use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};

use super::connect;
use super::error::CliError;
use crate::api::batch::BatchQuery;
use crate::api::task::TaskQuery;
use crate::client::{Client, ClientError};
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

/// The infras of the workspace.
pub(super) fn infras() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let directory = std::env::var_os("PROV_WORKSPACE").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let infras = Workspace::open(&directory).and_then(|workspace| workspace.infras()).unwrap_or_default();
        infras.iter().map(|infra| CompletionCandidate::new(infra.as_str())).collect()
    })
}

fn candidate(id: &impl ToString, help: &str) -> CompletionCandidate {
    CompletionCandidate::new(id.to_string()).help(Some(help.to_owned().into()))
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

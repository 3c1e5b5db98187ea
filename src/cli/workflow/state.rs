//! `prov workflow progress` and `prov workflow snapshots`: how far work is, and what became of it.

use std::process::ExitCode;
use std::time::Duration;

use crate::api::state::{OperationSnapshot, Progress, Snapshot, SnapshotQuery};
use crate::cli::connect::{self, ask, block_on};
use crate::cli::error::CliError;
use crate::cli::printer::{Rows, age, counted, or_dash, short};
use crate::cli::{Global, Printer, complete};
use crate::model::id::WorkId;
use crate::model::time::Timestamp;

#[derive(Debug, clap::Args)]
pub(super) struct SnapshotArgs {
    /// The id of a workflow's task, or of a batch
    #[arg(value_name = "ID", add = complete::works())]
    id: WorkId,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Pass over so many of the newest
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
    /// Only those before this snapshot
    #[arg(long, value_name = "SNAPSHOT")]
    after: Option<u64>,
}

/// Shows how far work is.
pub(super) fn progress(id: WorkId, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    block_on(async {
        let progress = ask(&printer, client.workflow_progress(id)).await?;
        printer.item(&progress, &id.to_string(), progress_text)?;
        Ok(ExitCode::SUCCESS)
    })
}

fn progress_text(progress: &Progress) -> String {
    let left = match progress.estimated_time_remaining {
        None => "not known yet".to_owned(),
        Some(seconds) => short(Duration::from_secs(seconds)),
    };
    let lines = [
        format!("id:         {}", progress.workflow_id),
        format!("status:     {}", progress.status),
        format!("progress:   {:.0}%", progress.progress * 100.0),
        format!("step:       {}", or_dash(progress.current_step.as_ref())),
        format!("steps:      {} of {}", progress.completed_steps, progress.total_steps),
        format!("remaining:  {left}"),
    ];
    lines.join("\n") + "\n"
}

/// Lists what became of work.
pub(super) fn snapshots(args: &SnapshotArgs, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    block_on(async {
        let query = SnapshotQuery { limit: usize::from(args.limit), offset: args.offset, after: args.after };
        let part = ask(&printer, client.workflow_snapshots(args.id, &query)).await?;
        printer.part(&part, args.offset, "--offset, --after or --limit", |all| snapshot_rows(all, Timestamp::now()))?;
        Ok(ExitCode::SUCCESS)
    })
}

fn snapshot_rows(snapshots: &[Snapshot], now: Timestamp) -> Rows {
    let changed = |operations: &[OperationSnapshot]| match operations {
        [] => "-".to_owned(),
        [one] => format!("{} {}", one.operation_id, one.status),
        more => counted(more.len(), "operation"),
    };
    let cells = |snapshot: &Snapshot| {
        let state = &snapshot.state;
        let error = state.operations.iter().find_map(|one| one.error.as_ref()).or(state.error.as_ref());
        vec![
            snapshot.snapshot_id.to_string(),
            age(snapshot.timestamp, now),
            state.status.to_string(),
            format!("{}/{}", state.completed_steps, state.total_steps),
            changed(&state.operations),
            or_dash(error),
        ]
    };
    Rows {
        header: vec!["SNAPSHOT", "AGE", "STATUS", "STEPS", "CHANGED", "ERROR"],
        narrow: 6,
        rows: snapshots.iter().map(cells).collect(),
    }
}

//! `prov checkpoint …`.

use std::process::ExitCode;

use clap::Subcommand;

use super::complete;
use super::connect::{self, ask, block_on};
use super::error::CliError;
use super::page::PageArgs;
use super::printer::{Rows, age, or_dash};
use super::{Global, Printer};
use crate::api::rollback::CheckpointRequest;
use crate::model::id::CheckpointId;
use crate::model::rollback::Checkpoint;
use crate::model::time::Timestamp;

/// Checkpoints: positions in the log of completed work that can be gone back to
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a checkpoint
    Create(Create),
    /// List checkpoints, newest first: your own, and those that batches make by themselves
    List(PageArgs),
    /// Show one checkpoint
    Get(One),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// What it is called
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
}

#[derive(Debug, clap::Args)]
struct One {
    /// The checkpoint's id
    #[arg(value_name = "ID", add = complete::checkpoints())]
    id: CheckpointId,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    block_on(async {
        match &args.verb {
            Verb::Create(Create { name, description }) => {
                let request = CheckpointRequest { name: name.clone(), description: description.clone() };
                let made = ask(&printer, client.checkpoint_create(&request)).await?;
                printer.item(&made, &made.id.to_string(), |made| format!("{}\n", made.id))?;
            }
            Verb::List(list) => {
                let part = ask(&printer, client.checkpoint_list(&list.page())).await?;
                printer.part(&part, list.offset, "--offset or --limit", |all| rows(all, Timestamp::now()))?;
            }
            Verb::Get(one) => {
                let found = ask(&printer, client.checkpoint_get(one.id)).await?;
                printer.item(&found, &found.id.to_string(), text)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn rows(checkpoints: &[Checkpoint], now: Timestamp) -> Rows {
    let cells = |checkpoint: &Checkpoint| {
        vec![
            checkpoint.id.to_string(),
            checkpoint.name.clone(),
            age(checkpoint.created_at, now),
            checkpoint.created_by.clone(),
            or_dash(checkpoint.batch_id),
            or_dash(Some(&checkpoint.description).filter(|text| !text.is_empty())),
        ]
    };
    Rows {
        header: vec!["ID", "NAME", "AGE", "BY", "BATCH", "DESCRIPTION"],
        narrow: 5,
        rows: checkpoints.iter().map(cells).collect(),
    }
}

fn text(checkpoint: &Checkpoint) -> String {
    let lines = [
        format!("{} {}", checkpoint.name, checkpoint.id),
        format!("made:   {} by {}", checkpoint.created_at, checkpoint.created_by),
        format!("batch:  {}", or_dash(checkpoint.batch_id)),
        format!("place:  {}", checkpoint.place),
    ];
    let description = Some(&checkpoint.description).filter(|text| !text.is_empty());
    lines.into_iter().chain(description.cloned()).collect::<Vec<_>>().join("\n") + "\n"
}

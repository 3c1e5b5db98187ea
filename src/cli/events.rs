//! `prov events`: what happens, as it happens.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::connect::{self, block_on, failure};
use super::error::{CliError, Kind};
use super::printer::{Format, Reader};
use super::{Global, Printer, style};
use crate::api::event::{Event, EventQuery, Frame, Topics};
use crate::api::state::{ComponentHealth, Health};
use crate::client::{Client, Events};
use crate::model::id::WorkId;

/// How long the daemon may be away before following gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long between attempts to reach it.
const PAUSE: Duration = Duration::from_millis(500);

/// Show what happens, as it happens
///
/// A line for every change of a task, an operation or a batch that you may see. It goes on until you press Ctrl-C, and after a
/// break where it was.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these: task, batch, system [default: all]
    #[arg(long, value_name = "TOPIC,…")]
    topics: Option<Topics>,
    /// Begin after this sequence number; 0 begins with the first that is kept [default: from now on]
    #[arg(long, value_name = "N")]
    since: Option<u64>,
    /// Only what happens to this batch or this workflow's task
    #[arg(long, value_name = "ID")]
    work: Option<WorkId>,
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    if matches!(printer.format(), Format::Yaml | Format::Name) {
        let error = CliError::new(Kind::Usage, "events come as a table or as JSON");
        return Err(error.hint("prov events -o jsonl".to_owned()));
    }
    let query = EventQuery { topics: args.topics.unwrap_or_default(), since: args.since, work: args.work };
    block_on(async {
        tokio::select! {
            biased;
            ended = tail(&client, query, &printer) => ended,
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
        }
    })
}

async fn tail(client: &Client, query: EventQuery, printer: &Printer) -> Result<ExitCode, CliError> {
    let mut events = client.events(query);
    let mut was_there = false;
    loop {
        let frame = next(&mut events, was_there, printer).await?;
        was_there = true;
        let line = if printer.format().is_structured() {
            serde_json::to_string(&frame).unwrap_or_default()
        } else {
            line(&frame)
        };
        if printer.write(format!("{line}\n").as_bytes())? == Reader::Gone {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// The next frame. A daemon that is away for a while is waited for, but one that was never there is not.
async fn next(events: &mut Events<'_>, was_there: bool, printer: &Printer) -> Result<Frame, CliError> {
    let mut away: Option<Instant> = None;
    loop {
        match events.next().await {
            Ok(frame) => return Ok(frame),
            Err(error) if error.is_away() && (was_there || away.is_some()) => {
                let since = away.get_or_insert_with(|| {
                    printer.remark("the daemon is away; waiting for it");
                    Instant::now()
                });
                if since.elapsed() > PATIENCE {
                    return Err(failure(&error));
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(failure(&error)),
        }
    }
}

/// A frame for people: when, what, how it is now, and why.
fn line(frame: &Frame) -> String {
    let (what, status, more) = match &frame.event {
        Event::TaskStatusChanged { task_id, name, operation_id, status, error, .. } => {
            let name = operation_id.as_ref().map(ToString::to_string).or_else(|| name.clone()).unwrap_or_default();
            (format!("task {task_id} {name}"), status.to_string(), error.clone())
        }
        Event::BatchOperationUpdate { batch_id, operation_id, status, error, .. } => {
            (format!("batch {batch_id} operation {operation_id}"), status.to_string(), error.clone())
        }
        Event::WorkflowProgressUpdate { workflow_id, status, completed_steps, total_steps, error, .. } => {
            let done = format!("{completed_steps} of {total_steps} done");
            let more = error.as_ref().map_or_else(|| done.clone(), |error| format!("{done}; {error}"));
            (format!("work {workflow_id}"), status.to_string(), Some(more))
        }
        Event::SystemHealthUpdate { health, .. } => {
            let ill = |(name, part): (&String, &ComponentHealth)| Some(format!("{name}: {}", part.reason.as_ref()?));
            let ill: Vec<String> =
                health.components.iter().filter(|(_, part)| part.status > Health::Healthy).filter_map(ill).collect();
            (
                "the daemon".to_owned(),
                health.overall_status.as_str().to_owned(),
                (!ill.is_empty()).then(|| ill.join("; ")),
            )
        }
    };
    let time = frame.timestamp.to_string();
    let clock = time.get(11..23).unwrap_or(&time);
    let more = more.map(|more| format!("  {}", more.replace('\n', " "))).unwrap_or_default();
    let shown = format!("{status:<12}");
    let status = style::coloured(&status, &shown);
    format!("{clock}  {status}  {what}{more}")
}

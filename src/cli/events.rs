//! `prov events`: what happens, as it happens.

use std::process::ExitCode;

use super::away::Away;
use super::connect::{self, block_on, failure};
use super::error::{CliError, Kind};
use super::printer::{self, Format, Reader};
use super::{Global, Printer, style};
use crate::api::event::{Event, EventQuery, Frame, Topics};
use crate::api::state::{ComponentHealth, Health};
use crate::client::{Client, Events};
use crate::model::id::WorkId;

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
    let (mut events, mut away) = (client.events(query), Away::default());
    loop {
        let frame = next(&mut events, &mut away, printer).await?;
        let line = if printer.format().is_structured() {
            serde_json::to_string(&frame).unwrap_or_default()
        } else {
            line(&frame, printer.format())
        };
        if printer.write(format!("{line}\n").as_bytes())? == Reader::Gone {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// The next frame. A daemon that is away for a while is waited for, but one that was never there is not.
async fn next(events: &mut Events<'_>, away: &mut Away, printer: &Printer) -> Result<Frame, CliError> {
    loop {
        match events.next().await {
            Ok(frame) => {
                away.came();
                return Ok(frame);
            }
            Err(error) if error.is_away() && events.connections() > 0 => {
                away.wait(&error, events.connections(), Some(printer)).await?;
            }
            Err(error) => return Err(failure(&error)),
        }
    }
}

/// A frame for people: when, how it is now, of what, and why.
fn line(frame: &Frame, format: Format) -> String {
    let (id, status, what, more) = match &frame.event {
        Event::TaskStatusChanged { task_id, name, operation_id, status, error, .. } => {
            let name = operation_id.as_ref().map(ToString::to_string).or_else(|| name.clone()).unwrap_or_default();
            (task_id.to_string(), status.as_str(), format!("task {name}"), error.clone())
        }
        Event::BatchOperationUpdate { batch_id, operation_id, status, error, .. } => {
            (batch_id.to_string(), status.as_str(), format!("operation {operation_id}"), error.clone())
        }
        Event::WorkflowProgressUpdate { workflow_id, status, completed_steps, total_steps, error, .. } => {
            let done = format!("{completed_steps} of {total_steps} done");
            (workflow_id.to_string(), status.as_str(), done, error.clone())
        }
        Event::SystemHealthUpdate { health, .. } => {
            let ill = |(name, part): (&String, &ComponentHealth)| Some(format!("{name}: {}", part.reason.as_ref()?));
            let ill: Vec<String> =
                health.components.iter().filter(|(_, part)| part.status > Health::Healthy).filter_map(ill).collect();
            let ill = (!ill.is_empty()).then(|| ill.join("; "));
            ("-".to_owned(), health.overall_status.as_str(), "the daemon".to_owned(), ill)
        }
    };
    let time = frame.timestamp.to_string();
    // A terminal has no room for what only programs compare.
    let clock = time.get(11..if format == Format::Table { 19 } else { 23 }).unwrap_or(&time);
    let more = more.map(|more| format!(": {more}")).unwrap_or_default();
    let shown = printer::one_line(&format!("{clock}  {status:<14}  {id}  {what}{more}"), format);
    shown.replacen(status, &style::coloured(status, status), 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_says_when_how_what_and_why_and_nothing_else() {
        let frame = json!({
            "sequence": 4, "timestamp": "2026-11-27T16:00:01.250Z", "event_type": "BatchOperationUpdate",
            "data": {
                "batch_id": "00000000-0000-0000-0000-000000000001", "operation_id": "web", "status": "Failed",
                "previous_status": "Running", "task_id": null, "attempt": 1, "error": "exit status 3:\nno \u{1b}[31mroom",
            },
            "metadata": { "infra": "lab", "submitted_by": "admin" },
        });
        let frame: Frame = serde_json::from_value(frame).unwrap();
        let id = "00000000-0000-0000-0000-000000000001";
        let why = "operation web: exit status 3: no  [31mroom";
        assert_eq!(line(&frame, Format::Table), format!("16:00:01  Failed          {id}  {why}"));
        assert_eq!(line(&frame, Format::Wide), format!("16:00:01.250  Failed          {id}  {why}"));
    }
}

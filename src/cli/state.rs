//! `prov state …`: how the daemon does, and what became of its work.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::connect::{self, ask, block_on};
use super::error::{CliError, Kind};
use super::printer::{self, Rows, or_dash, short};
use super::watch::duration;
use super::{Global, Printer};
use crate::api::state::{Health, Statistics, StatisticsQuery, Summary, SystemHealth, SystemMetrics};
use crate::client::Client;
use crate::model::status::TaskStatus;
use crate::model::time::{FirstMoment, LastMoment, Timestamp};

/// State: how the daemon does, and what became of its work
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show how the daemon does, part by part; exit code 1 when something of it doesn't work
    Health,
    /// Show figures of the machine and of the work
    Metrics,
    /// Show what became of the tasks that ended in a span of time
    Stats(StatsArgs),
}

#[derive(Debug, clap::Args)]
struct StatsArgs {
    /// From this time or date on, or from so long ago, such as 12h or 30d [default: a week before the end]
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// Up to this time or date, or to so long ago [default: now]
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<Timestamp>,
}

fn since(text: &str) -> Result<Timestamp, String> {
    moment(text, |text| text.parse::<FirstMoment>().map(|moment| moment.0).ok())
}

fn until(text: &str) -> Result<Timestamp, String> {
    moment(text, |text| text.parse::<LastMoment>().map(|moment| moment.0).ok())
}

fn moment(text: &str, point: impl Fn(&str) -> Option<Timestamp>) -> Result<Timestamp, String> {
    let ago = || duration(text).ok().map(|ago| Timestamp::now().minus(ago));
    let what = "write a time such as 2026-11-27T16:00:00Z, a date such as 2026-11-27, or how long ago as in 12h or 30d";
    point(text).or_else(ago).ok_or_else(|| what.to_owned())
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    block_on(async {
        match &args.verb {
            Verb::Health => health(&client, &printer).await,
            Verb::Metrics => {
                let metrics = ask(&printer, client.system_metrics()).await?;
                printer.item(&metrics, "metrics", metrics_text)?;
                Ok(ExitCode::SUCCESS)
            }
            Verb::Stats(args) => {
                let query = StatisticsQuery { since: args.since, until: args.until };
                let statistics = ask(&printer, client.statistics(&query)).await?;
                printer.item(&statistics, "stats", statistics_text)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

async fn health(client: &Client, printer: &Printer) -> Result<ExitCode, CliError> {
    let health = ask(printer, client.system_health()).await?;
    printer.item(&health, health.overall_status.as_str(), health_text)?;
    Ok(match health.overall_status {
        Health::Unhealthy => ExitCode::from(Kind::Failure.code()),
        _ => ExitCode::SUCCESS,
    })
}

fn health_text(health: &SystemHealth) -> String {
    let row = |name: &str, status: Health, reason: Option<&String>| {
        vec![name.to_owned(), status.as_str().to_owned(), or_dash(reason)]
    };
    let parts = health.components.iter().map(|(name, part)| row(name, part.status, part.reason.as_ref()));
    let rows = parts.chain([row("overall", health.overall_status, None)]).collect();
    printer::text(&Rows { header: vec!["COMPONENT", "STATUS", "REASON"], narrow: 3, rows })
}

fn metrics_text(metrics: &SystemMetrics) -> String {
    let lines = [
        format!("processors:  {}", share(metrics.cpu_usage)),
        format!("memory:      {}", share(metrics.memory_usage)),
        format!("disk:        {}", share(metrics.disk_usage)),
        format!("network:     {:.1} kB/s", metrics.network_usage / 1000.0),
        format!("active:      {}", metrics.active_workflows),
        format!("queued:      {}", metrics.queued_tasks),
        format!("running:     {}", metrics.running_tasks),
        format!("completed:   {}", metrics.completed_tasks),
        format!("failed:      {}", metrics.failed_tasks),
        format!("cancelled:   {}", metrics.cancelled_tasks),
        format!("up for:      {}", short(Duration::from_secs(metrics.uptime_seconds))),
    ];
    lines.join("\n") + "\n"
}

fn statistics_text(statistics: &Statistics) -> String {
    let groups =
        [("infra", &statistics.by_infra), ("provider", &statistics.by_provider), ("type", &statistics.by_type)];
    let mut rows = vec![cells("all", "", &statistics.all)];
    for (by, group) in groups {
        rows.extend(group.iter().map(|(name, summary)| cells(by, name, summary)));
    }
    let header = vec!["BY", "NAME", "TOTAL", "COMPLETED", "FAILED", "CANCELLED", "SUCCESS", "MEAN"];
    let table = printer::text(&Rows { header, narrow: 8, rows });
    format!("{table}from {} to {}\n", statistics.since, statistics.until)
}

fn cells(by: &str, name: &str, summary: &Summary) -> Vec<String> {
    let of = |status| summary.totals.get(&status).copied().unwrap_or(0).to_string();
    vec![
        by.to_owned(),
        name.to_owned(),
        summary.total.to_string(),
        of(TaskStatus::Completed),
        of(TaskStatus::Failed),
        of(TaskStatus::Cancelled),
        or_dash(summary.success_rate.map(share)),
        or_dash(summary.average_completion_time.map(|seconds| format!("{seconds:.1}s"))),
    ]
}

fn share(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::state::ComponentHealth;

    #[test]
    fn each_part_has_its_line_and_the_whole_the_last() {
        let part = |status, reason: Option<&str>| ComponentHealth { status, reason: reason.map(str::to_owned) };
        let components = [
            ("executor".to_owned(), part(Health::Healthy, None)),
            ("store".to_owned(), part(Health::Unhealthy, Some("the disk is full"))),
        ];
        let health =
            SystemHealth { overall_status: Health::Unhealthy, components: components.into(), last_check: Timestamp(0) };
        let expected = "COMPONENT  STATUS     REASON\nexecutor   Healthy    -\nstore      Unhealthy  the disk is full\n\
            overall    Unhealthy  -\n";
        assert_eq!(health_text(&health), expected);
    }

    #[test]
    fn statistics_are_a_table_of_the_whole_and_its_groups() {
        let totals = [(TaskStatus::Completed, 3), (TaskStatus::Failed, 1), (TaskStatus::Cancelled, 0)].into();
        let all = Summary { total: 4, totals, average_completion_time: Some(2.04), success_rate: Some(0.75) };
        let statistics = Statistics {
            since: Timestamp(0),
            until: Timestamp(3_600_000),
            by_infra: [("lab".to_owned(), all.clone())].into(),
            by_provider: std::collections::BTreeMap::new(),
            by_type: [("command".to_owned(), Summary::default())].into(),
            all,
        };
        let expected = "\
BY     NAME     TOTAL  COMPLETED  FAILED  CANCELLED  SUCCESS  MEAN
all             4      3          1       0          75%      2.0s
infra  lab      4      3          1       0          75%      2.0s
type   command  0      0          0       0          -        -
from 1970-01-01T00:00:00.000Z to 1970-01-01T01:00:00.000Z
";
        assert_eq!(statistics_text(&statistics), expected);
    }

    #[test]
    fn a_span_begins_at_a_moment_or_so_long_ago() {
        assert_eq!(since("1970-01-02"), Ok(Timestamp(86_400_000)));
        assert_eq!(until("1970-01-01"), Ok(Timestamp(86_399_999)));
        assert!(since("2h").is_ok_and(|time| time < Timestamp::now()));
        assert!(since("soon").unwrap_err().contains("30d"));
    }
}

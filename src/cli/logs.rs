//! `prov logs …`: the daemon's own log.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Subcommand;

use super::away::Away;
use super::connect::{self, ask, block_on, failure};
use super::error::{CliError, Kind};
use super::invisible::blanked;
use super::printer::{Format, Reader, Rows};
use super::words::one_of;
use super::{Global, Printer, style};
use crate::api::live::Notice;
use crate::api::logs::{
    COMPONENTS, Component, DEFAULT, DaemonLogQuery, LogLevel, LogLevels, LogLevelsChange, LogLine, LogMessage,
};
use crate::client::{Client, DaemonLog};
use crate::model::nearest::unknown;

/// Show the daemon's own log, and how much it logs
///
/// The newest lines that the daemon keeps in memory, or those that come; what tasks print is in `prov tasks logs`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: ShowArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show how much each part of the daemon logs, or change it until the daemon ends
    Level(LevelArgs),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// Only what matters at least so much
    #[arg(long, value_name = "LEVEL", ignore_case = true, value_parser = one_of(&LogLevel::ALL, LogLevel::as_str))]
    level: Option<LogLevel>,
    /// Only what this part of the daemon says
    #[arg(long, value_name = "COMPONENT", value_parser = component())]
    component: Option<Component>,
    /// Only lines with this text, in capitals or not
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only the last so many lines of what is kept
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
}

#[derive(Debug, clap::Args)]
struct LevelArgs {
    /// Such as `scheduler=debug`; `default=warn` for all without a level of their own, `scheduler=default` to take one away
    #[arg(value_name = "COMPONENT=LEVEL")]
    levels: Vec<Wanted>,
}

/// A level for a component, or for all without one.
#[derive(Clone, Debug)]
struct Wanted(Option<Component>, Option<LogLevel>);

impl std::str::FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, level) = text.split_once('=').ok_or("write COMPONENT=LEVEL, such as scheduler=debug")?;
        match (name, level) {
            (DEFAULT, level) => Ok(Self(None, Some(level.parse()?))),
            (name, DEFAULT) => Ok(Self(Some(component_of(name)?), None)),
            (name, level) => Ok(Self(Some(component_of(name)?), Some(level.parse()?))),
        }
    }
}

fn component_of(name: &str) -> Result<Component, String> {
    let known: Vec<&str> = COMPONENTS.iter().copied().chain([DEFAULT]).collect();
    name.parse().map_err(|_| unknown("component", name, &known))
}

fn component() -> impl clap::builder::TypedValueParser<Value = Component> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(COMPONENTS).try_map(|name| name.parse::<Component>())
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    block_on(async {
        match args.verb {
            Some(Verb::Level(args)) => level(&client, args.levels, &printer).await,
            None => tokio::select! {
                biased;
                ended = show(&client, args.show, &printer) => ended,
                _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
            },
        }
    })
}

async fn level(client: &Client, wanted: Vec<Wanted>, printer: &Printer) -> Result<ExitCode, CliError> {
    let levels = if wanted.is_empty() {
        ask(printer, client.log_levels_get()).await?
    } else {
        ask(printer, client.log_levels_update(&change(wanted))).await?
    };
    if printer.format() == Format::Json || printer.format() == Format::Yaml || printer.format() == Format::Jsonl {
        printer.item(&levels, "", |_| String::new())?;
    } else {
        printer.list(&[&levels], |_| rows(&levels))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn change(wanted: Vec<Wanted>) -> LogLevelsChange {
    let (mut default, mut components) = (None, BTreeMap::new());
    for Wanted(component, level) in wanted {
        match component {
            Some(component) => drop(components.insert(component, level)),
            None => default = level,
        }
    }
    LogLevelsChange { default, components }
}

fn rows(levels: &LogLevels) -> Rows {
    let row = |name: &str, level: LogLevel| vec![name.to_owned(), level.to_string()];
    let components = levels.components.iter().map(|(name, level)| row(name, *level));
    Rows {
        header: vec!["COMPONENT", "LEVEL"],
        narrow: 2,
        rows: std::iter::once(row(DEFAULT, levels.default)).chain(components).collect(),
    }
}

async fn show(client: &Client, args: ShowArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    if matches!(printer.format(), Format::Yaml | Format::Name) {
        let error = CliError::new(Kind::Usage, "a log comes as text or as JSON");
        return Err(error.hint("prov logs -o jsonl".to_owned()));
    }
    let ShowArgs { follow, level, component, search, tail } = args;
    let query = DaemonLogQuery { level, component, search, tail, follow, ..DaemonLogQuery::default() };
    let (mut log, mut away) = (client.daemon_log(query), Away::default());
    loop {
        match next(&mut log, &mut away, follow, printer).await? {
            Some(LogMessage::Line(line)) => {
                if printer.write(text(&line, printer).as_bytes())? == Reader::Gone {
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Some(LogMessage::Notice(Notice::Lagged { missed, .. })) => {
                printer.remark(&format!("{missed} lines came faster than they could be read, and are gone"));
            }
            Some(LogMessage::Notice(_)) => {}
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// What comes next. Who follows waits for a daemon that is away for a while, but not for one that was never there.
async fn next(
    log: &mut DaemonLog<'_>,
    away: &mut Away,
    follows: bool,
    printer: &Printer,
) -> Result<Option<LogMessage>, CliError> {
    loop {
        match log.next().await {
            Ok(message) => {
                away.came();
                return Ok(message);
            }
            Err(error) if follows && error.is_away() && log.connections() > 0 => {
                away.wait(&error, log.connections(), Some(printer)).await?;
            }
            Err(error) => return Err(failure(&error)),
        }
    }
}

fn text(line: &LogLine, printer: &Printer) -> String {
    if printer.format().is_structured() {
        return serde_json::to_string(line).unwrap_or_default() + "\n";
    }
    let word = line.level.as_str().to_ascii_uppercase();
    let level = style::coloured(&word, &format!("{word:<5}"));
    let said = blanked(&format!("{}{}", line.message, line.facts()));
    format!("{} {level} {}: {said}\n", line.timestamp, line.component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_as_they_are_written() {
        let wanted = |text: &str| text.parse::<Wanted>();
        let all = ["scheduler=debug", "default=warn", "store=default"].map(|text| wanted(text).unwrap());
        let change = change(all.to_vec());
        assert_eq!(change.default, Some(LogLevel::Warn));
        let components = [(Component("scheduler"), Some(LogLevel::Debug)), (Component("store"), None)];
        assert_eq!(change.components, components.into());
        for (text, told) in
            [("schedulr=debug", "did you mean `scheduler`"), ("store=loud", "unknown level"), ("store", "write")]
        {
            assert!(wanted(text).unwrap_err().contains(told), "{text}");
        }
    }
}

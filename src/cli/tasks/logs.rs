//! `prov tasks logs`: what a task printed, all of it and once, whatever becomes of the connection.
//!
//! Each stream is read by itself, with a place of its own to go on from; only here are they put together, a line at a time.
//! Lines carry no times: a task writes to its files itself, and nothing stands in between that could look at a clock.

mod merge;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{Sender, channel};

use self::merge::Merge;
use crate::api::task::{LogQuery, LogStream};
use crate::cli::away::Away;
use crate::cli::complete;
use crate::cli::connect::failure;
use crate::cli::error::{CliError, Kind};
use crate::cli::printer::{Printer, Reader};
use crate::client::Client;
use crate::model::id::TaskId;

/// How long the beginning of a line waits for its end.
const IDLE: Duration = Duration::from_secs(1);
/// Parts of a log that wait at most.
const WAITING: usize = 16;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The task's id
    #[arg(value_name = "ID", add = complete::tasks())]
    id: TaskId,
    /// Which stream
    #[arg(long, value_name = "STREAM", default_value = "all", value_parser = ["stdout", "stderr", "all"])]
    stream: String,
    /// Only the last so many lines of each stream
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
    /// Pass over so many bytes of each stream
    #[arg(long, value_name = "BYTES", conflicts_with = "tail")]
    offset: Option<u64>,
    /// Go on until the task has ended
    #[arg(long, short)]
    follow: bool,
}

pub(super) async fn show(client: &Client, args: &Args, printer: &Printer) -> Result<ExitCode, CliError> {
    if !printer.format().is_for_people() {
        let error = CliError::new(Kind::Usage, "a log is text and comes in no other format");
        return Err(error.hint("leave --output away".to_owned()));
    }
    let streams: &[LogStream] = match args.stream.as_str() {
        "stdout" => &[LogStream::Stdout],
        "stderr" => &[LogStream::Stderr],
        _ => &[LogStream::Stdout, LogStream::Stderr],
    };
    let query = |stream| LogQuery { stream, tail: args.tail, follow: args.follow, offset: args.offset };
    let queries = streams.iter().map(|stream| query(*stream)).collect();
    tokio::select! {
        biased;
        read = Box::pin(read(client, args.id, queries, printer, |text| printer.write(&text))) => {
            read.map(|()| ExitCode::SUCCESS)
        }
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
    }
}

/// Reads streams, as they come while they grow, else one after the other, until they have ended or nobody wants more.
///
/// # Errors
/// When the daemon is away for long, or refuses.
pub(in crate::cli) async fn read(
    client: &Client,
    task: TaskId,
    queries: Vec<LogQuery>,
    printer: &Printer,
    mut sink: impl FnMut(Vec<u8>) -> Result<Reader, CliError>,
) -> Result<(), CliError> {
    let mut merge = Merge::default();
    let (sender, mut parts) = channel(WAITING);
    let read = async move {
        let was_there = AtomicBool::new(false);
        let mut rest = queries.into_iter().enumerate();
        let Some((_, first)) = rest.next() else { return Ok(()) };
        let first_read = source(client, task, (0, &was_there), first, sender.clone(), printer);
        let Some((_, second)) = rest.next() else { return first_read.await };
        let second_read = source(client, task, (1, &was_there), second, sender, printer);
        if first.follow {
            tokio::try_join!(first_read, second_read).map(drop)
        } else {
            first_read.await?;
            second_read.await
        }
    };
    let write = async {
        loop {
            let text = match tokio::time::timeout(IDLE, parts.recv()).await {
                Ok(Some((stream, Part::Text(bytes)))) => merge.push(stream, &bytes),
                Ok(Some((stream, Part::Broken))) => merge.breaks(stream),
                Ok(Some((stream, Part::End))) => merge.flush(stream),
                Ok(None) => return Ok(Reader::There),
                Err(_) => merge.idle(),
            };
            if !text.is_empty() && sink(text)? == Reader::Gone {
                return Ok(Reader::Gone);
            }
        }
    };
    let (mut read, mut write) = (std::pin::pin!(read), std::pin::pin!(write));
    tokio::select! {
        biased;
        written = &mut write => { written?; }
        done = &mut read => {
            // What came before it ended, or failed, is printed.
            write.await?;
            done?;
        }
    }
    Ok(())
}

/// What comes of a stream.
enum Part {
    Text(bytes::Bytes),
    /// Nothing for now: the connection is gone.
    Broken,
    End,
}

/// Reads one stream to its end. A daemon that is away for a while is waited for, but one that was never there is not.
async fn source(
    client: &Client,
    task: TaskId,
    (stream, was_there): (usize, &AtomicBool),
    query: LogQuery,
    parts: Sender<(usize, Part)>,
    printer: &Printer,
) -> Result<(), CliError> {
    let mut log = client.log(task, query);
    let mut away = Away::default();
    loop {
        match log.next().await {
            Ok(text) => {
                away.came();
                was_there.store(true, Ordering::Relaxed);
                let is_end = text.is_none();
                let told = parts.send((stream, text.map_or(Part::End, Part::Text))).await;
                if told.is_err() || is_end {
                    return Ok(());
                }
            }
            // Where one stream was there, the daemon was.
            Err(error) if error.is_away() && (log.connections() > 0 || was_there.load(Ordering::Relaxed)) => {
                if parts.send((stream, Part::Broken)).await.is_err() {
                    return Ok(());
                }
                // Who reads both streams is told once.
                away.wait(&error, log.connections(), (stream == 0).then_some(printer)).await?;
            }
            Err(error) => return Err(failure(&error)),
        }
    }
}

//! `prov audit …`.

mod offline;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::connect::{self, ask, block_on};
use super::error::{CliError, Kind};
use super::page::PageArgs;
use super::printer::{Reader, Rows, age, counted, or_dash};
use super::words::one_of;
use super::{Global, Printer};
use crate::api::audit::{
    AuditFilter, AuditPage, AuditQuery, CheckpointDocument, Entry, Format, OutcomeKind, SELECTION, Verification,
};
use crate::client::Client;
use crate::model::time::{FirstMoment, LastMoment, Timestamp};

/// The audit trail: who did what, to what, by whose leave
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List entries, newest first
    List(ListArgs),
    /// Write the trail, or a part of it, in a format that others read
    Export(ExportArgs),
    /// Find out whether every entry is what was written, and none is missing
    #[command(
        after_help = "Exit codes: 0 when the trail is whole; 1 when it isn't, and the first bad entry is named.\n\nWith FILE no daemon is asked: the file is a jsonl export of the whole trail, and the key is\nDATA_DIR/audit-key of the daemon that wrote it. Whether entries are missing at its beginning or\nits end is seen with a checkpoint alone: one of the time when the file was exported, or later than\nthe last entries that had had their time."
    )]
    Verify(VerifyArgs),
    /// Make a signed statement about how the trail stands, to be kept elsewhere
    Checkpoint(CheckpointArgs),
}

#[derive(Debug, clap::Args)]
struct FilterArgs {
    /// Only those of the user with this name or id
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only those of this operation (`batch_execute`)
    #[arg(long, value_name = "OPERATION")]
    action: Option<String>,
    /// Only those about this (`infra/production`), or about this kind of thing (`infra`)
    #[arg(long, value_name = "RESOURCE")]
    resource: Option<String>,
    /// Only those that ended so
    #[arg(long, value_name = "OUTCOME", ignore_case = true, value_parser = one_of(OutcomeKind::ALL, OutcomeKind::as_str))]
    outcome: Option<OutcomeKind>,
    /// Only those from this time or date on
    #[arg(long, value_name = "TIME")]
    from: Option<FirstMoment>,
    /// Only those up to this time or date
    #[arg(long, value_name = "TIME")]
    to: Option<LastMoment>,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    part: PageArgs,
    /// Only those older than this entry
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    /// How the entries are written; jsonl alone can be verified
    #[arg(long, value_name = "FORMAT", default_value = "jsonl", value_parser = one_of(Format::ALL, Format::as_str))]
    format: Format,
    #[command(flatten)]
    filter: FilterArgs,
    /// Where to, instead of standard output
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// A jsonl export to verify without a daemon; `-` is standard input
    #[arg(value_name = "FILE", requires = "key_file")]
    file: Option<PathBuf>,
    /// A checkpoint to hold the trail against
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The id of the key that must have signed the checkpoint
    #[arg(long, value_name = "KEY-ID", requires = "checkpoint")]
    signer: Option<String>,
    /// The key that the export was sealed with
    #[arg(long, value_name = "FILE", requires = "file")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct CheckpointArgs {
    /// Show the newest one, and make none
    #[arg(long)]
    newest: bool,
    /// Where to, instead of standard output
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let printer = Printer::new(global);
    let connected = |work: Connected| block_on(work.run(connect::client()?, printer));
    match args.verb {
        Verb::List(args) => connected(Connected::List(args)),
        Verb::Export(args) => connected(Connected::Export(args)),
        Verb::Checkpoint(args) => connected(Connected::Checkpoint(args)),
        Verb::Verify(args) => {
            let checkpoint = args.checkpoint.as_deref().map(|path| read_checkpoint(path, args.signer.as_deref()));
            let checkpoint = checkpoint.transpose()?;
            match (args.file, args.key_file) {
                (Some(file), Some(key)) => {
                    let found = offline::verify(&file, &key, checkpoint.as_ref())?;
                    if checkpoint.is_none() && found.verified {
                        printer.remark(UNSEEN);
                    }
                    told(&found, &printer)
                }
                _ => connected(Connected::Verify(checkpoint)),
            }
        }
    }
}

/// What nobody can tell of a file alone.
const UNSEEN: &str =
    "without --checkpoint it can't be seen whether entries are missing at the beginning or the end of the file";

/// What the daemon is asked for.
enum Connected {
    List(ListArgs),
    Export(ExportArgs),
    Checkpoint(CheckpointArgs),
    Verify(Option<CheckpointDocument>),
}

impl Connected {
    async fn run(self, client: Client, printer: Printer) -> Result<ExitCode, CliError> {
        match self {
            Self::List(args) => list(&client, args, &printer).await,
            Self::Export(args) => export(&client, args, &printer).await,
            Self::Checkpoint(args) => checkpoint(&client, &args, &printer).await,
            Self::Verify(against) => told(&ask(&printer, client.audit_verify(against.as_ref())).await?, &printer),
        }
    }
}

impl FilterArgs {
    fn filter(self) -> AuditFilter {
        AuditFilter {
            user_id: self.user,
            action: self.action,
            resource: self.resource,
            outcome: self.outcome,
            from_date: self.from.map(|moment| moment.0),
            to_date: self.to.map(|moment| moment.0),
        }
    }
}

async fn list(client: &Client, args: ListArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let page = AuditPage { limit: args.part.limit(), offset: args.part.offset, after: args.after };
    let query = AuditQuery { filter: args.filter.filter(), page };
    let part = ask(printer, client.audit_list(&query)).await?;
    printer.part(&part, args.part.offset, "--offset, --after or --limit", |entries| rows(entries, Timestamp::now()))?;
    Ok(ExitCode::SUCCESS)
}

fn rows(entries: &[Entry], now: Timestamp) -> Rows {
    let cells = |entry: &Entry| {
        let event = &entry.event;
        vec![
            entry.sequence.to_string(),
            age(event.at, now),
            event.actor.username.clone(),
            event.action.clone(),
            event.resource.to_string(),
            event.outcome.as_str().to_owned(),
            or_dash(event.address),
            event.decision.policies().join(" "),
            or_dash(event.outcome.code()),
            event.request_id.clone(),
            or_dash(event.user_agent.as_ref()),
        ]
    };
    Rows {
        header: vec![
            "ENTRY", "AGE", "USER", "ACTION", "RESOURCE", "OUTCOME", "ADDRESS", "POLICIES", "CODE", "REQUEST", "CLIENT",
        ],
        narrow: 7,
        rows: entries.iter().map(cells).collect(),
    }
}

async fn export(client: &Client, args: ExportArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let filter = args.filter.filter();
    let mut response = ask(printer, client.audit_export(args.format, &filter)).await?;
    let is_selection = response.headers().get(SELECTION).is_some_and(|value| value == "true");
    let mut file = args.output_file.as_deref().map(Output::create).transpose()?;
    loop {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| CliError::of(Kind::Failure, &error.without_url()))?;
        let Some(chunk) = chunk else { break };
        match &mut file {
            Some(file) => file.write(&chunk)?,
            None if printer.write(&chunk)? == Reader::Gone => return Ok(ExitCode::SUCCESS),
            None => {}
        }
    }
    file.map(Output::keep).transpose()?;
    if is_selection && args.format == Format::Jsonl {
        printer.remark("this is a selection: it can't be verified as a whole; an export without filters can");
    }
    Ok(ExitCode::SUCCESS)
}

async fn checkpoint(client: &Client, args: &CheckpointArgs, printer: &Printer) -> Result<ExitCode, CliError> {
    let document = if args.newest {
        ask(printer, client.audit_checkpoint_get()).await?
    } else {
        ask(printer, client.audit_checkpoint_create()).await?
    };
    let text = serde_json::to_string_pretty(&document).unwrap_or_default() + "\n";
    match &args.output_file {
        None => printer.item(&document, document.signed.signer(), |_| text)?,
        Some(path) => {
            let mut output = Output::create(path)?;
            output.write(text.as_bytes())?;
            output.keep()?;
            printer.remark(&format!(
                "signed by key {}; keep it where the daemon's host can't reach",
                document.signed.signer()
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what verification found: exit code 1 when the trail isn't whole.
fn told(found: &Verification, printer: &Printer) -> Result<ExitCode, CliError> {
    printer.item(found, if found.verified { "verified" } else { "broken" }, text)?;
    let code = if found.verified { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failure.code()) };
    Ok(code)
}

fn text(found: &Verification) -> String {
    let entries = counted(usize::try_from(found.entries).unwrap_or(usize::MAX), "entry").replace("entrys", "entries");
    if let Some(broken) = &found.first_broken {
        return format!("broken: audit entry {} {}\n{entries} before it are good\n", broken.sequence, broken.what);
    }
    let first = (found.head.sequence + 1).saturating_sub(found.entries);
    let span = if found.entries == 0 { String::new() } else { format!(", {first} to {}", found.head.sequence) };
    let against = match found.checkpoints {
        0 => String::new(),
        count => format!("; agrees with {}", counted(count, "checkpoint")),
    };
    format!("verified: {entries}{span}{against}\nhead: {}\n", found.head.mac)
}

fn read_checkpoint(path: &Path, signer: Option<&str>) -> Result<CheckpointDocument, CliError> {
    let wrong = |why: String| CliError::new(Kind::Usage, format!("can't use the checkpoint {}: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let document: CheckpointDocument = text.parse().map_err(wrong)?;
    document.open().map_err(wrong)?;
    match signer {
        Some(signer) if signer != document.signed.signer() => {
            Err(wrong(format!("key {} signed it, not {signer}", document.signed.signer())))
        }
        _ => Ok(document),
    }
}

/// A file that has its name only once it is whole.
struct Output {
    file: File,
    partial: PathBuf,
    path: PathBuf,
}

impl Output {
    fn create(path: &Path) -> Result<Self, CliError> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(|error| unwritable(path, &error))?;
        Ok(Self { file, partial, path: path.to_owned() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.file.write_all(bytes).map_err(|error| unwritable(&self.path, &error))
    }

    fn keep(self) -> Result<(), CliError> {
        let kept = self.file.sync_all().and_then(|()| std::fs::rename(&self.partial, &self.path));
        kept.map_err(|error| unwritable(&self.path, &error))
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(Kind::Failure, format!("can't write {}: {error}", path.display()))
}

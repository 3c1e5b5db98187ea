//! `prov webhooks …`.

mod render;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::complete;
use super::confirm::Yes;
use super::connect::{self, ask, block_on};
use super::error::{CliError, Kind};
use super::page::PageArgs;
use super::printer::counted;
use super::watch::duration;
use super::words::one_of;
use super::{Global, Printer};
use crate::api::users::UserKey;
use crate::api::webhook::{
    DeliveryQuery, EventWord, MadeWebhook, NewWebhook, Redelivery, WebhookChange, WebhookQuery, WebhookView,
};
use crate::client::Client;
use crate::model::id::{DeliveryId, WebhookId};
use crate::model::name::Name;
use crate::model::time::Timestamp;
use crate::model::webhook::DeliveryStatus;

/// Webhooks: events sent to URLs as they happen
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List webhooks, newest first
    List(ListArgs),
    /// Show one webhook
    Get(One),
    /// Have events sent to a URL, from now on
    ///
    /// Each is sent in a POST of its own, in order, until it is answered with a 2xx, for a day at most; then it is set aside
    /// (see `prov webhooks deliveries`). Nothing is sent that you may not read. Without --secret-file and --secret-stdin a
    /// secret is made and printed: it is shown this once.
    Create(CreateArgs),
    /// Change, pause or resume a webhook, or give it another secret
    Update(UpdateArgs),
    /// Delete a webhook; nothing more is sent to it
    Delete(DeleteArgs),
    /// Send a test event, and show what became of it
    Ping(One),
    /// List what became of events on their way, newest first
    Deliveries(DeliveriesArgs),
    /// Send again what was set aside
    Redeliver(RedeliverArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only those of this user
    #[arg(long, value_name = "USER", add = complete::users())]
    user: Option<UserKey>,
    #[command(flatten)]
    part: PageArgs,
}

#[derive(Debug, clap::Args)]
struct One {
    /// The webhook's id
    #[arg(value_name = "ID", add = complete::webhooks())]
    id: WebhookId,
}

/// Where a secret comes from; never an option's value, which every process of the machine can read.
#[derive(Debug, clap::Args)]
struct SecretArgs {
    /// Read what deliveries are signed with from a file
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Read it from standard input
    #[arg(long, conflicts_with = "secret_file")]
    secret_stdin: bool,
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// Where to: https://…
    #[arg(value_name = "URL")]
    url: String,
    /// A topic or a type of event that is wanted; repeat it for more [default: all]
    #[arg(long = "event", value_name = "EVENT", value_parser = words())]
    events: Vec<EventWord>,
    /// An infra whose events are wanted; repeat it for more [default: all that you may read]
    #[arg(long = "infra", value_name = "INFRA", add = complete::infras())]
    infras: Vec<Name>,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "prov webhooks update <ID> [OPTIONS]")]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
struct UpdateArgs {
    /// The webhook's id
    #[arg(value_name = "ID", add = complete::webhooks())]
    id: WebhookId,
    /// Where to from now on
    #[arg(long, value_name = "URL", group = "change")]
    url: Option<String>,
    /// A topic or a type of event that is wanted; repeat it for more. These and no others
    #[arg(long = "event", value_name = "EVENT", group = "change", value_parser = words())]
    events: Vec<EventWord>,
    /// All events are wanted
    #[arg(long, group = "change", conflicts_with = "events")]
    all_events: bool,
    /// An infra whose events are wanted; repeat it for more. These and no others
    #[arg(long = "infra", value_name = "INFRA", group = "change", add = complete::infras())]
    infras: Vec<Name>,
    /// Events of all infras are wanted
    #[arg(long, group = "change", conflicts_with = "infras")]
    all_infras: bool,
    /// Send nothing; what happens meanwhile is sent afterwards
    #[arg(long, group = "change", conflicts_with = "resume")]
    pause: bool,
    /// Send again
    #[arg(long, group = "change")]
    resume: bool,
    /// Make another secret and print it
    #[arg(long, group = "change", conflicts_with_all = ["secret_file", "secret_stdin"])]
    roll_secret: bool,
    /// Read another secret from a file
    #[arg(long, value_name = "FILE", group = "change")]
    secret_file: Option<PathBuf>,
    /// Read it from standard input
    #[arg(long, group = "change", conflicts_with = "secret_file")]
    secret_stdin: bool,
    /// How long deliveries are signed with the secret of before as well [default: 1d]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    overlap: Option<Duration>,
}

#[derive(Debug, clap::Args)]
struct DeleteArgs {
    /// The webhook's id
    #[arg(value_name = "ID", add = complete::webhooks())]
    id: WebhookId,
    #[command(flatten)]
    yes: Yes,
}

#[derive(Debug, clap::Args)]
struct DeliveriesArgs {
    /// The webhook's id
    #[arg(value_name = "ID", add = complete::webhooks())]
    id: WebhookId,
    /// Only those in this status
    #[arg(long, value_name = "STATUS", ignore_case = true, value_parser = one_of(DeliveryStatus::ALL, DeliveryStatus::as_str))]
    status: Option<DeliveryStatus>,
    #[command(flatten)]
    part: PageArgs,
}

#[derive(Debug, clap::Args)]
struct RedeliverArgs {
    /// The webhook's id
    #[arg(value_name = "ID", add = complete::webhooks())]
    id: WebhookId,
    /// A delivery that was set aside
    #[arg(value_name = "DELIVERY", required_unless_present = "all")]
    deliveries: Vec<DeliveryId>,
    /// All that were set aside
    #[arg(long, conflicts_with = "deliveries")]
    all: bool,
}

fn words() -> impl clap::builder::TypedValueParser<Value = EventWord> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(EventWord::ALL).try_map(|given: String| given.parse::<EventWord>())
}

pub(super) fn run(args: Args, global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    match args.verb {
        Verb::List(args) => {
            let query = WebhookQuery { user: args.user, page: args.part.page() };
            let part = block_on(ask(&printer, client.webhook_list(&query)))?;
            let rows = |webhooks: &[WebhookView]| render::rows(webhooks, Timestamp::now());
            printer.part(&part, args.part.offset, "--offset or --limit", rows)?;
        }
        Verb::Get(one) => {
            let webhook = block_on(ask(&printer, client.webhook_get(one.id)))?;
            printer.item(&webhook, &webhook.id.to_string(), |webhook| render::text(webhook, Timestamp::now()))?;
        }
        Verb::Create(args) => {
            let secret = given(args.secret.secret_file.as_ref(), args.secret.secret_stdin, &printer)?;
            let is_made = secret.is_none();
            let new = NewWebhook { url: args.url, events: args.events, infras: args.infras, secret };
            show(block_on(ask(&printer, client.webhook_create(&new)))?, is_made, &printer)?;
        }
        Verb::Update(args) => {
            let change = change(&args, &printer)?;
            show(block_on(ask(&printer, client.webhook_update(args.id, &change)))?, args.roll_secret, &printer)?;
        }
        Verb::Delete(args) => {
            args.yes.agree(global, &format!("the webhook {} is deleted, with what it was yet to be told", args.id))?;
            block_on(ask(&printer, client.webhook_delete(args.id)))?;
            printer.remark(&format!("deleted {}", args.id));
        }
        Verb::Ping(one) => return ping(&client, one.id, &printer),
        Verb::Deliveries(args) => {
            let query = DeliveryQuery { status: args.status, page: args.part.page() };
            let part = block_on(ask(&printer, client.webhook_deliveries(args.id, &query)))?;
            let more = "--offset or --limit";
            printer.part(&part, args.part.offset, more, |all| render::delivery_rows(all, Timestamp::now()))?;
        }
        Verb::Redeliver(args) => {
            let wanted = Redelivery { deliveries: (!args.all).then_some(args.deliveries) };
            let done = block_on(ask(&printer, client.webhook_redeliver(args.id, &wanted)))?;
            let text = format!("{} on the way again\n", counted(done.queued, "event"));
            printer.item(&done, &args.id.to_string(), |_| text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a webhook that was made or changed. A secret that the daemon made is printed alone, for whoever catches it.
fn show(made: MadeWebhook, is_made: bool, printer: &Printer) -> Result<(), CliError> {
    let id = made.view.id;
    if let Some(secret) = made.secret.as_ref().filter(|_| is_made && printer.format().is_for_people()) {
        printer.out(&format!("{secret}\n"))?;
        printer.remark(&format!("this is the secret of {id}; keep it now, it is not shown again"));
        return Ok(());
    }
    // Whoever gave the secret has it.
    let made = MadeWebhook { secret: made.secret.filter(|_| is_made), ..made };
    printer.item(&made, &id.to_string(), |made| render::text(&made.view, Timestamp::now()))
}

fn ping(client: &Client, id: WebhookId, printer: &Printer) -> Result<ExitCode, CliError> {
    let delivery = block_on(ask(printer, client.webhook_ping(id)))?;
    printer.item(&delivery, &delivery.id.to_string(), render::delivery)?;
    let has_arrived = delivery.status == DeliveryStatus::Delivered;
    Ok(if has_arrived { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn change(args: &UpdateArgs, printer: &Printer) -> Result<WebhookChange, CliError> {
    Ok(WebhookChange {
        url: args.url.clone(),
        events: (args.all_events || !args.events.is_empty()).then(|| args.events.clone()),
        infras: (args.all_infras || !args.infras.is_empty()).then(|| args.infras.clone()),
        enabled: (args.pause || args.resume).then_some(args.resume),
        secret: given(args.secret_file.as_ref(), args.secret_stdin, printer)?,
        roll_secret: args.roll_secret.then_some(true),
        overlap_seconds: args.overlap.map(|overlap| overlap.as_secs()),
    })
}

/// A secret from where the options say, without its line end.
fn given(file: Option<&PathBuf>, stdin: bool, printer: &Printer) -> Result<Option<String>, CliError> {
    let (read, from) = match file {
        None if !stdin => return Ok(None),
        None => {
            if std::io::stdin().is_terminal() {
                printer.remark("reading the secret from standard input; end it with Ctrl-D");
            }
            let mut text = String::new();
            (std::io::stdin().read_to_string(&mut text).map(|_| text), "standard input".to_owned())
        }
        Some(path) => (std::fs::read_to_string(path), path.display().to_string()),
    };
    let failed = |error| CliError::new(Kind::Usage, format!("can't read the secret from {from}: {error}"));
    let text = read.map_err(failed)?;
    Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
}

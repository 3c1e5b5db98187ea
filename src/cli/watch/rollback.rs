//! Following a rollback.

use std::process::ExitCode;

use super::follow::{self, Watched};
use super::followed::{Effect, Followed, Running};
use super::{Limits, Printer};
use crate::api::event::Frame;
use crate::api::rollback::RollbackView;
use crate::cli::error::{CliError, Kind};
use crate::cli::progress::View;
use crate::cli::rollback::text;
use crate::client::Client;
use crate::model::id::{RollbackId, WorkId};
use crate::model::status::RollbackStatus;

impl Followed for RollbackView {
    fn work(&self) -> WorkId {
        WorkId::from(self.summary.rollback_id)
    }

    fn has_ended(&self) -> bool {
        matches!(self.summary.status, RollbackStatus::Completed | RollbackStatus::Failed | RollbackStatus::Accepted)
    }

    fn running(&self) -> Running {
        if self.has_ended() { Running::Nothing } else { Running::Reporting }
    }

    /// Of a rollback a frame tells how many steps are done, not which.
    fn apply(&mut self, _: &Frame) -> Effect {
        Effect::Ended
    }
}

/// Follows a rollback and prints it at its end; its outcome is the exit code.
///
/// # Errors
/// When something of it failed, waiting took too long, or the daemon is gone.
pub async fn rollback(
    client: &Client,
    id: RollbackId,
    limits: Limits,
    printer: &Printer,
) -> Result<ExitCode, CliError> {
    let watched =
        Watched { noun: "rollback", id: id.to_string(), hint: format!("look at it with `prov rollback get {id}`") };
    let mut view = View::new(limits.progress, &watched.name(), printer);
    let ended = Box::pin(follow::until_ended(client, || client.rollback_get(id), limits, &mut view, View::rollback));
    let rollback = watched.attend(limits.timeout, ended).await?;
    drop(view);
    if rollback.summary.status != RollbackStatus::Failed {
        printer.item(&rollback, &id.to_string(), text)?;
        return Ok(ExitCode::SUCCESS);
    }
    if printer.format().is_for_people() {
        printer.out(&text(&rollback))?;
    }
    let mut error = watched.error(Kind::RollbackIncomplete, format!("{} is stuck", watched.name()));
    error.causes.extend(rollback.summary.error.clone());
    error.causes.extend(rollback.summary.left.iter().map(|left| format!("left: {}", left.what)));
    error.hints.push(format!("prov rollback retry {id}"));
    if let Some(left) = rollback.summary.left.first() {
        let operation = format!("{}/{}", left.batch_id, left.operation_id);
        error.hints.push(format!("prov rollback skip {id} {operation} --reason WHY"));
    }
    Err(error.hint(format!("prov rollback accept {id} --reason WHY")))
}

//! Batches: execute, validate, list, get, cancel, retry.

use serde_json::json;
use uuid::Uuid;

use super::authorise::Question;
use super::context::Context;
use super::error::Error;
use super::idempotency::{self, Claim, Idempotency};
use super::{Answer, App, Executed, Resources, aside, logs, trail};
use crate::api::actions::Action;
use crate::api::batch::{BatchDraft, BatchPlan, BatchQuery, BatchSummary, BatchView};
use crate::api::list::Listed;
use crate::audit;
use crate::model::id::{BatchId, WorkId};
use crate::model::name::Name;
use crate::model::status::{BatchStatus, OperationStatus};
use crate::policy::{Infra, Resource};
use crate::scheduler::{Cancel, Submission};
use check::Checked;
pub(super) use rights::{providers, runs_any_program};

mod check;
mod foreseen;
mod plan;
mod rights;
mod rows;

pub(super) use rows::active_task;

impl App {
    /// Accepts a batch, or in check mode plans it.
    ///
    /// # Errors
    /// When its graph doesn't hold together, with every problem; or when it can't be accepted.
    pub async fn batch_execute(
        &self,
        context: &Context,
        draft: BatchDraft,
        key: Option<Idempotency>,
    ) -> Result<Answer<Executed>, Error> {
        let permit = self.may_run(context, "batch_execute", draft.request.as_ref()).await?;
        let resources = self.guarded.open(&permit);
        let workspace = resources.workspace.clone();
        let Checked { request, warnings } = aside(move || check::check(draft, &workspace)).await??;
        let now = self.clock.now();
        if request.check_mode {
            // It makes no work that the key could stand for; but the key may stand for another request already.
            if let Some(key) = key {
                Claim::new(context, "batch_execute", key, now).find(&resources.store).await?;
            }
            let program = resources.program.clone();
            let plan = aside(move || plan::plan(&program, &request.spec)).await?;
            return Ok(Answer { data: Executed::Planned(Box::new(plan)), warnings });
        }
        if let Some(digest) = &request.plan {
            resources.demand_plan(&request.spec, digest).await?;
        }
        let id = BatchId(Uuid::now_v7());
        let resource = audit::Resource::new("infra", &request.spec.infra);
        let (name, operations) = (&request.spec.name, request.spec.operations.len());
        let details = json!({ "batch_id": id, "name": name, "operations": operations });
        let entry = trail::done_with(context, &permit, "batch_execute", resource, now, details);
        let mut submission = Submission::batch(id, request.spec, warnings, context.username(), now);
        submission.also.push(entry);
        let id = idempotency::submit(resources, context, "batch_execute", key, submission).await?;
        let Answer { data, warnings } = find(resources, BatchId(id)).await?;
        Ok(Answer { data: Executed::Started(Box::new(data)), warnings })
    }

    /// Plans a batch.
    ///
    /// # Errors
    /// When its graph doesn't hold together, with every problem.
    pub async fn batch_validate(&self, context: &Context, draft: BatchDraft) -> Result<Answer<BatchPlan>, Error> {
        let permit = self.may_run(context, "batch_validate", draft.request.as_ref()).await?;
        let resources = self.guarded.open(&permit);
        let (workspace, program) = (resources.workspace.clone(), resources.program.clone());
        let planned = aside(move || {
            let Checked { request, warnings } = check::check(draft, &workspace)?;
            Ok(Answer { data: plan::plan(&program, &request.spec), warnings })
        });
        planned.await?
    }

    /// Plans a batch with what each operation would change as things are now.
    ///
    /// # Errors
    /// When its graph doesn't hold together, with every problem; when an operation can't be planned.
    pub async fn batch_plan(&self, context: &Context, draft: BatchDraft) -> Result<Answer<BatchPlan>, Error> {
        let permit = self.may_run(context, "batch_plan", draft.request.as_ref()).await?;
        let resources = self.guarded.open(&permit);
        let workspace = resources.workspace.clone();
        let Checked { request, warnings } = aside(move || check::check(draft, &workspace)).await??;
        Ok(Answer { data: resources.foresee(&request.spec).await?, warnings })
    }

    /// Batches, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn batch_list(&self, context: &Context, query: BatchQuery) -> Result<Listed<BatchSummary>, Error> {
        let resources =
            self.guarded.open(&self.authorise(context, "batch_list", &Question::about(Resource::System))?);
        let BatchQuery { status, page } = query;
        let infras = resources.store.read(crate::store::Backend::batch_infras).await?;
        let visible = self.visible(context, Action::BatchRead, infras, any).await?;
        let listed = resources.store.read(move |reads| {
            let within = |infras: &[Name]| reads.batches_within(infras, status, page);
            visible.page(page, |page| reads.batches(status, page), within, |batch| batch.id.0)
        });
        let Listed { items, total, next_after } = listed.await?;
        Ok(Listed { items: items.into_iter().map(rows::summary).collect(), total, next_after })
    }

    /// One batch with its operations.
    ///
    /// # Errors
    /// When there is none of that id.
    pub async fn batch_get(&self, context: &Context, id: BatchId) -> Result<Answer<BatchView>, Error> {
        let seen = self.see_batch(context, id).await?;
        let resources = self.guarded.open(&self.authorise(context, "batch_get", &seen.question())?);
        find(resources, id).await
    }

    /// Ends a batch; answers it as it stands once the request is on disk.
    ///
    /// # Errors
    /// When it has ended or is being rolled back.
    pub async fn batch_cancel(
        &self,
        context: &Context,
        id: BatchId,
        rollback: bool,
    ) -> Result<Answer<BatchView>, Error> {
        let seen = self.see_batch(context, id).await?;
        // To undo is to delete what was made.
        let question = Question { operation: rollback.then_some("delete"), ..seen.question() };
        let permit = self.authorise(context, "batch_cancel", &question)?;
        let resources = self.guarded.open(&permit);
        let batch = find(resources, id).await?.data.summary;
        if batch.status.is_terminal() {
            return Err(Error::Conflict(format!("batch {id} has already ended ({})", batch.status)));
        }
        let wanted = Cancel { work: WorkId::from(id), operation: None, rollback };
        let (resource, now) = (audit::Resource::new("batch", id), self.clock.now());
        let details = json!({ "infra": batch.infra, "rollback": rollback });
        let entry = trail::done_with(context, &permit, "batch_cancel", resource, now, details);
        resources.scheduler.cancel(wanted, vec![entry]).await?;
        let mut answer = find(resources, id).await?;
        if rollback && !batch.rollback_enabled {
            answer.warnings.push(ROLLED_BACK_ANYWAY.to_owned());
        }
        Ok(answer)
    }

    /// Goes on with a batch from what failed, once for each key.
    ///
    /// # Errors
    /// When it hasn't ended, or nothing of it failed; or the key came with another request before.
    pub async fn batch_retry(
        &self,
        context: &Context,
        id: BatchId,
        key: Option<Idempotency>,
    ) -> Result<Answer<BatchView>, Error> {
        let seen = self.see_batch(context, id).await?;
        let permit = self.may_retry(context, id, &seen).await?;
        let resources = self.guarded.open(&permit);
        let infra = find(resources, id).await?.data.summary.infra;
        let (resource, now) = (audit::Resource::new("batch", id), self.clock.now());
        let entry = trail::done_with(context, &permit, "batch_retry", resource, now, json!({ "infra": infra }));
        let Some(key) = key else {
            resources.scheduler.retry(WorkId::from(id), vec![entry]).await?;
            return find(resources, id).await;
        };
        let claim = Claim::new(context, "batch_retry", key, now);
        // One at a time, so that of two with the same key the second finds what the first remembered.
        let turn = self.keyed_retries.lock().await;
        if claim.find(&resources.store).await?.is_none() {
            resources.scheduler.retry(WorkId::from(id), vec![claim.remembering(id.0), entry]).await?;
        }
        drop(turn);
        find(resources, id).await
    }
}

/// A batch that stands for all of an infra, where policies look at the infra alone.
fn any(infra: Infra<'_>) -> Resource<'_> {
    Resource::Batch { id: "", name: "", infra, submitted_by: "" }
}

/// Said when someone asks to undo a batch that would not have been undone by itself.
const ROLLED_BACK_ANYWAY: &str = "the batch has rollback_enabled false, so a failure would have undone nothing; what it did is undone now, because the cancellation asks for it";

/// Operations of a Completed batch that aren't, and that are told one by one.
const NAMED: usize = 10;

async fn find(resources: &Resources, id: BatchId) -> Result<Answer<BatchView>, Error> {
    let found = resources.store.read(move |reads| {
        let Some(batch) = reads.batch(id)? else { return Ok(None) };
        Ok(Some((batch, reads.operations(id)?)))
    });
    let (mut batch, rows) = found.await?.ok_or_else(|| Error::NotFound { kind: "batch", id: id.to_string() })?;
    let mut warnings = std::mem::take(&mut batch.warnings);
    if batch.status == BatchStatus::Completed {
        let mut others = rows.iter().filter(|row| row.status != OperationStatus::Completed);
        let told = others.by_ref().take(NAMED);
        warnings.extend(told.map(|row| match row.status {
            OperationStatus::RolledBack => format!("operation {} was rolled back since", row.id),
            status => format!("operation {} is {status}, which the batch tolerates", row.id),
        }));
        match others.count() {
            0 => {}
            more => warnings.push(format!("{more} more operations are not Completed")),
        }
    }
    let mut operations = Vec::with_capacity(rows.len());
    for row in rows {
        let reported = match rows::active_task(&row) {
            Some(task) => logs::reported(&resources.logs, task).await,
            None => logs::Reported::default(),
        };
        let progress = match row.status {
            OperationStatus::Completed => 1.0,
            _ => reported.progress.unwrap_or(0.0),
        };
        operations.push(rows::view(row, progress, reported.step));
    }
    Ok(Answer { data: BatchView { summary: rows::summary(batch), operations }, warnings })
}

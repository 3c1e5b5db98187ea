//! What is done about a rollback that is stuck: it is tried again, goes on without an operation, or is accepted as it is.

use serde_json::{Value, json};

use super::super::{Answer, App, trail};
use crate::api::rollback::{AcceptRequest, RollbackView, SkipRequest};
use crate::app::authorise::Question;
use crate::app::context::{Context, Permit};
use crate::app::error::Error;
use crate::audit;
use crate::engine::index;
use crate::model::id::{RollbackId, WorkId};
use crate::policy::Resource;
use crate::scheduler::undo_plan::Wanted;
use crate::store::Change;
use crate::store::record::{BatchRecord, WorkKind};

impl App {
    /// Goes on with a rollback from what failed.
    ///
    /// # Errors
    /// When it isn't stuck, or one of its batches was changed by something else since.
    pub async fn rollback_retry(&self, context: &Context, id: RollbackId) -> Result<Answer<RollbackView>, Error> {
        let (permit, entry) = self.decided(context, "rollback_retry", id, json!({})).await?;
        let resources = self.guarded.open(&permit);
        resources.scheduler.retry(WorkId::from(id), vec![entry]).await?;
        self.rollback(resources, id).await
    }

    /// Leaves an operation of a stuck rollback as it is, and goes on with what waits for it.
    ///
    /// # Errors
    /// When the rollback isn't stuck at that operation.
    pub async fn rollback_skip(
        &self,
        context: &Context,
        id: RollbackId,
        request: SkipRequest,
    ) -> Result<Answer<RollbackView>, Error> {
        let SkipRequest { batch_id, operation_id, reason } = request;
        let details = json!({ "batch_id": batch_id, "operation_id": operation_id, "reason": reason });
        let (permit, entry) = self.decided(context, "rollback_skip", id, details).await?;
        let resources = self.guarded.open(&permit);
        let work = resources.store.read(move |reads| reads.work(WorkId::from(id))).await?;
        let Some(WorkKind::Rollback { spec }) = work.map(|work| work.kind) else {
            return Err(Error::NotFound { kind: "rollback", id: id.to_string() });
        };
        let is_meant = |step: &crate::model::rollback::RollbackStep| {
            !step.action.is_proof() && step.batch == batch_id && step.operation_id == operation_id
        };
        let step = spec.steps.iter().position(is_meant).map(index);
        let step = step.ok_or_else(|| Error::NotFound {
            kind: "operation of this rollback",
            id: format!("{batch_id}/{operation_id}"),
        })?;
        resources.scheduler.waive(WorkId::from(id), step, reason, vec![entry]).await?;
        self.rollback(resources, id).await
    }

    /// Leaves a stuck rollback as it is, for good.
    ///
    /// # Errors
    /// When it isn't stuck.
    pub async fn rollback_accept(
        &self,
        context: &Context,
        id: RollbackId,
        request: AcceptRequest,
    ) -> Result<Answer<RollbackView>, Error> {
        let details = json!({ "reason": request.reason });
        let (permit, entry) = self.decided(context, "rollback_accept", id, details).await?;
        let resources = self.guarded.open(&permit);
        resources.scheduler.close(WorkId::from(id), request.reason, vec![entry]).await?;
        self.rollback(resources, id).await
    }

    /// The right to decide about a rollback, and the entry that says so.
    async fn decided(
        &self,
        context: &Context,
        operation: &'static str,
        id: RollbackId,
        details: Value,
    ) -> Result<(Permit, Change), Error> {
        self.authorise(context, "rollback_get", &Question::about(Resource::System))?;
        let store = &self.guarded.open(&Permit::own()).store;
        let batches = store.read(move |reads| {
            let (Some(record), Some(work)) = (reads.rollback(id)?, reads.work(WorkId::from(id))?) else {
                return Ok(None);
            };
            let WorkKind::Rollback { spec: rollback } = work.kind else { return Ok(None) };
            let mut batches: Vec<(BatchRecord, Wanted)> = Vec::new();
            for batch in record.batches {
                let (Some(row), Some(work)) = (reads.batch(batch)?, reads.work(WorkId::from(batch))?) else { continue };
                let WorkKind::Batch { spec } = work.kind else { continue };
                let of = |undoes: bool| {
                    let steps = rollback.steps.iter().filter(move |step| step.batch == batch);
                    steps.filter(move |step| step.action.undoes() == undoes).map(|step| (step.operation, 0)).collect()
                };
                batches.push((row, Wanted { id: batch, spec, undo: of(true), redo: of(false) }));
            }
            Ok(Some(batches))
        });
        let batches = batches.await?.ok_or_else(|| Error::NotFound { kind: "rollback", id: id.to_string() })?;
        let permit = self.may_roll_back(context, operation, &batches, false).await?;
        let (resource, now) = (audit::Resource::new("rollback", id), self.clock.now());
        let entry = trail::done_with(context, &permit, operation, resource, now, details);
        Ok((permit, entry))
    }
}

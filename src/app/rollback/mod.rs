//! Checkpoints, and rollbacks that somebody asks for.

mod history;
mod rights;
mod verbs;
mod view;

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use super::authorise::Question;
use super::context::{Context, Permit};
use super::error::Error;
use super::idempotency::{self, Claim, Idempotency};
use super::{Answer, App, Resources, trail};
use crate::api::list::{Listed, Page};
use crate::api::rollback::{
    CheckpointRequest, RestoreRequest, RollbackOrder, RollbackOutcome, RollbackStatistics, RollbackSummary,
    RollbackView,
};
use crate::audit;
use crate::model::batch::DEFAULT_PARALLEL_LIMIT;
use crate::model::id::{CheckpointId, RollbackId};
use crate::model::name::Name;
use crate::model::rollback::{Checkpoint, RollbackScope, RollbackSpec};
use crate::model::status::RollbackStatus;
use crate::policy::Resource;
use crate::scheduler::{Submission, undo_plan};
use crate::store::{Backend, Change, StoreError, Transaction};
use history::Found;

/// Steps of one rollback at most.
const STEPS: usize = 20_000;

impl App {
    /// Makes a checkpoint of all that is recorded.
    ///
    /// # Errors
    /// When the caller may not, or the store can't write.
    pub async fn checkpoint_create(&self, context: &Context, request: CheckpointRequest) -> Result<Checkpoint, Error> {
        let permit = self.authorise(context, "checkpoint_create", &Question::about(Resource::System))?;
        let store = &self.guarded.open(&permit).store;
        let (id, now) = (CheckpointId(Uuid::now_v7()), self.clock.now());
        let CheckpointRequest { name, description } = request;
        let created_by = context.username().to_owned();
        let made = Checkpoint { id, name, description, place: 0, batch_id: None, created_at: now, created_by };
        let details = json!({ "name": made.name });
        let resource = audit::Resource::new("checkpoint", id);
        let entry = trail::done_with(context, &permit, "checkpoint_create", resource, now, details);
        store.commit(Transaction::of(vec![Change::PutCheckpoint(Box::new(made)), entry])).await?;
        self.checkpoint(&permit, id).await
    }

    /// Checkpoints, newest first.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn checkpoint_list(&self, context: &Context, page: Page) -> Result<Listed<Checkpoint>, Error> {
        let permit = self.authorise(context, "checkpoint_list", &Question::about(Resource::System))?;
        Ok(self.guarded.open(&permit).store.read(move |reads| reads.checkpoints(page)).await?)
    }

    /// One checkpoint.
    ///
    /// # Errors
    /// When there is none of that id.
    pub async fn checkpoint_get(&self, context: &Context, id: CheckpointId) -> Result<Checkpoint, Error> {
        let permit = self.authorise(context, "checkpoint_get", &Question::about(Resource::System))?;
        self.checkpoint(&permit, id).await
    }

    async fn checkpoint(&self, permit: &Permit, id: CheckpointId) -> Result<Checkpoint, Error> {
        let found = self.guarded.open(permit).store.read(move |reads| reads.checkpoint(id)).await?;
        found.ok_or_else(|| Error::NotFound { kind: "checkpoint", id: id.to_string() })
    }

    /// Undoes completed work, or in check mode says what it would do.
    ///
    /// # Errors
    /// When what is named isn't there, goes on, or has nothing to undo; or the caller may not.
    pub async fn rollback_execute(
        &self,
        context: &Context,
        order: RollbackOrder,
        key: Option<Idempotency>,
    ) -> Result<Answer<RollbackOutcome>, Error> {
        self.roll_back(context, "rollback_execute", order, key).await
    }

    /// Brings back what was done at a checkpoint, and nothing else; or in check mode says what it would do.
    ///
    /// # Errors
    /// As [`App::rollback_execute`].
    pub async fn rollback_restore(
        &self,
        context: &Context,
        checkpoint_id: CheckpointId,
        request: RestoreRequest,
        key: Option<Idempotency>,
    ) -> Result<Answer<RollbackOutcome>, Error> {
        let RestoreRequest { infra, check_mode } = request;
        let order = RollbackOrder { scope: RollbackScope::Restore { checkpoint_id }, infra, check_mode };
        self.roll_back(context, "rollback_restore", order, key).await
    }

    async fn roll_back(
        &self,
        context: &Context,
        operation: &'static str,
        order: RollbackOrder,
        key: Option<Idempotency>,
    ) -> Result<Answer<RollbackOutcome>, Error> {
        self.may_ask(context, operation, &order).await?;
        let now = self.clock.now();
        let store = &self.guarded.open(&Permit::own()).store;
        // What a key stands for was planned when it was first sent; by now there may be nothing left to undo.
        if let Some(key) = &key
            && let Some(before) = Claim::new(context, operation, key.clone(), now).find(store).await?
        {
            return self.started(RollbackId(before)).await;
        }
        let found = self.found(&order).await?;
        let permit = self.may_roll_back(context, operation, &found.batches, order.check_mode).await?;
        let resources = self.guarded.open(&permit);
        let Found { batches, warnings, .. } = found;
        let wanted: Vec<undo_plan::Wanted> = batches.into_iter().map(|(_, wanted)| wanted).collect();
        let limit = wanted.iter().map(|batch| batch.spec.parallel_limit).max().unwrap_or(DEFAULT_PARALLEL_LIMIT);
        let steps = undo_plan::steps(&resources.program, &wanted);
        if steps.len() > STEPS {
            let why = format!("this takes {} steps; a rollback has at most {STEPS}: name less", steps.len());
            return Err(Error::Conflict(why));
        }
        let spec = RollbackSpec { scope: order.scope, parallel_limit: limit, steps };
        if order.check_mode {
            let specs: BTreeMap<_, _> = wanted.into_iter().map(|batch| (batch.id, batch.spec)).collect();
            let plan = view::plan(&resources.program, spec, &specs);
            return Ok(Answer { data: RollbackOutcome::Planned(Box::new(plan)), warnings });
        }
        let id = RollbackId(Uuid::now_v7());
        let details = json!({ "scope": spec.scope, "batches": spec.batches(), "infras": spec.infras() });
        let resource = audit::Resource::new("rollback", id);
        let entry = trail::done_with(context, &permit, operation, resource, now, details);
        let mut submission = Submission::rollback(id, spec, warnings, context.username(), now);
        submission.also.push(entry);
        let id = idempotency::submit(resources, context, operation, key, submission).await?;
        self.started(RollbackId(id)).await
    }

    async fn started(&self, id: RollbackId) -> Result<Answer<RollbackOutcome>, Error> {
        let Answer { data, warnings } = self.rollback(self.guarded.open(&Permit::own()), id).await?;
        Ok(Answer { data: RollbackOutcome::Started(Box::new(data)), warnings })
    }

    /// What is to be undone and run again.
    async fn found(&self, order: &RollbackOrder) -> Result<Found, Error> {
        let store = &self.guarded.open(&Permit::own()).store;
        let infra = order.infra.clone();
        match order.scope.clone() {
            RollbackScope::Batch { batch_id } => {
                let found = store.read(move |reads| history::of_batch(reads, batch_id)).await?;
                let found = found.ok_or_else(|| Error::NotFound { kind: "batch", id: batch_id.to_string() })?;
                found.finish("nothing of the batch is there that could be undone")
            }
            RollbackScope::Operations { operation_ids } => {
                let found = store.read(move |reads| history::of_operations(reads, &operation_ids)).await?;
                let found = found.map_err(|of| Error::NotFound { kind: "operation", id: of.to_string() })?;
                found.finish("nothing of these operations is there that could be undone")
            }
            RollbackScope::Checkpoint { checkpoint_id } => {
                let found = self.since(checkpoint_id, infra, false).await?;
                found.finish("nothing was completed since the checkpoint that could be undone")
            }
            RollbackScope::Restore { checkpoint_id } => {
                let found = self.since(checkpoint_id, infra, true).await?;
                found.finish("everything is as it was at the checkpoint")
            }
        }
    }

    async fn since(&self, id: CheckpointId, infra: Option<Name>, restore: bool) -> Result<Found, Error> {
        let checkpoint = self.checkpoint(&Permit::own(), id).await?;
        let store = &self.guarded.open(&Permit::own()).store;
        Ok(store.read(move |reads| history::since(reads, &checkpoint, infra.as_ref(), restore)).await?)
    }

    /// Rollbacks, newest first.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn rollback_list(&self, context: &Context, page: Page) -> Result<Listed<RollbackSummary>, Error> {
        let permit = self.authorise(context, "rollback_list", &Question::about(Resource::System))?;
        let listed = self.guarded.open(&permit).store.read(move |reads| reads.rollbacks(page)).await?;
        let (now, Listed { items, total, next_after }) = (self.clock.now(), listed);
        let items = items.into_iter().map(|record| view::summary(record, now)).collect();
        Ok(Listed { items, total, next_after })
    }

    /// One rollback with its steps and its proof.
    ///
    /// # Errors
    /// When there is none of that id.
    pub async fn rollback_get(&self, context: &Context, id: RollbackId) -> Result<Answer<RollbackView>, Error> {
        let permit = self.authorise(context, "rollback_get", &Question::about(Resource::System))?;
        self.rollback(self.guarded.open(&permit), id).await
    }

    async fn rollback(&self, resources: &Resources, id: RollbackId) -> Result<Answer<RollbackView>, Error> {
        let now = self.clock.now();
        let found = resources.store.read(move |reads| view::find(reads, id, now)).await?;
        let (data, warnings) = found.ok_or_else(|| Error::NotFound { kind: "rollback", id: id.to_string() })?;
        Ok(Answer { data, warnings })
    }

    /// How many rollbacks there were, and what came of them.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn rollback_statistics(&self, context: &Context) -> Result<RollbackStatistics, Error> {
        let permit = self.authorise(context, "rollback_statistics", &Question::about(Resource::System))?;
        Ok(self.guarded.open(&permit).store.read(statistics).await?)
    }
}

/// Counts all rollbacks. There are few: somebody asked for each.
fn statistics(reads: &dyn Backend) -> Result<RollbackStatistics, StoreError> {
    let checkpoints = reads.checkpoints(Page { limit: 1, ..Page::default() })?.total;
    let mut counted = RollbackStatistics { checkpoints, rollbacks: 0, succeeded: 0, failed: 0, average_time: None };
    let (mut ended, mut seconds) = (0.0, 0.0);
    let mut page = Page { limit: Page::MAX_LIMIT, ..Page::default() };
    loop {
        let listed = reads.rollbacks(page)?;
        for record in &listed.items {
            counted.rollbacks += 1;
            match record.status {
                RollbackStatus::Completed => counted.succeeded += 1,
                RollbackStatus::Failed | RollbackStatus::Accepted => counted.failed += 1,
                RollbackStatus::Pending | RollbackStatus::Running => {}
            }
            if let (Some(start), Some(end)) = (record.started_at, record.completed_at) {
                ended += 1.0;
                seconds += end.since(start).as_secs_f64();
            }
        }
        page.after = listed.next_after;
        if page.after.is_none() {
            counted.average_time = (ended > 0.0).then(|| seconds / ended);
            return Ok(counted);
        }
    }
}

//! What it takes to run a batch: the right to its infra, and one more where it runs programs that its sender chose.

use std::collections::BTreeSet;

use crate::api::actions::Action;
use crate::api::batch::BatchRequest;
use crate::app::App;
use crate::app::about::Seen;
use crate::app::authorise::Question;
use crate::app::context::{Context, Permit};
use crate::app::error::Error;
use crate::model::batch::{BatchSpec, Payload};
use crate::model::id::{BatchId, WorkId};
use crate::model::name::Name;
use crate::policy::{Infra, Resource};
use crate::store::record::{BatchRecord, WorkKind};

impl App {
    /// The right to run or validate a batch. A body that names no infra is about none, and nothing will be done for it but
    /// to say what is wrong with it.
    pub(super) async fn may_run(
        &self,
        context: &Context,
        operation: &'static str,
        request: Option<&BatchRequest>,
    ) -> Result<Permit, Error> {
        let Some(BatchRequest { spec, check_mode, .. }) = request else { return Ok(Permit::own()) };
        let described = self.infras.get(&spec.infra, None).await?;
        let providers = providers(spec);
        let infra = Infra { name: spec.infra.as_str(), environment: &described.environment };
        let question = Question {
            check_mode: *check_mode || matches!(operation, "batch_validate" | "batch_plan"),
            operation: Some("create"),
            providers: Some(&providers),
            ..Question::about(Resource::Infra(infra))
        };
        let permit = self.authorise(context, operation, &question)?;
        if runs_any_program(spec) {
            self.authorise_action(context, operation, Action::BatchExecuteCommand, &question)?;
        }
        Ok(permit)
    }

    /// The right to go on with a batch.
    pub(super) async fn may_retry(
        &self,
        context: &Context,
        id: BatchId,
        seen: &Seen<BatchRecord>,
    ) -> Result<Permit, Error> {
        let store = &self.guarded.open(&Permit::own()).store;
        let record = store.read(move |reads| reads.work(WorkId::from(id))).await?;
        let spec = record.and_then(|record| match record.kind {
            WorkKind::Batch { spec } => Some(spec),
            WorkKind::Workflow { .. } | WorkKind::Rollback { .. } => None,
        });
        let providers = spec.as_ref().map(providers);
        let question = Question { operation: Some("create"), providers: providers.as_deref(), ..seen.question() };
        let permit = self.authorise(context, "batch_retry", &question)?;
        // Of which nothing is known might run anything.
        if spec.as_ref().is_none_or(runs_any_program) {
            let question = Question { resource: Resource::Infra(seen.infra()), ..question };
            self.authorise_action(context, "batch_retry", Action::BatchExecuteCommand, &question)?;
        }
        Ok(permit)
    }
}

/// The providers that a batch names.
pub(in crate::app) fn providers(spec: &BatchSpec) -> Vec<&str> {
    let named = spec.operations.iter().filter_map(|operation| operation.provider.as_ref());
    named.map(Name::as_str).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether a batch runs programs that its sender chose: to do something, or to undo it.
pub(in crate::app) fn runs_any_program(spec: &BatchSpec) -> bool {
    let chosen = |payload: &Payload| matches!(payload, Payload::Command { .. });
    spec.operations.iter().any(|operation| chosen(&operation.payload) || operation.rollback.is_some())
}

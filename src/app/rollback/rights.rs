//! What it takes to roll back: the right to undo each batch that it is about, and one more where programs run that
//! somebody chose.

use std::collections::BTreeSet;

use crate::api::actions::Action;
use crate::api::rollback::RollbackOrder;
use crate::app::App;
use crate::app::about::Row;
use crate::app::authorise::Question;
use crate::app::batch::{providers, runs_any_program};
use crate::app::context::{Context, Permit};
use crate::app::error::Error;
use crate::model::id::BatchId;
use crate::model::rollback::RollbackScope;
use crate::policy::{Infra, Resource};
use crate::scheduler::undo_plan::Wanted;
use crate::store::record::BatchRecord;

impl App {
    /// The right to ask, before anything is looked up: ids of what somebody may not read can't be tried out.
    pub(super) async fn may_ask(
        &self,
        context: &Context,
        operation: &'static str,
        order: &RollbackOrder,
    ) -> Result<(), Error> {
        match (&order.scope, &order.infra) {
            (RollbackScope::Batch { batch_id }, _) => self.may_touch(context, operation, *batch_id).await?,
            (RollbackScope::Operations { operation_ids }, _) => {
                for batch in operation_ids.iter().map(|of| of.batch_id).collect::<BTreeSet<_>>() {
                    self.may_touch(context, operation, batch).await?;
                }
            }
            (RollbackScope::Checkpoint { .. } | RollbackScope::Restore { .. }, Some(infra)) => {
                let described = self.infras.get(infra, None).await?;
                let infra = Infra { name: infra.as_str(), environment: &described.environment };
                self.authorise(context, operation, &Question::about(Resource::Infra(infra)))?;
            }
            (RollbackScope::Checkpoint { .. } | RollbackScope::Restore { .. }, None) => {
                self.authorise(context, operation, &Question::about(Resource::System))?;
            }
        }
        Ok(())
    }

    async fn may_touch(&self, context: &Context, operation: &'static str, id: BatchId) -> Result<(), Error> {
        let seen = self.see_batch(context, id).await?;
        self.authorise(context, operation, &Question { operation: Some("delete"), ..seen.question() })?;
        Ok(())
    }

    /// The right to do it to each of these batches; the policies that gave it are those of the last.
    pub(super) async fn may_roll_back(
        &self,
        context: &Context,
        operation: &'static str,
        batches: &[(BatchRecord, Wanted)],
        check_mode: bool,
    ) -> Result<Permit, Error> {
        let mut permit = Permit::own();
        for (record, wanted) in batches {
            let described = self.infras.get(&record.infra, None).await?;
            let (id, providers) = (record.id.to_string(), providers(&wanted.spec));
            let does = [("delete", !wanted.undo.is_empty()), ("create", !wanted.redo.is_empty())];
            for (what, _) in does.into_iter().filter(|(_, is_wanted)| *is_wanted) {
                let question = Question {
                    check_mode,
                    operation: Some(what),
                    providers: Some(&providers),
                    ..Question::about(record.resource(&id, &described.environment))
                };
                permit = self.authorise(context, operation, &question)?;
                if runs_any_program(&wanted.spec) {
                    let infra = Infra { name: record.infra.as_str(), environment: &described.environment };
                    let question = Question { resource: Resource::Infra(infra), ..question };
                    self.authorise_action(context, operation, Action::BatchExecuteCommand, &question)?;
                }
            }
        }
        Ok(permit)
    }
}

//! May they? The one place that asks the policies.

use std::sync::{Arc, PoisonError, RwLock};

use super::App;
use super::context::{Context, Permit};
use super::error::Error;
use super::trail;
use crate::api::actions::Action;
use crate::api::operations::{self, Access};
use crate::audit::Event;
use crate::policy::{Circumstances, Policies, PolicyText, Request, Resource, Subject, shipped};
use crate::store::{Change, Transaction};

/// The policies in force; exchanged as a whole.
pub(super) struct InForce(RwLock<Arc<Policies>>);

impl InForce {
    /// The policies that ship.
    pub(super) fn shipped() -> Self {
        let texts = shipped().iter().map(|shipped| PolicyText {
            id: crate::model::id::PolicyId(uuid::Uuid::nil()),
            name: &shipped.name,
            content: shipped.content,
            enabled: shipped.enabled,
        });
        let policies = Policies::compile(texts).expect("what ships compiles: tests compile it");
        Self(RwLock::new(Arc::new(policies)))
    }

    pub(super) fn get(&self) -> Arc<Policies> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is asked for beside who asks.
pub(super) struct Question<'a> {
    /// What it is done to.
    pub(super) resource: Resource<'a>,
    /// Whether nothing is to be changed.
    pub(super) check_mode: bool,
    /// `create`, `delete`, … of the execution plane.
    pub(super) operation: Option<&'a str>,
    /// Where the work goes.
    pub(super) providers: Option<&'a [&'a str]>,
}

impl<'a> Question<'a> {
    /// About this, and nothing else.
    pub(super) fn about(resource: Resource<'a>) -> Self {
        Self { resource, check_mode: false, operation: None, providers: None }
    }
}

impl App {
    /// The right to carry out the operation called `id` in the table of operations on something.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the policies don't permit it, and for an id that isn't in the table.
    pub(super) fn authorise(
        &self,
        context: &Context,
        id: &'static str,
        question: &Question<'_>,
    ) -> Result<Permit, Error> {
        let action = match operations::find(id).map(|row| row.access) {
            Some(Access::Public | Access::Authenticated) => return Ok(Permit { policies: Vec::new() }),
            Some(Access::Action(action)) => action.parse::<Action>().ok(),
            None => None,
        };
        let action = action.ok_or(Error::Forbidden { operation: id })?;
        let request = Request {
            subject: Subject {
                username: &context.username,
                email: "",
                roles: &context.roles,
                mfa_enrolled: context.mfa,
            },
            action,
            resource: question.resource,
            circumstances: Circumstances {
                mfa: context.mfa,
                ip: context.caller.address,
                time: self.clock.now(),
                check_mode: question.check_mode,
                operation: question.operation,
                providers: question.providers,
            },
        };
        let decision = self.policies.get().decide(&request);
        if decision.allowed {
            return Ok(Permit { policies: decision.policies });
        }
        let (user, address, request_id) = (&context.username, context.caller.address, &context.caller.request_id);
        tracing::info!(user, operation = id, %address, request_id, "denied");
        self.refused(trail::denied(context, id, &question.resource, decision.policies, self.clock.now()));
        Err(Error::Forbidden { operation: id })
    }

    /// Writes a refusal into the audit trail. It is queued before whatever comes after it; nobody waits for the disk, so
    /// that to be refused costs the daemon as little as can be.
    pub(super) fn refused(&self, event: Event) {
        let changes: Vec<Change> = self.refusals.note(event).into_iter().map(Box::new).map(Change::Audit).collect();
        if !changes.is_empty() {
            let store = &self.guarded.open(&Permit::own()).store;
            drop(store.submit(Transaction::of(changes)));
        }
    }

    /// Writes what was counted of refusals.
    pub(super) async fn settle_refusals(&self) -> Result<(), Error> {
        let changes: Vec<Change> = self.refusals.settle().into_iter().map(Box::new).map(Change::Audit).collect();
        if changes.is_empty() {
            return Ok(());
        }
        Ok(self.guarded.open(&Permit::own()).store.commit(Transaction::of(changes)).await?)
    }
}

//! May they? The one place that asks the policies.
//!
//! A question about a task or a batch has two parts. Whoever may not read it is told that it isn't there: see
//! [`super::about`]. Whoever may read it and not do what they want is told what they lack. What of a list somebody may see
//! is in [`super::visible`].

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::App;
use super::accounts::Standing;
use super::context::{Context, Permit};
use super::error::Error;
use super::in_force::Set;
use super::trail;
use crate::api::actions::Action;
use crate::api::operations::{self, Access};
use crate::audit::Event;
use crate::model::time::Timestamp;
use crate::policy::{Circumstances, Decision, Request, Resource, Subject, WhyNot};
use crate::store::{Change, Transaction};

const SET_IT_UP: &str = "your role takes a second factor, and you have none; set one up with `prov mfa enroll`";
const LOG_IN_WITH_IT: &str = "your role takes a second factor; log in with a code of it: `prov login`";
const MAKE_IT_ANEW: &str =
    "your role takes a second factor, and this API token was made without one; log in with a code and make another one";
const NEEDS_LOGIN: Error = Error::NotAllowed("an API token can't do this; log in with `prov login`");

/// What is asked for beside who asks.
#[derive(Clone, Copy)]
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

/// Somebody who asks, at one moment, of the policies then in force: owned, so that it can go where a list is read.
#[derive(Clone)]
pub(super) struct Asker {
    set: Arc<Set>,
    standing: Arc<Standing>,
    owner: Option<Arc<Standing>>,
    mfa: bool,
    address: IpAddr,
    time: Timestamp,
}

impl Asker {
    fn request<'a>(&self, standing: &'a Standing, action: Action, question: &Question<'a>) -> Request<'a> {
        let Standing { username, email, roles, mfa } = standing;
        let subject = Subject { username, email, roles, mfa_enrolled: *mfa };
        let circumstances = Circumstances {
            mfa: self.mfa,
            ip: self.address,
            time: self.time,
            check_mode: question.check_mode,
            operation: question.operation,
            providers: question.providers,
        };
        Request { subject, action, resource: question.resource, circumstances }
    }

    /// An API token is judged by its own roles, and by all of its owner's: a policy that forbids something to one of those
    /// is not got round by a token without it, and one that permits something to fewer roles gives it nothing.
    pub(super) fn decide<'a>(&'a self, action: Action, question: &Question<'a>) -> Decision {
        self.judge(action, question).0
    }

    /// The decision, and as whom it was made.
    fn judge<'a>(&'a self, action: Action, question: &Question<'a>) -> (Decision, &'a Standing) {
        let ask = |standing| self.set.policies.decide(&self.request(standing, action, question));
        let own = ask(&self.standing);
        match &self.owner {
            Some(owner) if own.allowed => {
                let owners = ask(owner);
                if owners.allowed { (own, &self.standing) } else { (owners, owner) }
            }
            _ => (own, &self.standing),
        }
    }

    /// Whether they may, and nothing else.
    pub(super) fn may<'a>(&'a self, action: Action, resource: Resource<'a>) -> bool {
        self.decide(action, &Question::about(resource)).allowed
    }

    /// Whether what they may read depends on more than the infra.
    pub(super) fn looks_at_rows(&self) -> bool {
        self.set.looks_at_rows
    }
}

/// What was denied, to whom, and what would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The operation.
    pub operation: &'static str,
    /// The policy action that it takes.
    pub action: Action,
    /// The infra that it is about, where it is about one.
    pub infra: Option<String>,
    /// The policies that forbid it; none when nothing permits it.
    pub policies: Vec<String>,
    /// What the caller lacks.
    pub lacks: WhyNot,
    /// The command that shows more.
    pub hint: String,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "you may not {}", self.action)?;
        if let Some(infra) = &self.infra {
            write!(f, " on {infra}")?;
        }
        match self.policies.as_slice() {
            [] => write!(f, ": {}", self.lacks),
            policies => write!(f, ": {} (denied by {})", self.lacks, policies.join(", ")),
        }
    }
}

impl App {
    /// The caller as somebody to ask the policies about, now.
    pub(super) fn asker(&self, context: &Context) -> Asker {
        Asker {
            set: self.policies.get(),
            standing: Arc::clone(&context.standing),
            owner: context.owner.clone(),
            mfa: context.mfa,
            address: context.caller.address,
            time: self.clock.now(),
        }
    }

    /// Somebody on whose behalf the daemon acts of its own accord, with less than all of their roles, as whoever asked it to
    /// from this address.
    pub(super) fn asker_for(&self, standing: Standing, owner: Arc<Standing>, address: IpAddr) -> Asker {
        let (set, time) = (self.policies.get(), self.clock.now());
        Asker { set, standing: Arc::new(standing), owner: Some(owner), mfa: false, address, time }
    }

    /// The right to carry out the operation called `id` in the table of operations on something.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the policies don't permit it; an id that isn't in the table is a fault.
    pub(super) fn authorise(
        &self,
        context: &Context,
        id: &'static str,
        question: &Question<'_>,
    ) -> Result<Permit, Error> {
        match operations::find(id).map(|row| row.access) {
            Some(Access::Public | Access::Authenticated) => Ok(Permit { policies: Vec::new() }),
            Some(Access::Session) if context.session().is_some() => Ok(Permit { policies: Vec::new() }),
            Some(Access::Session) => {
                let now = self.clock.now();
                self.refused(trail::denied(context, id, &question.resource, Vec::new(), now));
                Err(NEEDS_LOGIN)
            }
            Some(Access::Action(word)) => {
                let action = word.parse().map_err(|error| Error::Internal(Box::new(error)))?;
                self.authorise_action(context, id, action, question)
            }
            None => Err(Error::Internal(format!("there is no operation {id} to authorise").into())),
        }
    }

    /// The right to an action that an operation takes beside its own.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the policies don't permit it.
    pub(super) fn authorise_action(
        &self,
        context: &Context,
        operation: &'static str,
        action: Action,
        question: &Question<'_>,
    ) -> Result<Permit, Error> {
        self.demand_factor(context, operation)?;
        let asker = self.asker(context);
        let (decision, judged) = asker.judge(action, question);
        if decision.allowed {
            return Ok(Permit { policies: decision.policies });
        }
        let (user, address) = (context.username(), context.caller.address);
        tracing::info!(user, operation, %action, %address, "denied");
        let policies = decision.policies.clone();
        self.refused(trail::denied(context, operation, &question.resource, policies, self.clock.now()));
        let infra = infra_of(&question.resource).map(str::to_owned);
        let lacks = asker.set.policies.why_not(&asker.request(judged, action, question));
        let ask = || ask_somebody(context, action, infra.as_deref(), question);
        let raise = how_to_raise(context.standing.mfa);
        let hint = match (lacks.second_factor, lacks.roles.is_empty()) {
            (false, _) => ask(),
            (true, true) => raise.to_owned(),
            (true, false) => format!("{}; and {raise}", ask()),
        };
        Err(Error::Forbidden(Box::new(Denial { hint, lacks, policies: decision.policies, operation, action, infra })))
    }

    /// Whether a role of the caller takes a second factor.
    pub(super) fn demands_factor(&self, context: &Context) -> bool {
        let standing = context.owner.as_ref().unwrap_or(&context.standing);
        standing.roles.iter().any(|role| self.require_mfa.contains(role))
    }

    /// Refuses whoever has a role that takes a second factor and gave none, whatever the policies say. An API token stands for
    /// the login that made it, as long as its owner has a second factor; to policies nobody gave one with it. It is the roles
    /// of its owner that count.
    ///
    /// # Errors
    /// [`Error::MfaRequired`].
    pub(super) fn demand_factor(&self, context: &Context, operation: &'static str) -> Result<(), Error> {
        if context.factor || !self.demands_factor(context) {
            return Ok(());
        }
        self.refused(trail::without_factor(context, operation, self.clock.now()));
        Err(Error::MfaRequired(match (context.session(), context.standing.mfa) {
            (None, true) => MAKE_IT_ANEW,
            (_, true) => LOG_IN_WITH_IT,
            (_, false) => SET_IT_UP,
        }))
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

fn infra_of<'a>(resource: &Resource<'a>) -> Option<&'a str> {
    match resource {
        Resource::Infra(infra) | Resource::Task { infra, .. } | Resource::Batch { infra, .. } => Some(infra.name),
        Resource::System | Resource::User(_) | Resource::Policy(_) => None,
    }
}

/// How a session comes to a second factor, for whoever has set one up and whoever hasn't.
fn how_to_raise(is_set_up: bool) -> &'static str {
    if is_set_up {
        "log in with a code of your second factor: `prov login`"
    } else {
        "set up a second factor: `prov mfa enroll`"
    }
}

fn ask_somebody(context: &Context, action: Action, infra: Option<&str>, question: &Question<'_>) -> String {
    let (user, address) = (context.username(), context.caller.address);
    let flags = [
        infra.map(|infra| format!(" --infra {infra}")),
        context.mfa.then(|| " --mfa".to_owned()),
        question.check_mode.then(|| " --check".to_owned()),
        question.operation.map(|operation| format!(" --operation {operation}")),
        (!address.is_loopback()).then(|| format!(" --ip {address}")),
    ];
    let flags: String = flags.into_iter().flatten().collect();
    format!("ask an administrator, or see `prov policy why --as {user} --action {action}{flags}`")
}

//! Changing the policies: the whole new set is compiled, checked for an administrator's way back, committed, and put into
//! force at once.
//!
//! The commit relies on the generation that the check was made with, which every change of a policy and every change of who is
//! an administrator begins anew: so two administrators can't together do what neither could alone. What lost the race is
//! judged again.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{check, find, refused, unknown, view};
use crate::api::policy::{NewPolicy, PolicyChange, PolicyView};
use crate::app::accounts::commit_then;
use crate::app::context::{Context, Permit};
use crate::app::error::Error;
use crate::app::in_force::Set;
use crate::app::{App, aside, trail};
use crate::audit;
use crate::model::id::PolicyId;
use crate::model::time::Timestamp;
use crate::policy::{LockedOut, Reach, Subject};
use crate::store::record::{PolicyRecord, UserRecord};
use crate::store::{Change, CommitError, Precondition, Transaction};

/// How often a change is judged again because something else changed meanwhile.
const TRIES: usize = 5;

/// A change of the policies.
pub(super) enum Edit {
    Create(NewPolicy),
    Update(PolicyId, PolicyChange),
    /// To what it was in this version.
    Rollback(Box<PolicyRecord>),
    Delete(PolicyId),
}

/// The policies before a change, and who must keep a way back.
struct Before {
    generation: u64,
    policies: Vec<PolicyRecord>,
    admins: Vec<UserRecord>,
}

/// A change worked out.
struct Worked {
    /// What is in the store afterwards.
    policies: Vec<PolicyRecord>,
    /// The policy that it is about, as it will be or as it was last.
    about: PolicyRecord,
    change: Change,
}

impl App {
    /// Checks that an administrator keeps the way back when this one becomes another, or goes. What it finds holds as long as
    /// the policies are of the generation that it answers; a change of who is an administrator begins another.
    ///
    /// # Errors
    /// When none would.
    pub(in crate::app) async fn check_way_back(
        &self,
        admin: &UserRecord,
        next: Option<&UserRecord>,
    ) -> Result<Precondition, Error> {
        let store = &self.guarded.open(&Permit::own()).store;
        let read = store.read(|reads| Ok((reads.policies()?, reads.admins()?)));
        let ((generation, policies), mut admins) = read.await?;
        admins.retain(|other| other.user.id != admin.user.id);
        admins.extend(next.filter(|next| next.is_enabled_admin()).cloned());
        if admins.is_empty() {
            // Said better by the transaction, which relies on another Admin.
            return Ok(Precondition::PolicyGeneration(generation));
        }
        let at = (self.reach, self.clock.now());
        let check = move || {
            // Of the store, not those in force: what the answer relies on is the generation that was read.
            let set = Set::compile(generation, &policies).map_err(|error| Error::Internal(Box::new(error)))?;
            keeps_the_way_back(&set, &admins, at)
        };
        aside(check).await??;
        Ok(Precondition::PolicyGeneration(generation))
    }

    /// Makes a change; it is in force when this returns.
    ///
    /// # Errors
    /// When it can't be made; then nothing is changed.
    pub(super) async fn change_policies(
        &self,
        context: &Context,
        permit: &Permit,
        operation: &'static str,
        edit: Edit,
    ) -> Result<PolicyView, Error> {
        let store = &self.guarded.open(permit).store;
        let _turn = self.policy_changes.lock().await;
        let mut tries = 0;
        loop {
            tries += 1;
            let before = store.read(|reads| {
                // The generation first: what is read after it may be newer, and then the commit is refused.
                let (generation, policies) = reads.policies()?;
                Ok(Before { generation, policies, admins: reads.admins()? })
            });
            let (before, now) = (before.await?, self.clock.now());
            let generation = before.generation;
            let Some(Worked { policies, about, change }) = work_out(before.policies, &edit, context.username(), now)?
            else {
                return find_again(store, &edit).await;
            };
            let own = about.id;
            let reach = self.reach;
            let set = aside(move || judge(generation + 1, &policies, &before.admins, own, (reach, now))).await??;
            let resource = audit::Resource::new("policy", &about.name);
            let entry = trail::done_with(context, permit, operation, resource, now, told(&about, &change));
            let transaction = Transaction {
                preconditions: vec![Precondition::PolicyGeneration(generation)],
                changes: vec![change, entry],
            };
            let in_force = Arc::clone(&self.policies);
            match commit_then(store, transaction, move || in_force.exchange(set)).await {
                Ok(()) => {
                    tracing::info!(user = context.username(), operation, policy = %about.name, "the policies changed");
                    return Ok(view(about));
                }
                Err(CommitError::Refused(_)) if tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What the trail says of a change: all that policies say goes through it, so that it tells who could do what at any time.
fn told(about: &PolicyRecord, change: &Change) -> Value {
    if matches!(change, Change::RemovePolicy(_)) {
        return json!({ "removed_version": about.version, "content": about.content });
    }
    json!({ "version": about.version, "enabled": about.enabled, "content": about.content })
}

/// The policy of an edit that changes nothing.
async fn find_again(store: &crate::store::Store, edit: &Edit) -> Result<PolicyView, Error> {
    let id = match edit {
        Edit::Update(id, _) | Edit::Delete(id) => *id,
        Edit::Rollback(then) => then.id,
        Edit::Create(new) => return Err(unknown(new.name.as_str())),
    };
    let (_, policies) = store.read(|reads| reads.policies()).await?;
    policies.into_iter().find(|policy| policy.id == id).map(view).ok_or_else(|| unknown(&id.to_string()))
}

/// Compiles the policies, and checks that an administrator keeps the way back.
fn judge(
    generation: u64,
    policies: &[PolicyRecord],
    admins: &[UserRecord],
    own: PolicyId,
    (reach, now): (Reach, Timestamp),
) -> Result<Set, Error> {
    let set = Set::compile(generation, policies).map_err(|problems| refused(problems, own))?;
    keeps_the_way_back(&set, admins, (reach, now))?;
    Ok(set)
}

/// Checks that one of these administrators keeps the way back.
fn keeps_the_way_back(set: &Set, admins: &[UserRecord], (reach, now): (Reach, Timestamp)) -> Result<(), Error> {
    let admins = admins.iter().map(|admin| Subject::of(&admin.user, admin.has_mfa()));
    let locked_out = |it: LockedOut| Error::Conflict(format!("this would lock everybody out: {it}"));
    set.policies.keeps_an_admin(admins, reach, now).map_err(locked_out)
}

/// What an edit makes of the policies; nothing when it changes nothing.
fn work_out(mut policies: Vec<PolicyRecord>, edit: &Edit, user: &str, now: Timestamp) -> Result<Option<Worked>, Error> {
    let (old, new) = match edit {
        Edit::Create(new) => (None, Some(created(new, user, now))),
        Edit::Update(id, change) => {
            let old = existing(&policies, *id)?;
            if let Some(version) = change.version.filter(|version| *version != old.version) {
                let message = format!("policy {} is in version {}, not {version}", old.name, old.version);
                return Err(Error::Conflict(message));
            }
            let new = PolicyRecord {
                name: change.name.clone().unwrap_or_else(|| old.name.clone()),
                description: change.description.clone().unwrap_or_else(|| old.description.clone()),
                content: change.content.clone().unwrap_or_else(|| old.content.clone()),
                enabled: change.enabled.unwrap_or(old.enabled),
                ..old.clone()
            };
            (Some(old), Some(new))
        }
        Edit::Rollback(then) => {
            let old = existing(&policies, then.id)?;
            let PolicyRecord { name, description, content, enabled, .. } = (**then).clone();
            let new = PolicyRecord { name, description, content, enabled, ..old.clone() };
            (Some(old), Some(new))
        }
        Edit::Delete(id) => (Some(existing(&policies, *id)?), None),
    };
    let Some(new) = new else {
        let Some(old) = old else { return Ok(None) };
        policies.retain(|policy| policy.id != old.id);
        return Ok(Some(Worked { policies, change: Change::RemovePolicy(old.id), about: old }));
    };
    if old.as_ref() == Some(&new) {
        return Ok(None);
    }
    let version = old.map_or(1, |old| old.version + 1);
    let new = PolicyRecord { version, updated_at: now, updated_by: user.to_owned(), ..new };
    if find(&policies, new.name.as_str()).is_some_and(|other| other.id != new.id) {
        return Err(Error::Conflict(format!("there is another policy {}", new.name)));
    }
    check(&new)?;
    policies.retain(|policy| policy.id != new.id);
    policies.push(new.clone());
    Ok(Some(Worked { policies, change: Change::PutPolicy(Box::new(new.clone())), about: new }))
}

fn existing(policies: &[PolicyRecord], id: PolicyId) -> Result<PolicyRecord, Error> {
    policies.iter().find(|policy| policy.id == id).cloned().ok_or_else(|| unknown(&id.to_string()))
}

fn created(new: &NewPolicy, user: &str, now: Timestamp) -> PolicyRecord {
    let NewPolicy { name, description, content, enabled } = new.clone();
    PolicyRecord {
        id: PolicyId(Uuid::now_v7()),
        name,
        description,
        content,
        enabled,
        shipped: false,
        version: 1,
        created_at: now,
        created_by: user.to_owned(),
        updated_at: now,
        updated_by: user.to_owned(),
    }
}

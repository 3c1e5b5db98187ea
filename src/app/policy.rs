//! Policies: list, get, create, update, delete, versions, rollback. What changes the policies goes through [`change`]; what
//! only asks them is in [`evaluate`].

mod change;
mod evaluate;
mod start;

use uuid::Uuid;

use super::App;
use super::authorise::Question;
use super::context::{Context, Permit};
use super::error::Error;
use super::in_force::text;
use crate::api::actions::Action;
use crate::api::list::{Listed, Page};
use crate::api::policy::{NewPolicy, PolicyChange, PolicyProblem, PolicyQuery, PolicyView};
use crate::model::id::PolicyId;
use crate::policy::{self, Resource};
use crate::store::record::PolicyRecord;
use change::Edit;
pub use start::{PolicyStartError, policies};

impl App {
    /// Policies, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn policy_list(&self, context: &Context, query: PolicyQuery) -> Result<Listed<PolicyView>, Error> {
        let permit = self.authorise(context, "policy_list", &Question::about(Resource::System))?;
        let all = self.guarded.open(&permit).store.read(|reads| reads.policies()).await?.1;
        let asker = self.asker(context);
        let seen = |policy: &PolicyRecord| asker.may(Action::PolicyRead, Resource::Policy(policy.name.as_str()));
        Ok(part(all.into_iter().filter(seen).map(view).collect(), query.page))
    }

    /// One policy.
    ///
    /// # Errors
    /// When there is none of that id or name.
    pub async fn policy_get(&self, context: &Context, id: &str) -> Result<PolicyView, Error> {
        self.see_policy(context, "policy_get", id).await.map(|(_, policy)| view(policy))
    }

    /// Every version of a policy, newest first.
    ///
    /// # Errors
    /// When there is none of that id or name.
    pub async fn policy_versions(&self, context: &Context, id: &str) -> Result<Vec<PolicyView>, Error> {
        let (permit, policy) = self.see_policy(context, "policy_versions", id).await?;
        let store = &self.guarded.open(&permit).store;
        let versions = store.read(move |reads| reads.policy_versions(policy.id)).await?;
        Ok(versions.into_iter().map(view).collect())
    }

    /// Makes a policy; it is in force when this returns.
    ///
    /// # Errors
    /// When its name is taken, its text is wrong, or it would leave no administrator.
    pub async fn policy_create(&self, context: &Context, new: NewPolicy) -> Result<PolicyView, Error> {
        self.authorise(context, "policy_create", &Question::about(Resource::System))?;
        let permit = self.authorise(context, "policy_create", &Question::about(Resource::Policy(new.name.as_str())))?;
        self.change_policies(context, &permit, "policy_create", Edit::Create(new)).await
    }

    /// Changes a policy; the change is in force when this returns.
    ///
    /// # Errors
    /// As [`App::policy_create`], and when there is no such policy or it is in another version than the caller thinks.
    pub async fn policy_update(&self, context: &Context, id: &str, change: PolicyChange) -> Result<PolicyView, Error> {
        let (_, policy) = self.see_policy(context, "policy_get", id).await?;
        let permit = self.may_change(context, "policy_update", &policy)?;
        if let Some(name) = &change.name {
            self.authorise(context, "policy_update", &Question::about(Resource::Policy(name.as_str())))?;
        }
        self.change_policies(context, &permit, "policy_update", Edit::Update(policy.id, change)).await
    }

    /// Gives a policy the name, text and state of one of its versions again, as a new version.
    ///
    /// # Errors
    /// As [`App::policy_update`], and when there is no such version.
    pub async fn policy_rollback(&self, context: &Context, id: &str, version: u64) -> Result<PolicyView, Error> {
        let (_, policy) = self.see_policy(context, "policy_get", id).await?;
        let permit = self.may_change(context, "policy_rollback", &policy)?;
        let store = &self.guarded.open(&permit).store;
        let versions = store.read(move |reads| reads.policy_versions(policy.id)).await?;
        let then = versions.into_iter().find(|then| then.version == version);
        let then = then
            .ok_or_else(|| Error::NotFound { kind: "version", id: format!("{version} of policy {}", policy.name) })?;
        self.authorise(context, "policy_rollback", &Question::about(Resource::Policy(then.name.as_str())))?;
        self.change_policies(context, &permit, "policy_rollback", Edit::Rollback(Box::new(then))).await
    }

    /// Removes a policy with all its versions; that is in force when this returns.
    ///
    /// # Errors
    /// When there is no such policy, or it would leave no administrator.
    pub async fn policy_delete(&self, context: &Context, id: &str) -> Result<PolicyView, Error> {
        let (_, policy) = self.see_policy(context, "policy_get", id).await?;
        let permit = self.may_change(context, "policy_delete", &policy)?;
        self.change_policies(context, &permit, "policy_delete", Edit::Delete(policy.id)).await
    }

    fn may_change(&self, context: &Context, id: &'static str, policy: &PolicyRecord) -> Result<Permit, Error> {
        self.authorise(context, id, &Question::about(Resource::Policy(policy.name.as_str())))
    }

    /// A policy that the caller may read, by id or name. Who may read none is told so.
    async fn see_policy(
        &self,
        context: &Context,
        operation: &'static str,
        id: &str,
    ) -> Result<(Permit, PolicyRecord), Error> {
        let permit = self.authorise(context, operation, &Question::about(Resource::System))?;
        let all = self.guarded.open(&permit).store.read(|reads| reads.policies()).await?.1;
        let found = find(&all, id).ok_or_else(|| unknown(id))?;
        match self.authorise(context, operation, &Question::about(Resource::Policy(found.name.as_str()))) {
            Ok(permit) => Ok((permit, found.clone())),
            Err(Error::Forbidden(_)) => Err(unknown(id)),
            Err(other) => Err(other),
        }
    }
}

fn unknown(id: &str) -> Error {
    Error::NotFound { kind: "policy", id: crate::api::read::shown(id).into_owned() }
}

fn find<'p>(policies: &'p [PolicyRecord], id: &str) -> Option<&'p PolicyRecord> {
    let wanted = id.parse::<PolicyId>().ok();
    policies.iter().find(|policy| policy.name.as_str() == id || Some(policy.id) == wanted)
}

/// A part of a list that is here as a whole, newest first.
fn part(all: Vec<PolicyView>, page: Page) -> Listed<PolicyView> {
    let total = all.len() as u64;
    let older = |policy: &PolicyView| page.after.is_none_or(|after| policy.id.0 < after);
    let mut rest = all.into_iter().filter(older).skip(page.offset);
    let items: Vec<PolicyView> = rest.by_ref().take(page.limit).collect();
    let next_after: Option<Uuid> = rest.next().and(items.last()).map(|policy| policy.id.0);
    Listed { items, total, next_after }
}

fn view(policy: PolicyRecord) -> PolicyView {
    let PolicyRecord {
        id,
        name,
        description,
        content,
        enabled,
        shipped,
        version,
        created_at,
        created_by,
        updated_at,
        updated_by,
    } = policy;
    PolicyView {
        id,
        name,
        description,
        content,
        enabled,
        shipped,
        version,
        created_at,
        created_by,
        updated_at,
        updated_by,
    }
}

/// What is wrong with the text of a policy, as its sender sees it; `own` is the policy that was sent.
fn refused(problems: policy::Problems, own: PolicyId) -> Error {
    let told = |problem: policy::Problem| {
        let policy::Problem { policy, name, line, column, message: what, hint } = problem;
        let is_own = policy == own;
        let whose = if is_own { String::new() } else { format!("policy `{name}`, ") };
        let help = hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        let message = format!("{whose}line {line}, column {column}: {what}{help}");
        let pointer = if is_own { "/content".to_owned() } else { String::new() };
        PolicyProblem { pointer, message, line, column, what, hint }
    };
    Error::Policy(problems.0.into_iter().map(told).collect())
}

/// Checks a text by itself, enabled or not.
fn check(policy: &PolicyRecord) -> Result<(), Error> {
    policy::check(&text(policy)).map_err(|problems| refused(problems, policy.id))
}

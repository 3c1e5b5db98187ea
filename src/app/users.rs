//! Users and roles: who there is, and what they may.
//!
//! Whoever manages users gives nobody more than they have themselves, and touches nobody who has more. The last enabled
//! Admin stays one: the transaction relies on another.

use serde_json::json;
use uuid::Uuid;

use super::accounts::{self, Ended, TRIES, overtaken, replaced};
use super::authorise::Question;
use super::context::{Context, Permit};
use super::error::Error;
use super::login::problem;
use super::{App, trail};
use crate::api::actions::{Action, Kind};
use crate::api::list::{Listed, Page};
use crate::api::users::{NewUser, RoleView, UserAccount, UserChange, UserKey};
use crate::audit;
use crate::auth::lockout;
use crate::model::id::UserId;
use crate::model::time::Timestamp;
use crate::model::user::{Role, User};
use crate::policy::{Circumstances, Infra, Request, Resource, Subject, shipped};
use crate::store::record::UserRecord;
use crate::store::{Change, CommitError, Precondition, Refused, Transaction};

const MORE_THAN_YOU: Error = Error::NotAllowed("you can't give, change or delete a role that you don't have yourself");
const OWN_ROLES: Error = Error::NotAllowed("only an Admin can change their own roles; ask another one");

impl App {
    /// Users, in the order of their names.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn user_list(&self, context: &Context, page: Page) -> Result<Listed<UserAccount>, Error> {
        let permit = self.authorise(context, "user_list", &Question::about(Resource::System))?;
        let listed = self.guarded.open(&permit).store.read(move |reads| reads.users(page)).await?;
        let now = self.clock.now();
        let items = listed.items.iter().map(|record| account(record, now)).collect();
        Ok(Listed { items, total: listed.total, next_after: listed.next_after })
    }

    /// One user.
    ///
    /// # Errors
    /// When there is no such user, or the caller may not see them.
    pub async fn user_get(&self, context: &Context, key: &UserKey) -> Result<UserAccount, Error> {
        let (record, _, _) = self.managed(context, "user_get", key).await?;
        Ok(account(&record, self.clock.now()))
    }

    /// A new user.
    ///
    /// # Errors
    /// When the name is taken, the password isn't good, or the caller may not.
    pub async fn user_create(&self, context: &Context, new: NewUser) -> Result<UserAccount, Error> {
        let permit = self.authorise(context, "user_create", &Question::about(Resource::System))?;
        if !has_all(context, &new.roles) {
            return Err(MORE_THAN_YOU);
        }
        let now = self.clock.now();
        let NewUser { username, email, roles, password } = new;
        let user = User { id: UserId(Uuid::now_v7()), username, email, roles, created_at: now };
        let name = user.username.clone();
        let mut record = UserRecord::new(user, String::new());
        record.password_hash = self.hash("/password", &password, &record, &mut None).await?;
        let resource = audit::Resource::new("user", &name);
        let details = json!({ "id": record.user.id, "roles": record.user.roles });
        let entry = trail::done_with(context, &permit, "user_create", resource, now, details);
        let transaction = Transaction {
            preconditions: vec![Precondition::UsernameFree(name.clone())],
            changes: vec![Change::PutUser(Box::new(record.clone())), entry],
        };
        match self.guarded.open(&permit).store.commit(transaction).await {
            Err(CommitError::Refused(_)) => Err(Error::Conflict(format!("there is a user {name} already"))),
            committed => Ok(committed.map(|()| account(&record, now))?),
        }
    }

    /// Changes a user. A new password ends their API tokens as well. A new password, shutting them out, and taking their second factor away end their sessions.
    ///
    /// # Errors
    /// When the caller may not, or nobody would be left who may do everything.
    pub async fn user_update(
        &self,
        context: &Context,
        key: &UserKey,
        change: UserChange,
    ) -> Result<UserAccount, Error> {
        let mut hashed = None;
        for _ in 0..TRIES {
            let (record, theirs, permit) = self.managed(context, "user_update", key).await?;
            may_change(context, &record, &change)?;
            if let (None, Some(password)) = (&hashed, &change.password) {
                hashed = Some(self.hash("/password", password, &record, &mut None).await?);
            }
            let next = changed(&record, &change, hashed.clone());
            let now = self.clock.now();
            let takes_factor = change.mfa == Some(false) && record.has_mfa();
            let ends = change.password.is_some() || change.disabled == Some(true) || takes_factor;
            let ended = Ended {
                sessions: if ends { theirs.sessions } else { Vec::new() },
                // Whoever had the password may have made some.
                tokens: if change.password.is_some() { theirs.tokens } else { Vec::new() },
            };
            let resource = audit::Resource::new("user", &record.user.username);
            let details = json!({ "changed": change.fields(), "roles": next.user.roles, "disabled": next.disabled });
            let entry = trail::done_with(context, &permit, "user_update", resource, now, details);
            let (precondition, put) = replaced(&record, next.clone());
            let transaction = Transaction { preconditions: vec![precondition], changes: vec![put, entry] };
            if self.commit_user(&permit, &record, Some(&next), ended, transaction).await? {
                return Ok(account(&next, now));
            }
        }
        Err(overtaken())
    }

    /// Deletes a user, with sessions and API tokens.
    ///
    /// # Errors
    /// When the caller may not, or nobody would be left who may do everything.
    pub async fn user_delete(&self, context: &Context, key: &UserKey) -> Result<UserId, Error> {
        for _ in 0..TRIES {
            let (record, theirs, permit) = self.managed(context, "user_delete", key).await?;
            if !has_all(context, &record.user.roles) {
                return Err(MORE_THAN_YOU);
            }
            let (id, now) = (record.user.id, self.clock.now());
            let resource = audit::Resource::new("user", &record.user.username);
            let details = json!({ "id": id, "roles": record.user.roles });
            let entry = trail::done_with(context, &permit, "user_delete", resource, now, details);
            let transaction = Transaction {
                preconditions: vec![Precondition::UserGeneration(id, record.generation)],
                changes: vec![Change::RemoveUser(id), entry],
            };
            if self.commit_user(&permit, &record, None, theirs, transaction).await? {
                return Ok(id);
            }
        }
        Err(overtaken())
    }

    /// Ends the lock that failed logins led to.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn user_unlock(&self, context: &Context, key: &UserKey) -> Result<UserAccount, Error> {
        for _ in 0..TRIES {
            let (record, _, permit) = self.managed(context, "user_unlock", key).await?;
            let now = self.clock.now();
            let resource = audit::Resource::new("user", &record.user.username);
            let entry = trail::done(context, &permit, "user_unlock", resource, now);
            let next = UserRecord { lockout: lockout::cleared(), ..record.clone() };
            let (precondition, put) = replaced(&record, next.clone());
            let transaction = Transaction { preconditions: vec![precondition], changes: vec![put, entry] };
            if self.commit_user(&permit, &record, Some(&next), Ended::default(), transaction).await? {
                return Ok(account(&next, now));
            }
        }
        Err(overtaken())
    }

    /// The roles, with what the policies in force permit each.
    ///
    /// # Errors
    /// None that the caller can help.
    pub async fn role_list(&self, context: &Context) -> Result<Vec<RoleView>, Error> {
        self.authorise(context, "role_list", &Question::about(Resource::System))?;
        let (policies, time) = (self.policies.get(), self.clock.now());
        super::aside(move || {
            let may = |role: Role, action: Action, environment: &str| {
                policies.policies.decide(&question(&[role], action, environment, time)).allowed
            };
            let view = |role: Role| {
                let permitted = |environment| Action::ALL.iter().filter(move |action| may(role, **action, environment));
                let words = |action: &&Action| action.as_str().to_owned();
                let everywhere: Vec<String> = permitted("production").map(|action| words(&action)).collect();
                let elsewhere = permitted("development").map(|action| words(&action));
                let outside_production = elsewhere.filter(|action| !everywhere.contains(action)).collect();
                RoleView { role, description: description(role), outside_production, actions: everywhere }
            };
            Role::ALL.iter().map(|role| view(*role)).collect()
        })
        .await
    }

    /// The user that a path names, all that would end with them, and the right to do this to them. Who may not do it to anybody isn't
    /// told whether there is one.
    async fn managed(
        &self,
        context: &Context,
        id: &'static str,
        key: &UserKey,
    ) -> Result<(UserRecord, Ended, Permit), Error> {
        let named = key.clone();
        let read = self.guarded.open(&Permit::own()).store.read(move |reads| {
            // The record first: whatever session begins later makes it out of date.
            let Some(record) = accounts::find(reads, &named)? else { return Ok(None) };
            let sessions = reads.sessions_of(record.user.id)?.iter().map(|session| session.id).collect();
            let tokens = reads.api_tokens_of(record.user.id)?;
            Ok(Some((record, Ended { sessions, tokens })))
        });
        let found = read.await?;
        let about = |(record, _): &(UserRecord, Ended)| (record.user.clone(), record.has_mfa());
        let about = found.as_ref().map(about);
        let resource = about.as_ref().map_or(Resource::System, |(user, mfa)| Resource::User(Subject::of(user, *mfa)));
        let permit = self.authorise(context, id, &Question::about(resource))?;
        let (record, theirs) = found.ok_or_else(|| Error::NotFound { kind: "user", id: key.to_string() })?;
        Ok((record, theirs, permit))
    }

    /// Commits what becomes of a user, and ends this, unless that takes away the last Admin or the way back of all
    /// of them; false when somebody changed the user or the administrators meanwhile.
    async fn commit_user(
        &self,
        permit: &Permit,
        record: &UserRecord,
        next: Option<&UserRecord>,
        ended: Ended,
        mut transaction: Transaction,
    ) -> Result<bool, Error> {
        let keeps_admin = next.is_some_and(UserRecord::is_enabled_admin);
        if record.is_enabled_admin() && !keeps_admin {
            transaction.preconditions.push(Precondition::AnotherAdmin(record.user.id));
        }
        let is_same = |next: &UserRecord| {
            let (before, after) = (&record.user, &next.user);
            keeps_admin && before.roles == after.roles && before.email == after.email && record.mfa == next.mfa
        };
        if record.is_enabled_admin() && !next.is_some_and(is_same) {
            transaction.preconditions.push(self.check_way_back(record, next).await?);
        }
        transaction.changes.extend(ended.changes());
        let store = &self.guarded.open(permit).store;
        match self.commit_account(store, record.user.id, ended, transaction).await {
            Ok(()) => Ok(true),
            Err(CommitError::Refused(Refused(
                Precondition::UserGeneration(..) | Precondition::PolicyGeneration(_),
            ))) => Ok(false),
            Err(error) => Err(refused(record, error)),
        }
    }
}

/// The rules that no policy can change.
fn may_change(context: &Context, record: &UserRecord, change: &UserChange) -> Result<(), Error> {
    let is_self = record.user.id == context.user;
    if is_self && change.password.is_some() {
        return Err(problem(
            "/password",
            "is your own: change it with POST /auth/password, which asks for the present one",
        ));
    }
    if is_self && change.mfa.is_some() {
        return Err(problem(
            "/mfa",
            "is your own: remove it with DELETE /mfa, which asks for your password and a code",
        ));
    }
    let changes_roles = change.roles.as_ref().is_some_and(|roles| *roles != record.user.roles);
    if is_self && changes_roles && !context.standing.roles.contains(&Role::Admin) {
        return Err(OWN_ROLES);
    }
    let given = change.roles.as_deref().unwrap_or_default();
    if has_all(context, given) && has_all(context, &record.user.roles) { Ok(()) } else { Err(MORE_THAN_YOU) }
}

/// Whether the caller has each of these roles, by itself or within another one.
fn has_all(context: &Context, roles: &[Role]) -> bool {
    roles.iter().all(|wanted| context.standing.roles.iter().any(|role| role.includes(*wanted)))
}

fn refused(record: &UserRecord, error: CommitError) -> Error {
    match error {
        CommitError::Refused(Refused(Precondition::AnotherAdmin(_))) => Error::Conflict(format!(
            "{} is the last Admin who can log in; make another one first",
            record.user.username
        )),
        other => other.into(),
    }
}

fn changed(record: &UserRecord, change: &UserChange, hash: Option<String>) -> UserRecord {
    let mut next = record.clone();
    if let Some(email) = &change.email {
        next.user.email.clone_from(email);
    }
    if let Some(roles) = &change.roles {
        next.user.roles.clone_from(roles);
    }
    next.disabled = change.disabled.unwrap_or(next.disabled);
    if change.mfa == Some(false) {
        next.mfa = None;
    }
    if let Some(hash) = hash {
        next.password_hash = hash;
    }
    next
}

fn account(record: &UserRecord, now: Timestamp) -> UserAccount {
    UserAccount {
        id: record.user.id,
        username: record.user.username.clone(),
        email: record.user.email.clone(),
        roles: record.user.roles.clone(),
        disabled: record.disabled,
        locked_until: lockout::locked_until(&record.lockout, now),
        mfa: record.has_mfa(),
        created_at: record.user.created_at,
        last_login_at: record.last_login_at,
    }
}

fn description(role: Role) -> String {
    let name = format!("role-{}", role.as_str().to_ascii_lowercase());
    shipped().iter().find(|policy| policy.name == name).map(|policy| policy.description.clone()).unwrap_or_default()
}

/// Whether somebody with these roles, who gave a second factor, may do something on an infra of this environment.
fn question<'a>(roles: &'a [Role], action: Action, environment: &'a str, time: Timestamp) -> Request<'a> {
    let subject = Subject { username: "somebody", email: "", roles, mfa_enrolled: true };
    let infra = Infra { name: environment, environment };
    let (id, name, submitted_by) = ("00000000-0000-0000-0000-000000000000", "some", "somebody-else");
    let resource = match action.kinds().first() {
        Some(Kind::Task) => Resource::Task { id, name, infra, submitted_by },
        Some(Kind::Batch) => Resource::Batch { id, name, infra, submitted_by },
        Some(Kind::Infra) => Resource::Infra(infra),
        Some(Kind::User) => Resource::User(Subject { username: "somebody-else", roles: &[], ..subject }),
        Some(Kind::Policy) => Resource::Policy(name),
        Some(Kind::System) | None => Resource::System,
    };
    let ip = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let circumstances = Circumstances { mfa: true, ip, time, check_mode: false, operation: None, providers: None };
    Request { subject, action, resource, circumstances }
}

//! Proving who one is: login, and the change of the password.
//!
//! A wrong password, a locked account, one that is shut out and a name that nobody has are answered alike, after the same
//! work: one check of a password, and one commit that tells the audit trail of it.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::accounts::{TRIES, overtaken, replaced, was_overtaken};
use super::authorise::Question;
use super::context::{Caller, Context, Permit};
use super::error::Error;
use super::{App, aside, trail};
use crate::api::auth::{LoginRequest, TokenPair};
use crate::api::read::Problem;
use crate::api::users::{PasswordChange, PasswordChanged};
use crate::audit::{self, Credential, Outcome};
use crate::auth::{backup, lockout, password, rules, session, totp};
use crate::model::id::SessionId;
use crate::model::mfa::Mfa;
use crate::model::time::Timestamp;
use crate::model::user::Session;
use crate::policy::Resource;
use crate::store::record::UserRecord;
use crate::store::{Change, Transaction};

/// One text for every reason, so that an answer doesn't tell whether a user exists.
const WRONG_LOGIN: Error = Error::Unauthenticated("wrong user name or password");
const WRONG_PASSWORD: Error = Error::NotAllowed("the current password is wrong");

/// What an attempt is worth.
enum Verdict {
    /// It is them; the record with the code spent and the failures forgotten.
    Good(Box<UserRecord>),
    /// The password is right, and a code is needed.
    NeedsCode,
    /// It is not, or they may not; the record with the failure counted, where it counts.
    Wrong(Option<Box<UserRecord>>),
}

/// What an attempt says of the second factor.
enum Factor<'a> {
    NotAsked,
    Asked(Option<&'a str>),
}

/// A password that was checked against a hash, if there was one.
struct Checked {
    hash: Option<String>,
    matches: bool,
}

impl App {
    /// A token pair for a name and its password. The user's sessions that are over are forgotten.
    ///
    /// # Errors
    /// When they don't match, too many attempts failed, or a second factor is missing.
    pub async fn auth_login(&self, caller: &Caller, request: LoginRequest) -> Result<TokenPair, Error> {
        let store = &self.guarded.open(&Permit::public("auth_login")).store;
        let LoginRequest { username, password, mfa_code } = request;
        let username = username.to_ascii_lowercase();
        let mut turn = Some(self.turn_to_prove(caller, &username, "auth_login").await?);
        let mut checked = None;
        for _ in 0..TRIES {
            let name = username.clone();
            let read = store.read(move |reads| {
                // The record first: whatever session begins later makes it out of date.
                let Some(record) = reads.user_by_name(&name)? else { return Ok(None) };
                let sessions = reads.sessions_of(record.user.id)?;
                Ok(Some((record, sessions)))
            });
            let (record, sessions) = read.await?.unzip();
            let check = self.check(&password, record.as_ref(), &mut checked, &mut turn).await?;
            let now = self.clock.now();
            let verdict = match &record {
                Some(record) => judge(record, check, &Factor::Asked(mfa_code.as_deref()), now),
                None => Verdict::Wrong(None),
            };
            let (Some(old), Verdict::Good(next)) = (&record, &verdict) else {
                let needs_code = matches!(verdict, Verdict::NeedsCode);
                let code = if needs_code { "mfa_required" } else { "unauthenticated" };
                let entry = trail::unproven(caller, &username, "auth_login", failure(code), now);
                let counted = if let Verdict::Wrong(counted) = verdict { counted } else { None };
                if !self.note_failure(record.as_ref(), counted, entry).await? {
                    continue;
                }
                tracing::warn!(address = %caller.address, request_id = caller.request_id, "login failed");
                if needs_code {
                    self.counters.login_undecided(caller.address, &username);
                    return Err(Error::MfaRequired("this account needs a code of its second factor as well"));
                }
                return Err(WRONG_LOGIN);
            };
            let (session, refresh) = session::begin(SessionId(Uuid::now_v7()), old.user.id, old.has_mfa(), now)?;
            let next = UserRecord { last_login_at: Some(now), ..(**next).clone() };
            let (precondition, put) = replaced(old, next);
            let over = sessions.into_iter().flatten().filter(|session| !session::is_live(session, now));
            let mut changes: Vec<Change> = over.map(|session| Change::RemoveSession(session.id)).collect();
            let done = ("auth_login", Outcome::Success);
            let entry = trail::of_session(caller, &old.user, session.id, Credential::None, done, now);
            changes.extend([put, Change::PutSession(Box::new(session.clone())), entry]);
            let committed = store.commit(Transaction { preconditions: vec![precondition], changes }).await;
            if was_overtaken(&committed) {
                continue;
            }
            committed?;
            self.counters.login_succeeded(caller.address, &username);
            self.sessions.set(session.id, true);
            tracing::info!(user = username, address = %caller.address, request_id = caller.request_id, "logged in");
            return self.pair(&old.user, &session, refresh, now);
        }
        Err(overtaken())
    }

    /// Changes the caller's password and ends their other sessions.
    ///
    /// # Errors
    /// When the present password is wrong, or the new one is not good.
    pub async fn auth_password(&self, context: &Context, change: PasswordChange) -> Result<PasswordChanged, Error> {
        let permit = self.authorise(context, "auth_password", &Question::about(Resource::System))?;
        let store = &self.guarded.open(&permit).store;
        let (id, caller, name) = (context.user, &context.caller, context.username());
        let mut turn = Some(self.turn_to_prove(caller, name, "auth_password").await?);
        let (mut checked, mut hashed) = (None, None);
        for _ in 0..TRIES {
            let read = store.read(move |reads| {
                let Some(record) = reads.user(id)? else { return Ok(None) };
                let sessions = reads.sessions_of(id)?;
                Ok(Some((record, sessions)))
            });
            let (record, sessions) = read.await?.ok_or(WRONG_PASSWORD)?;
            let check = self.check(&change.current_password, Some(&record), &mut checked, &mut turn).await?;
            let now = self.clock.now();
            let next = match judge(&record, check, &Factor::NotAsked, now) {
                Verdict::Good(next) => next,
                Verdict::NeedsCode => return Err(WRONG_PASSWORD),
                Verdict::Wrong(counted) => {
                    let entry = trail::unproven(caller, name, "auth_password", failure("forbidden"), now);
                    if self.note_failure(Some(&record), counted, entry).await? {
                        return Err(WRONG_PASSWORD);
                    }
                    continue;
                }
            };
            self.counters.login_succeeded(caller.address, name);
            if change.new_password == change.current_password {
                return Err(problem("/new_password", "is the present password"));
            }
            let password_hash = match &hashed {
                Some(hash) => String::clone(hash),
                None => self.hash("/new_password", &change.new_password, &record, &mut turn).await?,
            };
            hashed = Some(password_hash.clone());
            let (precondition, put) = replaced(&record, UserRecord { password_hash, ..*next });
            let others: Vec<Session> =
                sessions.into_iter().filter(|session| Some(session.id) != context.session()).collect();
            let sessions_ended = others.iter().filter(|session| session::is_live(session, now)).count();
            let resource = audit::Resource::new("user", name);
            let details = json!({ "sessions_ended": sessions_ended });
            let entry = trail::done_with(context, &permit, "auth_password", resource, now, details);
            let ended: Vec<SessionId> = others.iter().map(|session| session.id).collect();
            let changes = ended.iter().copied().map(Change::RemoveSession).chain([put, entry]).collect();
            let transaction = Transaction { preconditions: vec![precondition], changes };
            let committed = self.commit_account(store, id, ended, transaction).await;
            if !was_overtaken(&committed) {
                committed?;
                return Ok(PasswordChanged { sessions_ended });
            }
        }
        Err(overtaken())
    }

    /// The turn to check a password, when not too many were wrong. The attempt counts as failed before it is known, and is
    /// given back on success: many at once are no way round the limit.
    async fn turn_to_prove(
        &self,
        caller: &Caller,
        username: &str,
        id: &'static str,
    ) -> Result<OwnedSemaphorePermit, Error> {
        let limited = |error| {
            self.refused(trail::rate_limited(caller, username, id, self.clock.now()));
            error
        };
        self.counters.before_login(caller.address, username).map_err(limited)?;
        let turn = Arc::clone(&self.password_checks).acquire_owned().await;
        self.counters.count_login(caller.address, username).map_err(limited)?;
        turn.map_err(|error| Error::Internal(Box::new(error)))
    }

    /// Whether the password is that of the record; checked once for each hash.
    async fn check(
        &self,
        password: &str,
        record: Option<&UserRecord>,
        checked: &mut Option<Checked>,
        turn: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<bool, Error> {
        let hash = record.map(|record| record.password_hash.clone());
        if let Some(checked) = checked.as_ref().filter(|checked| checked.hash == hash) {
            return Ok(checked.matches);
        }
        let (password, against, held) = (password.to_owned(), hash.clone(), turn.take());
        // The turn goes with the check, which goes on when its client goes away.
        let (matches, held) = aside(move || (password::verify(&password, against.as_deref()), held)).await?;
        *turn = held;
        *checked = Some(Checked { hash, matches });
        Ok(matches)
    }

    /// The hash of a password that the user may have.
    pub(super) async fn hash(
        &self,
        pointer: &str,
        password: &str,
        record: &UserRecord,
        turn: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<String, Error> {
        rules::check(password, &record.user.username, &record.user.email)
            .map_err(|refused| problem(pointer, &refused.to_string()))?;
        let held = match turn.take() {
            Some(held) => held,
            None => Arc::clone(&self.password_checks)
                .acquire_owned()
                .await
                .map_err(|error| Error::Internal(Box::new(error)))?,
        };
        let password = password.to_owned();
        let (hash, held) = aside(move || (password::hash(&password), held)).await?;
        *turn = Some(held);
        hash.map_err(|error| Error::Internal(Box::new(error)))
    }

    /// Writes down an attempt that failed; false when somebody changed the user meanwhile.
    async fn note_failure(
        &self,
        record: Option<&UserRecord>,
        counted: Option<Box<UserRecord>>,
        entry: Change,
    ) -> Result<bool, Error> {
        let store = &self.guarded.open(&Permit::public("auth_login")).store;
        let mut transaction = Transaction::of(vec![entry]);
        if let (Some(old), Some(next)) = (record, counted) {
            if let Some(until) = next.lockout.locked_until.filter(|_| next.lockout.failures == 0) {
                tracing::warn!(user = old.user.username, %until, "locked after too many failed logins");
            }
            let (precondition, put) = replaced(old, *next);
            transaction.preconditions.push(precondition);
            transaction.changes.push(put);
        }
        let committed = store.commit(transaction).await;
        if was_overtaken(&committed) {
            return Ok(false);
        }
        committed?;
        Ok(true)
    }
}

/// While an account is locked nothing is checked and nothing counted.
fn judge(record: &UserRecord, matches: bool, factor: &Factor<'_>, now: Timestamp) -> Verdict {
    if record.disabled || lockout::locked_until(&record.lockout, now).is_some() {
        return Verdict::Wrong(None);
    }
    let with = |lockout, mfa| Box::new(UserRecord { mfa, lockout, ..record.clone() });
    let wrong = || Verdict::Wrong(Some(with(lockout::failed(&record.lockout, now), record.mfa.clone())));
    if !matches {
        return wrong();
    }
    let mfa = match (record.mfa.as_ref().filter(|mfa| mfa.is_active()), factor) {
        (Some(_), Factor::Asked(None)) => return Verdict::NeedsCode,
        (Some(active), Factor::Asked(Some(code))) => match spent(active, code, now) {
            Some(next) => Some(next),
            None => return wrong(),
        },
        _ => record.mfa.clone(),
    };
    Verdict::Good(with(lockout::cleared(), mfa))
}

/// The second factor after a code that is good, of the app or a backup code.
fn spent(active: &Mfa, code: &str, now: Timestamp) -> Option<Mfa> {
    if backup::is_one(code) { backup::spend(active, code) } else { totp::verify(active, code, now) }
}

fn failure(code: &str) -> Outcome {
    Outcome::Failure { code: code.to_owned() }
}

pub(super) fn problem(pointer: &str, message: &str) -> Error {
    Error::Invalid(vec![Problem { pointer: pointer.to_owned(), message: message.to_owned() }])
}

//! The caller's own second factor: setting it up, confirming it, removing it.
//!
//! A session alone is not enough for any of it, because a stolen one would take the account over: to begin takes the
//! password, to confirm a code of the secret that only the beginning shows, to remove takes the password and a code. Once
//! it is confirmed or removed the user's other sessions end, for they began under another rule; this one goes on as what
//! it has proven.

use serde_json::json;

use super::accounts::{Ended, TRIES, overtaken, replaced};
use super::authorise::Question;
use super::context::{Context, Permit};
use super::error::Error;
use super::proof::{Factor, Proof, Proven};
use super::{App, trail};
use crate::api::mfa::{Activated, Enrolment, MfaStatus, Removal, Removed};
use crate::audit;
use crate::auth::totp::{self, EnrolError};
use crate::auth::{backup, session};
use crate::model::id::SessionId;
use crate::model::mfa::Mfa;
use crate::model::user::Session;
use crate::policy::Resource;
use crate::store::record::UserRecord;
use crate::store::{Change, CommitError, Precondition, Refused, Transaction};

const WRONG_PASSWORD: &str = "the current password is wrong";
const WRONG_CODE: &str =
    "the code is not good: it is wrong, or used already, or no longer shown, or one of the two clocks is wrong";
const WRONG_PASSWORD_OR_CODE: &str =
    "the current password or the code is wrong; a code is good once, and only while it is shown";
const OVER: Error = Error::Unauthenticated("the session is over; log in again");

impl App {
    /// How the caller's second factor stands.
    ///
    /// # Errors
    /// When the user is gone.
    pub async fn mfa_get(&self, context: &Context) -> Result<MfaStatus, Error> {
        let permit = self.authorise(context, "mfa_get", &Question::about(Resource::System))?;
        let id = context.user;
        let record = self.guarded.open(&permit).store.read(move |reads| reads.user(id)).await?;
        let mfa = record.ok_or(Error::Unauthenticated("the user is gone"))?.mfa;
        let active = mfa.as_ref().is_some_and(Mfa::is_active);
        Ok(MfaStatus {
            active,
            pending: mfa.is_some() && !active,
            enrolled_at: mfa.as_ref().map(|mfa| mfa.enrolled_at),
            backup_codes_left: mfa.as_ref().map_or(0, |mfa| mfa.backup.len()),
            session: context.mfa,
            required: self.demands_factor(context),
        })
    }

    /// A secret for the caller's authenticator app. It counts for nothing until a code of it is verified, and takes the
    /// place of one that never was.
    ///
    /// # Errors
    /// When the password is wrong, or a second factor is active.
    pub async fn mfa_enroll_totp(&self, context: &Context, password: &str) -> Result<Enrolment, Error> {
        let permit = self.authorise(context, "mfa_enroll_totp", &Question::about(Resource::System))?;
        let mut attempt = self.attempt(&context.caller, context.username(), "mfa_enroll_totp").await?;
        let proof = Proof { password: Some(password), factor: Factor::NotAsked, wrong: WRONG_PASSWORD };
        for _ in 0..TRIES {
            let proven = self.prove(context, &mut attempt, &proof).await?;
            let enrolled = totp::enrol(proven.record.mfa.as_ref(), context.username(), proven.now);
            let (pending, shown) = enrolled.map_err(|error| match error {
                EnrolError::Active => Error::Conflict(error.to_string()),
                EnrolError::Random(error) => error.into(),
            })?;
            let entry = entry(context, &permit, "mfa_enroll_totp", &proven, json!({}));
            let next = UserRecord { mfa: Some(pending), ..proven.next.clone() };
            if self.commit_proven(context, &permit, &proven, next, vec![entry]).await? {
                return Ok(Enrolment { secret: shown.secret, otpauth_uri: shown.uri });
            }
        }
        Err(overtaken())
    }

    /// The first code of a secret: from now on logins ask for one.
    ///
    /// # Errors
    /// When the code is not good, or nothing is being set up.
    pub async fn mfa_verify(&self, context: &Context, code: &str) -> Result<Activated, Error> {
        let permit = self.authorise(context, "mfa_verify", &Question::about(Resource::System))?;
        let mut attempt = self.attempt(&context.caller, context.username(), "mfa_verify").await?;
        let proof = Proof { password: None, factor: Factor::Confirms(code), wrong: WRONG_CODE };
        for _ in 0..TRIES {
            let proven = self.prove(context, &mut attempt, &proof).await?;
            let confirmed = match (&proven.record.mfa, &proven.next.mfa) {
                (Some(before), Some(after)) if !before.is_active() && after.is_active() => after,
                (Some(_), _) => return Err(Error::Conflict("the second factor is active already".to_owned())),
                (None, _) => {
                    let what = "no second factor is being set up; begin with `prov mfa enroll`";
                    return Err(Error::Conflict(what.to_owned()));
                }
            };
            let (mfa, backup_codes) = backup::renew(confirmed)?;
            let (raised, refresh) = session::raise(own(context, &proven)?, proven.now)?;
            let sessions_ended = others_live(context, &proven);
            let entry = entry(context, &permit, "mfa_verify", &proven, json!({ "sessions_ended": sessions_ended }));
            let next = UserRecord { mfa: Some(mfa), ..proven.next.clone() };
            let changes = vec![Change::PutSession(Box::new(raised.clone())), entry];
            if self.commit_proven(context, &permit, &proven, next, changes).await? {
                tracing::info!(user = context.username(), "set up a second factor");
                let session = self.pair(&proven.record.user, &raised, refresh, proven.now)?;
                return Ok(Activated { backup_codes, sessions_ended, session });
            }
        }
        Err(overtaken())
    }

    /// Removes the caller's second factor.
    ///
    /// # Errors
    /// When password or code is wrong, or there is none.
    pub async fn mfa_disable(&self, context: &Context, removal: &Removal) -> Result<Removed, Error> {
        let permit = self.authorise(context, "mfa_disable", &Question::about(Resource::System))?;
        let mut attempt = self.attempt(&context.caller, context.username(), "mfa_disable").await?;
        let proof = Proof {
            password: Some(&removal.current_password),
            factor: Factor::Asked(Some(&removal.code)),
            wrong: WRONG_PASSWORD_OR_CODE,
        };
        for _ in 0..TRIES {
            let proven = self.prove(context, &mut attempt, &proof).await?;
            if !proven.record.has_mfa() {
                return Err(Error::Conflict("there is no second factor to remove".to_owned()));
            }
            let lowered = session::lower(own(context, &proven)?);
            let sessions_ended = others_live(context, &proven);
            let entry = entry(context, &permit, "mfa_disable", &proven, json!({ "sessions_ended": sessions_ended }));
            let next = UserRecord { mfa: None, ..proven.next.clone() };
            let changes = vec![Change::PutSession(Box::new(lowered)), entry];
            if self.commit_proven(context, &permit, &proven, next, changes).await? {
                tracing::info!(user = context.username(), "removed the second factor");
                return Ok(Removed { sessions_ended });
            }
        }
        Err(overtaken())
    }

    /// Commits what was proven, and ends the user's other sessions where this one is changed; false when somebody changed
    /// the user or this session meanwhile.
    async fn commit_proven(
        &self,
        context: &Context,
        permit: &Permit,
        proven: &Proven,
        next: UserRecord,
        mut changes: Vec<Change>,
    ) -> Result<bool, Error> {
        let mut preconditions = Vec::new();
        if proven.record.is_enabled_admin() && proven.record.has_mfa() && !next.has_mfa() {
            // A policy may ask administrators for a second factor: somebody must have one.
            preconditions.push(self.check_way_back(&proven.record, Some(&next)).await?);
        }
        let (precondition, put) = replaced(&proven.record, next);
        preconditions.push(precondition);
        let mut ended = Vec::new();
        if changes.iter().any(|change| matches!(change, Change::PutSession(_))) {
            let own = own(context, proven)?;
            preconditions.push(Precondition::SessionGeneration(own.id, own.generation));
            let ids = proven.sessions.iter().map(|session| session.id);
            ended = ids.filter(|id| *id != own.id).collect::<Vec<SessionId>>();
        }
        changes.push(put);
        changes.extend(ended.iter().copied().map(Change::RemoveSession));
        let store = &self.guarded.open(permit).store;
        let transaction = Transaction { preconditions, changes };
        match self.commit_account(store, context.user, Ended::sessions(ended), transaction).await {
            Ok(()) => Ok(true),
            Err(CommitError::Refused(Refused(
                Precondition::UserGeneration(..)
                | Precondition::SessionGeneration(..)
                | Precondition::PolicyGeneration(_),
            ))) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }
}

/// The session that asks.
fn own<'a>(context: &Context, proven: &'a Proven) -> Result<&'a Session, Error> {
    let mut sessions = proven.sessions.iter();
    sessions.find(|session| Some(session.id) == context.session() && session::is_live(session, proven.now)).ok_or(OVER)
}

/// How many other sessions the user has.
fn others_live(context: &Context, proven: &Proven) -> usize {
    let others = proven.sessions.iter().filter(|session| Some(session.id) != context.session());
    others.filter(|session| session::is_live(session, proven.now)).count()
}

fn entry(context: &Context, permit: &Permit, id: &'static str, proven: &Proven, details: serde_json::Value) -> Change {
    let resource = audit::Resource::new("user", context.username());
    trail::done_with(context, permit, id, resource, proven.now, details)
}

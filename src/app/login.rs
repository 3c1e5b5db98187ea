//! Login, and the change of the password.
//!
//! A wrong password, a wrong code, a locked account, one that is shut out and a name that nobody has are answered alike,
//! after the same work: one check of a password, and one commit that tells the audit trail of it.

use serde_json::json;
use uuid::Uuid;

use super::accounts::{Ended, TRIES, overtaken, replaced, was_overtaken};
use super::authorise::Question;
use super::context::{Caller, Context, Permit};
use super::error::Error;
use super::proof::{Factor, Proof, Verdict, failure, judge};
use super::{App, trail};
use crate::api::auth::{LoginRequest, TokenPair};
use crate::api::read::Problem;
use crate::api::users::{PasswordChange, PasswordChanged};
use crate::audit::{self, Credential, Outcome};
use crate::auth::session;
use crate::model::id::SessionId;
use crate::model::user::Session;
use crate::policy::Resource;
use crate::store::record::UserRecord;
use crate::store::{Change, Transaction};

/// One text for every reason, so that an answer doesn't tell whether a user exists.
const WRONG_LOGIN: Error = Error::Unauthenticated("wrong user name or password");
/// The same for whoever gave a code as well.
const WRONG_LOGIN_WITH_CODE: Error =
    Error::Unauthenticated("wrong user name, password or code; a code is good once, and only while it is shown");
const WRONG_PASSWORD: &str = "the current password is wrong";

impl App {
    /// A token pair for a name and its password. The user's sessions that are over are forgotten.
    ///
    /// # Errors
    /// When they don't match, too many attempts failed, or a second factor is missing.
    pub async fn auth_login(&self, caller: &Caller, request: LoginRequest) -> Result<TokenPair, Error> {
        let store = &self.guarded.open(&Permit::public("auth_login")).store;
        let LoginRequest { username, password, mfa_code } = request;
        let username = username.to_ascii_lowercase();
        let mut attempt = self.attempt(caller, &username, "auth_login").await?;
        for _ in 0..TRIES {
            let name = username.clone();
            let read = store.read(move |reads| {
                // The record first: whatever session begins later makes it out of date.
                let Some(record) = reads.user_by_name(&name)? else { return Ok(None) };
                let sessions = reads.sessions_of(record.user.id)?;
                Ok(Some((record, sessions)))
            });
            let (record, sessions) = read.await?.unzip();
            let check = self.check(&mut attempt, &password, record.as_ref()).await?;
            let now = self.clock.now();
            let verdict = match &record {
                Some(record) => judge(record, check, Factor::Asked(mfa_code.as_deref()), now),
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
                tracing::warn!(address = %caller.address, "login failed");
                if needs_code {
                    self.undecided(&mut attempt);
                    return Err(Error::MfaRequired("this account needs a code of its second factor as well"));
                }
                return Err(if mfa_code.is_some() { WRONG_LOGIN_WITH_CODE } else { WRONG_LOGIN });
            };
            let (session, refresh) = session::begin(SessionId(Uuid::now_v7()), old.user.id, old.has_mfa(), now)?;
            let next = UserRecord { last_login_at: Some(now), ..(**next).clone() };
            let over = sessions.into_iter().flatten().filter(|session| !session::is_live(session, now));
            let mut changes: Vec<Change> = over.map(|session| Change::RemoveSession(session.id)).collect();
            let done = ("auth_login", Outcome::Success);
            let entry = trail::of_session(caller, &old.user, session.id, Credential::None, done, now);
            let entry = trail::detailed(entry, factor_given(old, &next));
            let (precondition, put) = replaced(old, next);
            changes.extend([put, Change::PutSession(Box::new(session.clone())), entry]);
            let committed = store.commit(Transaction { preconditions: vec![precondition], changes }).await;
            if was_overtaken(&committed) {
                continue;
            }
            committed?;
            self.succeeded(&mut attempt);
            self.sessions.set(session.id, true);
            tracing::info!(user = username, address = %caller.address, "logged in");
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
        let (id, name) = (context.user, context.username());
        let mut attempt = self.attempt(&context.caller, name, "auth_password").await?;
        let mut hashed = None;
        let proof = Proof { password: Some(&change.current_password), factor: Factor::NotAsked, wrong: WRONG_PASSWORD };
        for _ in 0..TRIES {
            let proven = self.prove(context, &mut attempt, &proof).await?;
            if change.new_password == change.current_password {
                return Err(problem("/new_password", "is the present password"));
            }
            let password_hash = match &hashed {
                Some(hash) => String::clone(hash),
                None => self.hash("/new_password", &change.new_password, &proven.record, &mut attempt.turn).await?,
            };
            hashed = Some(password_hash.clone());
            let now = proven.now;
            let (precondition, put) = replaced(&proven.record, UserRecord { password_hash, ..proven.next });
            let others: Vec<Session> =
                proven.sessions.into_iter().filter(|session| Some(session.id) != context.session()).collect();
            let sessions_ended = others.iter().filter(|session| session::is_live(session, now)).count();
            let resource = audit::Resource::new("user", name);
            let details = json!({ "sessions_ended": sessions_ended });
            let entry = trail::done_with(context, &permit, "auth_password", resource, now, details);
            let ended: Vec<SessionId> = others.iter().map(|session| session.id).collect();
            let changes = ended.iter().copied().map(Change::RemoveSession).chain([put, entry]).collect();
            let transaction = Transaction { preconditions: vec![precondition], changes };
            let committed = self.commit_account(store, id, Ended::sessions(ended), transaction).await;
            if !was_overtaken(&committed) {
                committed?;
                let tokens = store.read(move |reads| reads.api_tokens_of(id)).await?;
                let api_tokens_left = tokens.iter().filter(|token| now < token.expires_at).count();
                return Ok(PasswordChanged { sessions_ended, api_tokens_left });
            }
        }
        Err(overtaken())
    }
}

/// What the trail tells of the second factor at a login: a backup code may mean that somebody found the paper.
fn factor_given(old: &UserRecord, next: &UserRecord) -> serde_json::Value {
    let left = |record: &UserRecord| record.mfa.as_ref().map_or(0, |mfa| mfa.backup.len());
    match (old.has_mfa(), left(old) == left(next)) {
        (false, _) => json!({}),
        (true, true) => json!({ "second_factor": "authenticator app" }),
        (true, false) => json!({ "second_factor": "backup code", "left": left(next) }),
    }
}

pub(super) fn problem(pointer: &str, message: &str) -> Error {
    Error::Invalid(vec![Problem { pointer: pointer.to_owned(), message: message.to_owned() }])
}

//! Login, refresh, logout, and the check of every token.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::authorise::Question;
use super::context::{Caller, Context, Permit};
use super::error::Error;
use super::limit::Quota;
use super::{App, aside, trail};
use crate::api::auth::{LoginRequest, TokenPair, UserView, Verified};
use crate::audit::{self, Credential, Outcome};
use crate::auth::password;
use crate::auth::session::{self, Worth};
use crate::auth::token::ACCESS_LIFETIME;
use crate::model::id::SessionId;
use crate::model::time::Timestamp;
use crate::model::user::{Session, User};
use crate::policy::Resource;
use crate::store::{Change, Precondition, Transaction};

/// One text for every reason, so that an answer doesn't tell whether a user exists.
const WRONG_LOGIN: Error = Error::Unauthenticated("wrong user name or password");
const WRONG_REFRESH: Error = Error::Unauthenticated("the refresh token is not valid; log in again");

impl App {
    /// A token pair for a name and its password. The user's sessions that are over are forgotten.
    ///
    /// # Errors
    /// When they don't match, or too many attempts failed.
    pub async fn auth_login(&self, caller: &Caller, request: LoginRequest) -> Result<TokenPair, Error> {
        let resources = self.guarded.open(&Permit::public("auth_login"));
        let LoginRequest { username, password, .. } = request;
        let limited = |error| {
            self.refused(trail::rate_limited(caller, &username, "auth_login", self.clock.now()));
            error
        };
        self.counters.before_login(caller.address, &username).map_err(limited)?;
        let name = username.clone();
        let read = resources.store.read(move |reads| {
            let Some(record) = reads.user_by_name(&name)? else { return Ok(None) };
            let sessions = reads.sessions_of(record.user.id)?;
            Ok(Some((record, sessions)))
        });
        let (record, sessions) = read.await?.unzip();
        let hash = record.as_ref().map(|record| record.password_hash.clone());
        let turn = Arc::clone(&self.password_checks).acquire_owned().await;
        // Counted as failed before it is known, and given back on success: many at once are no way round the limit.
        self.counters.count_login(caller.address, &username).map_err(limited)?;
        // The turn goes with the check, which goes on when its client goes away.
        let check = move || (password::verify(&password, hash.as_deref()), turn);
        let (matches, turn) = aside(check).await?;
        let Some(record) = record.filter(|_| matches) else {
            tracing::warn!(address = %caller.address, request_id = caller.request_id, "login failed");
            let outcome = Outcome::Failure { code: "unauthenticated".to_owned() };
            let entry = trail::unproven(caller, &username, "auth_login", outcome, self.clock.now());
            resources.store.commit(Transaction::of(vec![entry])).await?;
            return Err(WRONG_LOGIN);
        };
        drop(turn);
        self.counters.login_succeeded(caller.address, &username);
        let now = self.clock.now();
        let (session, refresh) = session::begin(SessionId(Uuid::now_v7()), record.user.id, false, now)?;
        let over = sessions.into_iter().flatten().filter(|session| !session::is_live(session, now));
        let mut changes: Vec<Change> = over.map(|session| Change::RemoveSession(session.id)).collect();
        changes.push(Change::PutSession(Box::new(session.clone())));
        let done = ("auth_login", Outcome::Success);
        changes.push(trail::of_session(caller, &record.user, session.id, Credential::None, done, now));
        resources.store.commit(Transaction::of(changes)).await?;
        self.sessions.set(session.id, true);
        tracing::info!(user = username, address = %caller.address, request_id = caller.request_id, "logged in");
        self.pair(&record.user, &session, refresh, now)
    }

    /// A new pair for a refresh token, which is spent by this.
    ///
    /// # Errors
    /// When the token isn't good; one that was spent before ends its session.
    pub async fn auth_refresh(&self, caller: &Caller, token: &str) -> Result<TokenPair, Error> {
        let resources = self.guarded.open(&Permit::public("auth_refresh"));
        let (id, hash) = session::parse(token).ok_or(WRONG_REFRESH)?;
        let read = resources.store.read(move |reads| {
            let Some(session) = reads.session(id)? else { return Ok(None) };
            Ok(reads.user(session.user)?.map(|user| (session, user.user)))
        });
        let (current, user) = read.await?.ok_or(WRONG_REFRESH)?;
        let now = self.clock.now();
        match session::worth(&current, &hash, now) {
            Worth::Good => {}
            Worth::Nothing => return Err(WRONG_REFRESH),
            Worth::Spent => {
                tracing::warn!(user = user.username, address = %caller.address, session = %id, "a spent refresh token came back; its session is ended");
                let replayed = ("auth_refresh", Outcome::Failure { code: "unauthenticated".to_owned() });
                let entry = trail::of_session(caller, &user, id, Credential::None, replayed, now);
                let why = json!({ "reason": "a spent refresh token came back; the session was ended" });
                self.end_sessions(&[&current], trail::detailed(entry, why), now).await?;
                return Err(WRONG_REFRESH);
            }
        }
        let (next, refresh) = session::rotate(&current, now)?;
        let transaction = Transaction {
            preconditions: vec![Precondition::SessionGeneration(id, current.generation)],
            changes: vec![Change::PutSession(Box::new(next.clone()))],
        };
        resources.store.commit(transaction).await?;
        self.pair(&user, &next, refresh, now)
    }

    /// Ends the caller's session, or all of theirs.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn auth_logout(&self, context: &Context, all: bool) -> Result<(), Error> {
        let permit = self.authorise(context, "auth_logout", &Question::about(Resource::System))?;
        let resources = self.guarded.open(&permit);
        let (user, this) = (context.user, context.session);
        let sessions = resources.store.read(move |reads| reads.sessions_of(user)).await?;
        let now = self.clock.now();
        let ended: Vec<&Session> = sessions.iter().filter(|session| all || session.id == this).collect();
        let (resource, details) = (audit::Resource::new("session", this), json!({ "all": all }));
        let entry = trail::done_with(context, &permit, "auth_logout", resource, now, details);
        self.end_sessions(&ended, entry, now).await
    }

    /// What the caller's token says.
    ///
    /// # Errors
    /// When the user is gone.
    pub async fn auth_verify(&self, context: &Context) -> Result<Verified, Error> {
        let resources =
            self.guarded.open(&self.authorise(context, "auth_verify", &Question::about(Resource::System))?);
        let id = context.user;
        let user = resources.store.read(move |reads| reads.user(id)).await?;
        let user = user.ok_or(Error::Unauthenticated("the user is gone"))?.user;
        Ok(Verified {
            valid: true,
            user: view(&user),
            session_id: context.session,
            expires_at: context.expires_at,
            mfa: context.mfa,
        })
    }

    /// The context of a request with this token.
    ///
    /// # Errors
    /// When the token isn't good, its session is over, or its user made too many requests.
    pub async fn authenticate(&self, token: &str, caller: Caller) -> Result<(Context, Quota), Error> {
        let now = self.clock.now();
        let claims = self.keys.tokens().check(token, now)?;
        let id = claims.sid;
        let live =
            if let Some(live) = self.sessions.is_live(id) { live } else { self.look_up_session(id, now).await? };
        if !live {
            return Err(Error::Unauthenticated("the session is over; log in again"));
        }
        let context = Context::new(claims, caller);
        let quota = self.counters.request(context.principal())?;
        Ok((context, quota))
    }

    async fn look_up_session(&self, id: SessionId, now: Timestamp) -> Result<bool, Error> {
        let store = &self.guarded.open(&Permit::public("auth_login")).store;
        let session = store.read(move |reads| reads.session(id)).await?;
        let live = session.is_some_and(|session| session::is_live(&session, now));
        Ok(self.sessions.learn(id, live))
    }

    /// Ends the sessions, and writes the entry that tells why.
    async fn end_sessions(&self, sessions: &[&Session], entry: Change, now: Timestamp) -> Result<(), Error> {
        let end = |session: &&Session| {
            self.sessions.set(session.id, false);
            Change::PutSession(Box::new(session::end(session, now)))
        };
        let changes = sessions.iter().map(end).chain([entry]).collect();
        let store = &self.guarded.open(&Permit::public("auth_refresh")).store;
        Ok(store.commit(Transaction::of(changes)).await?)
    }

    fn pair(&self, user: &User, session: &Session, refresh_token: String, now: Timestamp) -> Result<TokenPair, Error> {
        let (token, claims) = self.keys.tokens().issue(user, session.id, session.mfa, now)?;
        Ok(TokenPair {
            token,
            refresh_token,
            token_type: "Bearer".to_owned(),
            expires_in: ACCESS_LIFETIME.as_secs(),
            expires_at: claims.expires_at(),
            user: view(user),
        })
    }
}

fn view(user: &User) -> UserView {
    UserView { id: user.id, username: user.username.clone(), email: user.email.clone(), roles: user.roles.clone() }
}

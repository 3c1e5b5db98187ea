//! Refresh, logout, sessions, and the check of every token.

use std::sync::Arc;

use serde_json::json;

use super::accounts::Standing;
use super::authorise::Question;
use super::context::{self, Caller, Context, Permit};
use super::error::Error;
use super::limit::Quota;
use super::{App, trail};
use crate::api::actions::Action;
use crate::api::auth::{TokenPair, UserView, Verified};
use crate::api::users::{SessionView, UserKey};
use crate::audit::{self, Credential, Outcome};
use crate::auth::api_token;
use crate::auth::session::{self, Worth};
use crate::auth::token::{ACCESS_LIFETIME, TokenError};
use crate::model::id::{SessionId, UserId};
use crate::model::time::Timestamp;
use crate::model::user::{Session, User};
use crate::policy::Resource;
use crate::store::{Change, CommitError, Precondition, Transaction};

const WRONG_REFRESH: Error = Error::Unauthenticated("the refresh token is not valid; log in again");
/// The token is spent by now: to send it once more would end the session.
const REFRESHED: &str = "the session was refreshed or ended at the same time: use the pair that the other refresh answered, not this token again";

impl App {
    /// A new pair for a refresh token, which is spent by this.
    ///
    /// # Errors
    /// When the token isn't good; one that was spent before ends its session.
    pub async fn auth_refresh(&self, caller: &Caller, token: &str) -> Result<TokenPair, Error> {
        let resources = self.guarded.open(&Permit::public("auth_refresh"));
        let no_good = || {
            self.unproven(caller, "auth_refresh");
            WRONG_REFRESH
        };
        let (id, hash) = session::parse(token).ok_or_else(no_good)?;
        let read = resources.store.read(move |reads| {
            let Some(session) = reads.session(id)? else { return Ok(None) };
            let user = reads.user(session.user)?.filter(|user| !user.disabled);
            Ok(user.map(|user| (session, user.user)))
        });
        let (current, user) = read.await?.ok_or_else(no_good)?;
        let now = self.clock.now();
        match session::worth(&current, &hash, now) {
            Worth::Good => {}
            Worth::Nothing => return Err(no_good()),
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
        let committed = resources.store.commit(transaction).await;
        if let Err(CommitError::Refused(_)) = committed {
            return Err(Error::Conflict(REFRESHED.to_owned()));
        }
        committed?;
        self.pair(&user, &next, refresh, now)
    }

    /// Ends the caller's session, or all of theirs.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn auth_logout(&self, context: &Context, all: bool) -> Result<(), Error> {
        let permit = self.authorise(context, "auth_logout", &Question::about(Resource::System))?;
        let resources = self.guarded.open(&permit);
        // The table lets nobody log out who hasn't logged in.
        let (user, Some(this)) = (context.user, context.session()) else { return Ok(()) };
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
    /// None that the caller can help.
    pub fn auth_verify(&self, context: &Context) -> Result<Verified, Error> {
        self.authorise(context, "auth_verify", &Question::about(Resource::System))?;
        let Standing { username, email, roles, .. } = &*context.standing;
        let (username, email, roles) = (username.clone(), email.clone(), roles.clone());
        let (session_id, api_token_id) = match context.credential {
            context::Credential::Session(id) => (Some(id), None),
            context::Credential::ApiToken(id) => (None, Some(id)),
        };
        Ok(Verified {
            valid: true,
            user: UserView { id: context.user, username, email, roles },
            session_id,
            api_token_id,
            expires_at: context.expires_at,
            mfa: context.mfa,
        })
    }

    /// A user's sessions that are not over, newest first; the caller's when none is named.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn session_list(&self, context: &Context, of: Option<&UserKey>) -> Result<Vec<SessionView>, Error> {
        let (user, permit) = self.owner(context, ("session_list", Action::SessionManage), of).await?;
        let sessions = self.guarded.open(&permit).store.read(move |reads| reads.sessions_of(user)).await?;
        let now = self.clock.now();
        let live = sessions.iter().rev().filter(|session| session::is_live(session, now));
        let view = |session: &Session| SessionView {
            id: session.id,
            created_at: session.created_at,
            expires_at: session.expires_at,
            mfa: session.mfa,
            current: Some(session.id) == context.session(),
        };
        Ok(live.map(view).collect())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the caller may see no such session.
    pub async fn session_delete(&self, context: &Context, id: SessionId) -> Result<(), Error> {
        let (now, unknown) = (self.clock.now(), || Error::NotFound { kind: "session", id: id.to_string() });
        let session = self.guarded.open(&Permit::own()).store.read(move |reads| reads.session(id)).await?;
        let session = session.filter(|session| session::is_live(session, now)).ok_or_else(unknown)?;
        let asked = ("session_delete", Action::SessionManage);
        let permit = self.owned_by(context, asked, session.user, unknown).await?;
        let entry = trail::done(context, &permit, "session_delete", audit::Resource::new("session", id), now);
        self.end_sessions(&[&session], entry, now).await
    }

    /// The context of a request for this operation with this token.
    ///
    /// # Errors
    /// When the token isn't good, its session is over, or its user made too many requests.
    pub async fn authenticate(
        &self,
        token: &str,
        caller: Caller,
        operation: &'static str,
    ) -> Result<(Context, Quota), Error> {
        let proven = if api_token::is_meant(token) {
            self.by_api_token(token, caller.clone()).await
        } else {
            self.by_access_token(token, caller.clone()).await
        };
        let context = proven.inspect_err(|error| {
            if matches!(error, Error::Unauthenticated(_)) {
                self.unproven(&caller, operation);
            }
        })?;
        let quota = self.counters.request(context.principal())?;
        Ok((context, quota))
    }

    /// Writes down that somebody without a good token tried an operation.
    pub fn unproven(&self, caller: &Caller, operation: &'static str) {
        self.refused(trail::nobody(caller, operation, self.clock.now()));
    }

    async fn by_access_token(&self, token: &str, caller: Caller) -> Result<Context, Error> {
        let now = self.clock.now();
        let claims = self.keys.tokens().check(token, now)?;
        let standing = self.standing_in(claims.sid, claims.sub, now).await?;
        Ok(Context::of_session(&claims, standing, caller))
    }

    /// How a user stands who is logged in by a session.
    async fn standing_in(&self, id: SessionId, user: UserId, now: Timestamp) -> Result<Arc<Standing>, Error> {
        let live =
            if let Some(live) = self.sessions.is_live(id) { live } else { self.look_up_session(id, now).await? };
        if !live {
            return Err(Error::Unauthenticated("the session is over; log in again"));
        }
        self.standing(user).await?.ok_or(Error::Unauthenticated("the user is gone or shut out"))
    }

    /// A context of before as it counts now, for what takes longer than a request.
    ///
    /// # Errors
    /// When its token has expired or was revoked, or its user is gone.
    pub async fn review(&self, context: &Context) -> Result<Context, Error> {
        let now = self.clock.now();
        if now >= context.expires_at {
            return Err(TokenError::Expired.into());
        }
        match context.credential {
            context::Credential::Session(id) => {
                let standing = self.standing_in(id, context.user, now).await?;
                let mfa = context.mfa && standing.mfa;
                Ok(Context { mfa, factor: mfa, standing, ..context.clone() })
            }
            context::Credential::ApiToken(id) => self.again_by(id, context.caller.clone(), now).await,
        }
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

    pub(super) fn pair(
        &self,
        user: &User,
        session: &Session,
        refresh_token: String,
        now: Timestamp,
    ) -> Result<TokenPair, Error> {
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

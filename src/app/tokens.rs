//! API tokens: what scripts present instead of a login.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::accounts::{TRIES, commit_then, overtaken};
use super::authorise::Question;
use super::context::{Caller, Context, Credential, Permit};
use super::error::Error;
use super::login::problem;
use super::memo::Memo;
use super::{App, trail};
use crate::api::actions::Action;
use crate::api::token::{MadeToken, NewToken, TokenView};
use crate::api::users::UserKey;
use crate::audit;
use crate::auth::api_token::{self, LIFETIME, MakeError, NotAToken, Wanted};
use crate::model::api_token::ApiToken;
use crate::model::id::ApiTokenId;
use crate::model::time::Timestamp;
use crate::policy::Resource;
use crate::store::{Change, CommitError, Precondition, Refused, Transaction};

const NOT_GOOD: Error = Error::Unauthenticated("the API token is not valid, has expired, or was revoked");
/// API tokens that a user has at most.
const MOST: usize = 100;

/// API tokens by their public part.
pub(super) type ApiTokens = Memo<String, Arc<ApiToken>>;

impl App {
    /// A new API token of the caller, with its secret, which nobody sees again.
    ///
    /// # Errors
    /// When it would have more than its maker, its name is taken, or the caller has too many.
    pub async fn token_create(&self, context: &Context, new: NewToken) -> Result<MadeToken, Error> {
        let permit = self.authorise(context, "token_create", &Question::about(Resource::System))?;
        self.demand_factor(context, "token_create")?;
        let store = &self.guarded.open(&permit).store;
        let (owner, roles) = (context.user, &context.standing.roles);
        let wanted = Wanted {
            name: new.name,
            roles: new.roles.unwrap_or_else(|| roles.clone()),
            mfa: context.mfa,
            lifetime: new.expires_in.map_or(LIFETIME, Duration::from_secs),
        };
        for _ in 0..TRIES {
            // The user first: relying on them, a token isn't made for one who is gone or has just lost a role.
            let read = store.read(move |reads| {
                let Some(user) = reads.user(owner)? else { return Ok(None) };
                Ok(Some((user, reads.api_tokens_of(owner)?)))
            });
            let (user, others) = read.await?.ok_or(Error::Unauthenticated("the user is gone"))?;
            if others.iter().any(|other| other.name == wanted.name) {
                return Err(Error::Conflict(format!("you have an API token called {} already", wanted.name)));
            }
            if others.len() >= MOST {
                return Err(Error::Conflict(format!("you have {MOST} API tokens; delete one first")));
            }
            let (id, now) = (ApiTokenId(Uuid::now_v7()), self.clock.now());
            let made = api_token::make(id, owner, &user.user.roles, wanted.clone(), now).map_err(refused)?;
            let (record, token) = made;
            let view = view(&record);
            let details = json!({
                "name": view.name, "prefix": view.prefix, "roles": view.roles, "expires_at": view.expires_at,
            });
            let resource = audit::Resource::new("token", id);
            let transaction = Transaction {
                preconditions: vec![
                    Precondition::ApiTokenPrefixFree(record.prefix.clone()),
                    Precondition::UserGeneration(owner, user.generation),
                ],
                changes: vec![
                    Change::PutApiToken(Box::new(record)),
                    trail::done_with(context, &permit, "token_create", resource, now, details),
                ],
            };
            match store.commit(transaction).await {
                Err(CommitError::Refused(_)) => {}
                committed => return Ok(committed.map(|()| MadeToken { token, view })?),
            }
        }
        Err(overtaken())
    }

    /// A user's API tokens, newest first; the caller's when none is named.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn token_list(&self, context: &Context, of: Option<&UserKey>) -> Result<Vec<TokenView>, Error> {
        let (owner, permit) = self.owner(context, ("token_list", Action::TokenManage), of).await?;
        let tokens = self.guarded.open(&permit).store.read(move |reads| reads.api_tokens_of(owner)).await?;
        Ok(tokens.iter().rev().map(view).collect())
    }

    /// Revokes an API token; an API token can always revoke itself.
    ///
    /// # Errors
    /// When the caller may see no such token.
    pub async fn token_delete(&self, context: &Context, id: ApiTokenId) -> Result<(), Error> {
        let unknown = || Error::NotFound { kind: "API token", id: id.to_string() };
        let token = self.guarded.open(&Permit::own()).store.read(move |reads| reads.api_token(id)).await?;
        let token = token.ok_or_else(unknown)?;
        let permit = if context.credential == Credential::ApiToken(id) {
            self.authorise(context, "token_delete", &Question::about(Resource::System))?
        } else {
            self.owned_by(context, ("token_delete", Action::TokenManage), token.owner, unknown).await?
        };
        let details = json!({ "name": token.name, "prefix": token.prefix, "owner": token.owner });
        let resource = audit::Resource::new("token", id);
        let entry = trail::done_with(context, &permit, "token_delete", resource, self.clock.now(), details);
        let transaction = Transaction {
            preconditions: vec![Precondition::ApiTokenThere(id)],
            changes: vec![Change::RemoveApiToken(id), entry],
        };
        let api_tokens = Arc::clone(&self.api_tokens);
        let take_effect = move || api_tokens.forget(&token.prefix);
        match commit_then(&self.guarded.open(&permit).store, transaction, take_effect).await {
            Err(CommitError::Refused(Refused(Precondition::ApiTokenThere(_)))) => Err(unknown()),
            committed => Ok(committed?),
        }
    }

    /// Who presents this API token.
    ///
    /// # Errors
    /// When it is none, has expired, or its owner is gone or has lost the roles it was made with.
    pub(super) async fn by_api_token(&self, text: &str, caller: Caller) -> Result<Context, Error> {
        let presented = api_token::parse(text).map_err(|error| match error {
            NotAToken::Form => NOT_GOOD,
            NotAToken::Checksum => Error::Unauthenticated("the API token has a typo, or is not whole: copy it again"),
        })?;
        let token = self.api_token(presented.prefix()).await?.ok_or(NOT_GOOD)?;
        let owner = self.standing(token.owner).await?.ok_or(NOT_GOOD)?;
        let now = self.clock.now();
        let roles = api_token::worth(&token, &presented, Some(&owner.roles), now).ok_or(NOT_GOOD)?;
        self.note_use(&token);
        Ok(Context::of_api_token(&token, owner, roles, caller))
    }

    /// Who presents an API token that was good before.
    pub(super) async fn again_by(&self, id: ApiTokenId, caller: Caller, now: Timestamp) -> Result<Context, Error> {
        let read = self.guarded.open(&Permit::own()).store.read(move |reads| reads.api_token(id));
        let token = read.await?.ok_or(NOT_GOOD)?;
        let owner = self.standing(token.owner).await?.ok_or(NOT_GOOD)?;
        let roles = api_token::roles(&token, Some(&owner.roles), now).ok_or(NOT_GOOD)?;
        Ok(Context::of_api_token(&token, owner, roles, caller))
    }

    async fn api_token(&self, prefix: &str) -> Result<Option<Arc<ApiToken>>, Error> {
        let before = match self.api_tokens.look(prefix) {
            Ok(token) => return Ok(Some(token)),
            Err(before) => before,
        };
        let store = &self.guarded.open(&Permit::own()).store;
        let named = prefix.to_owned();
        let token = store.read(move |reads| reads.api_token_by_prefix(&named)).await?.map(Arc::new);
        if let Some(token) = &token {
            self.api_tokens.learn(prefix.to_owned(), before, Arc::clone(token));
        }
        Ok(token)
    }

    /// Writes down that a token was used, where that is news. Nobody waits for it.
    fn note_use(&self, token: &ApiToken) {
        let now = self.clock.now();
        let Some(next) = api_token::used(token, now) else { return };
        // Of many at once, one finds it still to be noted.
        let noted = self.api_tokens.update(&token.prefix, |known| api_token::used(known, now).map(Arc::new));
        if noted {
            let store = &self.guarded.open(&Permit::own()).store;
            drop(store.submit(Transaction {
                preconditions: vec![Precondition::ApiTokenThere(token.id)],
                changes: vec![Change::PutApiToken(Box::new(next))],
            }));
        }
    }
}

fn refused(error: MakeError) -> Error {
    match error {
        MakeError::NoRoles | MakeError::Role(_) => problem("/roles", &error.to_string()),
        MakeError::Lifetime => problem("/expires_in", &error.to_string()),
        MakeError::Random => Error::Internal(Box::new(error)),
    }
}

fn view(token: &ApiToken) -> TokenView {
    TokenView {
        id: token.id,
        name: token.name.clone(),
        prefix: format!("prov_{}", token.prefix),
        owner: token.owner,
        roles: token.roles.clone(),
        created_at: token.created_at,
        expires_at: token.expires_at,
        last_used_at: token.last_used_at,
    }
}

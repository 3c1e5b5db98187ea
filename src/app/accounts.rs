//! What each user may at the moment, remembered so that a request need not read the store.
//!
//! A token says who somebody is; what they may is asked here, so that a change of roles takes effect with the next request.
//! Every change of a user goes through [`App::commit_account`].

use std::sync::Arc;

use super::App;
use super::context::Permit;
use super::error::Error;
use super::memo::Memo;
use crate::api::users::UserKey;
use crate::model::api_token::ApiToken;
use crate::model::id::{SessionId, UserId};
use crate::model::user::{Role, User};
use crate::store::record::UserRecord;
use crate::store::{Backend, Change, CommitError, Precondition, Refused, Store, StoreError, Transaction};

/// How often a change is tried that others got ahead of.
pub(super) const TRIES: usize = 32;

/// What counts of a user with every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) username: String,
    pub(super) email: String,
    pub(super) roles: Vec<Role>,
    /// Whether there is a second factor to log in with.
    pub(super) mfa: bool,
}

impl Standing {
    /// Nothing for somebody who is shut out.
    fn of(record: &UserRecord) -> Option<Arc<Self>> {
        let User { username, email, roles, .. } = record.user.clone();
        (!record.disabled).then(|| Arc::new(Self { username, email, roles, mfa: record.has_mfa() }))
    }
}

/// How each user stands; nothing for whoever is gone or shut out.
pub(super) type Accounts = Memo<UserId, Option<Arc<Standing>>>;

/// What ends with a change of a user: it is good for nothing from the next request on.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended {
    pub(super) sessions: Vec<SessionId>,
    pub(super) tokens: Vec<ApiToken>,
}

impl Ended {
    /// Some of a user's sessions.
    pub(super) fn sessions(sessions: Vec<SessionId>) -> Self {
        Self { sessions, tokens: Vec::new() }
    }

    /// The changes that remove all of it.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> {
        let tokens = self.tokens.iter().map(|token| Change::RemoveApiToken(token.id));
        self.sessions.iter().copied().map(Change::RemoveSession).chain(tokens)
    }
}

impl App {
    /// How a user stands; nothing when they are gone or shut out.
    pub(super) async fn standing(&self, id: UserId) -> Result<Option<Arc<Standing>>, Error> {
        let before = match self.accounts.look(&id) {
            Ok(standing) => return Ok(standing),
            Err(before) => before,
        };
        let store = &self.guarded.open(&Permit::own()).store;
        let record = store.read(move |reads| reads.user(id)).await?;
        let standing = record.as_ref().and_then(Standing::of);
        self.accounts.learn(id, before, standing.clone());
        Ok(standing)
    }

    /// Commits a change of a user that ends this; it takes effect with the next request, even when whoever asked
    /// for it goes away meanwhile.
    pub(super) async fn commit_account(
        &self,
        store: &Store,
        user: UserId,
        ended: Ended,
        transaction: Transaction,
    ) -> Result<(), CommitError> {
        let (accounts, sessions) = (Arc::clone(&self.accounts), Arc::clone(&self.sessions));
        let api_tokens = Arc::clone(&self.api_tokens);
        let take_effect = move || {
            for id in ended.sessions {
                sessions.set(id, false);
            }
            for token in ended.tokens {
                api_tokens.forget(&token.prefix);
            }
            accounts.forget(&user);
        };
        commit_then(store, transaction, take_effect).await
    }
}

/// Commits, and does what makes it take effect, even when whoever asked for it goes away meanwhile.
pub(super) async fn commit_then(
    store: &Store,
    transaction: Transaction,
    take_effect: impl FnOnce() + Send + 'static,
) -> Result<(), CommitError> {
    let store = store.clone();
    let committed = tokio::spawn(async move {
        let committed = store.commit(transaction).await;
        if committed.is_ok() {
            take_effect();
        }
        committed
    });
    committed.await.unwrap_or_else(|error| Err(CommitError::Unavailable(error.to_string())))
}

/// The user that a path or a query names.
pub(super) fn find(reads: &dyn Backend, key: &UserKey) -> Result<Option<UserRecord>, StoreError> {
    match key {
        UserKey::Id(id) => reads.user(*id),
        UserKey::Name(name) => reads.user_by_name(name),
    }
}

/// The write of a changed record, and what it relies on: that it is still the one that was read.
pub(super) fn replaced(old: &UserRecord, next: UserRecord) -> (Precondition, Change) {
    let next = UserRecord { generation: old.generation + 1, ..next };
    (Precondition::UserGeneration(old.user.id, old.generation), Change::PutUser(Box::new(next)))
}

/// Whether a commit was refused because somebody else changed the user meanwhile.
pub(super) fn was_overtaken(committed: &Result<(), CommitError>) -> bool {
    matches!(committed, Err(CommitError::Refused(Refused(Precondition::UserGeneration(..)))))
}

/// What is said when others were faster again and again.
pub(super) fn overtaken() -> Error {
    Error::Conflict("somebody else changed the user at the same time; try again".to_owned())
}

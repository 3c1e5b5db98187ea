//! What each user may at the moment, remembered so that a request need not read the store.
//!
//! A token says who somebody is; what they may is asked here, so that a change of roles takes effect with the next request.
//! Every change of a user goes through [`App::commit_account`].

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use super::App;
use super::context::Permit;
use super::error::Error;
use crate::model::id::{SessionId, UserId};
use crate::model::user::Role;
use crate::store::record::UserRecord;
use crate::store::{Change, CommitError, Precondition, Refused, Store, Transaction};

/// Users remembered at most; above that all are forgotten and looked up again.
const MOST: usize = 10_000;
/// How often a change is tried that others got ahead of.
pub(super) const TRIES: usize = 32;

/// What counts of a user with every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) email: String,
    pub(super) roles: Vec<Role>,
    /// Whether there is a second factor to log in with.
    pub(super) mfa: bool,
}

impl Standing {
    /// Nothing for somebody who is shut out.
    fn of(record: &UserRecord) -> Option<Arc<Self>> {
        let (email, roles) = (&record.user.email, &record.user.roles);
        let standing = || Arc::new(Self { email: email.clone(), roles: roles.clone(), mfa: record.has_mfa() });
        (!record.disabled).then(standing)
    }
}

#[derive(Default)]
pub(super) struct Accounts(RwLock<Known>);

#[derive(Default)]
struct Known {
    /// Counts what was forgotten: what was read before must not be learned after.
    forgotten: u64,
    standings: HashMap<UserId, Option<Arc<Standing>>>,
}

/// What is known of a user: how they stand, or, where nothing is, what [`Accounts::learn`] wants to hear.
type Look = Result<Option<Arc<Standing>>, u64>;

impl Accounts {
    fn look(&self, id: UserId) -> Look {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.standings.get(&id).cloned().ok_or(known.forgotten)
    }

    fn learn(&self, id: UserId, forgotten: u64, standing: Option<Arc<Standing>>) {
        let mut known = self.write();
        if known.forgotten == forgotten {
            if known.standings.len() >= MOST {
                known.standings.clear();
            }
            known.standings.insert(id, standing);
        }
    }

    fn forget(&self, id: UserId) {
        let mut known = self.write();
        known.forgotten += 1;
        known.standings.remove(&id);
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    /// How a user stands; nothing when they are gone or shut out.
    pub(super) async fn standing(&self, id: UserId) -> Result<Option<Arc<Standing>>, Error> {
        let forgotten = match self.accounts.look(id) {
            Ok(standing) => return Ok(standing),
            Err(forgotten) => forgotten,
        };
        let store = &self.guarded.open(&Permit::own()).store;
        let record = store.read(move |reads| reads.user(id)).await?;
        let standing = record.as_ref().and_then(Standing::of);
        self.accounts.learn(id, forgotten, standing.clone());
        Ok(standing)
    }

    /// Commits a change of a user that ends these sessions; it takes effect with the next request, even when whoever asked
    /// for it goes away meanwhile.
    pub(super) async fn commit_account(
        &self,
        store: &Store,
        user: UserId,
        ended: Vec<SessionId>,
        transaction: Transaction,
    ) -> Result<(), CommitError> {
        let (store, accounts, sessions) = (store.clone(), Arc::clone(&self.accounts), Arc::clone(&self.sessions));
        let committed = tokio::spawn(async move {
            let committed = store.commit(transaction).await;
            if committed.is_ok() {
                for id in ended {
                    sessions.set(id, false);
                }
                accounts.forget(user);
            }
            committed
        });
        committed.await.unwrap_or_else(|error| Err(CommitError::Unavailable(error.to_string())))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_learned_after_it() {
        let (accounts, id) = (Accounts::default(), UserId(uuid::Uuid::from_u128(1)));
        let old = Some(Arc::new(Standing { email: String::new(), roles: vec![Role::Admin], mfa: false }));
        let before = accounts.look(id).unwrap_err();
        accounts.forget(id);
        accounts.learn(id, before, old.clone());
        let now = accounts.look(id).unwrap_err();
        accounts.learn(id, now, old.clone());
        assert_eq!(accounts.look(id), Ok(old));
    }
}

//! Which sessions are live, remembered so that a request need not read the store. Every end of a session goes through
//! [`Sessions::set`], so it takes effect with the next request.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use crate::model::id::SessionId;

/// Sessions remembered at most; above that all are forgotten and looked up again.
const MOST: usize = 10_000;

#[derive(Default)]
pub(super) struct Sessions(RwLock<HashMap<SessionId, bool>>);

impl Sessions {
    pub(super) fn is_live(&self, id: SessionId) -> Option<bool> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    /// Remembers what the store said, unless the session was ended meanwhile; answers what holds.
    pub(super) fn learn(&self, id: SessionId, live: bool) -> bool {
        *self.room().entry(id).or_insert(live)
    }

    pub(super) fn set(&self, id: SessionId, live: bool) {
        self.room().insert(id, live);
    }

    fn room(&self) -> RwLockWriteGuard<'_, HashMap<SessionId, bool>> {
        let mut sessions = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MOST {
            sessions.clear();
        }
        sessions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_an_end_does_not_undo_it() {
        let sessions = Sessions::default();
        let id = SessionId(uuid::Uuid::from_u128(1));
        sessions.set(id, false);
        assert!(!sessions.learn(id, true));
        assert_eq!(sessions.is_live(id), Some(false));
    }
}

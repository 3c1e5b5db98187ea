//! Which sessions are live, remembered so that a request need not read the store. Every end of a session goes through
//! [`Sessions::set`], so it takes effect with the next request.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use crate::model::id::SessionId;

/// Sessions remembered at most; above that all are forgotten and looked up again.
const MOST: usize = 10_000;

#[derive(Default)]
pub(super) struct Sessions(RwLock<HashMap<SessionId, bool>>);

impl Sessions {
    pub(super) fn is_live(&self, id: SessionId) -> Option<bool> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).copied()
    }

    pub(super) fn set(&self, id: SessionId, live: bool) {
        let mut sessions = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MOST {
            sessions.clear();
        }
        sessions.insert(id, live);
    }
}

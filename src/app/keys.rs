//! The keys of tokens while the daemon runs: every request takes those of the moment, and a rotation puts others in their
//! place, on disk first.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::{Value, json};

use super::context::Permit;
use super::error::Error;
use super::{App, aside, trail};
use crate::audit;
use crate::auth::key_files::{KeyError, KeyFiles};
use crate::auth::keys::KeyRing;
use crate::auth::token::Tokens;
use crate::model::time::Timestamp;
use crate::store::Transaction;

/// The keys of a data directory, and what signs and checks with them.
pub struct Keys {
    /// Held during a change, so that changes come one after the other.
    files: Mutex<KeyFiles>,
    tokens: RwLock<Arc<Tokens>>,
}

impl Keys {
    /// The keys in a data directory; a first one is made when there is none.
    ///
    /// # Errors
    /// When a key can't be used or made.
    pub fn open(data_dir: &Path, now: Timestamp) -> Result<Self, KeyError> {
        let (files, ring) = KeyFiles::open(data_dir, now)?;
        Ok(Self { files: Mutex::new(files), tokens: RwLock::new(Arc::new(Tokens::new(ring))) })
    }

    pub(super) fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a key with this id ever signed for this daemon.
    pub(super) fn has_signed(&self, kid: &str) -> Result<bool, KeyError> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).has_signed(kid)
    }

    /// A new key that signs from now on.
    fn rotate(&self, now: Timestamp) -> Result<(), KeyError> {
        self.change(|ring| Ok(Some(ring.rotate(now)?)))
    }

    /// Drops the keys that verify no more.
    fn forget_over(&self, now: Timestamp) -> Result<(), KeyError> {
        self.change(|ring| Ok(ring.has_over(now).then(|| ring.without_over(now))))
    }

    fn change(&self, next: impl FnOnce(&KeyRing) -> Result<Option<KeyRing>, KeyError>) -> Result<(), KeyError> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ring) = next(self.tokens().ring())? else { return Ok(()) };
        files.keep(&ring)?;
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Tokens::new(ring));
        Ok(())
    }
}

impl App {
    /// The public keys that tokens can be checked with, as a JWK set.
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.keys.tokens().jwks(self.clock.now())
    }

    /// Makes a new key sign when the present one has signed long enough, and drops the keys that verify no more. Tokens that
    /// were signed before stay good for their time.
    ///
    /// # Errors
    /// When a key can't be made or written; the present one goes on signing then.
    pub(super) async fn turn_keys(&self) -> Result<(), Error> {
        let (keys, now) = (Arc::clone(&self.keys), self.clock.now());
        let is_due = self.key_rotation.is_some_and(|time| now.since(keys.tokens().ring().signing().since()) >= time);
        if !is_due {
            return Ok(aside(move || keys.forget_over(now)).await??);
        }
        aside(move || keys.rotate(now)).await??;
        let ring = self.keys.tokens();
        let kid = ring.ring().signing().kid();
        tracing::info!(kid, "a new key signs");
        let entry = trail::own("keys_rotate", audit::Resource::new("key", kid), now, json!({}));
        Ok(self.guarded.open(&Permit::own()).store.commit(Transaction::of(vec![entry])).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::token::ACCESS_LIFETIME;
    use std::time::Duration;

    #[test]
    fn a_rotation_takes_effect_at_once_and_after_a_restart() {
        let data = tempfile::tempdir().unwrap();
        let keys = Keys::open(data.path(), Timestamp(0)).unwrap();
        let before = keys.tokens();
        keys.rotate(Timestamp(1000)).unwrap();
        let kid = keys.tokens().ring().signing().kid().to_owned();
        assert_ne!(kid, before.ring().signing().kid());
        let restarted = Keys::open(data.path(), Timestamp(2000)).unwrap();
        assert_eq!(restarted.tokens().ring().signing().kid(), kid);
        assert_eq!(restarted.tokens().jwks(Timestamp(2000)), keys.tokens().jwks(Timestamp(2000)));
    }

    #[test]
    fn keys_that_are_over_go_from_memory_and_disk() {
        let data = tempfile::tempdir().unwrap();
        let keys = Keys::open(data.path(), Timestamp(0)).unwrap();
        keys.rotate(Timestamp(1000)).unwrap();
        let files = || std::fs::read_dir(data.path().join("keys")).unwrap().count();
        keys.forget_over(Timestamp(2000)).unwrap();
        assert_eq!(files(), 2);
        keys.forget_over(Timestamp(2000).plus(ACCESS_LIFETIME).plus(Duration::from_mins(1))).unwrap();
        assert_eq!(files(), 1);
    }

    #[test]
    fn what_can_not_be_written_changes_nothing() {
        let data = tempfile::tempdir().unwrap();
        let keys = Keys::open(data.path(), Timestamp(0)).unwrap();
        let kid = keys.tokens().ring().signing().kid().to_owned();
        std::fs::remove_dir_all(data.path().join("keys")).unwrap();
        assert!(keys.rotate(Timestamp(1000)).is_err());
        assert_eq!(keys.tokens().ring().signing().kid(), kid);
    }
}

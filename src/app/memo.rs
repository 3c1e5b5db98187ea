//! What the store said, remembered so that not every request need read it.
//!
//! What was read before a change is never learned after it. Doesn't know what it remembers, or when that changes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

/// Entries remembered at most; above that all are forgotten and looked up again.
const MOST: usize = 10_000;

/// Values by key.
pub(super) struct Memo<K, V>(RwLock<Known<K, V>>);

struct Known<K, V> {
    /// Counts what was forgotten.
    forgotten: u64,
    values: HashMap<K, V>,
}

/// How much had been forgotten when something was looked up in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Before(u64);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(RwLock::new(Known { forgotten: 0, values: HashMap::new() }))
    }
}

impl<K: Eq + Hash, V: Clone> Memo<K, V> {
    /// The value, or what [`Memo::learn`] wants to hear.
    pub(super) fn look<Q>(&self, key: &Q) -> Result<V, Before>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.values.get(key).cloned().ok_or(Before(known.forgotten))
    }

    /// Remembers what was read, unless something was forgotten meanwhile.
    pub(super) fn learn(&self, key: K, before: Before, value: V) {
        let mut known = self.write();
        if known.forgotten == before.0 {
            if known.values.len() >= MOST {
                known.values.clear();
            }
            known.values.insert(key, value);
        }
    }

    /// Changes a value that is remembered to what `next` makes of it; whether it did.
    pub(super) fn update<Q>(&self, key: &Q, next: impl FnOnce(&V) -> Option<V>) -> bool
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut known = self.write();
        let Some(value) = known.values.get_mut(key) else { return false };
        let Some(next) = next(value) else { return false };
        *value = next;
        true
    }

    /// To be called when a change was committed.
    pub(super) fn forget<Q>(&self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut known = self.write();
        known.forgotten += 1;
        known.values.remove(key);
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known<K, V>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_learned_after_it() {
        let memo = Memo::<u8, &str>::default();
        let before = memo.look(&1).unwrap_err();
        memo.forget(&1);
        memo.learn(1, before, "old");
        let before = memo.look(&1).unwrap_err();
        memo.learn(1, before, "new");
        assert_eq!(memo.look(&1), Ok("new"));
    }

    #[test]
    fn only_what_is_remembered_is_updated() {
        let memo = Memo::<u8, u8>::default();
        assert!(!memo.update(&1, |value| Some(value + 1)));
        let before = memo.look(&1).unwrap_err();
        memo.learn(1, before, 1);
        assert!(memo.update(&1, |value| Some(value + 1)));
        assert!(!memo.update(&1, |_| None));
        assert_eq!(memo.look(&1), Ok(2));
    }
}

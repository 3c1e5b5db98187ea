//! The keys of the chain: 256 bits each, numbered, so that one can follow another.

use aws_lc_rs::{hmac, rand};

/// The system has no randomness to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no audit key can be made: the system gives no random numbers")]
pub struct NoRandomness;

/// One key. `Debug` shows its number alone.
#[derive(Clone)]
pub struct Key {
    id: u32,
    secret: [u8; 32],
    hmac: hmac::Key,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    /// A new key. Its number is greater than that of every key before it.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate(id: u32) -> Result<Self, NoRandomness> {
        let mut secret = [0; 32];
        rand::fill(&mut secret).map_err(|_| NoRandomness)?;
        Ok(Self::from_bytes(id, secret))
    }

    /// The key that was kept.
    #[must_use]
    pub fn from_bytes(id: u32, secret: [u8; 32]) -> Self {
        Self { id, hmac: hmac::Key::new(hmac::HMAC_SHA256, &secret), secret }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What to keep, where only the daemon reads it.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    pub(super) fn hmac(&self) -> &hmac::Key {
        &self.hmac
    }
}

/// The key that seals and those that did before it, by number. `Debug` shows the numbers alone.
#[derive(Clone, Debug)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    /// A ring of one key.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self(vec![key])
    }

    /// This ring with one more key; one of the same number is replaced.
    #[must_use]
    pub fn with(mut self, key: Key) -> Self {
        self.0.retain(|other| other.id != key.id);
        self.0.push(key);
        self.0.sort_by_key(|key| key.id);
        self
    }

    /// The key of this number.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }

    /// The key that seals: the one with the greatest number.
    #[must_use]
    pub fn current(&self) -> &Key {
        self.0.last().expect("a ring is made of one key and never loses any")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown_and_the_newest_key_seals() {
        let ring = Keyring::new(Key::from_bytes(2, [0xab; 32])).with(Key::from_bytes(1, [0xcd; 32]));
        assert_eq!(format!("{ring:?}"), "Keyring([Key { id: 1, .. }, Key { id: 2, .. }])");
        assert_eq!(ring.current().id(), 2);
        assert_ne!(Key::generate(1).unwrap().secret(), Key::generate(1).unwrap().secret());
    }
}

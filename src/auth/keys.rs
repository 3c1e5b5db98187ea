//! Signing keys and the ring of them: Ed25519, one that signs, and those that signed until lately.
//!
//! A rotation adds a key that signs from then on. The one before goes on verifying until the longest-lived token that it
//! signed is over, so nobody is logged out, and then it vanishes. Other programs find the keys that verify in the JWK set,
//! and look again when a token names one they don't know. Where keys are kept is [`super::key_files`]' matter.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::secret::NoRandomness;
use super::token::ACCESS_LIFETIME;
use crate::model::digest::sha256;
use crate::model::time::Timestamp;

/// By how much the clock may have been ahead when a token was signed, or a key added.
pub(super) const SKEW: Duration = Duration::from_mins(1);

/// A key pair with its id. `Debug` hides the secret part.
pub struct SigningKey {
    kid: String,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
    since: Timestamp,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("since", &self.since).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new key that signs from `since` on.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate(since: Timestamp) -> Result<Self, NoRandomness> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| NoRandomness)?;
        Self::from_pkcs8(document.as_ref().to_vec(), since).ok_or(NoRandomness)
    }

    /// The key of a PKCS #8 document; nothing when it holds none.
    pub(super) fn from_pkcs8(pkcs8: Vec<u8>, since: Timestamp) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        // The thumbprint of RFC 7638 for an octet key pair (RFC 8037, appendix A.3).
        let thumbprint = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(&public));
        Some(Self { kid: URL_SAFE_NO_PAD.encode(sha256(thumbprint.as_bytes())), pkcs8, public, since })
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// When it began to sign.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Signs a message that can't be taken for a token: one that begins with what no token begins with.
    ///
    /// # Panics
    /// Never: the document was read when the key was made.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let pair = Ed25519KeyPair::from_pkcs8(&self.pkcs8).expect("it was read when the key was made");
        pair.sign(message).as_ref().to_vec()
    }

    /// The public half, 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.public
    }

    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(&self.public);
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": x})
    }
}

/// The keys that verify, in the order in which they began to sign; the last one signs.
#[derive(Clone, Debug)]
pub struct KeyRing {
    retired: Vec<Arc<SigningKey>>,
    signing: Arc<SigningKey>,
}

impl KeyRing {
    /// The ring of one key.
    #[must_use]
    pub fn of(key: SigningKey) -> Self {
        Self { retired: Vec::new(), signing: Arc::new(key) }
    }

    /// The ring of these keys, whatever their order; nothing when there are none.
    #[must_use]
    pub fn from_keys(mut keys: Vec<SigningKey>) -> Option<Self> {
        keys.sort_by_key(SigningKey::since);
        let signing = Arc::new(keys.pop()?);
        Some(Self { retired: keys.into_iter().map(Arc::new).collect(), signing })
    }

    /// The key that signs.
    #[must_use]
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// A new ring with a new key that signs from now on.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn rotate(&self, now: Timestamp) -> Result<Self, NoRandomness> {
        // A clock that was set back must not put the new key before the old one.
        let since = now.max(Timestamp(self.signing.since.0.saturating_add(1)));
        let signing = Arc::new(SigningKey::generate(since)?);
        let retired = self.retired.iter().chain([&self.signing]).cloned().collect();
        Ok(Self { retired, signing }.without_over(now))
    }

    /// The ring without the keys that verify no more.
    #[must_use]
    pub fn without_over(&self, now: Timestamp) -> Self {
        let retired = self.entries().filter(|entry| entry.verifies(now)).filter(|entry| entry.retired_at.is_some());
        Self { retired: retired.map(|entry| Arc::clone(entry.key)).collect(), signing: Arc::clone(&self.signing) }
    }

    /// Whether it holds keys that verify no more.
    #[must_use]
    pub fn has_over(&self, now: Timestamp) -> bool {
        self.entries().any(|entry| !entry.verifies(now))
    }

    /// The public keys that verify, as a JWK set (RFC 7517); the one that signs comes first.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> Value {
        let mut keys: Vec<Value> =
            self.entries().filter(|entry| entry.verifies(now)).map(|entry| entry.key.jwk()).collect();
        keys.reverse();
        json!({ "keys": keys })
    }

    /// Every key with when it ceased to sign.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let keys = self.retired.iter().chain([&self.signing]);
        let successors = keys.clone().skip(1).map(|key| Some(key.since));
        keys.zip(successors.chain([None])).map(|(key, retired_at)| Entry { key, retired_at })
    }
}

/// A key of a ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'r> {
    pub(super) key: &'r Arc<SigningKey>,
    /// When the next one took over.
    pub(super) retired_at: Option<Timestamp>,
}

impl Entry<'_> {
    /// Whether tokens that the key signed can still be good.
    pub(super) fn verifies(&self, now: Timestamp) -> bool {
        self.retired_at.is_none_or(|retired| now < retired.plus(ACCESS_LIFETIME).plus(SKEW))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kids(ring: &KeyRing, now: Timestamp) -> Vec<String> {
        let jwks = ring.jwks(now);
        let keys = jwks["keys"].as_array().unwrap();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn after_a_rotation_the_new_key_signs_and_the_old_one_verifies_for_a_while() {
        let first = KeyRing::of(SigningKey::generate(Timestamp(0)).unwrap());
        let now = Timestamp(5_000);
        let second = first.rotate(now).unwrap();
        let (old, new) = (first.signing().kid().to_owned(), second.signing().kid().to_owned());
        assert_ne!(old, new);
        assert_eq!(second.signing().since(), now);
        assert_eq!(kids(&second, now), [new.clone(), old.clone()]);
        let over = now.plus(ACCESS_LIFETIME).plus(SKEW);
        assert_eq!(kids(&second, Timestamp(over.0 - 1)), [new.clone(), old]);
        assert_eq!(kids(&second, over), [new]);
        assert_eq!(second.without_over(over).entries().count(), 1);
        assert_eq!(second.without_over(now).entries().count(), 2);
    }

    #[test]
    fn a_single_key_verifies_for_ever() {
        let ring = KeyRing::of(SigningKey::generate(Timestamp(0)).unwrap());
        let late = Timestamp(0).plus(Duration::from_hours(1_000_000));
        assert_eq!(kids(&ring, late), [ring.signing().kid()]);
        assert!(!ring.has_over(late));
        assert_eq!(ring.without_over(late).entries().count(), 1);
    }

    #[test]
    fn many_rotations_leave_those_that_verify() {
        let mut ring = KeyRing::of(SigningKey::generate(Timestamp(0)).unwrap());
        for minutes in 1..=100 {
            ring = ring.rotate(Timestamp(minutes * 60_000)).unwrap();
        }
        assert_eq!(ring.entries().count(), 17);
    }

    #[test]
    fn a_clock_set_back_does_not_bring_an_old_key_back() {
        let first = KeyRing::of(SigningKey::generate(Timestamp(1_000_000)).unwrap());
        let second = first.rotate(Timestamp(10)).unwrap();
        assert!(second.signing().since() > first.signing().since());
        let copy = |key: &SigningKey| SigningKey::from_pkcs8(key.pkcs8().to_vec(), key.since()).unwrap();
        let read = KeyRing::from_keys(vec![copy(second.signing()), copy(first.signing())]).unwrap();
        assert_eq!(read.signing().kid(), second.signing().kid());
    }

    #[test]
    fn the_published_set_holds_public_parts_alone() {
        let ring = KeyRing::of(SigningKey::generate(Timestamp(0)).unwrap());
        let jwks = ring.jwks(Timestamp(0));
        let key = jwks["keys"][0].as_object().unwrap();
        let names: std::collections::BTreeSet<_> = key.keys().map(String::as_str).collect();
        assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x"].into());
        assert!(!format!("{ring:?}").contains("pkcs8"));
    }
}

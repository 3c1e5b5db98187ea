//! Signed statements about the log, small enough to be mailed, printed or kept in another system.
//!
//! The signature is Ed25519 over the statement's fields in one fixed encoding, so the document may be indented or
//! reordered on its way. Whose key signs is the caller's business.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chain::Head;
use crate::model::time::Timestamp;

/// What the signed message begins with; no token and no other use of the key shares it.
const DOMAIN: &[u8] = b"prov audit checkpoint 1\0";

/// How the log stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditCheckpointStatement")]
pub struct Checkpoint {
    /// The last entry.
    #[serde(flatten)]
    pub head: Head,
    /// The first entry that was kept; one more than the last when none was.
    pub first: u64,
    /// When.
    pub at: Timestamp,
}

impl Checkpoint {
    /// The anchor of a log whose entries up to `head` are dropped.
    #[must_use]
    pub fn anchor(head: Head, at: Timestamp) -> Self {
        Self { head, first: head.sequence.saturating_add(1), at }
    }

    /// How many entries the log had. There are no gaps, so that first and last say it.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.head.sequence.saturating_add(1).saturating_sub(self.first)
    }

    /// Where a log that has this anchor begins: nothing when it is no anchor. A checkpoint of a log that had entries
    /// isn't one: else whoever holds it could drop them.
    #[must_use]
    pub fn begins_after(&self) -> Option<Head> {
        (self.head.sequence.checked_add(1) == Some(self.first)).then_some(self.head)
    }

    /// Signs it. `sign` makes an Ed25519 signature with the key called `signer`.
    #[must_use]
    pub fn sign(self, signer: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Signed {
        let signature = URL_SAFE_NO_PAD.encode(sign(&self.message()));
        Signed { checkpoint: self, signer: signer.to_owned(), signature }
    }

    fn message(&self) -> Vec<u8> {
        let head = &self.head;
        let (sequence, key) = (head.sequence.to_be_bytes(), head.key.to_be_bytes());
        [DOMAIN, &sequence, &head.mac.0, &key, &self.first.to_be_bytes(), &self.at.0.to_be_bytes()].concat()
    }
}

/// The document is not what the owner of the key signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature of the checkpoint at entry {sequence} isn't that of key {signer}")]
pub struct BadSignature {
    /// The entry that the document speaks of.
    pub sequence: u64,
    /// The key that it names.
    pub signer: String,
}

/// A checkpoint with its signature. What it says is had only by giving a public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditCheckpointSigned")]
pub struct Signed {
    #[serde(flatten)]
    checkpoint: Checkpoint,
    signer: String,
    signature: String,
}

impl Signed {
    /// The id of the key that it says it is signed with.
    #[must_use]
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// What was signed with the key whose public half (32 bytes) this is.
    ///
    /// # Errors
    /// When it wasn't.
    pub fn open(&self, public: &[u8]) -> Result<&Checkpoint, BadSignature> {
        let bad = || BadSignature { sequence: self.checkpoint.head.sequence, signer: self.signer.clone() };
        let signature = URL_SAFE_NO_PAD.decode(&self.signature).map_err(|_| bad())?;
        let key = UnparsedPublicKey::new(&ED25519, public);
        key.verify(&self.checkpoint.message(), &signature).map_err(|_| bad())?;
        Ok(&self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;
    use crate::audit::Mac;

    fn checkpoint() -> Checkpoint {
        let head = Head { sequence: 40, mac: Mac([7; 32]), key: 3 };
        Checkpoint { head, first: 11, at: Timestamp(1_790_000_000_123) }
    }

    #[test]
    fn a_document_says_what_was_signed_and_nothing_else() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let public = pair.public_key().as_ref();
        let signed = checkpoint().sign("kid", |message| pair.sign(message).as_ref().to_vec());
        let document = serde_json::to_value(&signed).unwrap();
        let read = |document: &serde_json::Value| serde_json::from_value::<Signed>(document.clone()).unwrap();
        assert_eq!(read(&document).open(public), Ok(&checkpoint()));

        let other = "0".repeat(64);
        let cases = [
            ("sequence", 41.into()),
            ("mac", other.into()),
            ("key", 4.into()),
            ("first", 12.into()),
            ("at", "2026-09-21T14:13:20.124Z".into()),
            ("signature", "AAAA".into()),
            ("signature", "!".into()),
        ];
        for (field, value) in cases {
            let mut changed = document.clone();
            changed[field] = value;
            let error = read(&changed).open(public).unwrap_err();
            assert_eq!(error.signer, "kid", "{field}");
        }
        let stranger = Ed25519KeyPair::generate().unwrap();
        assert!(signed.open(stranger.public_key().as_ref()).is_err());
        assert!(signed.open(b"no key").is_err());
    }

    #[test]
    fn only_a_checkpoint_of_nothing_is_an_anchor() {
        assert_eq!((checkpoint().entries(), checkpoint().begins_after()), (30, None));
        let anchor = Checkpoint::anchor(checkpoint().head, Timestamp(0));
        assert_eq!((anchor.entries(), anchor.begins_after()), (0, Some(checkpoint().head)));
    }
}

//! The chain of entries.
//!
//! What is chained is the text of an entry exactly as it is stored. Nothing is ever serialised again to be verified, so
//! that no canonical form is needed, and fields added later leave older entries as good as they were. The mac of an
//! entry is HMAC-SHA-256 over
//!
//! ```text
//! "prov audit entry 1\0"  key id (u32)  mac of the entry before (32 bytes)  sequence (u64)  text
//! ```
//!
//! with big-endian numbers: every part but the last has one length, so no two entries share an encoding. What is stored
//! keeps the mac of the entry before as well. So an entry can be verified by itself, as in an export that is a
//! selection, and a wrong link can be told from a wrong text.

use std::fmt;

use aws_lc_rs::hmac;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use super::entry::{Entry, Event};
use super::key::Key;
use crate::model::schema::text_schema;

/// What an entry's encoding begins with; no other use of a key shares it.
const DOMAIN: &[u8] = b"prov audit entry 1\0";

/// The mac of an entry. As text 64 hexadecimal digits in lower case; no other spelling is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 32]);

text_schema!(Mac, { "type": "string", "pattern": "^[0-9a-f]{64}$" });

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Mac {
    fn parse(text: &str) -> Option<Self> {
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        let mut mac = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != mac.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in mac.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(mac))
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("no mac: 64 hexadecimal digits in lower case"))
    }
}

/// A place in the chain: the entry that the next one follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditHead")]
pub struct Head {
    /// The entry's sequence.
    pub sequence: u64,
    /// Its mac.
    pub mac: Mac,
    /// The number of the key it was sealed with.
    pub key: u32,
}

impl Head {
    /// The place before the first entry.
    pub const START: Self = Self { sequence: 0, mac: Mac([0; 32]), key: 0 };
}

/// An entry as it is stored, and as a line of a JSON Lines export.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The text of the [`Entry`], to the byte.
    entry: Box<RawValue>,
    /// The number of the key.
    pub key: u32,
    /// The mac of the entry before.
    pub previous: Mac,
    /// The mac of this one.
    pub mac: Mac,
}

impl Sealed {
    /// The entry's text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.entry.get()
    }

    pub(super) fn raw(&self) -> &RawValue {
        &self.entry
    }

    /// The entry, whether genuine or not.
    ///
    /// # Errors
    /// When the text is no entry.
    pub fn entry(&self) -> serde_json::Result<Entry> {
        serde_json::from_str(self.text())
    }

    /// The sequence that the text states.
    ///
    /// # Errors
    /// When the text is no entry.
    pub fn sequence(&self) -> serde_json::Result<u64> {
        #[derive(Deserialize)]
        struct Place {
            sequence: u64,
        }
        serde_json::from_str::<Place>(self.text()).map(|place| place.sequence)
    }

    /// Whether the text, its sequence and the link are what was sealed with this key.
    pub(super) fn is_genuine(&self, key: &Key, sequence: u64) -> bool {
        let message = message(key.id(), &self.previous, sequence, self.text());
        hmac::verify(key.hmac(), &message, &self.mac.0).is_ok()
    }
}

fn message(key: u32, previous: &Mac, sequence: u64, text: &str) -> Vec<u8> {
    [DOMAIN, &key.to_be_bytes(), &previous.0, &sequence.to_be_bytes(), text.as_bytes()].concat()
}

/// The key is older than the chain's last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "audit key {key} can't follow key {last}, which the last entry is sealed with: a new key needs a greater number"
)]
pub struct OldKey {
    /// The key.
    pub key: u32,
    /// That of the last entry.
    pub last: u32,
}

/// The end of a log, where entries are added. Holds nothing but where it is: made from the head that is stored for each
/// transaction, and forgotten with one that fails.
#[derive(Clone, Debug)]
pub struct Chain<'k> {
    key: &'k Key,
    head: Head,
}

impl<'k> Chain<'k> {
    /// The chain that ends with `head`, to go on with `key`.
    ///
    /// # Errors
    /// When the key is older than that of the head.
    pub fn new(key: &'k Key, head: Head) -> Result<Self, OldKey> {
        if key.id() < head.key { Err(OldKey { key: key.id(), last: head.key }) } else { Ok(Self { key, head }) }
    }

    /// Where it ends.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Makes the event the next entry. Whatever the event holds, what is sealed is [clean](Event::clean).
    pub fn seal(&mut self, event: Event) -> Sealed {
        let sequence = self.head.sequence.checked_add(1).expect("nobody makes 2^64 entries");
        let entry = Entry { sequence, event: event.clean() };
        let entry = serde_json::value::to_raw_value(&entry).expect("an entry has text as keys and nothing that fails");
        let (key, previous) = (self.key.id(), self.head.mac);
        let tag = hmac::sign(self.key.hmac(), &message(key, &previous, sequence, entry.get()));
        let mac = Mac(tag.as_ref().try_into().expect("HMAC-SHA-256 makes 32 bytes"));
        self.head = Head { sequence, mac, key };
        Sealed { entry, key, previous, mac }
    }
}

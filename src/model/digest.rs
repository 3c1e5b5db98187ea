//! Digests that tell whether two things are the same.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0u8; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// SHA-256 of what comes in pieces.
pub struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256")
    }
}

impl Sha256 {
    /// The next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all pieces.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let mut hash = [0u8; 32];
        hash.copy_from_slice(self.0.finish().as_ref());
        hash
    }
}

/// Bytes as digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a certificate is recognised by: its SHA-256, written as ssh writes that of a host's key.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That of a certificate in DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        Self(sha256(certificate))
    }
}

const KIND: &str = "SHA256:";

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND}{}", STANDARD_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is `SHA256:` and 43 characters, as `prov serve` prints it, or 32 bytes in hexadecimal")]
pub struct NotAFingerprint;

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;
    /// Takes it as it is written here, and as openssl and browsers write it: `AB:CD:…`.
    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let bytes = match text.strip_prefix(KIND) {
            Some(digits) => STANDARD_NO_PAD.decode(digits).map_err(|_| NotAFingerprint)?,
            None => text.split(':').map(byte).collect::<Option<_>>().ok_or(NotAFingerprint)?,
        };
        bytes.try_into().map(Self).map_err(|_| NotAFingerprint)
    }
}

fn byte(digits: &str) -> Option<u8> {
    let is_one = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_one)
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NotAFingerprint;
    fn try_from(text: String) -> Result<Self, NotAFingerprint> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let fingerprint = Fingerprint::of(b"certificate");
        let text = fingerprint.to_string();
        assert_eq!((text.len(), text.parse()), (50, Ok(fingerprint)));
        for wrong in ["", "SHA256:", &text[7..], &text[..49], &format!("{text}A"), "MD5:aa"] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NotAFingerprint), "{wrong}");
        }
    }

    #[test]
    fn a_fingerprint_is_read_as_others_write_it() {
        let bytes = sha256(b"certificate");
        let written = bytes.map(|byte| format!("{byte:02X}")).join(":");
        assert_eq!(written.parse(), Ok(Fingerprint(bytes)));
        assert_eq!(written.to_lowercase().parse(), Ok(Fingerprint(bytes)));
        for wrong in
            [&written[3..], &format!("{written}:00"), &written.replace(':', ""), &written.replacen('6', "+", 1)]
        {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NotAFingerprint), "{wrong}");
        }
    }
}

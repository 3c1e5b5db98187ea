//! Signing keys: Ed25519, made at first start, kept in 0600 files, published as a JWKS.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::model::digest::sha256;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read or written.
    #[error("can't use the signing key {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What the file holds is no key.
    #[error("the signing key {path} is damaged; remove the file to have a new one made, which logs everybody out")]
    Damaged {
        /// The file.
        path: String,
    },
    /// No key could be made.
    #[error("no signing key can be made: the system gives no random numbers")]
    Generate,
}

/// A key pair with its id. `Debug` shows the id alone.
pub struct SigningKey {
    kid: String,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The key in `directory`, made when there is none.
    ///
    /// # Errors
    /// When the file can't be used or holds no key.
    pub fn load_or_make(directory: &Path) -> Result<Self, KeyError> {
        let path = directory.join("signing-key.pk8");
        let file = |source| KeyError::File { path: path.display().to_string(), source };
        match fs::read(&path) {
            Ok(pkcs8) => Self::from_pkcs8(pkcs8).ok_or_else(|| KeyError::Damaged { path: path.display().to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate()?;
                write_secret(&path, &key.pkcs8).map_err(file)?;
                Ok(key)
            }
            Err(error) => Err(file(error)),
        }
    }

    /// A new key.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let document =
            Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).map_err(|_| KeyError::Generate)?;
        Self::from_pkcs8(document.as_ref().to_vec()).ok_or(KeyError::Generate)
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?;
        let public = pair.public_key().as_ref().to_vec();
        // The thumbprint of RFC 7638 for an octet key pair (RFC 8037, appendix A.3).
        let thumbprint = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(&public));
        Some(Self { kid: URL_SAFE_NO_PAD.encode(sha256(thumbprint.as_bytes())), pkcs8, public })
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    pub(super) fn x(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.public)
    }

    /// The public keys as a JWK set (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> Value {
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": self.x()}]})
    }
}

/// Writes a file that only its owner can read, whole or not at all; an existing one is replaced.
///
/// # Errors
/// When it can't be written.
pub fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let _ = fs::remove_file(&partial);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

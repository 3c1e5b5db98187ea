//! How client and daemon recognise each other on an encrypted connection.
//!
//! Owns what is known of the daemon's certificate and where the client's own is, and makes of it what reqwest encrypts with.
//! A daemon's certificate is either the one that somebody recognised by its fingerprint, as ssh does with a host's key, or
//! one that an authority vouches for ([`recognise`](super::recognise)). There is no way to trust just any.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};

use super::recognise::Recognising;
use crate::model::digest::Fingerprint;

/// What is spoken on encrypted connections (RFC 7301), as on the others.
const PROTOCOL: &[u8] = b"http/1.1";

/// What is known of a daemon's certificate, and where the client's own is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trust {
    /// The one certificate that is trusted, whoever vouches for it or doesn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// Authorities, in PEM, that are trusted like those of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<PathBuf>,
    /// The client's own certificate, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<PathBuf>,
    /// Its private key; in the file of the certificate where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
}

/// A file that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("can't use {}: {why}", path.display())]
pub struct FileError {
    path: PathBuf,
    why: String,
}

impl Trust {
    /// What `self` says, and where it says nothing, `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let (client_certificate, client_key) = match (self.client_certificate, self.client_key) {
            // A certificate never goes with the key of another.
            (None, None) => (other.client_certificate, other.client_key),
            own => own,
        };
        Self {
            fingerprint: self.fingerprint.or(other.fingerprint),
            ca_certificate: self.ca_certificate.or(other.ca_certificate),
            client_certificate,
            client_key,
        }
    }

    /// What encrypts connections. The machine's authorities are read only if something `is_encrypted`.
    ///
    /// # Errors
    /// When a file can't be used.
    pub(super) fn config(&self, is_encrypted: bool) -> Result<ClientConfig, FileError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let config =
            config.with_safe_default_protocol_versions().expect("the provider has ciphers for TLS 1.2 and 1.3");
        let authorities = match self.fingerprint {
            None if is_encrypted => self.authorities(&provider)?,
            _ => None,
        };
        let recognising = Recognising::new(self.fingerprint, authorities, provider);
        let config = config.dangerous().with_custom_certificate_verifier(Arc::new(recognising));
        let mut config = match self.own().filter(|_| is_encrypted) {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let text = read_key(key)?;
                let private = PrivateKeyDer::from_pem_slice(&text).map_err(|error| unusable(key, &error))?;
                let chain = certificates(certificate)?;
                config.with_client_auth_cert(chain, private).map_err(|error| unusable(certificate, &error))?
            }
        };
        config.alpn_protocols = vec![PROTOCOL.to_owned()];
        Ok(config)
    }

    /// The client's own certificate and its key.
    fn own(&self) -> Option<(&Path, &Path)> {
        let key = self.client_key.as_ref().or(self.client_certificate.as_ref())?;
        Some((self.client_certificate.as_ref().unwrap_or(key), key))
    }

    /// Vouches for certificates; `None` where there are no authorities.
    fn authorities(&self, provider: &Arc<CryptoProvider>) -> Result<Option<Arc<WebPkiServerVerifier>>, FileError> {
        let mut roots = RootCertStore::empty();
        // What can't be read of them vouches for nothing.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &self.ca_certificate {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| unusable(path, &error))?;
            }
        }
        Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().ok())
    }
}

/// At least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = fs::read(path).map_err(|error| unusable(path, &error))?;
    match CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>() {
        Ok(found) if found.is_empty() => Err(unusable(path, &"there is no certificate in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// A private key that is nobody else's.
fn read_key(path: &Path) -> Result<Vec<u8>, FileError> {
    use std::os::unix::fs::MetadataExt;
    let mut file = fs::File::open(path).map_err(|error| unusable(path, &error))?;
    let mode = file.metadata().map_err(|error| unusable(path, &error))?.mode() & 0o7777;
    if mode & 0o007 != 0 {
        let why = format!("the private key can be read by others (mode {mode:04o}); chmod 600 keeps them out");
        return Err(FileError { path: path.to_owned(), why });
    }
    let mut text = Vec::new();
    io::Read::read_to_end(&mut file, &mut text).map_err(|error| unusable(path, &error))?;
    Ok(text)
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> FileError {
    FileError { path: path.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_goes_before_what_is_known() {
        let path = |name: &str| Some(PathBuf::from(name));
        let known = Trust {
            fingerprint: Some(Fingerprint::of(b"known")),
            ca_certificate: path("ca"),
            client_certificate: path("certificate"),
            client_key: path("key"),
        };
        assert_eq!(Trust::default().or(known.clone()), known);
        let said = Trust { client_certificate: path("both"), ..Trust::default() };
        let both = said.or(known.clone());
        assert_eq!((both.client_certificate, both.client_key), (path("both"), None));
        assert_eq!((both.fingerprint, both.ca_certificate), (known.fingerprint, known.ca_certificate));
    }

    #[test]
    fn a_key_may_stand_in_the_file_of_its_certificate() {
        let both = Path::new("both");
        let trust = Trust { client_certificate: Some(both.to_owned()), ..Trust::default() };
        assert_eq!(trust.own(), Some((both, both)));
        assert_eq!(Trust::default().own(), None);
    }
}

//! Encryption of connections: certificate and key from files, taken anew when they change.
//!
//! Owns rustls on the server's side. What a client proves with a certificate of its own is only that it may connect; who it
//! is, its token says.

mod self_signed;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use self_signed::self_signed;

use crate::model::digest::{Fingerprint, sha256};

/// What is spoken on encrypted connections (RFC 7301), as on the others.
const PROTOCOL: &[u8] = b"http/1.1";

/// The files, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, followed by those between it and its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Certificates of authorities: whoever connects must have a certificate of one of them.
    pub client_authorities: Option<PathBuf>,
}

/// Why connections can't be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read, or is not what it should be.
    #[error("can't use {}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Others can read the key.
    #[error("the private key {} can be read by others (mode {mode:04o}): say `chmod 600` when nobody can have read it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// They can't be used together.
    #[error("can't use the certificate {} with its key: {why}", path.display())]
    Unfit {
        /// The certificate.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A certificate of its own could not be made.
    #[error("can't make a certificate: {0}")]
    Make(String),
}

/// What encrypts connections.
pub struct Tls {
    files: Files,
    current: RwLock<Current>,
}

/// What new connections are encrypted with.
struct Current {
    acceptor: TlsAcceptor,
    fingerprint: Fingerprint,
    /// The digest of what the files held when they were last looked at, usable or not; `None` when they could not be read.
    seen: Option<[u8; 32]>,
}

impl Tls {
    /// Encrypts with what is in the files.
    ///
    /// # Errors
    /// When they can't be used.
    pub fn open(files: Files) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let (acceptor, fingerprint) = contents.prepare(&files)?;
        let current = Current { acceptor, fingerprint, seen: Some(contents.digest()) };
        Ok(Self { files, current: RwLock::new(current) })
    }

    /// The certificate's, by which a client that knows no authority recognises it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.current().fingerprint
    }

    /// Takes for new connections what the files hold now. What can't be used is logged, and what was used before stays.
    /// Where nobody `asked` for it, nothing is done and logged unless the files have changed. Reads files: it blocks.
    pub fn renew(&self, asked: bool) {
        let contents = Contents::read(&self.files);
        let seen = contents.as_ref().ok().map(Contents::digest);
        if !asked && seen == self.current().seen {
            return;
        }
        let prepared = contents.and_then(|contents| contents.prepare(&self.files));
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.seen = seen;
        match prepared {
            Ok((acceptor, fingerprint)) => {
                tracing::info!(%fingerprint, "the certificate was read anew");
                (current.acceptor, current.fingerprint) = (acceptor, fingerprint);
            }
            Err(error) => tracing::error!(%error, "the new certificate can't be used; the one before stays"),
        }
    }

    /// Encrypts a connection, or gives it back with the reason why not.
    pub(super) fn accept<S>(&self, stream: S) -> impl Future<Output = Result<TlsStream<S>, (io::Error, S)>> + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.current().acceptor.accept(stream).into_fallible()
    }

    fn current(&self) -> RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the files hold.
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_authorities: Option<Vec<u8>>,
}

impl Contents {
    fn read(files: &Files) -> Result<Self, TlsError> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| unusable(path, &error));
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read_key(&files.key)?,
            client_authorities: files.client_authorities.as_ref().map(read).transpose()?,
        })
    }

    /// Tells whether they have changed. Times of files don't: two changes may have the same.
    fn digest(&self) -> [u8; 32] {
        let parts = [&self.certificate, &self.key, self.client_authorities.as_ref().unwrap_or(&Vec::new())]
            .map(|part| sha256(part));
        sha256(parts.as_flattened())
    }

    fn prepare(&self, files: &Files) -> Result<(TlsAcceptor, Fingerprint), TlsError> {
        let chain = certificates(&self.certificate, &files.certificate)?;
        let fingerprint = Fingerprint::of(&chain[0]);
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| unusable(&files.key, &error))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let unfit = |error: rustls::Error| TlsError::Unfit { path: files.certificate.clone(), why: error.to_string() };
        // TLS 1.2 and 1.3; rustls has none before them.
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(unfit)?;
        let builder = match self.client_authorities.as_ref().zip(files.client_authorities.as_ref()) {
            None => builder.with_no_client_auth(),
            Some((text, path)) => {
                let mut roots = rustls::RootCertStore::empty();
                for certificate in certificates(text, path)? {
                    roots.add(certificate).map_err(|error| unusable(path, &error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| unusable(path, &error))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unfit)?;
        config.alpn_protocols = vec![PROTOCOL.to_owned()];
        Ok((TlsAcceptor::from(Arc::new(config)), fingerprint))
    }
}

/// A key that only its owner, and a group that it is shared with, can read.
fn read_key(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error: io::Error| unusable(path, &error);
    // Permissions are those of the file that is read, not of what stands under its name a moment later.
    let mut file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(TlsError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}

/// At least one.
fn certificates(text: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if found.is_empty() => Err(unusable(path, &"there is no certificate in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(path, &error)),
    }
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn make(files: &Files) {
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(&files.certificate, pair.cert.pem()).unwrap();
        fs::write(&files.key, pair.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&files.key, Permissions::from_mode(0o640)).unwrap();
    }

    #[test]
    fn what_has_changed_is_taken_and_what_can_not_be_used_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        let files = Files { certificate: path("certificate"), key: path("key"), client_authorities: None };
        make(&files);
        let tls = Tls::open(files.clone()).unwrap();
        let first = tls.fingerprint();
        tls.renew(true);
        assert_eq!(tls.fingerprint(), first);
        make(&files);
        tls.renew(false);
        let second = tls.fingerprint();
        assert_ne!(second, first);
        let certificate = fs::read(&files.certificate).unwrap();
        make(&files);
        fs::write(&files.certificate, certificate).unwrap();
        tls.renew(false);
        assert_eq!(tls.fingerprint(), second, "the key is that of another certificate");
        make(&files);
        fs::set_permissions(&files.key, Permissions::from_mode(0o644)).unwrap();
        tls.renew(true);
        assert_eq!(tls.fingerprint(), second, "others can read the key");
        fs::set_permissions(&files.key, Permissions::from_mode(0o600)).unwrap();
        tls.renew(false);
        assert_ne!(tls.fingerprint(), second);
    }
}

//! Whether a daemon's certificate is the one that is trusted, or one that an authority vouches for.
//!
//! Knows nothing of files and addresses; what is known of a daemon comes in.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, OtherError, SignatureScheme};

use crate::model::digest::Fingerprint;

/// A daemon's certificate that is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It is another one than the one that was recognised.
    #[error(
        "its certificate is not the one that is trusted: it is {shown}, trusted is {trusted}; the certificate was changed, or somebody is in between"
    )]
    Other {
        /// The certificate's.
        shown: Fingerprint,
        /// The one that is trusted.
        trusted: Fingerprint,
    },
    /// Nobody who is trusted vouches for it.
    #[error("nobody vouches for its certificate {shown}: {why}")]
    Unknown {
        /// The certificate's.
        shown: Fingerprint,
        /// Why not.
        why: String,
    },
}

impl Untrusted {
    /// The fingerprint of the certificate.
    #[must_use]
    pub fn shown(&self) -> Fingerprint {
        match self {
            Self::Other { shown, .. } | Self::Unknown { shown, .. } => *shown,
        }
    }
}

/// Recognises a certificate by its fingerprint, or leaves it to authorities.
#[derive(Debug)]
pub(super) struct Recognising {
    trusted: Option<Fingerprint>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Recognising {
    /// Trusts this one certificate; where none is given, those that the authorities vouch for.
    pub(super) fn new(
        trusted: Option<Fingerprint>,
        authorities: Option<Arc<WebPkiServerVerifier>>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { trusted, authorities, provider }
    }
}

/// Whether a certificate with the fingerprint `shown` is the trusted one, where one is.
fn compare(shown: Fingerprint, trusted: Option<Fingerprint>) -> Result<bool, Untrusted> {
    match trusted {
        None => Ok(false),
        Some(trusted) if trusted == shown => Ok(true),
        Some(trusted) => Err(Untrusted::Other { shown, trusted }),
    }
}

/// What an authority finds wrong, for people.
fn why_not(error: &Error) -> String {
    use rustls::CertificateError as Wrong;
    let Error::InvalidCertificate(wrong) = error else { return error.to_string() };
    match wrong {
        Wrong::UnknownIssuer => "no authority that this machine knows has issued it".to_owned(),
        Wrong::Expired | Wrong::ExpiredContext { .. } => "it has expired".to_owned(),
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => "it is for another host".to_owned(),
        other => other.to_string(),
    }
}

impl ServerCertVerifier for Recognising {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let refuse = |untrusted: Untrusted| Error::Other(OtherError(Arc::new(untrusted)));
        let shown = Fingerprint::of(certificate);
        if compare(shown, self.trusted).map_err(refuse)? {
            return Ok(ServerCertVerified::assertion());
        }
        let unknown = |why| refuse(Untrusted::Unknown { shown, why });
        match &self.authorities {
            None => Err(unknown("this machine knows no authorities".to_owned())),
            Some(authorities) => authorities
                .verify_server_cert(certificate, others, name, ocsp, now)
                .map_err(|error| unknown(why_not(&error))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_knows_one_certificate_and_refuses_every_other() {
        let (shown, other) = (Fingerprint::of(b"shown"), Fingerprint::of(b"other"));
        assert_eq!(compare(shown, None), Ok(false));
        assert_eq!(compare(shown, Some(shown)), Ok(true));
        let refused = compare(shown, Some(other)).unwrap_err();
        assert_eq!(refused.shown(), shown);
        let told = refused.to_string();
        assert!(told.contains(&shown.to_string()) && told.contains(&other.to_string()), "{told}");
    }
}

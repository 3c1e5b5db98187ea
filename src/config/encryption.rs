//! What connections are encrypted with: which keys of the configuration go together.

use std::path::PathBuf;

use super::{ConfigError, Origin, find, optional, value};

/// What connections are encrypted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// By what the daemon is recognised.
    pub certificate: Certificate,
    /// Authorities, in PEM, of which a client must have a certificate.
    pub client_authorities: Option<PathBuf>,
}

/// By what the daemon is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// A certificate that somebody else has made.
    Files {
        /// The certificate, in PEM.
        certificate: PathBuf,
        /// Its private key, in PEM.
        key: PathBuf,
    },
    /// One that the daemon makes itself, for which no authority vouches.
    SelfSigned,
}

/// Half of what is needed is an error: nothing must seem to be encrypted that isn't.
pub(super) fn of(origins: &[Origin]) -> Result<Option<Encryption>, ConfigError> {
    let unfit = |key, why| {
        let origin = find(origins, key).map(|found| found.origin.clone()).unwrap_or_default();
        Err(ConfigError::Unfit { origin, key, why })
    };
    let is_self_signed: bool = value(origins, "tls_self_signed")?;
    let client_authorities = optional(origins, "tls_client_authorities");
    let certificate = match (optional(origins, "tls_certificate"), optional(origins, "tls_key")) {
        (Some(_), Some(_)) if is_self_signed => {
            return unfit("tls_self_signed", "makes a certificate, but there is one: give one or the other");
        }
        (Some(certificate), Some(key)) => Certificate::Files { certificate, key },
        (Some(_), None) => return unfit("tls_certificate", "needs tls_key, the certificate's private key"),
        (None, Some(_)) => return unfit("tls_key", "needs tls_certificate, the key's certificate"),
        (None, None) if is_self_signed => Certificate::SelfSigned,
        (None, None) if client_authorities.is_some() => {
            return unfit("tls_client_authorities", "needs tls_certificate and tls_key, or tls_self_signed");
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(Encryption { certificate, client_authorities }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encryption(given: &[(&'static str, &str)]) -> Result<Option<Encryption>, String> {
        let keys = ["tls_certificate", "tls_key", "tls_client_authorities", "tls_self_signed"];
        let origins = keys.map(|key| {
            let default = if key == "tls_self_signed" { "false" } else { "" };
            let value = given.iter().find(|(name, _)| *name == key).map_or(default, |(_, value)| value);
            Origin { key, value: value.to_owned(), origin: "file".to_owned() }
        });
        of(&origins).map_err(|error| error.to_string())
    }

    #[test]
    fn half_of_what_is_needed_is_refused() {
        let (certificate, key) = (("tls_certificate", "c"), ("tls_key", "k"));
        let (own, authorities) = (("tls_self_signed", "true"), ("tls_client_authorities", "a"));
        assert_eq!(encryption(&[]), Ok(None));
        let both = encryption(&[certificate, key, authorities]).unwrap().unwrap();
        assert_eq!(both.certificate, Certificate::Files { certificate: "c".into(), key: "k".into() });
        assert_eq!(both.client_authorities, Some("a".into()));
        assert_eq!(encryption(&[own]).unwrap().unwrap().certificate, Certificate::SelfSigned);
        for (given, told) in [
            (&[certificate][..], "file: tls_certificate needs tls_key"),
            (&[key], "file: tls_key needs tls_certificate"),
            (&[certificate, own], "file: tls_certificate needs tls_key"),
            (&[key, own], "file: tls_key needs tls_certificate"),
            (&[certificate, key, own], "file: tls_self_signed makes a certificate"),
            (&[authorities], "file: tls_client_authorities needs"),
        ] {
            assert!(encryption(given).unwrap_err().starts_with(told), "{given:?}");
        }
    }
}

//! A certificate that nobody vouches for, for a lab: made once, kept beside the store, recognised by its fingerprint.

use std::fs;
use std::io;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use super::{Files, TlsError, unusable};

const CERTIFICATE: &str = "tls-certificate.pem";
const KEY: &str = "tls-key.pem";

/// The certificate and key in `directory`, made for these names and addresses when there are none; `write_secret` writes
/// what only the daemon may read.
///
/// # Errors
/// When they can't be made or written.
pub fn self_signed(
    directory: &Path,
    names: Vec<String>,
    write_secret: impl Fn(&Path, &[u8]) -> io::Result<()>,
) -> Result<Files, TlsError> {
    let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
    if !(certificate.exists() && key.exists()) {
        let (certificate_text, key_text) = make(names).map_err(|error| TlsError::Make(error.to_string()))?;
        // The certificate last, and none of before beside a new key: if there is one, its key is there and fits.
        match fs::remove_file(&certificate) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(&certificate, &error)),
            _ => {}
        }
        for (path, text) in [(&key, key_text), (&certificate, certificate_text)] {
            write_secret(path, text.as_bytes()).map_err(|error| unusable(path, &error))?;
        }
    }
    Ok(Files { certificate, key, client_authorities: None })
}

/// A certificate and its key, in PEM.
fn make(names: Vec<String>) -> Result<(String, String), rcgen::Error> {
    let pair = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "prov");
    Ok((params.self_signed(&pair)?.pem(), pair.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::super::Tls;
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_encrypts() {
        let data = tempfile::tempdir().unwrap();
        let write = |path: &Path, text: &[u8]| {
            fs::write(path, text)?;
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        };
        let fingerprint = || {
            let names = vec!["localhost".to_owned(), "::1".to_owned()];
            Tls::open(self_signed(data.path(), names, write).unwrap()).unwrap().fingerprint()
        };
        let first = fingerprint();
        assert_eq!(fingerprint(), first);
        fs::remove_file(data.path().join(KEY)).unwrap();
        assert_ne!(fingerprint(), first, "a certificate without its key is worth nothing");
    }
}

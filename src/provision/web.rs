//! What the execution plane's HTTP clients have in common: whom they trust, and how they name themselves. Who is called,
//! how long it may take and whether redirects are followed is the caller's to say.

use std::sync::Arc;

use reqwest::blocking::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore};

/// A client that trusts the machine's certificate authorities.
///
/// # Errors
/// When the cryptography that is built in can't make one.
pub fn client() -> Result<ClientBuilder, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Ok(Client::builder().tls_backend_preconfigured(config).user_agent(concat!("prov/", env!("CARGO_PKG_VERSION"))))
}

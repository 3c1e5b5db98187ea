//! What connections are encrypted with, as the configuration has it, and its renewal while the daemon runs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;

use crate::auth::key_files::write_secret;
use crate::config::{Certificate, Encryption};
use crate::server::tls::{self, Files, Tls, TlsError};

/// How often it is looked whether a certificate was renewed.
const LOOK_INTERVAL: Duration = Duration::from_mins(1);

/// What encrypts, with the certificate for these addresses where the daemon makes its own.
///
/// # Errors
/// When certificate or key can't be used or made.
pub(super) fn open(encryption: &Encryption, data_dir: &Path, addresses: &[SocketAddr]) -> Result<Tls, TlsError> {
    let client_authorities = encryption.client_authorities.clone();
    Tls::open(match &encryption.certificate {
        Certificate::Files { certificate, key } => {
            Files { certificate: certificate.clone(), key: key.clone(), client_authorities }
        }
        Certificate::SelfSigned => {
            Files { client_authorities, ..tls::self_signed(data_dir, names(addresses), write_secret)? }
        }
    })
}

/// Takes a renewed certificate when it is found, or when somebody says by a signal that there is one.
pub(super) async fn renew(tls: Arc<Tls>, mut told: Signal) {
    let mut interval = tokio::time::interval(LOOK_INTERVAL);
    loop {
        let asked = tokio::select! {
            _ = interval.tick() => false,
            _ = told.recv() => true,
        };
        let tls = Arc::clone(&tls);
        let _ = tokio::task::spawn_blocking(move || tls.renew(asked)).await;
    }
}

/// By what names and addresses this machine may be reached.
fn names(addresses: &[SocketAddr]) -> Vec<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let listening = addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    let host = Some(host).filter(|host| !host.is_empty());
    let mut names: Vec<String> = own.into_iter().chain(host).chain(listening).collect();
    names.sort();
    names.dedup();
    names
}

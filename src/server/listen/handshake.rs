//! Making connections encrypted ones, where the daemon has a certificate.
//!
//! A handshake has a time to be done in, and there is room for so many at once: whoever begins thousands and ends none of
//! them loses the oldest, and keeps nobody else waiting.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::connections::{Activity, Connections};
use super::refusal;
use super::wire::Wire;
use crate::server::tls::Tls;

/// The first byte of a connection that is to be encrypted (RFC 8446 section 5.1).
const FIRST: u8 = 22;
/// How long a handshake may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Handshakes at once: what each has in memory is bounded, and so is all of it.
const MOST: usize = 512;
/// How long a client that is turned away may take to hear why, and how much of what it still sends is listened to.
const FAREWELL: (Duration, u64) = (Duration::from_secs(5), 64 * 1024);

/// What encrypts the connections of an API.
pub(super) struct Handshakes {
    tls: Arc<Tls>,
    under_way: Arc<Connections>,
}

impl Handshakes {
    pub(super) fn new(tls: Arc<Tls>) -> Self {
        Self { tls, under_way: Connections::of("handshakes", MOST) }
    }

    /// The connection, encrypted; `None` once the client was told that it can't be. `first` is its first byte.
    pub(super) async fn encrypt(
        &self,
        stream: TcpStream,
        first: u8,
        address: IpAddr,
        activity: Arc<Activity>,
    ) -> Option<TlsStream<Wire>> {
        let mut wire = Wire::new(stream, activity);
        if first != FIRST {
            tracing::debug!(%address, "a client does not encrypt");
            turn_away(&mut wire, &refusal::plain()).await;
            return None;
        }
        let (mut done, encrypted) = oneshot::channel();
        let handshake = agree(self.tls.accept(wire), address);
        self.under_way.spawn(|_| async move {
            tokio::select! {
                agreed = handshake => {
                    if let Some(stream) = agreed {
                        let _ = done.send(stream);
                    }
                }
                // The connection had to make room for others.
                () = done.closed() => {}
            }
        });
        encrypted.await.ok()
    }
}

/// The handshake within its time; `None` once the client was told that it failed.
async fn agree(
    handshake: impl Future<Output = Result<TlsStream<Wire>, (io::Error, Wire)>>,
    address: IpAddr,
) -> Option<TlsStream<Wire>> {
    match timeout(LIMIT, handshake).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err((error, mut wire))) => {
            tracing::debug!(%error, %address, "a client and the daemon found no way to encrypt");
            turn_away(&mut wire, &[]).await;
        }
        Err(_) => tracing::debug!(%address, "a client took too long to agree how to encrypt"),
    }
    None
}

/// Says a last word and closes so that it is heard: a connection that is closed with something unread is reset, and what is
/// on its way gets lost.
async fn turn_away(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), word: &[u8]) {
    let (patience, most) = FAREWELL;
    let farewell = async {
        stream.write_all(word).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(most), &mut tokio::io::sink()).await
    };
    let _ = timeout(patience, farewell).await;
}

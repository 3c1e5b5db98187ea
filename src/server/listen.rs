//! Listening, and serving connections until told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

use super::middleware::Peer;

/// How long a client may take to send its request line and headers.
const HEADER_LIMIT: Duration = Duration::from_secs(15);
/// How long requests under way may take to end once the daemon ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// Connections of one API at once. Those beyond wait to be accepted; an idle one is closed after [`HEADER_LIMIT`].
const CONNECTIONS: usize = 1024;
/// Connections waiting to be accepted.
const BACKLOG: u32 = 1024;

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process has it.
    #[error("{address} is in use by another process")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// It is reachable from other machines, and nothing would be encrypted.
    #[error("{address} is reachable from other machines, and the connection is not encrypted")]
    Exposed {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("can't listen on {address}")]
    Failed {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Takes an address; with `insecure` one beyond this machine as well.
///
/// # Errors
/// When it is taken, or exposed without leave.
pub fn bind(address: SocketAddr, insecure: bool) -> Result<TcpListener, ListenError> {
    if !address.ip().is_loopback() && !insecure {
        return Err(ListenError::Exposed { address });
    }
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let listening = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    });
    listening.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => ListenError::InUse { address },
        _ => ListenError::Failed { address, source },
    })
}

/// Serves until `stop` becomes true, then lets requests under way end.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let (place, (stream, peer)) = tokio::select! {
            accepted = async { (Arc::clone(&places).acquire_owned().await, accept(&listener).await) } => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let _ = stream.set_nodelay(true);
        let address = peer.ip();
        let router = router.clone().map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Peer(address));
            request.map(axum::body::Body::new)
        });
        let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = watched.await {
                tracing::debug!(%error, %address, "a connection ended badly");
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
}

/// The next connection. Out of descriptors, those that are open go on and new ones wait.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => tracing::warn!(%error, "can't accept a connection"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

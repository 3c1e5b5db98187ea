//! Listening, and serving connections until told to stop.
//!
//! What hyper answers by itself goes out in the envelope ([`refusal`]). A client that takes longer than [`HEADER_LIMIT`]
//! for its headers is not answered but hung up on: it has asked for nothing yet.

mod connections;
mod enveloping;
mod handshake;
mod held;
mod refusal;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

use super::middleware::Peer;
use super::tls::Tls;
pub use connections::Connections;
use connections::{Activity, Answering};
use enveloping::Enveloping;
use handshake::Handshakes;
pub(super) use held::Place;
use wire::Wire;

/// How long a client may take to send its request line and headers.
const HEADER_LIMIT: Duration = Duration::from_secs(15);
/// How long requests under way may take to end once the daemon ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// The most that a request line and its headers may have; also how much of a body is buffered on its way.
const HEADER_BYTES: usize = 32 * 1024;
/// Connections waiting to be accepted; the kernel's own limit may be lower.
const BACKLOG: u32 = 4096;
/// How long to wait when no connection can be accepted.
const PAUSE: Duration = Duration::from_millis(100);

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

/// Takes an address; when what goes over it is `guarded`, or need not be, one beyond this machine as well.
///
/// # Errors
/// When it is taken, or exposed without leave.
pub fn bind(address: SocketAddr, guarded: bool) -> Result<TcpListener, ListenError> {
    if !address.ip().is_loopback() && !guarded {
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
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<Tls>>,
    connections: Arc<Connections>,
    mut stop: watch::Receiver<bool>,
) {
    // Closed once no connection holds a receiver any more.
    let (open, _) = watch::channel(());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT).max_buf_size(HEADER_BYTES);
    let server = Arc::new(Server { http, router, handshakes: tls.map(Handshakes::new), stop: stop.clone() });
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (server, is_open) = (Arc::clone(&server), open.subscribe());
        connections.spawn(|activity| async move {
            server.wait_and_answer(stream, peer.ip(), activity).await;
            drop(is_open);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(FAREWELL, open.closed()).await;
}

/// What all connections of an API share.
struct Server {
    http: http1::Builder,
    router: Router,
    /// What encrypts, where anything does.
    handshakes: Option<Handshakes>,
    stop: watch::Receiver<bool>,
}

impl Server {
    /// Waits for the first byte, which costs next to nothing, and only then makes room for a request.
    async fn wait_and_answer(self: Arc<Self>, stream: TcpStream, address: IpAddr, activity: Arc<Activity>) {
        let (mut stop, mut first) = (self.stop.clone(), [0]);
        let speaks = tokio::select! {
            // `readable` would not do: it is true of a new connection before anything has come.
            peeked = tokio::time::timeout(HEADER_LIMIT, stream.peek(&mut first)) => matches!(peeked, Ok(Ok(1))),
            _ = stop.wait_for(|stop| *stop) => false,
        };
        if !speaks {
            return;
        }
        let _ = stream.set_nodelay(true);
        let Some(handshakes) = &self.handshakes else {
            return Box::pin(self.answer(Wire::new(stream, Arc::clone(&activity)), address, activity)).await;
        };
        // In a place of its own: what a handshake needs would make every connection that waits larger.
        Box::pin(async {
            let encrypted = tokio::select! {
                encrypted = handshakes.encrypt(stream, first[0], address, Arc::clone(&activity)) => encrypted,
                _ = stop.wait_for(|stop| *stop) => None,
            };
            if let Some(stream) = encrypted {
                Box::pin(self.answer(stream, address, activity)).await;
            }
        })
        .await;
    }

    async fn answer<S>(&self, stream: S, address: IpAddr, activity: Arc<Activity>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let is_encrypted = self.handshakes.is_some();
        let stream = Enveloping::new(stream, is_encrypted);
        let (place, holding) = Place::new(Arc::clone(&activity));
        let router = self.router.clone().map_request(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer { address, is_encrypted });
            request.extensions_mut().insert(place.clone());
            request.map(Body::new)
        });
        let router = tower::service_fn(move |request| {
            let (answering, router) = (activity.answering(), router.clone());
            async move { router.oneshot(request).await.map(|response| counted(response, answering)) }
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        let mut stop = self.stop.clone();
        let stopped = async move { stop.wait_for(|stop| *stop).await.is_ok() };
        let ended = {
            let mut connection = pin!(connection.with_upgrades());
            tokio::select! {
                ended = connection.as_mut() => ended,
                _ = stopped => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %address, "a connection ended badly");
        }
        holding.let_go().await;
    }
}

/// The next connection. Out of descriptors, the idlest of those that are open go.
async fn accept(listener: &TcpListener, connections: &Connections) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => tracing::warn!(%error, "can't accept a connection"),
        }
        connections.shed();
        tokio::time::sleep(PAUSE).await;
    }
}

/// A response that counts as being answered until the last of it is on its way.
fn counted(response: Response, answering: Answering) -> hyper::Response<Counted> {
    response.map(|body| Counted { body, _answering: answering })
}

struct Counted {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Counted {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! A WebSocket client that says and hears what a test wants.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::Daemon;

/// How long a test waits for something that must come.
const PATIENCE: Duration = Duration::from_mins(1);

/// What bytes go over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection.
pub struct Socket(WebSocketStream<Box<dyn Stream>>);

/// What the daemon says.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// A message of text.
    Text(String),
    /// A compressed one.
    Binary(String),
    /// That it is over, and why.
    Closed(u16, String),
    /// Nothing: the connection is cut.
    Cut,
}

impl Said {
    /// A message that is JSON.
    pub fn json(&self) -> Value {
        match self {
            Self::Text(text) | Self::Binary(text) => serde_json::from_str(text).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

/// A connection to the orchestrator whose client can hold so many bytes that it hasn't read.
pub async fn connect(daemon: &Daemon, unread_bytes: Option<u32>) -> TcpStream {
    let address = daemon.orchestrator().split_once("://").unwrap().1.parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(bytes) = unread_bytes {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    socket.connect(address).await.unwrap()
}

/// All that the daemon answers to a handshake for this target and then to these bytes, until it cuts the connection.
pub async fn answered(daemon: &Daemon, target: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(daemon, None).await;
    let request = format!(
        "GET {target} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    while !said.windows(4).any(|end| end == b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut said).await.unwrap(), 0, "{}", String::from_utf8_lossy(&said));
    }
    stream.write_all(bytes).await.unwrap();
    let rest = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
    rest.expect("the connection stays open").unwrap();
    said
}

impl Socket {
    /// Opens one; the status of a handshake that is refused otherwise.
    pub async fn try_over(stream: impl Stream + 'static, target: &str, token: Option<&str>) -> Result<Self, u16> {
        let mut request = format!("ws://localhost{target}").into_client_request().unwrap();
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
            request.headers_mut().insert("authorization", value);
        }
        let stream: Box<dyn Stream> = Box::new(stream);
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens one without a token in a header.
    pub async fn open(daemon: &Daemon, target: &str) -> Self {
        Self::try_over(connect(daemon, None).await, target, None).await.unwrap()
    }

    /// Opens one with the daemon's token in a header, and takes the greeting.
    pub async fn greeted(daemon: &Daemon, target: &str) -> (Self, Value) {
        let mut socket = Self::try_over(connect(daemon, None).await, target, Some(&daemon.token)).await.unwrap();
        let hello = socket.next().await.json();
        assert_eq!(hello["type"], "hello", "{hello}");
        (socket, hello)
    }

    /// The next message; waits for it.
    pub async fn next(&mut self) -> Said {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a message is waited for in vain");
            return match message {
                Some(Ok(Message::Text(text))) => Said::Text(text.to_string()),
                Some(Ok(Message::Binary(bytes))) => {
                    let mut text = String::new();
                    GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
                    Said::Binary(text)
                }
                Some(Ok(Message::Close(Some(frame)))) => Said::Closed(frame.code.into(), frame.reason.to_string()),
                Some(Ok(Message::Close(None)) | Err(_)) | None => Said::Cut,
                Some(Ok(_)) => continue,
            };
        }
    }

    /// The next message that is about the connection, and all that came before it.
    pub async fn notice(&mut self, kind: &str) -> (Value, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            let said = self.next().await.json();
            if said["type"] == kind {
                return (said, before);
            }
            before.push(said);
        }
    }

    /// The code with which it is closed, after whatever comes before.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Said::Closed(code, _) => return code,
                Said::Cut => panic!("it is cut, not closed"),
                Said::Text(_) | Said::Binary(_) => {}
            }
        }
    }

    /// Sends a frame.
    pub async fn say(&mut self, frame: &Value) {
        self.raw(Message::Text(frame.to_string().into())).await;
    }

    /// Sends whatever; a connection that is closed takes nothing.
    pub async fn raw(&mut self, message: Message) {
        let _ = self.0.send(message).await;
    }
}

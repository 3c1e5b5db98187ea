//! The HTTP client that sends messages.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, ClientBuilder, Response, redirect};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

use super::address::Reachable;
use super::outcome::{Outcome, Reply, excerpt, retry_after};
use super::resolver::Resolver;
use super::target::Target;
use crate::model::id::{DeliveryId, WebhookId};
use crate::model::time::Timestamp;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long all of an attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer is read once its status is known.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 4096;
/// How long a connection is kept that nothing is sent over.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections to a receiver that are kept so.
const IDLE_CONNECTIONS: usize = 2;

/// A message with what stands in its head.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The same at every attempt, so that the receiver knows what it has already.
    pub id: DeliveryId,
    /// Whose it is.
    pub webhook: WebhookId,
    /// What it tells of, in a word.
    pub event: &'a str,
    /// Its place in the order of all, where it has one.
    pub sequence: Option<u64>,
    /// JSON.
    pub body: &'a [u8],
    /// What proves it.
    pub signature: &'a str,
}

/// No client can be made.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client can be made for webhooks")]
pub struct SendError(#[from] reqwest::Error);

/// Sends messages.
pub struct Sender {
    reachable: Reachable,
    plain: Client,
    /// Made when it is first needed: the machine's authorities must be read for it.
    encrypted: OnceCell<Client>,
}

impl Sender {
    /// One that reaches this.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(reachable: Reachable) -> Result<Self, SendError> {
        let plain = client(&reachable, None)?;
        Ok(Self { reachable, plain, encrypted: OnceCell::new() })
    }

    /// What it reaches.
    #[must_use]
    pub fn reachable(&self) -> &Reachable {
        &self.reachable
    }

    /// Makes an attempt. The time is the present, for an answer that names another.
    pub async fn send(&self, target: &Target, message: &Message<'_>, now: Timestamp) -> Outcome {
        let begun = Instant::now();
        let reply = match self.post(target, message).await {
            Ok(response) => Ok(reply(response, now).await),
            Err(why) => Err(why),
        };
        Outcome { reply, took: begun.elapsed() }
    }

    async fn post(&self, target: &Target, message: &Message<'_>) -> Result<Response, String> {
        let client = if target.is_encrypted { self.encrypted().await? } else { &self.plain };
        let request = client
            .post(target.url.clone())
            .header("content-type", "application/json")
            .header("x-prov-event", message.event)
            .header("x-prov-delivery", message.id.to_string())
            .header("x-prov-webhook", message.webhook.to_string())
            .header("x-prov-signature", message.signature)
            .body(message.body.to_vec());
        let request = match message.sequence {
            Some(sequence) => request.header("x-prov-sequence", sequence),
            None => request,
        };
        request.send().await.map_err(|error| said(&error))
    }

    async fn encrypted(&self) -> Result<&Client, String> {
        let make = || async {
            let roots = tokio::task::spawn_blocking(authorities).await.map_err(|error| error.to_string())?;
            client(&self.reachable, Some(roots)).map_err(|error| error.to_string())
        };
        self.encrypted.get_or_try_init(make).await
    }
}

/// The authorities of the machine; what can't be read of them vouches for nothing.
fn authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// A client for connections that are encrypted where there are authorities, and not otherwise.
fn client(reachable: &Reachable, roots: Option<RootCertStore>) -> Result<Client, reqwest::Error> {
    let is_encrypted = roots.is_some();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().expect("the provider has ciphers for TLS 1.2 and 1.3");
    let config = config.with_root_certificates(roots.unwrap_or_else(RootCertStore::empty)).with_no_client_auth();
    let resolver = Resolver { reachable: reachable.clone(), is_encrypted };
    ClientBuilder::new()
        .tls_backend_preconfigured(config)
        .dns_resolver(Arc::new(resolver))
        // A proxy would look the name up again, and a redirect leads to what wasn't checked.
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .https_only(is_encrypted)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .user_agent(concat!("prov/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// What a receiver answered. Of the body no more is read than is shown, and than leaves the connection fit for the next.
async fn reply(mut response: Response, now: Timestamp) -> Reply {
    let status = response.status().as_u16();
    let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = asked.and_then(|value| retry_after(value, now));
    let mut body = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ANSWER_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ANSWER_BYTES {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(ANSWER_TIMEOUT, read).await;
    let excerpt = if (200..300).contains(&status) { String::new() } else { excerpt(&body) };
    Reply { status, excerpt, retry_after }
}

/// Why there was no answer. Never the URL, which may hold a secret.
fn said(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("the receiver didn't answer within {} s", TIMEOUT.as_secs());
    }
    let mut root: &dyn Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    let what =
        if error.is_connect() { "can't connect to the receiver" } else { "the connection to the receiver broke" };
    // The client's own words name the URL where there is no other cause.
    if root.is::<reqwest::Error>() { what.to_owned() } else { format!("{what}: {root}") }
}

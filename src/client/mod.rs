//! The typed REST client: one method an operation, named like it.
//!
//! Owns reqwest, where sessions are kept ([`session`]), and the refreshing of tokens. Knows nothing of terminals: what an
//! error means for the exit code is the command line's to say.

mod address;
mod audit;
mod daemon_log;
mod error;
mod events;
mod log;
mod mfa;
mod policies;
mod recognise;
mod rollback;
pub mod session;
mod state;
mod tokens;
mod trust;
mod users;
mod webhooks;
mod work;

use std::sync::Mutex;
use std::time::Duration;

use reqwest::{Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use address::address;
use address::is_encrypted;
pub use daemon_log::DaemonLog;
pub use error::{ClientError, Trouble};
pub use events::{Events, Heard};
pub use log::Log;
pub use recognise::Untrusted;
use session::{Session, Sessions};
pub use trust::{FileError, Trust};

use crate::api::auth::{LoginRequest, TokenPair, Verified};
use crate::api::envelope::{Code, Failure, Success};
use crate::model::time::Timestamp;

/// How long the daemon may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a request that makes work is sent again when its answer got lost; its key keeps it from being done twice.
const SENDS: usize = 3;

/// Where the APIs are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Servers {
    /// The orchestrator's address.
    pub orchestrator: String,
    /// The control center's address.
    pub control_center: String,
    /// By what they are recognised where they encrypt.
    #[serde(default)]
    pub trust: Trust,
}

impl Default for Servers {
    fn default() -> Self {
        Self {
            orchestrator: "http://localhost:9090".to_owned(),
            control_center: "http://localhost:9080".to_owned(),
            trust: Trust::default(),
        }
    }
}

impl Servers {
    /// These addresses where they are given. What is known of a daemon's certificate is known of its addresses: it doesn't
    /// go with others.
    #[must_use]
    pub fn at(self, orchestrator: Option<String>, control_center: Option<String>) -> Self {
        let orchestrator = orchestrator.unwrap_or_else(|| self.orchestrator.clone());
        let control_center = control_center.unwrap_or_else(|| self.control_center.clone());
        let is_same = (&orchestrator, &control_center) == (&self.orchestrator, &self.control_center);
        Self { orchestrator, control_center, trust: if is_same { self.trust } else { Trust::default() } }
    }

    /// Whether these addresses are those of the other.
    #[must_use]
    pub fn are_at(&self, other: &Self) -> bool {
        (&self.orchestrator, &self.control_center) == (&other.orchestrator, &other.control_center)
    }

    /// What encrypts connections to them.
    fn encryption(&self) -> Result<rustls::ClientConfig, ClientError> {
        let plain = [&self.orchestrator, &self.control_center].into_iter().find(|address| !is_encrypted(address));
        match plain {
            Some(url) if self.trust.fingerprint.is_some() => Err(ClientError::Unencrypted { url: url.clone() }),
            _ => Ok(self.trust.config(is_encrypted(&self.orchestrator) || is_encrypted(&self.control_center))?),
        }
    }
}

/// A part of a list with the total.
#[derive(Clone, Debug)]
pub struct Part<T> {
    /// The items.
    pub items: Vec<T>,
    /// How many there are in all.
    pub total: u64,
}

/// A client of one daemon.
pub struct Client {
    orchestrator: reqwest::Client,
    control_center: reqwest::Client,
    servers: Servers,
    /// A token that was given and is not refreshed.
    fixed: Option<String>,
    session: Mutex<Option<Session>>,
    sessions: Option<Sessions>,
}

impl Client {
    /// A client that is not logged in.
    ///
    /// # Errors
    /// When a file of certificates can't be used, or no HTTP client can be made.
    pub fn new(servers: Servers) -> Result<Self, ClientError> {
        let encryption = servers.encryption()?;
        let of = |address| http(address, encryption.clone());
        let (orchestrator, control_center) = (of(&servers.orchestrator)?, of(&servers.control_center)?);
        let session = Mutex::new(None);
        Ok(Self { orchestrator, control_center, servers, fixed: None, session, sessions: None })
    }

    /// With a token that somebody gave.
    #[must_use]
    pub fn with_token(mut self, token: String) -> Self {
        self.fixed = Some(token);
        self
    }

    /// With a kept session, which is refreshed and kept again when it expires.
    #[must_use]
    pub fn with_session(mut self, session: Session, sessions: Sessions) -> Self {
        self.session = Mutex::new(Some(session));
        self.sessions = Some(sessions);
        self
    }

    /// Where the APIs are.
    #[must_use]
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// `POST /auth/login`.
    pub async fn auth_login(&self, request: &LoginRequest) -> Result<TokenPair, ClientError> {
        let url = format!("{}/auth/login", self.servers.control_center);
        let sent = self.control_center.post(&url).json(request).send().await;
        data(sent.map_err(|error| ClientError::transport("log in", &url, error))?).await
    }

    /// `GET /health` of the orchestrator: whether it is one, and answers.
    pub async fn health(&self) -> Result<Value, ClientError> {
        let url = format!("{}/health", self.servers.orchestrator);
        let sent = self.orchestrator.get(&url).send().await;
        data(sent.map_err(|error| ClientError::transport("reach the orchestrator", &url, error))?).await
    }

    /// `POST /auth/logout`.
    pub async fn auth_logout(&self, all: bool) -> Result<Value, ClientError> {
        self.control(Method::POST, "/auth/logout", Some(json!({ "all": all }))).await
    }

    /// `GET /auth/verify`.
    pub async fn auth_verify(&self) -> Result<Verified, ClientError> {
        self.control(Method::GET, "/auth/verify", None).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let url = format!("{}{path}", self.servers.orchestrator);
        data(self.authorised("read", &url, |token| self.orchestrator.get(&url).bearer_auth(token).send()).await?).await
    }

    async fn list<T: DeserializeOwned, Q: Serialize>(&self, path: &str, query: &Q) -> Result<Part<T>, ClientError> {
        self.part(&self.orchestrator, format!("{}{path}", self.servers.orchestrator), query).await
    }

    async fn control_list<T: DeserializeOwned, Q: Serialize>(
        &self,
        path: &str,
        query: &Q,
    ) -> Result<Part<T>, ClientError> {
        self.part(&self.control_center, format!("{}{path}", self.servers.control_center), query).await
    }

    async fn part<T: DeserializeOwned, Q: Serialize>(
        &self,
        http: &reqwest::Client,
        url: String,
        query: &Q,
    ) -> Result<Part<T>, ClientError> {
        let send = |token: String| http.get(&url).query(query).bearer_auth(token).send();
        let response = self.authorised("list", &url, send).await?;
        part(response).await
    }

    /// Sends what makes work, with a key that makes it safe to send again when the answer gets lost.
    async fn post<B: Serialize>(&self, path: &str, body: &B) -> Result<Response, ClientError> {
        let url = format!("{}{path}", self.servers.orchestrator);
        let key = uuid::Uuid::now_v7().to_string();
        let send = |token: String| {
            self.orchestrator.post(&url).header("idempotency-key", &key).json(body).bearer_auth(token).send()
        };
        let mut sends = 1;
        loop {
            match self.authorised("submit", &url, send).await {
                Err(ClientError::Transport { trouble: Trouble::Broken, .. }) if sends < SENDS => sends += 1,
                other => return other,
            }
        }
    }

    async fn control<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, ClientError> {
        let url = format!("{}{path}", self.servers.control_center);
        let send = |token: String| {
            let request = self.control_center.request(method.clone(), &url).bearer_auth(token);
            body.iter().fold(request, reqwest::RequestBuilder::json).send()
        };
        data(self.authorised("ask the control center", &url, send).await?).await
    }

    /// Sends with the present token; when that has expired, refreshes it and sends once more.
    async fn authorised<F>(
        &self,
        attempt: &'static str,
        url: &str,
        send: impl Fn(String) -> F,
    ) -> Result<Response, ClientError>
    where
        F: Future<Output = Result<Response, reqwest::Error>>,
    {
        let transport = |error| ClientError::transport(attempt, url, error);
        let token = self.token().await?;
        let response = send(token).await.map_err(transport)?;
        if response.status() == reqwest::StatusCode::UNAUTHORIZED
            && self.fixed.is_none()
            && self.refresh().await.is_ok()
        {
            return send(self.token().await?).await.map_err(transport);
        }
        Ok(response)
    }

    /// The token to send; one that is about to expire is refreshed first.
    async fn token(&self) -> Result<String, ClientError> {
        if let Some(token) = &self.fixed {
            return Ok(token.clone());
        }
        let margin = Duration::from_secs(5);
        let session = self.current().ok_or(ClientError::NotLoggedIn)?;
        if session.expires_at > Timestamp::now().plus(margin) {
            return Ok(session.token);
        }
        self.refresh().await
    }

    fn current(&self) -> Option<Session> {
        self.session.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn set_current(&self, session: Session) {
        *self.session.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(session);
    }

    async fn refresh(&self) -> Result<String, ClientError> {
        let session = self.current().ok_or(ClientError::NotLoggedIn)?;
        let sessions = self.sessions.as_ref().ok_or(ClientError::NotLoggedIn)?;
        // Another prov may have refreshed it meanwhile: a refresh token is good once.
        let _turn = sessions.turn().await;
        let unreadable = |source| ClientError::Session { attempt: "read", source };
        let kept = sessions.load().map_err(unreadable)?.unwrap_or_else(|| session.clone());
        if !kept.servers.are_at(&self.servers) {
            // Somebody has logged in to another daemon meanwhile.
            return Err(ClientError::NotLoggedIn);
        }
        if kept.token != session.token && kept.expires_at > Timestamp::now() {
            self.set_current(kept.clone());
            return Ok(kept.token);
        }
        let url = format!("{}/auth/refresh", self.servers.control_center);
        let sent = self.control_center.post(&url).json(&json!({ "refresh_token": kept.refresh_token })).send().await;
        let pair: TokenPair =
            data(sent.map_err(|error| ClientError::transport("refresh the session", &url, error))?).await?;
        let next = Session { servers: kept.servers, ..Session::of(&pair, self.servers.clone()) };
        sessions.keep(&next).map_err(|source| ClientError::Session { attempt: "keep", source })?;
        self.set_current(next.clone());
        Ok(next.token)
    }
}

/// What speaks to one address: over the proxy of the environment, unless the address is this machine's own.
fn http(address: &str, encryption: rustls::ClientConfig) -> Result<reqwest::Client, ClientError> {
    let builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(TIMEOUT);
    // A daemon sends nobody elsewhere; who does must not get the password or the token.
    let builder = builder.redirect(reqwest::redirect::Policy::none()).tls_backend_preconfigured(encryption);
    let builder = if address::is_loopback(address) { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| ClientError::transport("start", address, error))
}

async fn data<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    success(response).await.map(|answer| answer.data)
}

async fn part<T: DeserializeOwned>(response: Response) -> Result<Part<T>, ClientError> {
    let total = response.headers().get("x-total-count").and_then(|total| total.to_str().ok()?.parse().ok());
    let items: Vec<T> = data(response).await?;
    Ok(Part { total: total.unwrap_or(items.len() as u64), items })
}

async fn success<T: DeserializeOwned>(response: Response) -> Result<Success<T>, ClientError> {
    let response = good(response).await?;
    let url = response.url().to_string();
    response.json().await.map_err(|error| ClientError::transport("understand the answer", &url, error))
}

/// The response when it is a success, else what it says went wrong.
async fn good(response: Response) -> Result<Response, ClientError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().await.unwrap_or_default();
    Err(ClientError::Answered(Box::new(serde_json::from_str(&text).unwrap_or_else(|_| Failure {
        success: false,
        error: format!("the server answered {status} and nothing that prov understands; is it a prov daemon?"),
        code: Code::Internal,
        details: None,
        request_id: String::new(),
    }))))
}

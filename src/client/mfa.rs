//! The second factor.

use reqwest::Method;
use serde_json::json;

use super::session::Session;
use super::{Client, ClientError, data};
use crate::api::auth::TokenPair;
use crate::api::mfa::{Activated, Enrolment, MfaStatus, Removal, Removed};

impl Client {
    /// `GET /mfa`.
    pub async fn mfa_get(&self) -> Result<MfaStatus, ClientError> {
        self.control(Method::GET, "/mfa", None).await
    }

    /// `POST /mfa/enroll/totp`.
    pub async fn mfa_enroll_totp(&self, current_password: &str) -> Result<Enrolment, ClientError> {
        let body = json!({ "current_password": current_password });
        self.control(Method::POST, "/mfa/enroll/totp", Some(body)).await
    }

    /// `POST /mfa/verify`. The session goes on under new tokens, which are kept; that they could not be is told beside the
    /// answer, whose codes come this one time.
    pub async fn mfa_verify(&self, code: &str) -> Result<(Activated, Option<ClientError>), ClientError> {
        let token = self.token().await?;
        // Nobody else may refresh meanwhile: the refresh token is about to be spent.
        let _turn = match &self.sessions {
            Some(sessions) => sessions.turn().await,
            None => None,
        };
        let url = format!("{}/mfa/verify", self.servers.control_center);
        let sent = self.control_center.post(&url).bearer_auth(token).json(&json!({ "code": code })).send().await;
        let sent = sent.map_err(|error| ClientError::transport("ask the control center", &url, error))?;
        let activated: Activated = data(sent).await?;
        let lost = self.adopt(&activated.session).err();
        Ok((activated, lost))
    }

    /// `DELETE /mfa`.
    pub async fn mfa_disable(&self, removal: &Removal) -> Result<Removed, ClientError> {
        self.control(Method::DELETE, "/mfa", Some(json!(removal))).await
    }

    /// Whether it goes by a session that is kept, and not by a token that somebody gave.
    #[must_use]
    pub fn keeps_session(&self) -> bool {
        self.fixed.is_none() && self.sessions.is_some()
    }

    /// Goes on with these tokens, where there is a kept session.
    fn adopt(&self, pair: &TokenPair) -> Result<(), ClientError> {
        let (None, Some(sessions), Some(current)) = (&self.fixed, &self.sessions, self.current()) else {
            return Ok(());
        };
        let next = Session { servers: current.servers, ..Session::of(pair, self.servers.clone()) };
        sessions.keep(&next).map_err(|source| ClientError::Session { attempt: "keep", source })?;
        self.set_current(next);
        Ok(())
    }
}

//! API tokens.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, ClientError};
use crate::api::token::{MadeToken, NewToken, OwnerQuery, TokenView};
use crate::model::id::ApiTokenId;

impl Client {
    /// `POST /auth/tokens`.
    pub async fn token_create(&self, token: &NewToken) -> Result<MadeToken, ClientError> {
        self.control(Method::POST, "/auth/tokens", Some(json!(token))).await
    }

    /// `GET /auth/tokens`.
    pub async fn token_list(&self, of: &OwnerQuery) -> Result<Vec<TokenView>, ClientError> {
        self.control(Method::GET, &of.behind("/auth/tokens"), None).await
    }

    /// `DELETE /auth/tokens/{id}`.
    pub async fn token_delete(&self, id: ApiTokenId) -> Result<Value, ClientError> {
        self.control(Method::DELETE, &format!("/auth/tokens/{id}"), None).await
    }
}

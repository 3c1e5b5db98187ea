//! The calls about policies.

use reqwest::Method;
use serde_json::json;

use super::{Client, ClientError, Part};
use crate::api::policy::{Evaluate, Evaluated, NewPolicy, PolicyChange, PolicyQuery, PolicyView, ValidPolicy};

impl Client {
    /// `GET /policies`.
    pub async fn policy_list(&self, query: &PolicyQuery) -> Result<Part<PolicyView>, ClientError> {
        self.control_list("/policies", query).await
    }

    /// `POST /policies`.
    pub async fn policy_create(&self, policy: &NewPolicy) -> Result<PolicyView, ClientError> {
        self.control(Method::POST, "/policies", Some(json!(policy))).await
    }

    /// `GET /policies/{id}`, by id or name.
    pub async fn policy_get(&self, id: &str) -> Result<PolicyView, ClientError> {
        self.control(Method::GET, &path(id, ""), None).await
    }

    /// `PUT /policies/{id}`.
    pub async fn policy_update(&self, id: &str, change: &PolicyChange) -> Result<PolicyView, ClientError> {
        self.control(Method::PUT, &path(id, ""), Some(json!(change))).await
    }

    /// `DELETE /policies/{id}`.
    pub async fn policy_delete(&self, id: &str) -> Result<PolicyView, ClientError> {
        self.control(Method::DELETE, &path(id, ""), None).await
    }

    /// `GET /policies/{id}/versions`.
    pub async fn policy_versions(&self, id: &str) -> Result<Vec<PolicyView>, ClientError> {
        self.control(Method::GET, &path(id, "/versions"), None).await
    }

    /// `POST /policies/{id}/rollback`.
    pub async fn policy_rollback(&self, id: &str, version: u64) -> Result<PolicyView, ClientError> {
        self.control(Method::POST, &path(id, "/rollback"), Some(json!({ "version": version }))).await
    }

    /// `POST /policies/validate`.
    pub async fn policy_validate(&self, content: &str) -> Result<ValidPolicy, ClientError> {
        self.control(Method::POST, "/policies/validate", Some(json!({ "content": content }))).await
    }

    /// `POST /policies/evaluate`.
    pub async fn policy_evaluate(&self, ask: &Evaluate) -> Result<Evaluated, ClientError> {
        self.control(Method::POST, "/policies/evaluate", Some(json!(ask))).await
    }
}

/// The path of a policy by an id or name that somebody typed: what can't be in a name or an id is escaped.
fn path(id: &str, rest: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let escaped = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    format!("/policies/{}{rest}", id.bytes().map(escaped).collect::<String>())
}

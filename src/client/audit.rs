//! The audit trail: what the control center answers about it.

use reqwest::{Method, Response};
use serde_json::json;

use super::{Client, ClientError, Part, data, good, part};
use crate::api::audit::{AuditFilter, AuditQuery, CheckpointDocument, Entry, Format, Verification};

impl Client {
    /// `GET /audit/logs`.
    pub async fn audit_list(&self, query: &AuditQuery) -> Result<Part<Entry>, ClientError> {
        let url = format!("{}/audit/logs", self.servers.control_center);
        let send = |token: String| self.control_center.get(&url).query(query).bearer_auth(token).send();
        part(self.authorised("list", &url, send).await?).await
    }

    /// `GET /audit/export`, as it comes.
    pub async fn audit_export(&self, format: Format, filter: &AuditFilter) -> Result<Response, ClientError> {
        let url = format!("{}/audit/export", self.servers.control_center);
        let send = |token: String| {
            let request = self.control_center.get(&url).query(&[("format", format.as_str())]).query(filter);
            request.bearer_auth(token).send()
        };
        good(self.authorised("export the audit trail", &url, send).await?).await
    }

    /// `GET /audit/verify`.
    pub async fn audit_verify(&self, against: Option<&CheckpointDocument>) -> Result<Verification, ClientError> {
        let url = format!("{}/audit/verify", self.servers.control_center);
        let document = against.map(|document| [("checkpoint", json!(document).to_string())]);
        let send = |token: String| {
            let request = self.control_center.get(&url).bearer_auth(token);
            document.iter().fold(request, reqwest::RequestBuilder::query).send()
        };
        data(self.authorised("verify the audit trail", &url, send).await?).await
    }

    /// `POST /audit/checkpoints`.
    pub async fn audit_checkpoint_create(&self) -> Result<CheckpointDocument, ClientError> {
        self.control(Method::POST, "/audit/checkpoints", Some(json!({}))).await
    }

    /// `GET /audit/checkpoints`: the newest.
    pub async fn audit_checkpoint_get(&self) -> Result<CheckpointDocument, ClientError> {
        self.control(Method::GET, "/audit/checkpoints", None).await
    }
}

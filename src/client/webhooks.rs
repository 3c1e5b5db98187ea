//! Webhooks.

use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Client, ClientError, Part, data};
use crate::api::webhook::{
    DeliveryQuery, DeliveryView, MadeWebhook, NewWebhook, Redelivering, Redelivery, WebhookChange, WebhookQuery,
    WebhookView,
};
use crate::model::id::WebhookId;

impl Client {
    /// `GET /webhooks`.
    pub async fn webhook_list(&self, query: &WebhookQuery) -> Result<Part<WebhookView>, ClientError> {
        self.list("/webhooks", query).await
    }

    /// `POST /webhooks`. Not sent again by itself: what answers twice would be two webhooks.
    pub async fn webhook_create(&self, new: &NewWebhook) -> Result<MadeWebhook, ClientError> {
        self.call(Method::POST, "/webhooks", Some(new)).await
    }

    /// `GET /webhooks/{id}`.
    pub async fn webhook_get(&self, id: WebhookId) -> Result<WebhookView, ClientError> {
        self.get(&format!("/webhooks/{id}")).await
    }

    /// `PUT /webhooks/{id}`.
    pub async fn webhook_update(&self, id: WebhookId, change: &WebhookChange) -> Result<MadeWebhook, ClientError> {
        self.call(Method::PUT, &format!("/webhooks/{id}"), Some(change)).await
    }

    /// `DELETE /webhooks/{id}`.
    pub async fn webhook_delete(&self, id: WebhookId) -> Result<Value, ClientError> {
        self.call(Method::DELETE, &format!("/webhooks/{id}"), None::<&Value>).await
    }

    /// `POST /webhooks/{id}/ping`.
    pub async fn webhook_ping(&self, id: WebhookId) -> Result<DeliveryView, ClientError> {
        self.call(Method::POST, &format!("/webhooks/{id}/ping"), Some(&json!({}))).await
    }

    /// `GET /webhooks/{id}/deliveries`.
    pub async fn webhook_deliveries(
        &self,
        id: WebhookId,
        query: &DeliveryQuery,
    ) -> Result<Part<DeliveryView>, ClientError> {
        self.list(&format!("/webhooks/{id}/deliveries"), query).await
    }

    /// `POST /webhooks/{id}/redeliver`.
    pub async fn webhook_redeliver(&self, id: WebhookId, wanted: &Redelivery) -> Result<Redelivering, ClientError> {
        self.call(Method::POST, &format!("/webhooks/{id}/redeliver"), Some(wanted)).await
    }

    async fn call<T: DeserializeOwned, B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        let url = format!("{}{path}", self.servers.orchestrator);
        let send = |token: String| {
            let request = self.orchestrator.request(method.clone(), &url).bearer_auth(token);
            body.iter().fold(request, |request, body| request.json(body)).send()
        };
        data(self.authorised("manage webhooks", &url, send).await?).await
    }
}

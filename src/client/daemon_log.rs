//! The daemon's own log.

use reqwest::{Method, Response};

use super::{Client, ClientError, data, good};
use crate::api::logs::{DaemonLogQuery, LogLevels, LogLevelsChange};

impl Client {
    /// `GET /logs`, as it comes: a JSON object a line.
    pub async fn log_stream(&self, query: &DaemonLogQuery) -> Result<Response, ClientError> {
        let url = format!("{}/logs", self.servers.orchestrator);
        let send = |token: String| self.orchestrator.get(&url).query(query).bearer_auth(token).send();
        good(self.authorised("read the daemon's log", &url, send).await?).await
    }

    /// `GET /logs/levels`.
    pub async fn log_levels_get(&self) -> Result<LogLevels, ClientError> {
        self.get("/logs/levels").await
    }

    /// `PUT /logs/levels`.
    pub async fn log_levels_update(&self, change: &LogLevelsChange) -> Result<LogLevels, ClientError> {
        let url = format!("{}/logs/levels", self.servers.orchestrator);
        let send = |token: String| self.orchestrator.request(Method::PUT, &url).json(change).bearer_auth(token).send();
        data(self.authorised("change the log's levels", &url, send).await?).await
    }
}

//! State: how far work is, and how the daemon does.

use super::{Client, ClientError, Part, data};
use crate::api::state::{Progress, Snapshot, SnapshotQuery, Statistics, StatisticsQuery, SystemHealth, SystemMetrics};
use crate::model::id::WorkId;

impl Client {
    /// `GET /state/workflows/{id}/progress`.
    pub async fn workflow_progress(&self, id: WorkId) -> Result<Progress, ClientError> {
        self.get(&format!("/state/workflows/{id}/progress")).await
    }

    /// `GET /state/workflows/{id}/snapshots`.
    pub async fn workflow_snapshots(&self, id: WorkId, query: &SnapshotQuery) -> Result<Part<Snapshot>, ClientError> {
        self.list(&format!("/state/workflows/{id}/snapshots"), query).await
    }

    /// `GET /state/system/metrics`.
    pub async fn system_metrics(&self) -> Result<SystemMetrics, ClientError> {
        self.get("/state/system/metrics").await
    }

    /// `GET /state/system/health`.
    pub async fn system_health(&self) -> Result<SystemHealth, ClientError> {
        self.get("/state/system/health").await
    }

    /// `GET /state/statistics`.
    pub async fn statistics(&self, query: &StatisticsQuery) -> Result<Statistics, ClientError> {
        let url = format!("{}/state/statistics", self.servers.orchestrator);
        let send = |token: String| self.orchestrator.get(&url).query(query).bearer_auth(token).send();
        data(self.authorised("read", &url, send).await?).await
    }
}

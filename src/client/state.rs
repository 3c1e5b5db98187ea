//! State: how far work is, and how the daemon does.

use super::{Client, ClientError, Part};
use crate::api::state::{Progress, Snapshot, SnapshotQuery};
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
}

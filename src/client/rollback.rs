//! Checkpoints and rollbacks.

use serde_json::json;

use super::{Client, ClientError, Part, data, success};
use crate::api::list::Page;
use crate::api::rollback::{
    AcceptRequest, CheckpointRequest, RestoreRequest, RollbackOutcome, RollbackRequest, RollbackStatistics,
    RollbackSummary, RollbackView, SkipRequest,
};
use crate::model::id::{CheckpointId, RollbackId};
use crate::model::rollback::Checkpoint;

impl Client {
    /// `POST /rollback/checkpoints`.
    pub async fn checkpoint_create(&self, request: &CheckpointRequest) -> Result<Checkpoint, ClientError> {
        data(self.post("/rollback/checkpoints", request).await?).await
    }

    /// `GET /rollback/checkpoints`.
    pub async fn checkpoint_list(&self, page: &Page) -> Result<Part<Checkpoint>, ClientError> {
        self.list("/rollback/checkpoints", page).await
    }

    /// `GET /rollback/checkpoints/{id}`.
    pub async fn checkpoint_get(&self, id: CheckpointId) -> Result<Checkpoint, ClientError> {
        self.get(&format!("/rollback/checkpoints/{id}")).await
    }

    /// `POST /rollback/execute`, with the remarks of the answer.
    pub async fn rollback_execute(
        &self,
        request: &RollbackRequest,
    ) -> Result<(RollbackOutcome, Vec<String>), ClientError> {
        success(self.post("/rollback/execute", request).await?).await.map(|answer| (answer.data, answer.warnings))
    }

    /// `POST /rollback/restore/{id}`, with the remarks of the answer.
    pub async fn rollback_restore(
        &self,
        id: CheckpointId,
        request: &RestoreRequest,
    ) -> Result<(RollbackOutcome, Vec<String>), ClientError> {
        let path = format!("/rollback/restore/{id}");
        success(self.post(&path, request).await?).await.map(|answer| (answer.data, answer.warnings))
    }

    /// `GET /rollback/executions`.
    pub async fn rollback_list(&self, page: &Page) -> Result<Part<RollbackSummary>, ClientError> {
        self.list("/rollback/executions", page).await
    }

    /// `GET /rollback/executions/{id}`.
    pub async fn rollback_get(&self, id: RollbackId) -> Result<RollbackView, ClientError> {
        self.get(&format!("/rollback/executions/{id}")).await
    }

    /// `POST /rollback/executions/{id}/retry`.
    pub async fn rollback_retry(&self, id: RollbackId) -> Result<RollbackView, ClientError> {
        data(self.post(&format!("/rollback/executions/{id}/retry"), &json!({})).await?).await
    }

    /// `POST /rollback/executions/{id}/skip`.
    pub async fn rollback_skip(&self, id: RollbackId, request: &SkipRequest) -> Result<RollbackView, ClientError> {
        data(self.post(&format!("/rollback/executions/{id}/skip"), request).await?).await
    }

    /// `POST /rollback/executions/{id}/accept`.
    pub async fn rollback_accept(&self, id: RollbackId, request: &AcceptRequest) -> Result<RollbackView, ClientError> {
        data(self.post(&format!("/rollback/executions/{id}/accept"), request).await?).await
    }

    /// `GET /rollback/statistics`.
    pub async fn rollback_statistics(&self) -> Result<RollbackStatistics, ClientError> {
        self.get("/rollback/statistics").await
    }
}

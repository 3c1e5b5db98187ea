//! Tasks, workflows and batches.

use reqwest::Response;
use serde_json::{Value, json};

use super::{Client, ClientError, Part, data, good, success};
use crate::api::batch::{BatchPlan, BatchQuery, BatchSummary, BatchView};
use crate::api::task::{LogQuery, Task, TaskQuery};
use crate::api::workflow::{ClusterWorkflow, ServersWorkflow, TaskservWorkflow, WorkflowOperation};
use crate::model::id::{BatchId, TaskId};

impl Client {
    /// `GET /tasks`.
    pub async fn task_list(&self, query: &TaskQuery) -> Result<Part<Task>, ClientError> {
        self.list("/tasks", query).await
    }

    /// `GET /tasks/{id}`.
    pub async fn task_get(&self, id: TaskId) -> Result<Task, ClientError> {
        self.get(&format!("/tasks/{id}")).await
    }

    /// `POST /tasks/{id}/cancel`.
    pub async fn task_cancel(&self, id: TaskId) -> Result<Task, ClientError> {
        data(self.post(&format!("/tasks/{id}/cancel"), &json!({})).await?).await
    }

    /// `POST /tasks/{id}/retry`.
    pub async fn task_retry(&self, id: TaskId) -> Result<TaskId, ClientError> {
        data(self.post(&format!("/tasks/{id}/retry"), &json!({})).await?).await
    }

    /// `GET /tasks/{id}/logs`, as it comes.
    pub async fn task_logs(&self, id: TaskId, query: &LogQuery) -> Result<Response, ClientError> {
        let url = format!("{}/tasks/{id}/logs", self.servers.orchestrator);
        let send = |token: String| self.orchestrator.get(&url).query(query).bearer_auth(token).send();
        good(self.authorised("read the log", &url, send).await?).await
    }

    /// `POST /workflows/servers/create` and `…/delete`.
    pub async fn workflow_servers(
        &self,
        operation: WorkflowOperation,
        request: &ServersWorkflow,
    ) -> Result<TaskId, ClientError> {
        data(self.post(&format!("/workflows/servers/{}", operation.as_str()), request).await?).await
    }

    /// `POST /workflows/taskserv/create`.
    pub async fn workflow_taskserv_create(&self, request: &TaskservWorkflow) -> Result<TaskId, ClientError> {
        data(self.post("/workflows/taskserv/create", request).await?).await
    }

    /// `POST /workflows/cluster/create`.
    pub async fn workflow_cluster_create(&self, request: &ClusterWorkflow) -> Result<TaskId, ClientError> {
        data(self.post("/workflows/cluster/create", request).await?).await
    }

    /// `POST /batch/execute`, with the remarks of the answer.
    pub async fn batch_execute(&self, batch: &Value) -> Result<(BatchView, Vec<String>), ClientError> {
        success(self.post("/batch/execute", batch).await?).await.map(|answer| (answer.data, answer.warnings))
    }

    /// `POST /batch/validate`, with the remarks of the answer.
    pub async fn batch_validate(&self, batch: &Value) -> Result<(BatchPlan, Vec<String>), ClientError> {
        success(self.post("/batch/validate", batch).await?).await.map(|answer| (answer.data, answer.warnings))
    }

    /// `POST /batch/plan`, with the remarks of the answer.
    pub async fn batch_plan(&self, batch: &Value) -> Result<(BatchPlan, Vec<String>), ClientError> {
        success(self.post("/batch/plan", batch).await?).await.map(|answer| (answer.data, answer.warnings))
    }

    /// `GET /batch/operations`.
    pub async fn batch_list(&self, query: &BatchQuery) -> Result<Part<BatchSummary>, ClientError> {
        self.list("/batch/operations", query).await
    }

    /// `GET /batch/operations/{id}`.
    pub async fn batch_get(&self, id: BatchId) -> Result<BatchView, ClientError> {
        self.get(&format!("/batch/operations/{id}")).await
    }

    /// `POST /batch/operations/{id}/cancel`.
    pub async fn batch_cancel(&self, id: BatchId, rollback: bool) -> Result<BatchView, ClientError> {
        data(self.post(&format!("/batch/operations/{id}/cancel"), &json!({ "rollback": rollback })).await?).await
    }

    /// `POST /batch/operations/{id}/retry`.
    pub async fn batch_retry(&self, id: BatchId) -> Result<BatchView, ClientError> {
        data(self.post(&format!("/batch/operations/{id}/retry"), &json!({})).await?).await
    }
}

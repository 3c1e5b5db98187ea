//! Tasks: list, get, cancel, retry.

use serde_json::json;
use uuid::Uuid;

use super::authorise::Question;
use super::context::Context;
use super::error::Error;
use super::idempotency::Idempotency;
use super::workflow::submit_task;
use super::{App, LogBody, Resources, logs, trail};
use crate::api::list::Listed;
use crate::api::task::{LogQuery, TaskQuery};
use crate::audit;
use crate::model::id::{BatchId, TaskId, WorkId};
use crate::model::status::TaskStatus;
use crate::model::task::{Launch, Task};
use crate::policy::Resource;
use crate::scheduler::{Cancel, command};
use crate::store::record::WorkKind;

impl App {
    /// Tasks, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn task_list(&self, context: &Context, query: TaskQuery) -> Result<Listed<Task>, Error> {
        let resources = self.guarded.open(&self.authorise(context, "task_list", &Question::about(Resource::System))?);
        let mut tasks = resources.store.read(move |reads| reads.tasks(&query.filter, query.page)).await?;
        for task in &mut tasks.items {
            logs::fill_progress(&resources.logs, task).await;
        }
        Ok(tasks)
    }

    /// One task.
    ///
    /// # Errors
    /// When there is none of that id.
    pub async fn task_get(&self, context: &Context, id: TaskId) -> Result<Task, Error> {
        let resources = self.guarded.open(&self.authorise(context, "task_get", &Question::about(Resource::System))?);
        let mut task = find(resources, id).await?;
        logs::fill_progress(&resources.logs, &mut task).await;
        Ok(task)
    }

    /// Ends a task; answers it as it stands once the request is on disk.
    ///
    /// # Errors
    /// When it has already ended.
    pub async fn task_cancel(&self, context: &Context, id: TaskId) -> Result<Task, Error> {
        let permit = self.authorise(context, "task_cancel", &Question::about(Resource::System))?;
        let resources = self.guarded.open(&permit);
        let task = find(resources, id).await?;
        if task.status.is_terminal() {
            return Err(Error::Conflict(format!("task {id} has already ended ({})", task.status)));
        }
        let (work, operation) = match task.batch_id {
            None => (WorkId::from(id), None),
            Some(batch) => (WorkId::from(batch), Some(operation_of(resources, batch, id).await?)),
        };
        let (resource, now) = (audit::Resource::new("task", id), self.clock.now());
        let details = json!({ "infra": task.infra, "batch_id": task.batch_id, "operation_id": task.operation_id });
        let entry = trail::done_with(context, &permit, "task_cancel", resource, now, details);
        resources.scheduler.cancel(Cancel { work, operation, rollback: false }, vec![entry]).await?;
        find(resources, id).await
    }

    /// A new task with the command of one that failed or was cancelled.
    ///
    /// # Errors
    /// When the task is neither.
    pub async fn task_retry(&self, context: &Context, id: TaskId, key: Option<Idempotency>) -> Result<TaskId, Error> {
        let permit = self.authorise(context, "task_retry", &Question::about(Resource::System))?;
        let resources = self.guarded.open(&permit);
        let task = find(resources, id).await?;
        if !matches!(task.status, TaskStatus::Failed | TaskStatus::Cancelled) {
            return Err(Error::Conflict(format!(
                "task {id} is {}; only a Failed or Cancelled task can be retried",
                task.status
            )));
        }
        let launch = launch_of(resources, &task).await?;
        let fresh = Task {
            id: TaskId(Uuid::now_v7()),
            dependencies: Vec::new(),
            status: TaskStatus::Pending,
            created_at: self.clock.now(),
            started_at: None,
            completed_at: None,
            output: None,
            error: None,
            batch_id: None,
            operation_id: None,
            attempt: 0,
            max_attempts: 1,
            exit_code: None,
            processes_ended: 0,
            progress: 0.0,
            submitted_by: context.username().to_owned(),
            ..task
        };
        let details = json!({ "infra": fresh.infra, "task_id": fresh.id });
        let resource = audit::Resource::new("task", id);
        let entry = trail::done_with(context, &permit, "task_retry", resource, fresh.created_at, details);
        submit_task(resources, context, "task_retry", (fresh, launch), key, entry).await
    }

    /// A task's log.
    ///
    /// # Errors
    /// When there is no such task.
    pub async fn task_logs(&self, context: &Context, id: TaskId, query: LogQuery) -> Result<LogBody, Error> {
        let resources = self.guarded.open(&self.authorise(context, "task_logs", &Question::about(Resource::System))?);
        find(resources, id).await?;
        Ok(logs::read(resources.store.clone(), resources.scheduler.changes(), resources.logs.clone(), id, query))
    }
}

async fn find(resources: &Resources, id: TaskId) -> Result<Task, Error> {
    let task = resources.store.read(move |reads| reads.task(id)).await?;
    task.ok_or_else(|| Error::NotFound { kind: "task", id: id.to_string() })
}

/// The index of the operation that a task does or undoes.
async fn operation_of(resources: &Resources, batch: BatchId, id: TaskId) -> Result<u32, Error> {
    let operations = resources.store.read(move |reads| reads.operations(batch)).await?;
    let found = operations.iter().find(|operation| operation.task == Some(id) || operation.undo_task == Some(id));
    found
        .map(|operation| operation.index)
        .ok_or_else(|| Error::Conflict(format!("task {id} is no longer part of its batch")))
}

/// What a task starts, whether it was a workflow's or an operation's.
async fn launch_of(resources: &Resources, task: &Task) -> Result<Launch, Error> {
    let work = task.batch_id.map_or(WorkId(task.id.0), WorkId::from);
    let record = resources.store.read(move |reads| reads.work(work)).await?;
    let gone = || Error::Conflict("the description of this task's work is gone".to_owned());
    match record.ok_or_else(gone)?.kind {
        WorkKind::Workflow { launch, .. } => Ok(launch),
        WorkKind::Batch { spec } => {
            let batch = BatchId(work.0);
            let index = operation_of(resources, batch, task.id).await?;
            let operations = resources.store.read(move |reads| reads.operations(batch)).await?;
            let undoes = operations.get(index as usize).is_some_and(|operation| operation.undo_task == Some(task.id));
            let direction = if undoes { crate::engine::Direction::Undo } else { crate::engine::Direction::Do };
            let operation = spec.operations.get(index as usize).ok_or_else(gone)?;
            command::launch(&resources.program, batch, &spec, operation, direction).ok_or_else(gone)
        }
    }
}

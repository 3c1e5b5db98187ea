//! Tasks: list, get, cancel, retry.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use uuid::Uuid;

use super::about::{Row, Seen};
use super::authorise::Question;
use super::context::{Context, Permit};
use super::error::Error;
use super::idempotency::Idempotency;
use super::infras::Described;
use super::workflow::submit_task;
use super::{App, LogText, Resources, SeatKind, logs, trail};
use crate::api::actions::Action;
use crate::api::list::Listed;
use crate::api::task::{LogQuery, TaskQuery};
use crate::audit;
use crate::engine::Direction;
use crate::model::batch::{OnFailure, Payload};
use crate::model::id::{BatchId, TaskId, WorkId};
use crate::model::name::Name;
use crate::model::status::TaskStatus;
use crate::model::task::{Launch, Task};
use crate::policy::{Infra, Resource};
use crate::scheduler::{Cancel, command};
use crate::store::record::WorkKind;

impl App {
    /// Tasks, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn task_list(&self, context: &Context, query: TaskQuery) -> Result<Listed<Task>, Error> {
        let resources = self.guarded.open(&self.authorise(context, "task_list", &Question::about(Resource::System))?);
        let TaskQuery { filter, page } = query;
        let infras = match &filter.infra {
            Some(infra) => vec![infra.clone()],
            None => resources.store.read(crate::store::Backend::task_infras).await?,
        };
        let visible = self.visible(context, Action::TaskRead, infras, any).await?;
        let listed = resources.store.read(move |reads| {
            let within = |infras: &[Name]| reads.tasks_within(infras, &filter, page);
            visible.page(page, |page| reads.tasks(&filter, page), within, |task| task.id.0)
        });
        let mut tasks = listed.await?;
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
        let seen = self.see_task(context, id).await?;
        let resources = self.guarded.open(&self.authorise(context, "task_get", &seen.question())?);
        let mut task = seen.row;
        logs::fill_progress(&resources.logs, &mut task).await;
        Ok(task)
    }

    /// Ends a task; answers it as it stands once the request is on disk.
    ///
    /// # Errors
    /// When it has already ended.
    pub async fn task_cancel(&self, context: &Context, id: TaskId) -> Result<Task, Error> {
        let seen = self.see_task(context, id).await?;
        // The end of one operation can be that of its batch, and to undo that is to delete what was made.
        let undoes = match seen.row.batch_id {
            Some(batch) => self.is_undone_with(batch, id).await?,
            None => false,
        };
        let question = Question { operation: undoes.then_some("delete"), ..seen.question() };
        let permit = self.authorise(context, "task_cancel", &question)?;
        let resources = self.guarded.open(&permit);
        let task = seen.row;
        if task.status.is_terminal() {
            return Err(Error::Conflict(format!("task {id} has already ended ({})", task.status)));
        }
        if let Some(rollback) = task.rollback_id {
            return Err(Error::Conflict(format!(
                "task {id} is a step of rollback {rollback}, which can't be cancelled"
            )));
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
        let seen = self.see_task(context, id).await?;
        let again = self.again(&seen.row).await?;
        let permit = self.may_run_again(context, &seen, &again).await?;
        let (resources, task) = (self.guarded.open(&permit), seen.row);
        if let Some(rollback) = task.rollback_id {
            return Err(Error::Conflict(format!(
                "task {id} is a step of rollback {rollback}; go on with that: prov rollback retry {rollback}"
            )));
        }
        if !matches!(task.status, TaskStatus::Failed | TaskStatus::Cancelled) {
            return Err(Error::Conflict(format!(
                "task {id} is {}; only a Failed or Cancelled task can be retried",
                task.status
            )));
        }
        let launch = again.launch.ok_or_else(|| Error::Conflict(GONE.to_owned()))?;
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
            rollback_id: None,
            attempt: 0,
            max_attempts: 1,
            exit_code: None,
            processes_ended: 0,
            progress: 0.0,
            step: None,
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
    pub async fn task_logs(self: &Arc<Self>, context: &Context, id: TaskId, query: LogQuery) -> Result<LogText, Error> {
        let seen = self.see_task(context, id).await?;
        let resources = self.guarded.open(&self.authorise(context, "task_logs", &seen.question())?);
        let source = logs::Source {
            store: resources.store.clone(),
            changes: resources.scheduler.changes(),
            logs: resources.logs.clone(),
            task: id,
        };
        let seat = query.follow.then(|| self.take_seat(context, SeatKind::Stream)).transpose()?;
        let log = source.read(query).await.map_err(|error| Error::Internal(Box::new(error)))?;
        let (app, context) = (Arc::clone(self), context.clone());
        // Whoever follows for long may lose the right meanwhile.
        let body = log.body.take_until(async move { app.until_lost(context, &seen).await });
        // The seat is taken for as long as somebody reads.
        let body = body.map(move |chunk| (chunk, &seat).0).boxed();
        Ok(LogText { body, ..log })
    }

    /// Waits until the caller may read the log no more.
    async fn until_lost(&self, context: Context, seen: &Seen<Task>) {
        loop {
            tokio::time::sleep(REVIEW).await;
            let Ok(context) = self.review(&context).await else { return };
            if !self.asker(&context).decide(Action::TaskLogs, &seen.question()).allowed {
                return;
            }
        }
    }

    /// Whether the end of this task has its batch undone.
    async fn is_undone_with(&self, batch: BatchId, task: TaskId) -> Result<bool, Error> {
        let read = self.guarded.open(&Permit::own()).store.read(move |reads| {
            let record = reads.work(WorkId::from(batch))?;
            Ok((record, reads.operations(batch)?))
        });
        let (record, operations) = read.await?;
        let Some(WorkKind::Batch { spec }) = record.map(|record| record.kind) else { return Ok(false) };
        let index = operations.iter().position(|operation| operation.task == Some(task));
        let operation = index.and_then(|index| spec.operations.get(index));
        Ok(spec.rollback_enabled && operation.is_some_and(|it| it.on_failure == OnFailure::Rollback))
    }

    /// The right to run a task's command again: as its infra's settings describe it and, where it names other settings, as
    /// those do.
    async fn may_run_again(&self, context: &Context, seen: &Seen<Task>, again: &Again) -> Result<Permit, Error> {
        let id = seen.row.id.to_string();
        let mut files = vec![None];
        files.extend(again.settings.as_deref().map(Some));
        let mut permit = Err(Error::Internal("nothing was asked about a task".into()));
        for file in files {
            let described = match &seen.row.infra {
                Some(infra) => self.infras.get(infra, file).await?,
                None => Arc::new(Described::unknown()),
            };
            let providers = match &again.provider {
                Some(provider) => vec![provider.as_str()],
                None => described.providers(),
            };
            let question = Question {
                resource: seen.row.resource(&id, &described.environment),
                check_mode: again.check_mode,
                operation: Some(again.operation),
                providers: Some(&providers),
            };
            permit = Ok(self.authorise(context, "task_retry", &question)?);
            if again.runs_any_program {
                let name = seen.row.infra.as_ref().map_or("", Name::as_str);
                let infra = Infra { name, environment: &described.environment };
                let question = Question { resource: Resource::Infra(infra), ..question };
                self.authorise_action(context, "task_retry", Action::BatchExecuteCommand, &question)?;
            }
        }
        permit
    }
}

/// How often it is looked whether whoever follows a log still may.
const REVIEW: Duration = Duration::from_secs(1);

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

/// Said where a task's work is known no more.
const GONE: &str = "the description of this task's work is gone";

/// What it would be to run a task's command again.
struct Again {
    /// What is started; none where that is known no more.
    launch: Option<Launch>,
    operation: &'static str,
    check_mode: bool,
    /// Where it goes; where its settings say when absent.
    provider: Option<Name>,
    /// The settings that it names.
    settings: Option<String>,
    /// Whether somebody chose the program.
    runs_any_program: bool,
}

impl App {
    /// What running a task again would be, whether it was a workflow's or an operation's.
    async fn again(&self, task: &Task) -> Result<Again, Error> {
        let resources = self.guarded.open(&Permit::own());
        let work = task.batch_id.map_or(WorkId(task.id.0), WorkId::from);
        let record = resources.store.read(move |reads| reads.work(work)).await?;
        // Of which nothing is known might be anything.
        let unknown = Again {
            launch: None,
            operation: "delete",
            check_mode: false,
            provider: None,
            settings: None,
            runs_any_program: true,
        };
        match record.map(|record| record.kind) {
            None | Some(WorkKind::Rollback { .. }) => Ok(unknown),
            Some(WorkKind::Workflow { launch, .. }) => Ok(Again {
                operation: verb(launch.args.get(1).map_or("", String::as_str)),
                check_mode: launch.args.iter().any(|argument| argument == "--check"),
                settings: launch.args.windows(2).find(|pair| pair[0] == "--settings").map(|pair| pair[1].clone()),
                runs_any_program: task.workflow.is_none(),
                launch: Some(launch),
                ..unknown
            }),
            Some(WorkKind::Batch { spec }) => {
                let id = BatchId(work.0);
                let operations = resources.store.read(move |reads| reads.operations(id)).await?;
                let undoes = operations.iter().any(|operation| operation.undo_task == Some(task.id));
                let index = operations
                    .iter()
                    .position(|operation| operation.task == Some(task.id) || operation.undo_task == Some(task.id));
                let Some(operation) = index.and_then(|index| spec.operations.get(index)) else { return Ok(unknown) };
                let direction = if undoes { Direction::Undo } else { Direction::Do };
                Ok(Again {
                    launch: command::launch(&resources.program, id, &spec, operation, direction),
                    operation: if undoes { "delete" } else { "create" },
                    check_mode: false,
                    provider: operation.provider.clone(),
                    settings: None,
                    runs_any_program: matches!(operation.payload, Payload::Command { .. })
                        || (undoes && operation.rollback.is_some()),
                })
            }
        }
    }
}

/// The word of a workflow's operation, as policies know it.
fn verb(word: &str) -> &'static str {
    match word {
        "create" => "create",
        "reinstall" => "reinstall",
        _ => "delete",
    }
}

/// A task that stands for all of an infra, where policies look at the infra alone.
fn any(infra: Infra<'_>) -> Resource<'_> {
    Resource::Task { id: "", name: "", infra, submitted_by: "" }
}

//! Workflows: a request becomes a task that runs one command of the execution plane.

use uuid::Uuid;

use super::context::Context;
use super::error::Error;
use super::idempotency::{self, Idempotency, Seen};
use super::{App, Resources};
use crate::api::workflow::{ClusterWorkflow, ServersWorkflow, Target, TaskservWorkflow, WorkflowOperation};
use crate::model::batch::DEFAULT_TIMEOUT_SECONDS;
use crate::model::id::{TaskId, WorkId};
use crate::model::status::TaskStatus;
use crate::model::task::{Launch, Task};
use crate::scheduler::command::CommandLine;
use crate::scheduler::{Rows, ScheduleError, Submission};
use crate::store::record::{WorkKind, WorkRecord};

/// How long a workflow may take: it can hold a whole infrastructure, so twice what an operation may.
const TIMEOUT_SECONDS: u64 = 2 * DEFAULT_TIMEOUT_SECONDS;

impl App {
    /// Makes or deletes the servers of an infra.
    ///
    /// # Errors
    /// When the work can't be accepted.
    pub async fn workflow_servers(
        &self,
        context: &Context,
        operation: WorkflowOperation,
        request: ServersWorkflow,
        key: Option<Idempotency>,
    ) -> Result<TaskId, Error> {
        let id =
            if operation == WorkflowOperation::Delete { "workflow_servers_delete" } else { "workflow_servers_create" };
        let resources = self.guarded.open(&context.permit(id)?);
        let line = CommandLine::of(
            &resources.program,
            "servers",
            operation.as_str(),
            arguments(&request.target, operation, &[]),
        );
        self.submit_workflow(resources, context, id, ("servers", operation), &request.target, line, key).await
    }

    /// Installs, removes or reinstalls a task service.
    ///
    /// # Errors
    /// When the work can't be accepted.
    pub async fn workflow_taskserv_create(
        &self,
        context: &Context,
        request: TaskservWorkflow,
        key: Option<Idempotency>,
    ) -> Result<TaskId, Error> {
        let id = "workflow_taskserv_create";
        let resources = self.guarded.open(&context.permit(id)?);
        let args = arguments(&request.target, request.operation, &[request.taskserv.as_str()]);
        let line = CommandLine::of(&resources.program, "taskserv", request.operation.as_str(), args);
        self.submit_workflow(resources, context, id, ("taskserv", request.operation), &request.target, line, key).await
    }

    /// Makes or deletes a cluster.
    ///
    /// # Errors
    /// When the work can't be accepted.
    pub async fn workflow_cluster_create(
        &self,
        context: &Context,
        request: ClusterWorkflow,
        key: Option<Idempotency>,
    ) -> Result<TaskId, Error> {
        let id = "workflow_cluster_create";
        let resources = self.guarded.open(&context.permit(id)?);
        let args = arguments(&request.target, request.operation, &[request.cluster_type.as_str()]);
        let line = CommandLine::of(&resources.program, "cluster", request.operation.as_str(), args);
        self.submit_workflow(resources, context, id, ("cluster", request.operation), &request.target, line, key).await
    }

    #[allow(clippy::too_many_arguments)]
    async fn submit_workflow(
        &self,
        resources: &Resources,
        context: &Context,
        id: &'static str,
        (noun, operation): (&str, WorkflowOperation),
        target: &Target,
        line: CommandLine,
        key: Option<Idempotency>,
    ) -> Result<TaskId, Error> {
        let task = Task {
            id: TaskId(Uuid::now_v7()),
            name: line.name.clone(),
            command: line.command(),
            args: line.args.clone(),
            dependencies: Vec::new(),
            status: TaskStatus::Pending,
            created_at: self.clock.now(),
            started_at: None,
            completed_at: None,
            output: None,
            error: None,
            workflow: Some(format!("{noun}/{}", operation.as_str())),
            infra: Some(target.infra.clone()),
            batch_id: None,
            operation_id: None,
            attempt: 0,
            max_attempts: 1,
            exit_code: None,
            progress: 0.0,
            submitted_by: context.username().to_owned(),
        };
        self.submit_task(resources, context, id, task, line.launch(), key).await
    }

    /// Hands a task to the scheduler, once for each idempotency key.
    pub(super) async fn submit_task(
        &self,
        resources: &Resources,
        context: &Context,
        operation: &'static str,
        task: Task,
        launch: Launch,
        key: Option<Idempotency>,
    ) -> Result<TaskId, Error> {
        let (id, now) = (task.id, task.created_at);
        let digest = key.as_ref().map(|key| key.digest);
        let remember = match idempotency::look_up(&resources.store, context, operation, key, id.0, now).await? {
            Seen::Before(before) => return Ok(TaskId(before)),
            Seen::New(remember) => remember,
        };
        let name = remember.as_ref().map(|(name, _)| name.clone());
        let submission = Submission {
            id: WorkId::from(id),
            work: WorkRecord {
                kind: WorkKind::Workflow { launch, timeout_seconds: TIMEOUT_SECONDS },
                submitted_by: context.username().to_owned(),
                created_at: now,
            },
            rows: Rows::Workflow(Box::new(task)),
            remember,
        };
        match resources.scheduler.submit(submission).await {
            Ok(()) => Ok(id),
            Err(error @ ScheduleError::Refused(_)) => {
                let found = resources.store.read(move |reads| reads.remembered(&name.unwrap_or_default())).await;
                idempotency::after_race(found, digest.unwrap_or_default()).map(TaskId).ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The arguments of the execution plane's command, as API.md shows them: `--infra production --settings config.ncl …`.
fn arguments(target: &Target, operation: WorkflowOperation, first: &[&str]) -> Vec<String> {
    let mut args: Vec<&str> = first.to_vec();
    args.extend(["--infra", target.infra.as_str(), "--settings", target.settings.as_str()]);
    if target.check_mode {
        args.push("--check");
    } else if operation != WorkflowOperation::Create {
        args.push("--yes");
    }
    if target.wait && operation != WorkflowOperation::Delete {
        args.push("--wait");
    }
    args.into_iter().map(str::to_owned).collect()
}

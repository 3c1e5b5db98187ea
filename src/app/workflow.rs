//! Workflows: a request becomes a task that runs one command of the execution plane.

use serde_json::json;
use uuid::Uuid;

use super::authorise::Question;
use super::context::{Context, Permit};
use super::error::Error;
use super::idempotency::{self, Idempotency};
use super::{App, Resources, trail};
use crate::api::workflow::{ClusterWorkflow, ServersWorkflow, Target, TaskservWorkflow, WorkflowOperation};
use crate::audit;
use crate::model::batch::DEFAULT_TIMEOUT_SECONDS;
use crate::model::id::{TaskId, WorkId};
use crate::model::name::Name;
use crate::model::status::TaskStatus;
use crate::model::task::{Launch, Task};
use crate::policy::{Infra, Resource};
use crate::scheduler::command::CommandLine;
use crate::scheduler::{Rows, Submission};
use crate::store::Change;
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
        let workflow = Workflow { id, noun: "servers", what: None, operation, target: request.target };
        self.submit_workflow(context, workflow, key).await
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
        let TaskservWorkflow { taskserv, operation, target, .. } = request;
        let id = "workflow_taskserv_create";
        let workflow = Workflow { id, noun: "taskserv", what: Some(taskserv), operation, target };
        self.submit_workflow(context, workflow, key).await
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
        let ClusterWorkflow { cluster_type, operation, target, .. } = request;
        let id = "workflow_cluster_create";
        let workflow = Workflow { id, noun: "cluster", what: Some(cluster_type), operation, target };
        self.submit_workflow(context, workflow, key).await
    }

    async fn submit_workflow(
        &self,
        context: &Context,
        workflow: Workflow,
        key: Option<Idempotency>,
    ) -> Result<TaskId, Error> {
        let (permit, provider) = self.may_submit(context, &workflow).await?;
        let resources = self.guarded.open(&permit);
        let verb = workflow.operation.as_str();
        let check_mode = workflow.target.check_mode;
        let line = CommandLine::of(&resources.program, workflow.noun, verb, workflow.arguments());
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
            workflow: Some(format!("{}/{verb}", workflow.noun)),
            infra: Some(workflow.target.infra),
            provider,
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
        };
        let resource = audit::Resource::new("infra", task.infra.as_ref().map_or("", Name::as_str));
        let details = json!({ "operation": verb, "check_mode": check_mode, "task_id": task.id });
        let entry = trail::done_with(context, &permit, workflow.id, resource, task.created_at, details);
        submit_task(resources, context, workflow.id, (task, line.launch()), key, entry).await
    }
}

impl App {
    /// The right to submit a workflow: for its infra as the infra's settings describe it and, where the workflow names other
    /// settings, as those do. With the provider that it goes to, where the settings name but one.
    async fn may_submit(&self, context: &Context, workflow: &Workflow) -> Result<(Permit, Option<Name>), Error> {
        let Target { infra, settings, check_mode, .. } = &workflow.target;
        let (mut permit, mut provider) = (None, None);
        for file in [None, Some(settings.as_str())] {
            let described = self.infras.get(infra, file).await?;
            let providers = described.providers();
            let infra = Infra { name: infra.as_str(), environment: &described.environment };
            let question = Question {
                check_mode: *check_mode,
                operation: Some(workflow.operation.as_str()),
                providers: Some(&providers),
                ..Question::about(Resource::Infra(infra))
            };
            permit = Some(self.authorise(context, workflow.id, &question)?);
            provider = match described.providers.as_deref() {
                Some([only]) => Name::new(only.clone()).ok(),
                _ => None,
            };
        }
        let permit = permit.ok_or_else(|| Error::Internal("nothing was asked about a workflow".into()))?;
        Ok((permit, provider))
    }
}

/// One command of the execution plane that somebody asked for.
struct Workflow {
    /// The operation of the API.
    id: &'static str,
    /// `servers`, `taskserv` or `cluster`.
    noun: &'static str,
    /// Which of them, where the target doesn't say.
    what: Option<Name>,
    operation: WorkflowOperation,
    target: Target,
}

impl Workflow {
    /// The command's arguments, as API.md shows them: `--infra production --settings config.ncl …`.
    fn arguments(&self) -> Vec<String> {
        let Target { infra, settings, check_mode, wait, .. } = &self.target;
        let mut args: Vec<&str> = self.what.iter().map(Name::as_str).collect();
        args.extend(["--infra", infra.as_str(), "--settings", settings.as_str()]);
        if *check_mode {
            args.push("--check");
        } else if self.operation != WorkflowOperation::Create {
            args.push("--yes");
        }
        if *wait && self.operation != WorkflowOperation::Delete {
            args.push("--wait");
        }
        args.into_iter().map(str::to_owned).collect()
    }
}

/// Hands a task to the scheduler with the entry that tells of it, once for each idempotency key.
pub(super) async fn submit_task(
    resources: &Resources,
    context: &Context,
    operation: &str,
    (task, launch): (Task, Launch),
    key: Option<Idempotency>,
    entry: Change,
) -> Result<TaskId, Error> {
    let submission = Submission {
        id: WorkId::from(task.id),
        work: WorkRecord {
            kind: WorkKind::Workflow { launch, timeout_seconds: TIMEOUT_SECONDS },
            submitted_by: context.username().to_owned(),
            created_at: task.created_at,
        },
        rows: Rows::Workflow(Box::new(task)),
        remember: None,
        also: vec![entry],
    };
    idempotency::submit(resources, context, operation, key, submission).await.map(TaskId)
}

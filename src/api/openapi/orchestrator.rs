//! The orchestrator's operations.

use serde_json::json;

use super::examples::{ID, batch, batch_request, cluster, plan, progress, servers, snapshot, summary, task, taskserv};
use super::operation::{ONCE, Operation, all, bare, one, part, socket};
use super::rollback;
use super::shapes::{Executed, Text};
use crate::api::batch::shape::BatchRequest;
use crate::api::batch::{BatchCancel, BatchPlan, BatchQuery, BatchSummary, BatchView, read_cancel};
use crate::api::event::{EventQuery, Frame};
use crate::api::infra::{InfraServer, InfraSettings, InfraSummary};
use crate::api::live::{SocketQuery, Wire};
use crate::api::logs::{LogLevels, LogLevelsChange, LogLine, LogSocketQuery};
use crate::api::state::{Progress, Snapshot, SnapshotQuery, Statistics, StatisticsQuery, SystemHealth, SystemMetrics};
use crate::api::task::{LogQuery, Task, TaskQuery};
use crate::api::workflow::{ClusterWorkflow, ServersWorkflow, TaskservWorkflow};
use crate::model::id::{BatchId, TaskId, WorkId};
use crate::model::name::Name;

pub(super) fn operations() -> Vec<(&'static str, Vec<Operation>)> {
    vec![
        ("Health", health()),
        ("Tasks", tasks()),
        ("Workflows", workflows()),
        ("Batches", batches()),
        ("State", state()),
        ("Rollback", rollback::operations()),
        ("Infrastructure", infra()),
        ("Events", events()),
        ("Webhooks", super::webhooks::operations()),
        ("Logs", logs()),
        ("Description", super::described_by("openapi", "docs")),
    ]
}

fn health() -> Vec<Operation> {
    vec![
        one::<Text>("health", "Says whether the orchestrator lives").answering(json!("Orchestrator is healthy")),
        one::<Text>("ready", "Says whether the orchestrator takes work")
            .answering(json!("Orchestrator is ready"))
            .failing(&[503]),
    ]
}

fn tasks() -> Vec<Operation> {
    let id = "The task.";
    vec![
        part::<Task>("task_list", "Lists tasks").query::<TaskQuery>().answering(json!([task()])),
        one::<Task>("task_get", "Shows a task").of::<TaskId>(id).answering(task()),
        one::<Task>("task_cancel", "Ends a task")
            .noting("Everything that the task started ends with it. A task that has ended already is a conflict.")
            .of::<TaskId>(id)
            .without_body(),
        one::<TaskId>("task_retry", "Runs a task again")
            .noting("Answers the id of a new task with the same command. Only what Failed or was Cancelled runs again.")
            .of::<TaskId>(id)
            .headers(ONCE)
            .without_body()
            .answering(json!(ID)),
        bare::<Text>("task_logs", "text/plain", "Reads the log of a task")
            .noting(
                "While `follow` is on, the answer goes on until the task has ended. The header `X-Log-Offset` says where in \
                 its stream the text begins: an answer of one stream that breaks off is taken up again with an `offset` of \
                 that number and the bytes that came.",
            )
            .of::<TaskId>(id)
            .query::<LogQuery>(),
    ]
}

fn workflows() -> Vec<Operation> {
    let id = || json!(ID);
    vec![
        one::<TaskId>("workflow_servers_create", "Makes the servers of an infra")
            .noting("Answers the id of a task.")
            .headers(ONCE)
            .body::<ServersWorkflow>(|body| ServersWorkflow::read(body).map(drop), servers())
            .answering(id()),
        one::<TaskId>("workflow_servers_delete", "Deletes the servers of an infra")
            .noting("Answers the id of a task.")
            .headers(ONCE)
            .body::<ServersWorkflow>(|body| ServersWorkflow::read(body).map(drop), servers())
            .answering(id()),
        one::<TaskId>("workflow_taskserv_create", "Installs, reinstalls or removes a task service")
            .noting("Answers the id of a task.")
            .headers(ONCE)
            .body::<TaskservWorkflow>(|body| TaskservWorkflow::read(body).map(drop), taskserv())
            .answering(id()),
        one::<TaskId>("workflow_cluster_create", "Makes or deletes a cluster")
            .noting("Answers the id of a task.")
            .headers(ONCE)
            .body::<ClusterWorkflow>(|body| ClusterWorkflow::read(body).map(drop), cluster())
            .answering(id()),
    ]
}

fn batches() -> Vec<Operation> {
    let (id, notes) = ("The batch.", "A batch with `command` operations takes `batch_execute_command` as well.");
    let read = |body: &serde_json::Value| crate::api::batch::BatchRequest::read(body).map(drop);
    vec![
        one::<Executed>("batch_execute", "Runs a graph of operations")
            .noting(notes)
            .headers(ONCE)
            .body::<BatchRequest>(read, batch_request())
            .answering(batch()),
        one::<BatchPlan>("batch_validate", "Checks a batch, and shows what it would do")
            .noting(notes)
            .body::<BatchRequest>(read, batch_request())
            .answering(plan())
            .pure(),
        one::<BatchPlan>("batch_plan", "Plans a batch, and asks what each operation would change")
            .noting("The execution plane is asked, and by it the providers. The digest of the answer is what `plan` of /batch/execute takes.")
            .body::<BatchRequest>(read, batch_request())
            .answering(plan())
            .pure()
            .failing(&[409]),
        part::<BatchSummary>("batch_list", "Lists batches").query::<BatchQuery>().answering(json!([summary()])),
        one::<BatchView>("batch_get", "Shows a batch with its operations").of::<BatchId>(id).answering(batch()),
        one::<BatchView>("batch_cancel", "Ends a batch")
            .noting("Operations that run are ended. A batch that has ended already is a conflict.")
            .of::<BatchId>(id)
            .body::<BatchCancel>(|body| read_cancel(body).map(drop), json!({ "rollback": true })),
        one::<BatchView>("batch_retry", "Goes on with a batch from what failed")
            .of::<BatchId>(id)
            .headers(ONCE)
            .without_body(),
    ]
}

fn state() -> Vec<Operation> {
    let id = "The task of a workflow, or the batch.";
    vec![
        one::<Progress>("workflow_progress", "Says how far a workflow or a batch is")
            .of::<WorkId>(id)
            .answering(progress()),
        part::<Snapshot>("workflow_snapshots", "Lists what became of a workflow or a batch, and when")
            .of::<WorkId>(id)
            .query::<SnapshotQuery>()
            .answering(json!([snapshot()])),
        one::<SystemMetrics>("system_metrics", "Shows figures of the machine and of the work"),
        one::<SystemHealth>("system_health", "Says how the daemon does, part by part"),
        one::<Statistics>("statistics", "Counts what became of the tasks that ended in a span of time")
            .query::<StatisticsQuery>(),
        bare::<Text>("metrics", "text/plain", "Shows figures as Prometheus reads them")
            .noting("With the handshake of a WebSocket, the same text as a message each second.")
            .query::<Wire>()
            .becoming::<Text>(),
    ]
}

fn logs() -> Vec<Operation> {
    vec![
        bare::<Text>("log_stream", "application/jsonl", "Reads the daemon's own log")
            .noting(
                "What is kept of the newest lines, a JSON object a line; with `follow`, or the handshake of a WebSocket, what \
                 comes after them as well. An object with a `type` speaks of the connection: `lagged` says how many lines were \
                 gone before they were read, `error` why it ends. An empty line says that the daemon is there.",
            )
            .query::<LogSocketQuery>()
            .mentioning::<LogLine>()
            .becoming::<LogLine>(),
        one::<LogLevels>("log_levels_get", "Shows how much each part of the daemon logs"),
        one::<LogLevels>("log_levels_update", "Changes how much parts of the daemon log")
            .noting("What is absent stays. It counts at once, and until the daemon ends.")
            .body::<LogLevelsChange>(
                |body| LogLevelsChange::read(body).map(drop),
                json!({ "default": "info", "components": { "scheduler": "debug" } }),
            ),
    ]
}

fn infra() -> Vec<Operation> {
    let (name, away) = ("The infra's name.", &[503]);
    vec![
        all::<InfraSummary>("infra_list", "Lists the infras of the workspace").failing(away),
        one::<InfraSettings>("infra_get", "Shows the settings of an infra as evaluated, with secrets covered")
            .noting("Settings that are wrong are a conflict.")
            .of::<Name>(name)
            .failing(&[409, 503]),
        all::<InfraServer>("infra_servers", "Lists the servers of an infra as their providers report them")
            .of::<Name>(name)
            .failing(&[409, 503]),
    ]
}

fn events() -> Vec<Operation> {
    vec![
        bare::<Text>("event_stream", "text/event-stream", "Follows what happens to work")
            .noting(
                "Server-sent events, in order and without gaps: the `data` of each is a `Frame`, its `id` the frame's \
                 sequence. Whoever is cut off goes on with `since` or `Last-Event-ID`.",
            )
            .query::<EventQuery>()
            .headers(&["Last-Event-ID"])
            .mentioning::<Frame>(),
        socket::<Frame>("event_socket", "Follows what happens to work, over a WebSocket")
            .noting(
                "The same frames as `GET /events`. The token comes in the query, in a header, or within 5 seconds in a first \
                 frame `auth`. The first message is a `hello` with the present sequence. A message is a list of at most \
                 `batch_size` frames, or with a `batch_size` of 1 a frame; nothing waits for a list to be full. Messages with \
                 a `type` speak of the connection. A client that takes nothing for long is told by `lagged` how many frames it \
                 missed and where to resume, and goes on with what comes now. Close codes: 4401 no good token, 4403 not \
                 allowed, 4429 too many, 1001 the daemon ends, 1008 too many wrong frames, 1009 a message too large.",
            )
            .query::<SocketQuery>(),
    ]
}

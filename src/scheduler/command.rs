//! Which command does an operation, and which undoes it.

use std::path::PathBuf;

use serde_json::json;

use crate::engine::Direction;
use crate::model::batch::{BatchSpec, Operation, Payload};
use crate::model::id::BatchId;
use crate::model::task::Launch;

/// What runs the work of the execution plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The executable; prov itself unless configured.
    pub path: PathBuf,
}

/// A command by its parts: what a task shows, and what is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    /// What the task is for: `create_servers`, …
    pub name: String,
    /// The program.
    pub program: String,
    /// The words between program and arguments: `servers`, `create`.
    pub words: Vec<String>,
    /// The arguments.
    pub args: Vec<String>,
}

impl CommandLine {
    /// A command of the execution plane.
    #[must_use]
    pub fn of(program: &Program, noun: &str, verb: &str, args: Vec<String>) -> Self {
        Self {
            name: format!("{verb}_{noun}"),
            program: program.path.display().to_string(),
            words: vec![noun.to_owned(), verb.to_owned()],
            args,
        }
    }

    /// What the task shows as its command.
    #[must_use]
    pub fn command(&self) -> String {
        [std::slice::from_ref(&self.program), &self.words[..]].concat().join(" ")
    }

    /// What is started.
    #[must_use]
    pub fn launch(&self) -> Launch {
        let args = self.words.iter().chain(&self.args).cloned().collect();
        Launch { program: self.program.clone(), args, ..Launch::default() }
    }
}

/// The command that does or undoes an operation; `None` where nothing undoes it.
#[must_use]
pub fn line(program: &Program, batch: &BatchSpec, operation: &Operation, direction: Direction) -> Option<CommandLine> {
    if direction == Direction::Undo
        && let Some(rollback) = &operation.rollback
    {
        return Some(own(&format!("undo_{}", operation.id), &rollback.command, &rollback.args));
    }
    let noun = match &operation.payload {
        Payload::ServerBatch { .. } => "servers",
        Payload::TaskservBatch { .. } => "taskserv",
        Payload::ClusterBatch { .. } => "cluster",
        Payload::Command { command, args, .. } => {
            return (direction == Direction::Do).then(|| own(operation.id.as_str(), command, args));
        }
    };
    let (verb, last) = match direction {
        Direction::Do => ("create", "--wait"),
        Direction::Undo => ("delete", "--yes"),
    };
    let args = ["--infra", batch.infra.as_str(), "--operation", "-", last].map(str::to_owned).to_vec();
    Some(CommandLine::of(program, noun, verb, args))
}

/// A command of the user's own.
fn own(name: &str, command: &str, args: &[String]) -> CommandLine {
    CommandLine { name: name.to_owned(), program: command.to_owned(), words: Vec::new(), args: args.to_vec() }
}

/// What is started for an operation: its command with the operation on standard input, and who it is in its environment.
#[must_use]
pub fn launch(
    program: &Program,
    id: BatchId,
    batch: &BatchSpec,
    operation: &Operation,
    direction: Direction,
) -> Option<Launch> {
    let mut launch = line(program, batch, operation, direction)?.launch();
    if let Payload::Command { env, cwd, .. } = &operation.payload {
        launch.env = env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        launch.cwd.clone_from(cwd);
    }
    launch.env.push(("PROV_BATCH_ID".to_owned(), id.to_string()));
    launch.env.push(("PROV_OPERATION_ID".to_owned(), operation.id.to_string()));
    let mut document = json!(operation);
    document["batch_id"] = json!(id);
    document["infra"] = json!(batch.infra);
    launch.stdin = document.to_string();
    Some(launch)
}

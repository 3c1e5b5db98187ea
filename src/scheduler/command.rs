//! Which command does an operation, and which undoes it.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::engine::Direction;
use crate::model::batch::{BatchSpec, Operation, Payload};
use crate::model::id::BatchId;
use crate::model::rehearsal::{MODE_VARIABLE, ProviderMode};
use crate::model::rollback::RollbackStep;
use crate::model::task::Launch;

/// What runs the work of the execution plane.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The executable; prov itself unless configured.
    pub path: PathBuf,
    /// How it reaches providers, where the work doesn't say.
    pub mode: ProviderMode,
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
        return Some(own(batch, &format!("undo_{}", operation.id), &rollback.command, &rollback.args));
    }
    let noun = match &operation.payload {
        Payload::ServerBatch { .. } => "servers",
        Payload::TaskservBatch { .. } => "taskserv",
        Payload::ClusterBatch { .. } => "cluster",
        Payload::Command { command, args, .. } => {
            return (direction == Direction::Do).then(|| own(batch, operation.id.as_str(), command, args));
        }
    };
    let (verb, last) = match direction {
        Direction::Do => ("create", "--wait"),
        Direction::Undo => ("delete", "--yes"),
    };
    let args = ["--infra", batch.infra.as_str(), "--operation", "-", last].map(str::to_owned).to_vec();
    Some(CommandLine::of(program, noun, verb, args))
}

/// The command that asks an operation's provider whether anything of it is left (`Undo`), or all of it there (`Do`): its own
/// command in check mode. `None` where nothing but the command's own word says so.
#[must_use]
pub fn proof_line(
    program: &Program,
    batch: &BatchSpec,
    operation: &Operation,
    direction: Direction,
) -> Option<CommandLine> {
    let is_own = operation.rollback.is_some() || matches!(operation.payload, Payload::Command { .. });
    let mut line = line(program, batch, operation, direction).filter(|_| !is_own)?;
    line.name = format!("prove_{}", line.words.first().map_or("", String::as_str));
    line.args.pop();
    line.args.extend(["--check", "--detailed-exitcode", "-o", "name"].map(str::to_owned));
    Some(line)
}

/// The exit status of a check that found something to change.
pub const CHANGES: i32 = 3;

/// A command of the user's own. In a rehearsal it is told instead of run: nobody knows what it would touch.
fn own(batch: &BatchSpec, name: &str, command: &str, args: &[String]) -> CommandLine {
    if batch.rehearse.is_some() {
        let told = ["rehearsed, not run:", command].map(str::to_owned).into_iter().chain(args.iter().cloned());
        return CommandLine {
            name: name.to_owned(),
            program: "echo".to_owned(),
            words: Vec::new(),
            args: told.collect(),
        };
    }
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
    Some(started(&line(program, batch, operation, direction)?, id, batch, operation))
}

/// What is started for a step of a rollback, as [`launch`] for a batch's own operations.
#[must_use]
pub fn launch_step(program: &Program, batch: &BatchSpec, step: &RollbackStep) -> Option<Launch> {
    let operation = batch.operations.get(step.operation as usize)?;
    Some(started(&step_line(program, batch, step)?, step.batch, batch, operation))
}

/// The command of a step of a rollback.
#[must_use]
pub fn step_line(program: &Program, batch: &BatchSpec, step: &RollbackStep) -> Option<CommandLine> {
    let operation = batch.operations.get(step.operation as usize)?;
    let direction = if step.action.undoes() { Direction::Undo } else { Direction::Do };
    if step.action.is_proof() {
        proof_line(program, batch, operation, direction)
    } else {
        line(program, batch, operation, direction)
    }
}

fn started(line: &CommandLine, id: BatchId, batch: &BatchSpec, operation: &Operation) -> Launch {
    let mut launch = line.launch();
    if let Payload::Command { env, cwd, .. } = &operation.payload {
        launch.env = env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        launch.cwd.clone_from(cwd);
    }
    if let Some(rehearsal) = &batch.rehearse {
        let mode = ProviderMode::Rehearse(rehearsal.clone());
        launch.env.push((MODE_VARIABLE.to_owned(), mode.to_string()));
    }
    launch.env.push(("PROV_BATCH_ID".to_owned(), id.to_string()));
    launch.env.push(("PROV_OPERATION_ID".to_owned(), operation.id.to_string()));
    let mut document = document(batch, operation);
    document["batch_id"] = json!(id);
    launch.stdin = document.to_string();
    launch
}

/// The operation as its command reads it from standard input; the batch's id is added where it has one.
#[must_use]
pub fn document(batch: &BatchSpec, operation: &Operation) -> Value {
    let mut document = json!(operation);
    document["infra"] = json!(batch.infra);
    document
}

/// The words that have the execution plane say what an operation would change; `None` where it runs a program.
#[must_use]
pub fn plan_words(program: &Program, batch: &BatchSpec, operation: &Operation) -> Option<Vec<String>> {
    let mut line = line(program, batch, operation, Direction::Do).filter(|line| !line.words.is_empty())?;
    line.args.pop();
    line.args.push("--check".to_owned());
    Some([line.words, line.args].concat())
}

//! What a batch would do.

use crate::api::batch::{BatchPlan, PlannedOperation};
use crate::engine::{Direction, Shape, graph};
use crate::model::batch::{BatchSpec, Operation};
use crate::scheduler::command::{self, Program};

/// The plan of a batch whose graph holds together.
pub(super) fn plan(program: &Program, spec: &BatchSpec) -> BatchPlan {
    let waves = graph::waves(&Shape::of(spec));
    let name = |index: u32| spec.operations[index as usize].id.clone();
    let planned = |operation: &Operation| {
        let line = command::line(program, spec, operation, Direction::Do);
        let undo = command::line(program, spec, operation, Direction::Undo);
        PlannedOperation {
            id: operation.id.clone(),
            kind: operation.payload.kind().to_owned(),
            provider: operation.provider.clone(),
            command: line.as_ref().map(command::CommandLine::command).unwrap_or_default(),
            args: line.map(|line| line.args).unwrap_or_default(),
            compensation: undo.map(|line| [vec![line.command()], line.args].concat().join(" ")),
            changes: None,
        }
    };
    BatchPlan {
        name: spec.name.clone(),
        valid: true,
        waves: waves.into_iter().map(|wave| wave.into_iter().map(name).collect()).collect(),
        operations: spec.operations.iter().map(planned).collect(),
        digest: None,
    }
}

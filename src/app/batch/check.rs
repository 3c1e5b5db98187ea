//! Whether a batch can be accepted, and what its sender should know although it can.

use std::path::Path;

use crate::api::batch::{BatchDraft, BatchRequest};
use crate::api::read::Problem;
use crate::app::error::Error;
use crate::engine::{Shape, graph};
use crate::model::batch::{BatchSpec, Operation, PROVIDERS, Payload};
use crate::model::name::Name;
use crate::model::nearest::unknown;
use crate::model::plugin;

/// Operations that a warning names.
const NAMED: usize = 3;

/// A batch that can be accepted.
pub(super) struct Checked {
    pub(super) request: BatchRequest,
    pub(super) warnings: Vec<String>,
}

/// Takes a batch whose shape and graph are without fault.
///
/// # Errors
/// Every problem of both.
pub(super) fn check(draft: BatchDraft, workspace: &Path) -> Result<Checked, Error> {
    let BatchDraft { request, graph, others, problems } = draft;
    for (place, name) in others.iter().filter(|(_, name)| !is_plugin(workspace, name)) {
        problems.push(format!("/operations/{place}/provider"), unknown("provider", name.as_str(), PROVIDERS));
    }
    graph::check(&graph, &mut |found| {
        problems.note(|| Problem { pointer: found.pointer(), message: found.to_string() });
    });
    let request = problems.finish(request).map_err(Error::Invalid)?;
    let mut warnings = Vec::new();
    if request.storage_backend != "redb" {
        warnings.push(format!("storage_backend is {}; this daemon keeps its state in redb", request.storage_backend));
    }
    // What the settings of an infra declare is for the execution plane to find out; here it counts that there are some.
    if !workspace.join("infra").join(request.spec.infra.as_str()).is_dir() {
        warnings.extend(serverless(&request.spec));
    }
    Ok(Checked { request, warnings })
}

/// Whether a program is the provider `name`; what it is, the execution plane finds out.
fn is_plugin(workspace: &Path, name: &Name) -> bool {
    let search = std::env::var_os("PATH");
    plugin::paths(workspace, search.as_deref(), name).iter().any(|path| path.is_file())
}

/// A remark about operations that install on servers of which nothing is known.
fn serverless(spec: &BatchSpec) -> Option<String> {
    let made = made_before(spec);
    let lacks = |operation: &Operation, made: u64| match &operation.payload {
        Payload::TaskservBatch { taskservs } => {
            taskservs.iter().any(|taskserv| taskserv.servers.is_empty()) && made & provider_bit(operation) == 0
        }
        _ => false,
    };
    let lacking: Vec<&Operation> =
        spec.operations.iter().zip(made).filter(|(operation, made)| lacks(operation, *made)).map(|(o, _)| o).collect();
    let infra = &spec.infra;
    match lacking[..] {
        [] => None,
        [one] => Some(format!(
            "operation {} installs on the servers of {infra} at {}, and nothing before it makes any there; it will fail unless there are some when it starts",
            one.id,
            one.provider.as_ref().map_or("its provider", Name::as_str)
        )),
        _ => Some(format!(
            "operations {} install on servers of {infra}, and nothing before them makes any at their providers; they will fail unless there are some when they start",
            named(&lacking)
        )),
    }
}

fn named(operations: &[&Operation]) -> String {
    let names: Vec<&str> = operations.iter().take(NAMED).map(|operation| operation.id.as_str()).collect();
    match operations.len() - names.len() {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// For each operation the providers at which something that it waits for makes servers.
fn made_before(spec: &BatchSpec) -> Vec<u64> {
    let shape = Shape::of(spec);
    let mut made = vec![0; spec.operations.len()];
    for operation in graph::waves(&shape).into_iter().flatten() {
        let place = operation as usize;
        let makes = matches!(spec.operations[place].payload, Payload::ServerBatch { .. });
        let from_here = made[place] | if makes { provider_bit(&spec.operations[place]) } else { 0 };
        for (dependent, _) in &shape.operations[place].dependents {
            made[*dependent as usize] |= from_here;
        }
    }
    made
}

/// A bit for each provider of prov's own, and one for all plugins.
fn provider_bit(operation: &Operation) -> u64 {
    let bit = |provider: &Name| PROVIDERS.iter().position(|known| *known == provider.as_str()).unwrap_or(63);
    operation.provider.as_ref().map_or(0, |provider| 1 << bit(provider))
}

//! What the operations of a batch would change if it ran now: each one's own command is asked, in check mode.
//!
//! The answer has a digest. Whoever runs the batch "as planned" gives it, and is refused when the answer is another by then.
//! Between that question and the first operation the world can still move: each command compares again before it acts.

use serde_json::{Value, json};

use super::plan;
use crate::api::batch::BatchPlan;
use crate::app::error::Error;
use crate::app::plane::{Answered, Question};
use crate::app::{Resources, aside};
use crate::model::batch::{BatchSpec, Operation, Payload};
use crate::model::digest::sha256;
use crate::model::name::Name;
use crate::model::rehearsal::ProviderMode;
use crate::scheduler::command;

impl Resources {
    /// The plan of a batch whose graph holds together, with what each operation would change.
    ///
    /// # Errors
    /// When an operation can't be planned.
    pub(super) async fn foresee(&self, spec: &BatchSpec) -> Result<BatchPlan, Error> {
        let (program, owned) = (self.program.clone(), spec.clone());
        let mut plan = aside(move || plan::plan(&program, &owned)).await?;
        let made = made_before(spec, &plan);
        let asked = spec.operations.iter().zip(&made).map(|(operation, made)| self.changes(spec, operation, made));
        let changes = futures_util::future::try_join_all(asked).await?;
        plan.digest = Some(digest(&json!({ "batch": spec, "changes": changes })));
        for (operation, changes) in plan.operations.iter_mut().zip(changes) {
            operation.changes = changes;
        }
        Ok(plan)
    }

    /// Refuses a batch that would no longer do what was planned.
    ///
    /// # Errors
    /// [`Error::Conflict`].
    pub(super) async fn demand_plan(&self, spec: &BatchSpec, digest: &str) -> Result<(), Error> {
        let now = self.foresee(spec).await?.digest.unwrap_or_default();
        if now == digest {
            return Ok(());
        }
        Err(Error::Conflict(format!(
            "the batch would not do what was planned: the plan was {digest} and is {now} now; plan it again and look"
        )))
    }

    /// What an operation would change; none for a command, of which nobody knows.
    async fn changes(
        &self,
        spec: &BatchSpec,
        operation: &Operation,
        there_by_then: &[Name],
    ) -> Result<Option<Value>, Error> {
        if matches!(operation.payload, Payload::Command { .. }) {
            return Ok(None);
        }
        let Some(words) = command::plan_words(&self.program, spec, operation) else { return Ok(None) };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut document = command::document(spec, operation);
        document["made_before"] = json!(there_by_then);
        let mode = spec.rehearse.clone().map_or_else(|| self.program.mode.clone(), ProviderMode::Rehearse);
        let question = Question { words: &words, stdin: document.to_string(), mode };
        match self.ask_plane_about(question).await? {
            Answered::Data(changes) => Ok(Some(changes)),
            Answered::NotFound => Err(Error::Conflict(format!("the operation {} can't be planned", operation.id))),
            Answered::Wrong(why) | Answered::Failed(why) => {
                Err(Error::Conflict(format!("the operation {} can't be planned: {why}", operation.id)))
            }
        }
    }
}

/// For each operation the servers that operations of earlier waves make at its provider.
fn made_before(spec: &BatchSpec, plan: &BatchPlan) -> Vec<Vec<Name>> {
    let wave = |id: &Name| plan.waves.iter().position(|wave| wave.contains(id));
    let made = |operation: &Operation| {
        let before = |other: &&Operation| wave(&other.id) < wave(&operation.id) && other.provider == operation.provider;
        let servers = spec.operations.iter().filter(before).filter_map(|other| match &other.payload {
            Payload::ServerBatch { server_configs } => Some(server_configs.iter().map(|server| server.name.clone())),
            _ => None,
        });
        servers.flatten().collect()
    };
    spec.operations.iter().map(made).collect()
}

/// `sha256:` and 64 hexadecimal digits.
fn digest(value: &Value) -> String {
    let hex: String = sha256(value.to_string().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

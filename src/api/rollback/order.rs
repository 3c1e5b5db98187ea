//! What is asked for: checkpoints, rollbacks, and decisions about those that are stuck.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::read::{LABEL, Object, Problem, Problems, boolean, label, parsed, text};
use crate::model::id::{BatchId, CheckpointId};
use crate::model::name::Name;
use crate::model::rollback::{OperationRef, RollbackScope};

/// The longest reason or description.
const TEXT_CHARS: usize = 1000;

/// Body of `POST /rollback/checkpoints`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "NewCheckpoint")]
pub struct CheckpointRequest {
    /// What people call it.
    #[schemars(regex(pattern = LABEL), length(min = 1, max = 256))]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub description: String,
}

impl CheckpointRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let name = object.required("name", label);
            let description = object.optional("description", short);
            object.no_more();
            Some(Self { name: name?, description: description.unwrap_or_default() })
        });
        problems.finish(read)
    }
}

/// Body of `POST /rollback/execute`: one of `checkpoint_id`, `batch_id` and `operation_ids`. Beside a `batch_id` the operations
/// are named by their ids in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Rollback", extend("oneOf" = one_of()))]
pub struct RollbackRequest {
    /// What was completed since is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_id: Option<CheckpointId>,
    /// All that it did is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<BatchId>,
    /// They are undone, and what depends on them: `BATCH_ID/OPERATION_ID`, or `OPERATION_ID` beside a `batch_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub operation_ids: Option<Vec<String>>,
    /// With a checkpoint: only what was completed in this infra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infra: Option<Name>,
    /// Computes the plan, and changes nothing.
    #[serde(default)]
    pub check_mode: bool,
}

/// What of a [`RollbackRequest`] goes together.
fn one_of() -> Value {
    let absent = json!({ "type": "null" });
    let operation = json!({ "type": "string", "pattern": Name::PATTERN });
    let of_batch = json!({ "type": "string", "pattern": OperationRef::PATTERN });
    json!([
        {
            "required": ["checkpoint_id"],
            "properties": { "checkpoint_id": { "type": "string" }, "batch_id": absent, "operation_ids": absent },
        },
        {
            "required": ["batch_id"],
            "properties": {
                "batch_id": { "type": "string" },
                "operation_ids": { "type": ["array", "null"], "items": operation },
                "checkpoint_id": absent,
                "infra": absent,
            },
        },
        {
            "required": ["operation_ids"],
            "properties": {
                "operation_ids": { "type": "array", "items": of_batch },
                "checkpoint_id": absent,
                "batch_id": absent,
                "infra": absent,
            },
        },
    ])
}

/// What is to be rolled back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollbackOrder {
    /// What of.
    pub scope: RollbackScope,
    /// Only what is in this infra.
    pub infra: Option<Name>,
    /// Whether only the plan is wanted.
    pub check_mode: bool,
}

impl RollbackOrder {
    /// Reads the body of `POST /rollback/execute`.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let checkpoint = object.optional("checkpoint_id", parsed);
            let batch: Option<BatchId> = object.optional("batch_id", parsed);
            let named = (!object.is_absent("operation_ids")).then(|| operations(&object, batch));
            let infra = object.optional("infra", parsed);
            let check_mode = object.optional("check_mode", boolean).unwrap_or(false);
            let asked = ["checkpoint_id", "batch_id", "operation_ids"].map(|field| !object.is_absent(field));
            object.no_more();
            let scope = match asked {
                [true, false, false] => RollbackScope::Checkpoint { checkpoint_id: checkpoint? },
                [false, true, false] => RollbackScope::Batch { batch_id: batch? },
                [false, _, true] => RollbackScope::Operations { operation_ids: named? },
                _ => {
                    problems.push("", "names one of `checkpoint_id`, `batch_id` and `operation_ids`");
                    return None;
                }
            };
            if infra.is_some() && !matches!(scope, RollbackScope::Checkpoint { .. }) {
                object.fault("infra", "goes with `checkpoint_id` alone: a batch has its own");
            }
            Some(Self { scope, infra, check_mode })
        });
        problems.finish(read)
    }

    /// Reads the body of `POST /rollback/restore/{id}`.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read_restore(body: &Value) -> Result<RestoreRequest, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).map(|object| {
            let infra = object.optional("infra", parsed);
            let check_mode = object.optional("check_mode", boolean).unwrap_or(false);
            object.no_more();
            RestoreRequest { infra, check_mode }
        });
        problems.finish(read)
    }
}

/// The operations named; beside a batch they are its own.
fn operations(object: &Object<'_>, batch: Option<BatchId>) -> Vec<OperationRef> {
    let named = object.list("operation_ids", text);
    if named.is_empty() {
        object.fault("operation_ids", "names no operation");
    }
    let read = |(index, given): (usize, String)| {
        let fault = |message: String| object.fault_at(&format!("operation_ids/{index}"), message);
        match batch {
            Some(batch_id) => {
                let operation_id = Name::new(given).map_err(|error| fault(error.to_string())).ok()?;
                Some(OperationRef { batch_id, operation_id })
            }
            None => given.parse::<OperationRef>().map_err(fault).ok(),
        }
    };
    named.into_iter().enumerate().filter_map(read).collect()
}

/// Body of `POST /rollback/restore/{id}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Restore")]
pub struct RestoreRequest {
    /// Only what is in this infra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infra: Option<Name>,
    /// Computes the plan, and changes nothing.
    #[serde(default)]
    pub check_mode: bool,
}

/// Body of `POST /rollback/executions/{id}/skip`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SkipStep")]
pub struct SkipRequest {
    /// The batch of the operation.
    pub batch_id: BatchId,
    /// The operation that is left as it is.
    pub operation_id: Name,
    /// Why.
    #[schemars(regex(pattern = r"\S"), length(min = 1, max = 1000))]
    pub reason: String,
}

impl SkipRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let batch_id = object.required("batch_id", parsed);
            let operation_id = object.required("operation_id", parsed);
            let reason = object.required("reason", reason);
            object.no_more();
            Some(Self { batch_id: batch_id?, operation_id: operation_id?, reason: reason? })
        });
        problems.finish(read)
    }
}

/// Body of `POST /rollback/executions/{id}/accept`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AcceptRollback")]
pub struct AcceptRequest {
    /// Why what is left may stay.
    #[schemars(regex(pattern = r"\S"), length(min = 1, max = 1000))]
    pub reason: String,
}

impl AcceptRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let reason = object.required("reason", reason);
            object.no_more();
            Some(Self { reason: reason? })
        });
        problems.finish(read)
    }
}

fn short(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    let is_long = text.chars().count() > TEXT_CHARS;
    if is_long { Err(format!("has more than {TEXT_CHARS} characters")) } else { Ok(text) }
}

fn reason(value: &Value) -> Result<String, String> {
    let text = short(value)?;
    if text.trim().is_empty() { Err("says nothing; say why".to_owned()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01926f3e-4c6b-7a1e-9d3f-5b8a2c4d6e7f";

    #[test]
    fn exactly_one_thing_is_rolled_back() {
        let read = |body: Value| RollbackOrder::read(&body);
        assert!(matches!(read(json!({ "batch_id": ID })).unwrap().scope, RollbackScope::Batch { .. }));
        let named = read(json!({ "batch_id": ID, "operation_ids": ["web"] })).unwrap();
        let whole = read(json!({ "operation_ids": [format!("{ID}/web")], "check_mode": true })).unwrap();
        assert_eq!(named.scope, whole.scope);
        assert!(whole.check_mode && !named.check_mode);
        for wrong in [
            json!({}),
            json!({ "batch_id": ID, "checkpoint_id": ID }),
            json!({ "checkpoint_id": ID, "operation_ids": [format!("{ID}/web")] }),
        ] {
            assert!(read(wrong).unwrap_err()[0].message.contains("one of"));
        }
        assert_eq!(read(json!({ "operation_ids": ["web"] })).unwrap_err()[0].pointer, "/operation_ids/0");
        assert_eq!(read(json!({ "operation_ids": [] })).unwrap_err()[0].pointer, "/operation_ids");
        assert_eq!(read(json!({ "batch_id": ID, "infra": "web" })).unwrap_err()[0].pointer, "/infra");
        let other = ID.replace('0', "1");
        let foreign = json!({ "batch_id": ID, "operation_ids": [format!("{other}/web")] });
        assert_eq!(read(foreign).unwrap_err()[0].pointer, "/operation_ids/0");
    }

    #[test]
    fn a_decision_has_a_reason() {
        assert_eq!(AcceptRequest::read(&json!({})).unwrap_err()[0].pointer, "/reason");
        assert_eq!(AcceptRequest::read(&json!({ "reason": " " })).unwrap_err()[0].pointer, "/reason");
        assert!(AcceptRequest::read(&json!({ "reason": "x".repeat(TEXT_CHARS + 1) })).is_err());
        assert!(AcceptRequest::read(&json!({ "reason": "it was moved" })).is_ok());
    }
}

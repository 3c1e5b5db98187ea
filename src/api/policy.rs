//! Policies on the wire.

use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::actions::Action;
use super::list::Page;
use super::read::{Object, Problem, Problems, UUID, boolean, kind, parsed, text, whole};
use crate::model::id::PolicyId;
use crate::model::name::Name;
use crate::model::time::Timestamp;
use crate::model::user::Role;

/// A policy in one of its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Policy")]
pub struct PolicyView {
    /// Its id.
    pub id: PolicyId,
    /// Unique; stands for the id wherever one is asked for.
    pub name: Name,
    /// What it is for; may be empty.
    pub description: String,
    /// Cedar.
    pub content: String,
    /// Whether it counts.
    pub enabled: bool,
    /// Whether it came with prov.
    pub shipped: bool,
    /// Counts its changes, from 1.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// The user who made it; empty for the daemon.
    pub created_by: String,
    /// When this version was.
    pub updated_at: Timestamp,
    /// The user who wrote this version; empty for the daemon.
    pub updated_by: String,
}

/// Body of `POST /policies`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewPolicy {
    /// Unique.
    #[schemars(extend("not" = { "type": "string", "pattern": UUID }))]
    pub name: Name,
    /// What it is for.
    #[schemars(default, length(max = 1000), regex(pattern = TEXT))]
    pub description: String,
    /// Cedar.
    pub content: String,
    /// Whether it counts.
    #[schemars(default = "yes")]
    pub enabled: bool,
}

const fn yes() -> bool {
    true
}

/// Body of `PUT /policies/{id}`: what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyChange {
    /// Another name.
    #[schemars(extend("not" = { "type": "string", "pattern": UUID }))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Another description.
    #[schemars(length(max = 1000), regex(pattern = TEXT))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Other text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Whether it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The version that is to be changed, from 1: when it is another by then, nothing is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub version: Option<u64>,
}

/// One thing that is wrong with the text of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyProblem {
    /// `/content`; empty when it is about another policy.
    pub pointer: String,
    /// What is wrong, and where.
    pub message: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong, without the place.
    pub what: String,
    /// What may help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Answer of `POST /policies/validate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidPolicy {
    /// Always true; one that is not valid is answered with 400 and the list of problems.
    pub valid: bool,
}

/// Body of `POST /policies/evaluate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Evaluation")]
pub struct Evaluate {
    /// The user name of who would ask.
    pub principal: String,
    /// The action.
    #[schemars(with = "Action")]
    #[serde(serialize_with = "action_word", deserialize_with = "action_of")]
    pub action: Action,
    /// The name of an infra, or `task/ID`, `batch/ID`, `infra/NAME`, `user/NAME`, `policy/NAME`; what belongs to no infra when
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Under which circumstances.
    #[serde(default)]
    pub context: EvaluateContext,
}

fn action_word<S: serde::Serializer>(action: &Action, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(action.as_str())
}

fn action_of<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Action, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// The circumstances of an evaluation; what is absent is as the daemon's own host has it at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(default)]
pub struct EvaluateContext {
    /// Whether a second factor was given.
    pub mfa: bool,
    /// Whether nothing is to be changed.
    pub check_mode: bool,
    /// Where from.
    #[schemars(schema_with = "address", default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// `create`, `delete`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Where the work goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<String>>,
}

/// Answer of `POST /policies/evaluate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evaluated {
    /// `allow` or `deny`.
    pub decision: Verdict,
    /// The policies that made it; none when nothing permits it.
    pub policies: Vec<String>,
    /// What failed on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// What is lacking, in a sentence; absent when it is allowed.
    pub why_not: Option<String>,
}

/// What the policies say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

/// The details of a `forbidden` failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Denied {
    /// The operation that was denied.
    pub operation: String,
    /// The policy action that it takes.
    pub action: String,
    /// The infra that it is about, where it is about one.
    pub infra: Option<String>,
    /// The error without the hint.
    pub reason: String,
    /// Each of these roles would be enough.
    pub roles: Vec<Role>,
    /// Whether a second factor is lacking.
    pub second_factor: bool,
    /// The policies that forbid it.
    pub policies: Vec<String>,
    /// What to do about it.
    pub hint: String,
}

/// The query of a list of policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyQuery {
    /// Which part.
    #[serde(flatten)]
    pub page: Page,
}

fn name(value: &Value) -> Result<Name, String> {
    let name: Name = parsed(value)?;
    if name.as_str().parse::<PolicyId>().is_ok() {
        return Err("must not look like an id".to_owned());
    }
    Ok(name)
}

/// What [`description`] takes.
const TEXT: &str = r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$";

fn address(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] })
}

/// A string of at most 1,000 characters, for people to read.
fn description(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    if text.chars().count() > 1000 || text.chars().any(|c| c.is_control() && c != '\n') {
        return Err("must be at most 1,000 characters without control characters".to_owned());
    }
    Ok(text)
}

fn version(value: &Value) -> Result<u64, String> {
    whole(value).filter(|n| *n >= 1).ok_or_else(|| format!("must be a whole number of at least 1, not {}", kind(value)))
}

fn read<T>(body: &Value, read: impl FnOnce(&Object<'_>) -> Option<T>) -> Result<T, Vec<Problem>> {
    let problems = Problems::default();
    let read = problems.object(body, String::new()).and_then(|object| {
        let read = read(&object);
        object.no_more();
        read
    });
    problems.finish(read)
}

impl NewPolicy {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        read(body, |object| {
            let name = object.required("name", name);
            let description = object.optional("description", description).unwrap_or_default();
            let content = object.required("content", text);
            let enabled = object.optional("enabled", boolean).unwrap_or(true);
            Some(Self { name: name?, description, content: content?, enabled })
        })
    }
}

impl PolicyChange {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        read(body, |object| {
            Some(Self {
                name: object.optional("name", name),
                description: object.optional("description", description),
                content: object.optional("content", text),
                enabled: object.optional("enabled", boolean),
                version: object.optional("version", version),
            })
        })
    }
}

/// Body of `POST /policies/{id}/rollback`.
#[derive(Clone, Copy, Debug, JsonSchema)]
pub struct PolicyRollback {
    /// The version to return to.
    #[schemars(range(min = 1))]
    pub version: u64,
}

/// Reads a [`PolicyRollback`]: the version to return to.
///
/// # Errors
/// Every problem of it.
pub fn read_rollback(body: &Value) -> Result<u64, Vec<Problem>> {
    read(body, |object| object.required("version", version))
}

/// Body of `POST /policies/validate`.
#[derive(Clone, Debug, JsonSchema)]
pub struct PolicyText {
    /// Cedar.
    pub content: String,
}

/// Reads a [`PolicyText`]: the text.
///
/// # Errors
/// Every problem of it.
pub fn read_validate(body: &Value) -> Result<String, Vec<Problem>> {
    read(body, |object| object.required("content", text))
}

impl Evaluate {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        read(body, |object| {
            let principal = object.required("principal", text);
            let action = object.required("action", parsed);
            let resource = object.optional("resource", text);
            let context = object.object("context").map(|object| EvaluateContext::read(&object)).unwrap_or_default();
            Some(Self { principal: principal?, action: action?, resource, context })
        })
    }
}

impl EvaluateContext {
    fn read(object: &Object<'_>) -> Self {
        let read = Self {
            mfa: object.optional("mfa", boolean).unwrap_or(false),
            check_mode: object.optional("check_mode", boolean).unwrap_or(false),
            ip: object.optional("ip", parsed),
            time: object.optional("time", time),
            operation: object.optional("operation", text),
            providers: (!object.is_absent("providers")).then(|| object.list("providers", text)),
        };
        object.no_more();
        read
    }
}

fn time(value: &Value) -> Result<Timestamp, String> {
    serde_json::from_value(value.clone()).map_err(|_| "must be a time such as 2026-11-27T23:30:00Z".to_owned())
}

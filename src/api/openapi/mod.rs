//! The description of both APIs for programs and people: OpenAPI 3.1, made from the table of operations and the types of
//! the wire.
//!
//! Each row of [`TABLE`] is told with what [`orchestrator`] and [`control_center`] know of it besides: a summary, and the
//! types of its query, body and answer, which describe themselves. Which failures it can answer with follows from the row.
//! Deliberately absent: how a document is served.

mod control_center;
mod examples;
mod failures;
mod operation;
mod orchestrator;
mod parameters;
mod rollback;
mod schemas;
pub mod shapes;
#[cfg(test)]
mod tests;
mod webhooks;

pub use operation::{Answer, Body, Operation, Path};

use serde_json::{Map, Value, json};

use super::operations::{Access, Api, Row, TABLE};
use operation::bare;
use schemas::Schemas;

/// What is said of the operations of an API besides their rows in the table, under their tags.
#[must_use]
pub fn described(api: Api) -> Vec<(&'static str, Vec<Operation>)> {
    match api {
        Api::Orchestrator => orchestrator::operations(),
        Api::ControlCenter => control_center::operations(),
    }
}

/// The OpenAPI document of an API.
#[must_use]
pub fn document(api: Api) -> Value {
    let described = described(api);
    let (mut schemas, mut paths) = (Schemas::new(), Map::new());
    for row in TABLE.iter().filter(|row| row.api == api) {
        let known = described.iter().flat_map(|(tag, operations)| operations.iter().map(move |known| (*tag, known)));
        let Some((tag, known)) = known.into_iter().find(|(_, known)| known.id == row.id) else { continue };
        let path = paths.entry(row.path).or_insert_with(|| json!({}));
        path[row.method.to_ascii_lowercase()] = operation(row, tag, known, &mut schemas);
    }
    let tags: Vec<Value> = described.iter().map(|(tag, _)| json!({ "name": tag })).collect();
    schemas.tell_failures();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title(api),
            "version": env!("CARGO_PKG_VERSION"),
            "description": about(api),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "Where this document came from." }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas.into_definitions(),
            "responses": failures::responses(),
            "parameters": parameters::parameters(),
            "headers": parameters::headers(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The `token` that `POST /auth/login` of the control center answers, or an API token.",
                },
            },
        },
    })
}

/// The operations by which an API describes itself.
fn described_by(openapi: &'static str, docs: &'static str) -> Vec<Operation> {
    vec![
        bare::<shapes::Json>(openapi, "application/json", "Describes this API to programs"),
        bare::<shapes::Text>(docs, "text/html", "Shows this API to people, to read and to try"),
    ]
}

/// What an API is called.
#[must_use]
pub fn title(api: Api) -> &'static str {
    match api {
        Api::Orchestrator => "prov orchestrator",
        Api::ControlCenter => "prov control center",
    }
}

fn about(api: Api) -> String {
    let what = match api {
        Api::Orchestrator => {
            "Runs provisioning work durably: tasks, workflows, batches. Tokens come from `POST /auth/login` of the control \
             center."
        }
        Api::ControlCenter => "Decides who may do what, and records what they did: logins, users, policies, audit.",
    };
    format!(
        "{what}\n\nEvery answer in JSON has an envelope: `{{\"success\": true, \"data\": …}}`, or `{{\"success\": false, \
         \"error\": \"a sentence\", \"code\": \"not_found\", …}}`. Times are RFC 3339 in UTC, ids are UUIDs. Unknown fields and \
         parameters are refused by name. Lists come newest first; `Link` names the next part. A path answers any method it \
         doesn't have with 405, and `Allow` names those it has."
    )
}

fn operation(row: &Row, tag: &str, known: &Operation, schemas: &mut Schemas) -> Value {
    let mut said = json!({
        "operationId": row.id,
        "tags": [tag],
        "summary": known.summary,
        "description": format!("{}{}", known.notes, access(row.access)).trim(),
        "security": if row.access == Access::Public { json!([]) } else { json!([{ "bearer": [] }]) },
    });
    let parameters = parameters::of(known, schemas);
    if !parameters.is_empty() {
        said["parameters"] = json!(parameters);
    }
    if let Some(body) = &known.body {
        let schema = schemas.body(body.shape);
        let content = json!({ "schema": schema, "example": body.example });
        let required = schemas.requires_something(&schema);
        said["requestBody"] = json!({ "required": required, "content": { "application/json": content } });
    }
    let mut responses = Map::new();
    if let Some(messages) = known.messages {
        responses.insert("101".to_owned(), switched(messages, schemas));
    }
    if !matches!(known.answer, Answer::Socket) {
        responses.insert("200".to_owned(), success(row, known, schemas));
    }
    responses.extend(failures::of(row, known));
    said["responses"] = Value::Object(responses);
    said
}

/// What a request with the handshake of a WebSocket becomes.
fn switched(messages: operation::Shape, schemas: &mut Schemas) -> Value {
    json!({
        "description": "The connection is a WebSocket from now on.",
        "x-messages": { "daemon": schemas.answer(messages), "connection": schemas.notice(), "client": schemas.client_frame() },
    })
}

fn access(access: Access) -> String {
    match access {
        Access::Public => " Needs no token.".to_owned(),
        Access::Authenticated => " Any good token will do.".to_owned(),
        Access::Session => " Takes the token of a login; an API token isn't enough.".to_owned(),
        Access::Action(action) => format!(" Takes the policy action `{action}`."),
    }
}

fn success(row: &Row, known: &Operation, schemas: &mut Schemas) -> Value {
    let mut headers = parameters::answered(row);
    let (description, content) = match &known.answer {
        Answer::Data { shape, example, is_list, is_part } => {
            if *is_part {
                headers.insert("X-Total-Count".to_owned(), parameters::header("X-Total-Count"));
                headers.insert("Link".to_owned(), parameters::header("Link"));
            }
            let mut media = json!({ "schema": schemas.success(*shape, *is_list) });
            if let Some(example) = example {
                media["example"] = json!({ "success": true, "data": example });
            }
            if let Some(item) = known.mentions {
                media["x-data"] = schemas.answer(item);
            }
            ("Done, or accepted.", json!({ "application/json": media }))
        }
        Answer::Bare { media, shape } => {
            let mut said = json!({ "schema": schemas.answer(*shape) });
            if let Some(item) = known.mentions {
                said["x-data"] = schemas.answer(item);
            }
            ("Done.", json!({ *media: said }))
        }
        Answer::OneOf(all) => {
            let media =
                |(media, shape): &(&'static str, _)| ((*media).to_owned(), json!({ "schema": schemas.answer(*shape) }));
            ("Done; its kind is what was asked for.", Value::Object(all.iter().map(media).collect()))
        }
        Answer::Socket => ("", Value::Null),
    };
    if matches!(known.answer, Answer::OneOf(_)) {
        headers.insert("X-Audit-Selection".to_owned(), parameters::header("X-Audit-Selection"));
    }
    json!({ "description": description, "headers": headers, "content": content })
}

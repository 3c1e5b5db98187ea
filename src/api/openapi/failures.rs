//! The failures: what each status means, and which an operation can answer with.

use serde_json::{Map, Value, json};

use super::operation::Operation;
use super::parameters::header;
use crate::api::operations::{Access, Media, Row};

/// A status that tells of a failure: its name among the document's responses, what it means, the codes that come with it,
/// and the headers.
struct Failing(u16, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const FAILINGS: &[Failing] = &[
    Failing(
        400,
        "BadRequest",
        "The path, query, headers or body are wrong; `details.problems` lists all that is wrong, each with its place.",
        &["invalid_request"],
        &[],
    ),
    Failing(
        401,
        "Unauthenticated",
        "No good token, or a wrong name, password or code; `mfa_required`: a second factor is needed as well.",
        &["unauthenticated", "mfa_required"],
        &["WWW-Authenticate"],
    ),
    Failing(403, "Forbidden", "A policy, or a rule that no policy changes, denies it.", &["forbidden"], &[]),
    Failing(404, "NotFound", "There is no such thing, or none for who asks.", &["not_found"], &[]),
    Failing(406, "NotAcceptable", "The request's `Accept` takes nothing that is answered.", &["invalid_request"], &[]),
    Failing(409, "Conflict", "It contradicts what is there.", &["conflict"], &[]),
    Failing(413, "PayloadTooLarge", "The body is larger than allowed.", &["payload_too_large"], &[]),
    Failing(415, "UnsupportedMediaType", "The body isn't sent as JSON.", &["invalid_request"], &[]),
    Failing(
        426,
        "UpgradeRequired",
        "It is a WebSocket, and the request was no handshake.",
        &["invalid_request"],
        &["Upgrade"],
    ),
    Failing(
        429,
        "TooManyRequests",
        "Too many requests, too many failed logins, or too many connections held open.",
        &["rate_limited"],
        &["Retry-After"],
    ),
    Failing(500, "Internal", "A fault of the daemon; its log has the cause under the request id.", &["internal"], &[]),
    Failing(
        503,
        "Unavailable",
        "Not now: the daemon starts or ends, or can't write to its store.",
        &["unavailable"],
        &["Retry-After"],
    ),
];

/// Every failure, for operations to refer to.
pub(super) fn responses() -> Value {
    let response = |Failing(status, name, what, codes, own): &Failing| {
        let mut narrowed = json!({ "properties": { "code": { "enum": codes } } });
        if let Some(details) = details(*status) {
            narrowed["properties"]["details"] = details;
        }
        let headers = ["X-Request-Id"].iter().chain(own.iter()).map(|name| ((*name).to_owned(), header(name)));
        let schema = json!({ "allOf": [{ "$ref": "#/components/schemas/Failure" }, narrowed] });
        let content = json!({ "application/json": { "schema": schema } });
        let headers: Map<String, Value> = headers.collect();
        ((*name).to_owned(), json!({ "description": what, "headers": headers, "content": content }))
    };
    Value::Object(FAILINGS.iter().map(response).collect())
}

fn details(status: u16) -> Option<Value> {
    let problem = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    match status {
        400 => Some(json!({
            "type": "object",
            "properties": {
                "problems": { "type": "array", "items": { "anyOf": [problem("PolicyProblem"), problem("Problem")] } },
            },
        })),
        403 => Some(problem("Denied")),
        _ => None,
    }
}

/// What an operation can fail with.
pub(super) fn of(row: &Row, known: &Operation) -> Map<String, Value> {
    let (has_token, has_body) = (row.access != Access::Public, known.body.is_some());
    let changes = row.method != "GET" && !known.is_pure;
    let can = |status| match status {
        400 | 500 => true,
        401 | 403 | 429 | 503 => has_token,
        404 => row.path.contains('{'),
        406 => row.media != Media::Any,
        409 => changes,
        413 | 415 => has_body,
        _ => false,
    };
    let failings = FAILINGS.iter().filter(|Failing(status, ..)| can(*status) || known.failures.contains(status));
    let reference = |Failing(status, name, ..): &Failing| {
        (status.to_string(), json!({ "$ref": format!("#/components/responses/{name}") }))
    };
    failings.map(reference).collect()
}

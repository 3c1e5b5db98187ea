//! Parameters and headers.

use serde_json::{Map, Value, json};

use super::operation::Operation;
use super::schemas::Schemas;
use crate::api::operations::{Access, Row};

/// The request headers that an operation may read.
pub(super) fn parameters() -> Value {
    json!({
        "Idempotency-Key": {
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": "The same key with the same request within 24 hours answers the same id; with another one it is a conflict.",
            "schema": { "type": "string", "pattern": "^[!-~]{1,255}$" },
        },
        "Last-Event-ID": {
            "name": "Last-Event-ID",
            "in": "header",
            "required": false,
            "description": "The last frame seen, as browsers send it; stands for `since`.",
            "schema": { "type": "string", "pattern": "^[0-9]{1,19}$" },
        },
    })
}

/// The headers of answers.
pub(super) fn headers() -> Value {
    let header = |description: &str, required: bool, schema: Value| json!({ "description": description, "required": required, "schema": schema });
    let count = || json!({ "type": "integer", "minimum": 0 });
    json!({
        "X-Request-Id": header("The request's id, for the daemon's log; the client's own when it sent a sane one.", true, json!({ "type": "string" })),
        "X-RateLimit-Limit": header("Requests a minute.", false, count()),
        "X-RateLimit-Remaining": header("Requests left of them.", false, count()),
        "X-RateLimit-Reset": header("Seconds until they are counted anew.", false, count()),
        "X-Total-Count": header("How many there are in all.", true, count()),
        "Link": header("The next part: `<…>; rel=\"next\"`.", false, json!({ "type": "string" })),
        "Retry-After": header("Seconds until it is worth another try.", true, count()),
        "Upgrade": header("What the connection can become.", true, json!({ "type": "string", "const": "websocket" })),
        "WWW-Authenticate": header("How to prove oneself.", true, json!({ "type": "string", "const": "Bearer" })),
        "X-Audit-Selection": header("Whether it is only a selection of the trail, which can't be verified as a whole one.", true, json!({ "type": "string", "enum": ["true", "false"] })),
    })
}

/// A header of the list, for an answer to refer to.
pub(super) fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// The headers that every success has.
pub(super) fn answered(row: &Row) -> Map<String, Value> {
    let limited = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];
    let limited = limited.iter().filter(|_| row.access != Access::Public);
    limited.chain(&["X-Request-Id"]).map(|name| ((*name).to_owned(), header(name))).collect()
}

/// The parameters of an operation.
pub(super) fn of(known: &Operation, schemas: &mut Schemas) -> Vec<Value> {
    let mut parameters = Vec::new();
    if let Some(path) = &known.path {
        let schema = schemas.query(path.shape);
        parameters.push(json!({
            "name": "id", "in": "path", "required": true, "description": path.what, "schema": schema,
        }));
    }
    if let Some(query) = known.query {
        parameters.extend(schemas.properties(query).into_iter().map(|(name, mut schema)| {
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            let mut parameter = json!({ "name": name, "in": "query", "required": false, "description": description });
            // What has a media type of its own stands in the query as its text.
            match schema.as_object_mut().and_then(|schema| schema.remove("contentMediaType")) {
                Some(Value::String(media)) => parameter["content"] = json!({ media: { "schema": schema } }),
                _ => parameter["schema"] = schema,
            }
            parameter
        }));
    }
    let headers = known.headers.iter().map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }));
    parameters.extend(headers);
    parameters
}

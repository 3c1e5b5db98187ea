//! Calls as they come, and what they are answered.

use std::sync::Mutex;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::world::{Denial, World};
use super::{Mishap, Received, Shared, TOKEN, USER, catalogue};

/// An answer: a status, and a body that is null where there is none.
type Answer = Result<(u16, Value), Denial>;

pub async fn answer(shared: &Mutex<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path().strip_prefix("/1.3").unwrap_or_default().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let call = format!("{} {path}", parts.method);
    let sent = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let mut shared = shared.lock().unwrap();
    let place = shared.mishaps.iter().position(|(kind, _)| is_kind(&call, kind));
    let mishap = place.and_then(|place| shared.mishaps.remove(place)).map(|(_, mishap)| mishap);
    let is_undone = !matches!(mishap, None | Some(Mishap::LostReply | Mishap::FailedReply));
    let answer = if !is_known(&parts.headers) {
        Err(Denial::old(401, "AUTHENTICATION_FAILED", &format!("Authentication failed: {:?} {sent}", parts.headers)))
    } else if is_undone {
        Err(Denial::old(500, "SERVICE_ERROR", "Something went wrong."))
    } else {
        route(&mut shared.world, &call, &query, &sent)
    };
    let response = match mishap {
        Some(mishap) => mishandled(&mishap, &parts.headers, &sent),
        None => told(answer),
    };
    let status = response.status().as_u16();
    shared.received.push(Received { call, query, body: sent, status });
    response
}

/// Whether `call` is of this kind, where `*` stands for one part of its path.
pub fn is_kind(call: &str, kind: &str) -> bool {
    let (call, kind) = (call.trim_end_matches('/').split('/'), kind.trim_end_matches('/').split('/'));
    call.clone().count() == kind.clone().count() && call.zip(kind).all(|(part, wanted)| wanted == "*" || part == wanted)
}

fn is_known(headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let basic = STANDARD.encode(format!("{}:{}", USER.0, USER.1));
    given == format!("Bearer {TOKEN}") || given == format!("Basic {basic}")
}

fn route(world: &mut World, call: &str, query: &str, body: &Value) -> Answer {
    let (method, path) = call.split_once(' ').unwrap();
    let parts: Vec<&str> = path.split('/').skip(1).filter(|part| !part.is_empty()).collect();
    let query = pairs(query);
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match (method, parts.as_slice()) {
        ("GET", ["plan"]) => Ok((200, catalogue::plans())),
        ("GET", ["server_size"]) => Ok((200, catalogue::sizes())),
        ("GET", ["price"]) => Ok((200, catalogue::prices())),
        ("GET", ["zone"]) => Ok((200, catalogue::zones())),
        ("GET", ["storage", "template"]) => Ok((200, catalogue::templates())),
        ("GET", ["server"]) => {
            let labels = query.iter().filter(|(key, _)| key == "label");
            let labels = labels.filter_map(|(_, label)| label.split_once('='));
            let labels: Vec<(String, String)> = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            let number = |name: &str, default| value(name).map_or(default, |text| text.parse().unwrap());
            Ok((200, world.list(&labels, number("limit", 100).min(100), number("offset", 0))))
        }
        ("POST", ["server"]) => world.create(body).map(|answer| (202, answer)),
        ("GET", ["server", id]) => world.get(id).map(|answer| (200, answer)),
        ("PUT", ["server", id]) => world.relabel(id, body).map(|answer| (202, answer)),
        ("POST", ["server", id, "start"]) => world.start(id, body).map(|answer| (200, answer)),
        ("POST", ["server", id, "stop"]) => world.stop(id, body).map(|answer| (200, answer)),
        ("DELETE", ["server", id]) => world.delete(id, value("storages") == Some("1")).map(|()| (204, Value::Null)),
        _ => Err(Denial::old(404, "NOT_FOUND", "There is no such resource.")),
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    // A URL's own parser knows every escape.
    let url: reqwest::Url = format!("http://stub/?{query}").parse().unwrap();
    url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

fn told(answer: Answer) -> Response {
    match answer {
        Ok((status, Value::Null)) => StatusCode::from_u16(status).unwrap().into_response(),
        Ok((status, body)) => (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response(),
        Err(denial) => denied(&denial),
    }
}

fn denied(denial: &Denial) -> Response {
    let Denial { status, code, message, is_detailed } = denial;
    let (kind, body) = if *is_detailed {
        let page = format!("https://developers.upcloud.com/1.3/errors#ERROR_{code}");
        let body = json!({"type": page, "title": message, "status": status, "correlation_id": "01TESTS"});
        ("application/problem+json", body)
    } else {
        ("application/json; charset=UTF-8", json!({"error": {"error_code": code, "error_message": message}}))
    };
    (StatusCode::from_u16(*status).unwrap(), [(header::CONTENT_TYPE, kind)], body.to_string()).into_response()
}

fn mishandled(mishap: &Mishap, headers: &HeaderMap, sent: &Value) -> Response {
    let again = |status, after: u32| {
        let mut response = denied(&Denial::old(status, "", "Too much at once."));
        response.headers_mut().insert(header::RETRY_AFTER, after.into());
        response
    };
    match mishap {
        // A body that breaks off before it begins takes the connection with it.
        Mishap::LostReply => {
            let broken = futures_util::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("cut")) });
            Response::new(Body::from_stream(broken))
        }
        Mishap::FailedReply | Mishap::Failure => {
            denied(&Denial::detailed(500, "SERVICE_ERROR", "Something went wrong."))
        }
        Mishap::TooMany(after) => again(429, *after),
        Mishap::Unavailable(after) => again(503, *after),
        Mishap::Refusal { status, code, is_detailed } => {
            let denial = Denial::old(*status, code, "It is refused.");
            denied(&Denial { is_detailed: *is_detailed, ..denial })
        }
        Mishap::Unauthorised => {
            denied(&Denial::old(401, "AUTHENTICATION_FAILED", &format!("Authentication failed: {headers:?} {sent}")))
        }
    }
}

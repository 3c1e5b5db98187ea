//! A request for what is a WebSocket, or can be one.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::envelope::Code;
use crate::api::live::Token;
use crate::api::operations;
use crate::app::{App, Caller, Context};
use crate::server::error::HttpError;
use crate::server::extract::{Authenticated, bearer, caller};
use crate::server::listen::Place;

/// Who asks, and how.
pub(in crate::server) enum Visit {
    /// As with any other request, with a token that was checked.
    Plain(Context),
    /// With the handshake of a WebSocket; who it is comes later.
    Socket(Box<Knock>),
}

/// A handshake.
pub(in crate::server) struct Knock {
    pub(super) upgrade: WebSocketUpgrade,
    pub(super) caller: Caller,
    /// The operation that it is for.
    pub(super) operation: &'static str,
    /// The token of the `Authorization` header.
    pub(super) token: Option<Token>,
    pub(super) place: Place,
}

impl FromRequestParts<Arc<App>> for Visit {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, HttpError> {
        if !wants_socket(&parts.headers) {
            return Ok(Self::Plain(Authenticated::from_request_parts(parts, app).await?.0));
        }
        let upgrade = WebSocketUpgrade::from_request_parts(parts, app).await;
        let upgrade = upgrade.map_err(|rejection| no_handshake(&rejection))?;
        let has_token = parts.headers.contains_key(header::AUTHORIZATION);
        let token = has_token.then(|| bearer(&parts.headers)).transpose()?.map(|token| Token(token.to_owned()));
        let place = parts.extensions.get::<Place>().cloned();
        let place = place.ok_or_else(|| HttpError::invalid("this connection can't become a WebSocket"))?;
        let operation = parts.extensions.get::<MatchedPath>().map_or("", |path| path.as_str());
        let operation = operations::at(parts.method.as_str(), operation).map_or("", |row| row.id);
        Ok(Self::Socket(Box::new(Knock { upgrade, caller: caller(parts)?, operation, token, place })))
    }
}

/// Whether it is to become a WebSocket: what else a connection could become is passed over, as RFC 9110 has it.
fn wants_socket(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::UPGRADE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case("websocket"))
}

fn no_handshake(rejection: &WebSocketUpgradeRejection) -> HttpError {
    HttpError::invalid(format!("this is no handshake of a WebSocket (RFC 6455): {rejection}"))
}

/// Refuses a token in the query of a request that could have sent it in a header.
pub(in crate::server) fn no_token(token: Option<&Token>) -> Result<(), HttpError> {
    match token {
        None => Ok(()),
        Some(_) => Err(HttpError::invalid("a token in the query is for WebSockets; send `Authorization: Bearer …`")),
    }
}

/// The answer to a request for what is a WebSocket and nothing else (RFC 9110 section 15.5.22).
pub(in crate::server) fn upgrade_required() -> Response {
    let what = "this is a WebSocket: connect with ws:// or wss://, or follow `GET /events`";
    let mut response = HttpError::new(StatusCode::UPGRADE_REQUIRED, Code::InvalidRequest, what).into_response();
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

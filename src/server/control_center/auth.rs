//! Login.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::api::auth::{LoginRequest, read_logout, read_refresh};
use crate::api::token::OwnerQuery;
use crate::api::users::PasswordChange;
use crate::app::App;
use crate::model::id::SessionId;
use crate::server::envelope::data;
use crate::server::error::Answered;
use crate::server::extract::{Anonymous, Authenticated, Id, JsonBody, Public};
use crate::server::query::Query;

type Shared = State<Arc<App>>;

pub(super) async fn auth_login(app: Shared, caller: Anonymous, body: JsonBody<Public>) -> Answered {
    let request = body.read(LoginRequest::read)?;
    Ok(data(app.auth_login(&caller.0, request).await?))
}

pub(super) async fn auth_refresh(app: Shared, caller: Anonymous, body: JsonBody<Public>) -> Answered {
    let token = body.read(read_refresh)?;
    Ok(data(app.auth_refresh(&caller.0, &token).await?))
}

pub(super) async fn auth_logout(app: Shared, caller: Authenticated, body: JsonBody) -> Answered {
    let all = body.read(read_logout)?;
    app.auth_logout(&caller.0, all).await?;
    Ok(data(serde_json::json!({ "logged_out": true })))
}

pub(super) async fn auth_verify(app: Shared, caller: Authenticated) -> Answered {
    Ok(data(app.auth_verify(&caller.0)?))
}

pub(super) async fn auth_password(app: Shared, caller: Authenticated, body: JsonBody<Public>) -> Answered {
    let change = body.read(PasswordChange::read)?;
    Ok(data(app.auth_password(&caller.0, change).await?))
}

pub(super) async fn session_list(app: Shared, caller: Authenticated, Query(of, _): Query<OwnerQuery>) -> Answered {
    Ok(data(app.session_list(&caller.0, of.user.as_ref()).await?))
}

pub(super) async fn session_delete(app: Shared, caller: Authenticated, id: Id<SessionId>) -> Answered {
    app.session_delete(&caller.0, id.0).await?;
    Ok(data(serde_json::json!({ "deleted": id.0 })))
}

/// A JWK set as RFC 7517 has it, without the envelope: JWT libraries read it.
pub(super) async fn jwks(app: Shared) -> Response {
    Json(app.jwks()).into_response()
}

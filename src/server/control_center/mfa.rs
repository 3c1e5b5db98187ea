//! The caller's second factor.

use std::sync::Arc;

use axum::extract::State;

use crate::api::mfa::{Removal, read_code, read_enrolment};
use crate::app::App;
use crate::server::envelope::data;
use crate::server::error::Answered;
use crate::server::extract::{Authenticated, JsonBody, Public};

type Shared = State<Arc<App>>;

pub(super) async fn mfa_get(app: Shared, caller: Authenticated) -> Answered {
    Ok(data(app.mfa_get(&caller.0).await?))
}

pub(super) async fn mfa_enroll_totp(app: Shared, caller: Authenticated, body: JsonBody<Public>) -> Answered {
    let password = body.read(read_enrolment)?;
    Ok(data(app.mfa_enroll_totp(&caller.0, &password).await?))
}

pub(super) async fn mfa_verify(app: Shared, caller: Authenticated, body: JsonBody<Public>) -> Answered {
    let code = body.read(read_code)?;
    Ok(data(app.mfa_verify(&caller.0, &code).await?))
}

pub(super) async fn mfa_disable(app: Shared, caller: Authenticated, body: JsonBody<Public>) -> Answered {
    let removal = body.read(Removal::read)?;
    Ok(data(app.mfa_disable(&caller.0, &removal).await?))
}

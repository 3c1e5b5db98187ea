//! Infras.

use std::sync::Arc;

use axum::extract::State;

use crate::app::App;
use crate::model::name::Name;
use crate::server::envelope::data;
use crate::server::error::Answered;
use crate::server::extract::{Authenticated, Id};

type Shared = State<Arc<App>>;

pub(super) async fn infra_list(app: Shared, caller: Authenticated) -> Answered {
    Ok(data(app.infra_list(&caller.0).await?))
}

pub(super) async fn infra_get(app: Shared, caller: Authenticated, name: Id<Name>) -> Answered {
    Ok(data(app.infra_get(&caller.0, name.0).await?))
}

pub(super) async fn infra_servers(app: Shared, caller: Authenticated, name: Id<Name>) -> Answered {
    Ok(data(app.infra_servers(&caller.0, name.0).await?))
}

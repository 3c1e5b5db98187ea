//! API tokens.

use std::sync::Arc;

use axum::extract::State;

use crate::api::token::{NewToken, OwnerQuery};
use crate::app::App;
use crate::model::id::ApiTokenId;
use crate::server::envelope::data;
use crate::server::error::Answered;
use crate::server::extract::{Authenticated, Id, JsonBody};
use crate::server::query::Query;

type Shared = State<Arc<App>>;

pub(super) async fn token_create(app: Shared, caller: Authenticated, body: JsonBody) -> Answered {
    let new = body.read(NewToken::read)?;
    Ok(data(app.token_create(&caller.0, new).await?))
}

pub(super) async fn token_list(app: Shared, caller: Authenticated, Query(of, _): Query<OwnerQuery>) -> Answered {
    Ok(data(app.token_list(&caller.0, of.user.as_ref()).await?))
}

pub(super) async fn token_delete(app: Shared, caller: Authenticated, id: Id<ApiTokenId>) -> Answered {
    app.token_delete(&caller.0, id.0).await?;
    Ok(data(serde_json::json!({ "deleted": id.0 })))
}

//! Users and roles.

use std::sync::Arc;

use axum::extract::State;

use crate::api::list::Page;
use crate::api::read::nothing;
use crate::api::users::{NewUser, UserChange, UserKey};
use crate::app::App;
use crate::server::envelope::{data, list};
use crate::server::error::Answered;
use crate::server::extract::{Authenticated, Id, JsonBody};
use crate::server::query::Query;

type Shared = State<Arc<App>>;

pub(super) async fn user_list(app: Shared, caller: Authenticated, Query(page, uri): Query<Page>) -> Answered {
    Ok(list(app.user_list(&caller.0, page).await?, page, &uri))
}

pub(super) async fn user_create(app: Shared, caller: Authenticated, body: JsonBody) -> Answered {
    let user = body.read(NewUser::read)?;
    Ok(data(app.user_create(&caller.0, user).await?))
}

pub(super) async fn user_get(app: Shared, caller: Authenticated, key: Id<UserKey>) -> Answered {
    Ok(data(app.user_get(&caller.0, &key.0).await?))
}

pub(super) async fn user_update(app: Shared, caller: Authenticated, key: Id<UserKey>, body: JsonBody) -> Answered {
    let change = body.read(UserChange::read)?;
    Ok(data(app.user_update(&caller.0, &key.0, change).await?))
}

pub(super) async fn user_delete(app: Shared, caller: Authenticated, key: Id<UserKey>) -> Answered {
    Ok(data(serde_json::json!({ "deleted": app.user_delete(&caller.0, &key.0).await? })))
}

pub(super) async fn user_unlock(app: Shared, caller: Authenticated, key: Id<UserKey>, body: JsonBody) -> Answered {
    body.read(nothing)?;
    Ok(data(app.user_unlock(&caller.0, &key.0).await?))
}

pub(super) async fn role_list(app: Shared, caller: Authenticated) -> Answered {
    Ok(data(app.role_list(&caller.0).await?))
}

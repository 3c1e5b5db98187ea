//! Policies.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;

use crate::api::policy::{Evaluate, NewPolicy, PolicyChange, PolicyQuery, read_rollback, read_validate};
use crate::app::App;
use crate::model::id::NotAnId;
use crate::server::envelope::{data, list};
use crate::server::error::Answered;
use crate::server::extract::{Authenticated, Id, JsonBody};
use crate::server::query::Query;

type Shared = State<Arc<App>>;

/// A policy's id or name, as it stands in the path.
pub(super) struct Key(String);

impl FromStr for Key {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        Ok(Self(text.to_owned()))
    }
}

pub(super) async fn policy_list(app: Shared, caller: Authenticated, Query(query, uri): Query<PolicyQuery>) -> Answered {
    Ok(list(app.policy_list(&caller.0, query).await?, query.page, &uri))
}

pub(super) async fn policy_create(app: Shared, caller: Authenticated, body: JsonBody) -> Answered {
    let new = body.read(NewPolicy::read)?;
    Ok(data(app.policy_create(&caller.0, new).await?))
}

pub(super) async fn policy_get(app: Shared, caller: Authenticated, id: Id<Key>) -> Answered {
    Ok(data(app.policy_get(&caller.0, &id.0.0).await?))
}

pub(super) async fn policy_update(app: Shared, caller: Authenticated, id: Id<Key>, body: JsonBody) -> Answered {
    let change = body.read(PolicyChange::read)?;
    Ok(data(app.policy_update(&caller.0, &id.0.0, change).await?))
}

pub(super) async fn policy_delete(app: Shared, caller: Authenticated, id: Id<Key>) -> Answered {
    Ok(data(app.policy_delete(&caller.0, &id.0.0).await?))
}

pub(super) async fn policy_versions(app: Shared, caller: Authenticated, id: Id<Key>) -> Answered {
    Ok(data(app.policy_versions(&caller.0, &id.0.0).await?))
}

pub(super) async fn policy_rollback(app: Shared, caller: Authenticated, id: Id<Key>, body: JsonBody) -> Answered {
    let version = body.read(read_rollback)?;
    Ok(data(app.policy_rollback(&caller.0, &id.0.0, version).await?))
}

pub(super) async fn policy_validate(app: Shared, caller: Authenticated, body: JsonBody) -> Answered {
    let content = body.read(read_validate)?;
    Ok(data(app.policy_validate(&caller.0, content).await?))
}

pub(super) async fn policy_evaluate(app: Shared, caller: Authenticated, body: JsonBody) -> Answered {
    let ask = body.read(Evaluate::read)?;
    Ok(data(app.policy_evaluate(&caller.0, ask).await?))
}

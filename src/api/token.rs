//! API tokens on the wire.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::read::{LABEL, Problem, Problems, label, seconds};
use super::users::{UserKey, roles};
use crate::model::id::{ApiTokenId, UserId};
use crate::model::time::Timestamp;
use crate::model::user::Role;

/// Body of `POST /auth/tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "NewApiToken")]
pub struct NewToken {
    /// What its owner calls it; none of their others is called so.
    #[schemars(regex(pattern = LABEL), length(min = 1, max = 256))]
    pub name: String,
    /// What it may at most; all that its maker may when absent.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
    /// How many seconds it is good for; 90 days when absent.
    #[schemars(range(max = 31_622_400))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

impl NewToken {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let (name, roles) = (object.required("name", label), roles(&object));
            let expires_in = object.optional("expires_in", seconds);
            object.no_more();
            Some(Self { name: name?, roles, expires_in })
        });
        problems.finish(read)
    }
}

/// An API token as its owner sees it: without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ApiToken")]
pub struct TokenView {
    /// Its id; what it is revoked by.
    pub id: ApiTokenId,
    /// What its owner calls it.
    pub name: String,
    /// How it begins: `prov_` and eight characters.
    pub prefix: String,
    /// Whose it is.
    pub owner: UserId,
    /// What it may at most; never more than its owner at the moment.
    pub roles: Vec<Role>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops being good.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

/// Answer of `POST /auth/tokens`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MadeApiToken")]
pub struct MadeToken {
    /// What to send as `Authorization: Bearer …`; it is not shown again.
    pub token: String,
    /// What is known of it from now on.
    #[serde(flatten)]
    pub view: TokenView,
}

/// Hides the token.
impl fmt::Debug for MadeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeToken").field("view", &self.view).finish_non_exhaustive()
    }
}

/// Whose sessions or API tokens are asked for: the query of their lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
pub struct OwnerQuery {
    /// The user; the caller when absent.
    pub user: Option<UserKey>,
}

impl OwnerQuery {
    /// A path with the query behind it.
    #[must_use]
    pub fn behind(&self, path: &str) -> String {
        self.user.as_ref().map_or_else(|| path.to_owned(), |user| format!("{path}?user={user}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_problem_of_a_body_is_named() {
        let refused =
            |body: Value| NewToken::read(&body).unwrap_err().into_iter().map(|p| p.pointer).collect::<Vec<_>>();
        assert_eq!(
            refused(json!({ "roles": ["admin"], "expires_in": "1d", "owner": 1 })),
            ["/name", "/roles/0", "/expires_in", "/owner"]
        );
        assert_eq!(refused(json!({ "name": "a\nb", "roles": [] })), ["/name", "/roles"]);
        let good = NewToken::read(&json!({ "name": "ci" })).unwrap();
        assert_eq!(good, NewToken { name: "ci".to_owned(), roles: None, expires_in: None });
    }
}

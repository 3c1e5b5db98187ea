//! What every list takes: `limit`, `offset`, `after`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Which part of a list; newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(default)]
pub struct Page {
    /// Items at most, 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub limit: usize,
    /// Items to pass over from the newest, or after `after`.
    #[schemars(range(max = 9_223_372_036_854_775_807_u64))]
    pub offset: usize,
    /// Only items older than this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Uuid>,
}

impl Page {
    /// The largest `limit`.
    pub const MAX_LIMIT: usize = 1000;
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 50, offset: 0, after: None }
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// How many there are in all (`X-Total-Count`).
    pub total: u64,
    /// Where the next part starts, when there is one (`Link: …; rel="next"`).
    pub next_after: Option<Uuid>,
}

//! API tokens as they are stored: what a script presents instead of a login.

use serde::{Deserialize, Serialize};

use super::id::{ApiTokenId, UserId};
use super::time::Timestamp;
use super::user::Role;

/// A token that a user made for a script. Its secret is not in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// Its id; what it is revoked by.
    pub id: ApiTokenId,
    /// What the user calls it.
    pub name: String,
    /// The public part, by which it is found. Unique.
    pub prefix: String,
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// Whose it is.
    pub owner: UserId,
    /// The roles it was made with; it is worth no more than its owner's at the moment.
    pub roles: Vec<Role>,
    /// Whether it was made by a login with a second factor.
    #[serde(default)]
    pub mfa: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops being good.
    pub expires_at: Timestamp,
    /// When it was last presented, to the minute.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
}

//! Who asks: the operation context of one request.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::accounts::Standing;
use crate::api::operations::{self, Access};
use crate::auth::token::Claims;
use crate::model::id::{SessionId, UserId};
use crate::model::time::Timestamp;

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The address it came from.
    pub address: IpAddr,
    /// The request's id.
    pub request_id: String,
    /// What the client calls itself.
    pub user_agent: Option<String>,
}

impl Caller {
    /// Nobody: the daemon acts of its own accord.
    pub(super) fn none() -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), request_id: String::new(), user_agent: None }
    }

    pub(super) fn is_none(&self) -> bool {
        self.address.is_unspecified()
    }
}

/// Who asks, proven by a token that was checked. Only [`super::App::authenticate`] makes one.
#[derive(Clone, Debug)]
pub struct Context {
    pub(super) user: UserId,
    pub(super) username: String,
    /// How the user stands at the moment, whatever the token says.
    pub(super) standing: Arc<Standing>,
    pub(super) session: SessionId,
    pub(super) expires_at: Timestamp,
    /// Whether a second factor was given at login, and still is one.
    pub(super) mfa: bool,
    pub(super) caller: Caller,
}

/// The right to carry out one operation; opens what the app guards.
#[derive(Debug)]
pub struct Permit {
    /// The policies that gave it; none where no policy was asked.
    pub(super) policies: Vec<String>,
}

impl Context {
    /// Who the claims name, with what they may at the moment.
    pub(super) fn new(claims: Claims, standing: Arc<Standing>, caller: Caller) -> Self {
        Self {
            expires_at: claims.expires_at(),
            user: claims.sub,
            username: claims.username,
            session: claims.sid,
            mfa: claims.mfa && standing.mfa,
            standing,
            caller,
        }
    }

    /// The user's name.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Whose requests count together against the limit.
    #[must_use]
    pub fn principal(&self) -> UserId {
        self.user
    }
}

impl Permit {
    /// The right to what anybody may do: operations that the table calls public.
    pub(super) fn public(id: &'static str) -> Self {
        debug_assert!(operations::find(id).is_some_and(|row| row.access == Access::Public), "{id} is not public");
        Self { policies: Vec::new() }
    }

    /// The right of the daemon itself, to what nobody asked for.
    pub(super) fn own() -> Self {
        Self { policies: Vec::new() }
    }
}

//! Who asks: the operation context of one request.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::accounts::Standing;
use super::error::Error;
use crate::api::operations::{self, Access};
use crate::auth::token::Claims;
use crate::model::api_token::ApiToken;
use crate::model::id::{ApiTokenId, SessionId, UserId};
use crate::model::time::Timestamp;
use crate::model::user::Role;

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

/// What proves who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// An access token of a login.
    Session(SessionId),
    /// An API token.
    ApiToken(ApiTokenId),
}

/// Who asks, proven by a token that was checked. Only [`super::App::authenticate`] makes one.
#[derive(Clone, Debug)]
pub struct Context {
    pub(super) user: UserId,
    /// How the user stands at the moment, whatever the token says, as far as the token reaches.
    pub(super) standing: Arc<Standing>,
    /// How the owner of an API token stands by themselves: it may nothing that they may not.
    pub(super) owner: Option<Arc<Standing>>,
    pub(super) credential: Credential,
    /// When the token stops being good.
    pub(super) expires_at: Timestamp,
    /// Whether a second factor was given at login, and still is one; never with an API token.
    pub(super) mfa: bool,
    /// Whether that, or for an API token the login that made it, is enough where a role takes a second factor.
    pub(super) factor: bool,
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
    pub(super) fn of_session(claims: &Claims, standing: Arc<Standing>, caller: Caller) -> Self {
        Self {
            expires_at: claims.expires_at(),
            user: claims.sub,
            credential: Credential::Session(claims.sid),
            mfa: claims.mfa && standing.mfa,
            factor: claims.mfa && standing.mfa,
            standing,
            owner: None,
            caller,
        }
    }

    /// The owner of an API token that is worth these roles. Nobody gave a second factor with it.
    pub(super) fn of_api_token(token: &ApiToken, owner: Arc<Standing>, roles: Vec<Role>, caller: Caller) -> Self {
        Self {
            expires_at: token.expires_at,
            user: token.owner,
            credential: Credential::ApiToken(token.id),
            mfa: false,
            factor: token.mfa && owner.mfa,
            standing: Arc::new(Standing { roles, ..(*owner).clone() }),
            owner: Some(owner),
            caller,
        }
    }

    /// The login that the request belongs to, where it belongs to one.
    pub(super) fn session(&self) -> Option<SessionId> {
        match self.credential {
            Credential::Session(id) => Some(id),
            Credential::ApiToken(_) => None,
        }
    }

    /// The user's name.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.standing.username
    }

    /// When the token stops being good.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Goes on with a newer token.
    ///
    /// # Errors
    /// When it is somebody else's.
    pub fn renew(&mut self, newer: Self) -> Result<(), Error> {
        if newer.user != self.user {
            return Err(Error::NotAllowed("a connection stays with the user who opened it; open another one"));
        }
        *self = newer;
        Ok(())
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

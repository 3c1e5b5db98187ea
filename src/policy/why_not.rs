//! What a denied caller lacks.

use std::fmt;

use super::compile::Policies;
use super::request::{Circumstances, Request, Subject};
use crate::model::user::Role;

/// What would turn a denial: a role, a second factor, or both. Empty when neither would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhyNot {
    /// Each of these roles would be enough, in place of the caller's.
    pub roles: Vec<Role>,
    /// A second factor at login is needed.
    pub second_factor: bool,
}

impl Policies {
    /// What the caller of a denied request lacks: first whether a second factor alone would do, then which role, then which
    /// role with a second factor. A role that the caller has is not named: it isn't what is missing.
    #[must_use]
    pub fn why_not(&self, request: &Request<'_>) -> WhyNot {
        let circumstances = Circumstances { mfa: true, ..request.circumstances };
        let with_factor = Request { circumstances, ..*request };
        if !request.circumstances.mfa && self.decide(&with_factor).allowed {
            return WhyNot { roles: Vec::new(), second_factor: true };
        }
        let roles = self.roles_for(request);
        if roles.is_empty() && !request.circumstances.mfa {
            let roles = self.roles_for(&with_factor);
            return WhyNot { second_factor: !roles.is_empty(), roles };
        }
        WhyNot { roles, second_factor: false }
    }

    fn roles_for(&self, request: &Request<'_>) -> Vec<Role> {
        let others = Role::ALL.iter().filter(|role| !request.subject.roles.contains(role));
        let enough = others.filter(|role| {
            let subject = Subject { roles: std::slice::from_ref(*role), ..request.subject };
            self.decide(&Request { subject, ..*request }).allowed
        });
        enough.copied().collect()
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles = self.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" or ");
        match (roles.as_str(), self.second_factor) {
            ("", false) => f.write_str("no role would be enough"),
            ("", true) => f.write_str("it takes a login with a second factor"),
            (roles, false) => write!(f, "it takes the role {roles}"),
            (roles, true) => write!(f, "it takes the role {roles}, and a login with a second factor"),
        }
    }
}

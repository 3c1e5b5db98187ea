//! What a user may do. The one place that decides it, so that richer policies have one place to go.

use crate::model::user::Role;

/// Whether somebody with these roles may use operations beyond their own session. Denied unless a role permits it: an
/// administrator may do everything; as long as there are no policies, nobody else may do anything.
#[must_use]
pub fn permits(roles: &[Role]) -> bool {
    roles.contains(&Role::Admin)
}

//! The lock that only a permit opens.

use super::context::Permit;

/// Something that can't be reached without a permit.
pub(super) struct Guarded<T>(T);

impl<T> Guarded<T> {
    pub(super) fn new(inside: T) -> Self {
        Self(inside)
    }

    /// What is inside, for whoever was authorised.
    pub(super) fn open(&self, _: &Permit) -> &T {
        &self.0
    }
}

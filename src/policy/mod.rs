//! Authorisation policies, written in Cedar: who may do what to what, and why.
//!
//! Owns the schema, the policies that ship, their compilation, the decision and its explanation. Deliberately knows no store,
//! no HTTP and no clock: users, infras, times and the texts of policies come in, so that one question has one answer.
//!
//! Start at [`Policies::compile`] and [`Policies::decide`]. The rules:
//!
//! * What no policy permits is denied; what one forbids is denied whatever others permit.
//! * A permit that fails to evaluate permits nothing. A forbid that fails to evaluate forbids: nobody can tell any more
//!   whether it was meant to apply, and an error must not open a door. Cedar itself would skip it.
//! * A policy that can never apply, or hides what it says behind look-alike characters, is refused like one that is wrong.

mod compile;
mod decide;
mod depth;
mod entities;
mod lockout;
mod problem;
mod request;
mod schema;
mod shipped;
mod slice;
mod why_not;

pub use compile::{MAX_CONTENT_BYTES, MAX_POLICIES, MAX_TOTAL_BYTES, Policies, PolicyText, check};
pub use decide::Decision;
pub use lockout::{LockedOut, Reach};
pub use problem::{Problem, Problems};
pub use request::{Circumstances, Infra, Request, Resource, Subject};
pub use schema::schema;
pub use shipped::{Shipped, shipped};
pub use why_not::WhyNot;

#[cfg(test)]
mod tests;

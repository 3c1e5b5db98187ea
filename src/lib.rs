//! prov: durable provisioning.

pub mod api;
pub mod model;
pub mod provision;

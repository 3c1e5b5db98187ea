//! prov: durable provisioning.

pub mod model;
pub mod provision;

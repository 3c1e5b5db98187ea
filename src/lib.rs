//! prov: durable provisioning.

pub mod api;
pub mod engine;
pub mod model;
pub mod provision;
pub mod store;

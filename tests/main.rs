//! prov's tests, in one binary.

#![allow(clippy::unwrap_used)]

mod api;
mod authz;
mod cli;
mod docs;
mod local;
mod secrets;
mod servers;
mod settings;
mod sim;
mod support;
mod taskserv;
mod upcloud;

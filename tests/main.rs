//! prov's tests, in one binary.

#![allow(clippy::unwrap_used)]

mod api;
mod authz;
mod aws;
mod cli;
mod docs;
mod hosts;
mod local;
mod rehearsal;
mod secrets;
mod servers;
mod settings;
mod sim;
mod support;
mod taskserv;
mod upcloud;

//! The one test binary.

#![allow(clippy::unwrap_used)]

mod local;
mod servers;
mod settings;
mod sim;

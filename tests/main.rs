//! The one test binary.

#![allow(clippy::unwrap_used)]

mod settings;

//! The wire contract: what requests and responses look like, the error codes, and the one table of operations.
//!
//! Server and client meet only here. Owns shapes and the rules that a body alone can break; knows no axum, no store, and
//! nothing of what is true at the moment.

pub mod actions;
pub mod audit;
pub mod auth;
pub mod batch;
pub mod envelope;
pub mod event;
pub mod infra;
pub mod json;
pub mod list;
pub mod live;
pub mod logs;
pub mod mfa;
pub mod openapi;
pub mod operations;
pub mod policy;
pub mod read;
pub mod rollback;
pub mod state;
pub mod task;
pub mod token;
pub mod users;
pub mod webhook;
pub mod workflow;

//! The wire contract, against a real daemon.

mod auth;
mod batches;
mod crash;
mod envelope;
mod tasks;

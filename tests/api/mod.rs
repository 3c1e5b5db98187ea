//! The wire contract, against a real daemon.

mod auth;
mod batches;
mod cancel;
mod crash;
mod disk;
mod envelope;
mod tasks;

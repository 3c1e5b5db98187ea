//! The wire contract, against a real daemon.

mod attacks;
mod audit;
mod auth;
mod batches;
mod bodies;
mod cancel;
mod connections;
mod crash;
mod disk;
mod envelope;
mod events;
mod graphs;
mod infra;
mod keys;
mod limits;
mod logs;
mod mfa;
mod openapi;
mod rollback;
mod sockets;
mod state;
mod tasks;
mod tls;
mod tokens;
mod users;
mod webhooks;

#![doc = include_str!("ARCHITECTURE.md")]

pub mod api;
pub mod app;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod exec;
pub mod model;
pub mod provision;
pub mod scheduler;
pub mod server;
pub mod store;

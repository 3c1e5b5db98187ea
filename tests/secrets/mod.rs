//! Secrets that settings and operations refer to, and credentials of providers: nothing of them is left anywhere.

pub mod canary;
mod commands;
mod daemon;
mod provider;

//! The local provider with real servers: needs root, and says so where it is not.

mod commands;
mod crashes;
mod mishaps;
mod network;
mod secrets;
mod support;
mod unprivileged;
mod whole_life;

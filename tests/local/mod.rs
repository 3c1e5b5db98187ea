//! The local provider with real servers: needs root, and says so where it is not.

mod commands;
mod container;
mod crashes;
mod mishaps;
mod network;
mod ownership;
mod podman;
mod secrets;
mod support;
mod unprivileged;
mod whole_life;

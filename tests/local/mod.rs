//! The local provider with real servers: needs root, and says so where it is not.

mod commands;
mod support;
mod whole_life;

//! One command by way of a shell at the other end of three pipes, with nothing of it on a command line.
//!
//! [`header`] says what goes there; `run.sh` is what the shell does with it; the streams come back with what is said of the
//! command between ([`marks`], [`session`]). Knows nothing of what leads there: ssh, or a container engine.

pub(in crate::provision) mod header;
pub(in crate::provision) mod marks;
pub(in crate::provision) mod session;

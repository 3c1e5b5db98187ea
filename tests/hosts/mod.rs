//! Servers that are reached over ssh, against a real sshd on a loopback port.

mod faults;
mod over_ssh;
pub mod sshd;

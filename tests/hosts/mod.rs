//! Servers that are reached over ssh, against a real sshd on a loopback port, and providers that are programs.

mod faults;
mod over_ssh;
mod own_hosts;
mod plugins;
pub mod sshd;
mod unasked;
mod workspace;

//! The process that ends a command with everything it started.
//!
//! Whoever starts a command in a server has entered the server, and while it forks there it must hold nothing of the
//! host's that the server's root could reach through it. So the helper forks this process before it enters: it stays
//! outside, with the host's `/proc` and the command's control group, and waits for a word. When the helper is gone without
//! one, the command is ended.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::super::procs::Procs;
use super::super::sys::{self, Fault, Side, at};
use super::group::Group;
use super::leftover::Family;

/// The command's first process is known: its pid follows, in four bytes.
const LEADER: u8 = b'l';
/// End the command.
const END: u8 = b'e';
/// It ended by itself: what it left behind may stay.
const RELEASE: u8 = b'r';

/// What is known of a command before it starts.
#[derive(Debug)]
pub struct Charge {
    /// The server's pid namespace.
    pub namespace: Vec<u8>,
    /// `NAME=VALUE` in the environment of what the command starts.
    pub mark: String,
    /// Its control group, where it has one.
    pub group: Option<Group>,
}

/// The helper's side.
#[derive(Debug)]
pub struct Warden(UnixStream);

impl Warden {
    /// Forks the process. Called before anything of a server is entered.
    pub fn start(charge: &Charge) -> Result<Self, Fault> {
        let (ours, theirs) = UnixStream::pair().map_err(at("can't make a socket"))?;
        match sys::fork().map_err(at("can't start the process that ends commands"))? {
            Side::Parent => Ok(Self(ours)),
            Side::Child => {
                drop(ours);
                // The maker must see the helper's end, not this process's.
                let _ = sys::to_null(&[0, 1, 2]);
                watch(theirs, charge);
                std::process::exit(0)
            }
        }
    }

    /// Tells which process leads the command.
    pub fn leads(&mut self, pid: u32) {
        let [a, b, c, d] = pid.to_le_bytes();
        self.send(&[LEADER, a, b, c, d]);
    }

    /// The command has ended by itself.
    pub fn release(mut self) {
        self.send(&[RELEASE]);
    }

    /// Has everything ended; `meanwhile` runs at every `interval`. Whether certainly nothing of it is left.
    pub fn end(mut self, interval: Duration, mut meanwhile: impl FnMut()) -> bool {
        self.send(&[END]);
        if self.0.set_read_timeout(Some(interval)).is_err() {
            return false;
        }
        let mut answer = [0];
        loop {
            meanwhile();
            match self.0.read(&mut answer) {
                Ok(count) => return count == 1 && answer == [1],
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => return false,
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        // A process that is gone can't be told anything; its absence shows where an answer is waited for.
        let _ = self.0.write_all(bytes);
    }
}

fn watch(mut helper: UnixStream, charge: &Charge) {
    charge.group.iter().for_each(Group::stand_beside);
    let mut leader = None;
    let mut word = [0];
    loop {
        match helper.read(&mut word) {
            Ok(1) if word == [LEADER] => {
                let mut pid = [0; 4];
                leader = helper.read_exact(&mut pid).ok().map(|()| i32::from_le_bytes(pid));
            }
            Ok(1) if word == [RELEASE] => return charge.group.iter().for_each(Group::dissolve),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    let is_ended = Procs::open().is_ok_and(|procs| Family { procs: &procs, leader, charge }.end());
    if let Some(group) = &charge.group {
        group.dissolve();
    }
    // Without a group, what hid itself well was not found.
    let _ = helper.write_all(&[u8::from(is_ended && charge.group.is_some())]);
}

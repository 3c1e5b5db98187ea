//! A connection to an engine that became the streams of a command, and the pipes on this side of it.
//!
//! The engine answers one request, `101`; from then on what is written is the command's standard input, and what is read
//! are frames of both its outputs. No HTTP client gives such a connection away without a runtime of its own, so this
//! one request is spoken here.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::Scope;
use std::time::Duration;

use serde_json::Value;

use crate::provision::transport::shell::session::Pipes;

/// Bytes of an answer's head that are read.
const MOST_HEAD: usize = 16_384;
/// Bytes that are passed on at once.
const CHUNK: usize = 65_536;

/// What became of the request.
pub enum Attached {
    /// The connection is the command's.
    Streams(UnixStream),
    /// What the engine said instead.
    Refused(Value),
}

/// Asks for the streams at `path`. `limit` is for each wait.
pub fn attach(socket: &Path, path: &str, body: &Value, limit: Duration) -> io::Result<Attached> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let head = head_of(&mut stream)?;
    if head.starts_with("HTTP/1.1 101") {
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        return Ok(Attached::Streams(stream));
    }
    let mut said = vec![0; MOST_HEAD];
    let count = stream.read(&mut said)?;
    let text = || Value::String(String::from_utf8_lossy(&said[..count]).trim().to_owned());
    Ok(Attached::Refused(serde_json::from_slice(&said[..count]).unwrap_or_else(|_| text())))
}

/// Reads up to the empty line, and nothing of what follows.
fn head_of(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MOST_HEAD {
            return Err(io::Error::other("the engine's answer has no end"));
        }
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Passes on what comes and goes, by two threads that end when either side does.
pub fn pump<'scope>(scope: &'scope Scope<'scope, '_>, stream: &'scope UnixStream) -> io::Result<Pipes> {
    let (from_us, stdin) = rustix::pipe::pipe()?;
    let (stdout, to_stdout) = rustix::pipe::pipe()?;
    let (stderr, to_stderr) = rustix::pipe::pipe()?;
    scope.spawn(move || {
        // A command needn't read its input.
        let _ = io::copy(&mut File::from(from_us), &mut &*stream);
        let _ = stream.shutdown(Shutdown::Write);
    });
    scope.spawn(move || {
        let (mut stdout, mut stderr) = (File::from(to_stdout), File::from(to_stderr));
        let (mut frames, mut chunk) = (Frames::default(), vec![0; CHUNK]);
        // The other side of the pipes says what it means that the connection is gone.
        while let Ok(count @ 1..) = (&mut &*stream).read(&mut chunk) {
            let passed = frames.split(&chunk[..count], |output, bytes| match output {
                Output::Stdout => stdout.write_all(bytes),
                Output::Stderr => stderr.write_all(bytes),
            });
            if passed.is_err() {
                break;
            }
        }
    });
    Ok(Pipes { stdin, stdout, stderr })
}

/// Which output of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Stdout,
    Stderr,
}

/// Takes both outputs apart: each frame is a byte that says which, three of nothing, the length in four, and the bytes.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; 8],
    /// How much of the header is there.
    filled: usize,
    /// What of the frame is still to come.
    left: usize,
}

impl Frames {
    /// Tells `sink` what `bytes` bring of which output.
    fn split(&mut self, mut bytes: &[u8], mut sink: impl FnMut(Output, &[u8]) -> io::Result<()>) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.filled < self.header.len() {
                let count = bytes.len().min(self.header.len() - self.filled);
                self.header[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
                self.filled += count;
                bytes = &bytes[count..];
                let [_, _, _, _, length @ ..] = self.header;
                self.left = u32::from_be_bytes(length) as usize;
            } else {
                let (now, later) = bytes.split_at(bytes.len().min(self.left));
                // Besides both outputs there is what the engine itself has to say.
                sink(if self.header[0] < 2 { Output::Stdout } else { Output::Stderr }, now)?;
                self.left -= now.len();
                bytes = later;
            }
            if self.filled == self.header.len() && self.left == 0 {
                self.filled = 0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn outputs_come_apart_however_the_frames_are_cut(
            frames in proptest::collection::vec((1u8..=3, proptest::collection::vec(any::<u8>(), 0..20)), 0..8),
            cuts in proptest::collection::vec(1usize..12, 1..6),
        ) {
            let (mut bytes, mut expected) = (Vec::new(), (Vec::new(), Vec::new()));
            for (output, content) in &frames {
                bytes.extend_from_slice(&[*output, 0, 0, 0]);
                bytes.extend_from_slice(&u32::try_from(content.len()).unwrap().to_be_bytes());
                bytes.extend_from_slice(content);
                if *output == 1 { &mut expected.0 } else { &mut expected.1 }.extend_from_slice(content);
            }
            let (mut splitter, mut seen) = (Frames::default(), (Vec::new(), Vec::new()));
            let mut rest = bytes.as_slice();
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at(rest.len().min(*cut));
                splitter.split(now, |output, bytes| {
                    if output == Output::Stdout { &mut seen.0 } else { &mut seen.1 }.extend_from_slice(bytes);
                    Ok(())
                }).unwrap();
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn nothing_behind_the_head_is_taken_for_it_and_none_is_endless() {
        let mut stream: &[u8] = b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nrest";
        assert!(head_of(&mut stream).unwrap().starts_with("HTTP/1.1 101"));
        assert_eq!(stream, b"rest");
        assert!(head_of(&mut &b"SSH-2.0\r\n"[..]).is_err());
        assert!(head_of(&mut io::repeat(b'x')).is_err());
    }
}

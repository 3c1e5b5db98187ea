//! What may stand between a client and a daemon: passes everything on, unless a test wants something else to become of a call.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is passed on.
    Pass,
    /// It is refused with this status.
    Refuse(u16),
    /// Its answer never comes.
    Swallow,
    /// So many bytes of its answer come, then both sides are hung up on.
    Cut(usize),
}

type Rule = Arc<Mutex<dyn FnMut(&str) -> Fate + Send>>;

/// A proxy.
pub struct Proxy {
    pub address: String,
    target: Arc<Mutex<String>>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Before the daemon at `target`; `rule` is asked about each call by the first line of its request.
    pub fn before(target: &str, rule: impl FnMut(&str) -> Fate + Send + 'static) -> Self {
        let listener = TcpListener::bind(super::ANY_PORT).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (target, calls) = (Arc::new(Mutex::new(target.to_owned())), Arc::new(Mutex::new(Vec::new())));
        let (rule, seen): (Rule, _) = (Arc::new(Mutex::new(rule)), Arc::clone(&calls));
        let goes_to = Arc::clone(&target);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let target = goes_to.lock().unwrap().trim_start_matches("http://").to_owned();
                let (rule, seen) = (Arc::clone(&rule), Arc::clone(&seen));
                thread::spawn(move || {
                    if let Ok(daemon) = TcpStream::connect(target) {
                        converse(client, daemon, &rule, &seen);
                    }
                });
            }
        });
        Self { address, target, calls }
    }

    /// The daemon is elsewhere from now on.
    pub fn redirect(&self, target: &str) {
        target.clone_into(&mut self.target.lock().unwrap());
    }

    /// The first lines of all calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

/// Passes requests on, and beside that answers, as far as they may come.
fn converse(mut client: TcpStream, mut daemon: TcpStream, rule: &Rule, seen: &Mutex<Vec<String>>) {
    let room = Arc::new(Mutex::new(usize::MAX));
    let (mut from, mut to) = (daemon.try_clone().unwrap(), client.try_clone().unwrap());
    let left = Arc::clone(&room);
    let answers = thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut left = left.lock().unwrap();
            let passed = count.min(*left);
            if to.write_all(&buffer[..passed]).is_err() || passed < count {
                break;
            }
            if *left < usize::MAX {
                *left -= passed;
            }
        }
        hang_up(&to);
        hang_up(&from);
    });
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..count]);
        let line = text.lines().next().unwrap_or_default();
        let is_call = line.ends_with("HTTP/1.1");
        let fate = if is_call { rule.lock().unwrap()(line) } else { Fate::Pass };
        if is_call {
            seen.lock().unwrap().push(line.to_owned());
        }
        match fate {
            Fate::Swallow => continue,
            Fate::Refuse(status) => {
                let body = r#"{"success":false,"error":"refused","code":"not_found","request_id":"-"}"#;
                let head = format!("HTTP/1.1 {status} No\r\ncontent-length: {}\r\n\r\n", body.len());
                if client.write_all((head + body).as_bytes()).is_err() {
                    break;
                }
                continue;
            }
            Fate::Cut(bytes) => *room.lock().unwrap() = bytes,
            Fate::Pass => {}
        }
        if daemon.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    hang_up(&daemon);
    let _ = answers.join();
}

fn hang_up(stream: &TcpStream) {
    // It may be gone already.
    let _ = stream.shutdown(Shutdown::Both);
}

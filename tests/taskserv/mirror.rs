//! A mirror on the loopback address that gives files, and gives them badly where it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What an answer is like.
#[derive(Clone, Debug)]
pub enum Manner {
    /// As it should be, with ranges.
    Whole,
    /// The first time the connection ends after so many bytes; later ranges are given.
    CutOnce(usize),
    /// The same, and no ranges are known.
    CutOnceWithoutRanges(usize),
    /// It says that there are more bytes than come, always.
    Lies,
    /// It sends the client elsewhere.
    Redirect(String),
    /// It says no.
    Status(u16),
}

/// Files by path, and how each is served.
type Files = BTreeMap<String, (Vec<u8>, Manner)>;

/// A mirror; it ends with the test.
pub struct Mirror {
    pub port: u16,
    files: Arc<Mutex<Files>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    pub fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (files, asked) = (Arc::default(), Arc::default());
        let mirror = Self { port, files: Arc::clone(&files), asked: Arc::clone(&asked) };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Whoever goes away in the middle is no failure of the mirror's.
                let _ = serve(stream, &files, &asked);
            }
        });
        mirror
    }

    pub fn put(&self, path: &str, content: &[u8], manner: Manner) {
        self.files.lock().unwrap().insert(path.to_owned(), (content.to_vec(), manner));
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// `PATH`, or `PATH RANGE`, of each request.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// An address where nobody listens.
pub fn dead() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    format!("http://{}/dead", listener.local_addr().unwrap())
}

fn serve(
    mut stream: TcpStream,
    files: &Mutex<BTreeMap<String, (Vec<u8>, Manner)>>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let (mut path, mut range) = (String::new(), None);
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if path.is_empty() {
            line.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().clone_into(&mut path);
        } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            range = value.trim_end_matches('-').parse::<usize>().ok();
        } else if line.is_empty() {
            break;
        }
    }
    let words = range.map_or_else(|| path.clone(), |from| format!("{path} {from}"));
    asked.lock().unwrap().push(words);
    let Some((content, manner)) = files.lock().unwrap().get(&path).cloned() else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let (mut from, mut until, mut more) = (range.unwrap_or(0), content.len(), 0);
    match &manner {
        Manner::Status(status) => {
            return write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        Manner::Redirect(to) => {
            return write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Manner::CutOnce(bytes) => {
            until = *bytes;
            files.lock().unwrap().insert(path, (content.clone(), Manner::Whole));
        }
        Manner::CutOnceWithoutRanges(bytes) => {
            until = if asked.lock().unwrap().len() > 1 { content.len() } else { *bytes };
            from = 0;
        }
        Manner::Lies => more = 10,
        Manner::Whole => {}
    }
    if from > content.len() {
        return stream.write_all(b"HTTP/1.1 416 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let length = content.len() - from.min(content.len()) + more;
    if from > 0 {
        let total = content.len();
        write!(stream, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}\r\n", total - 1)?;
    } else {
        write!(stream, "HTTP/1.1 200 OK\r\n")?;
    }
    write!(stream, "Content-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&content[from..until.max(from)])
}

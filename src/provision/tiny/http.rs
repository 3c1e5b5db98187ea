//! HTTP/1.1 in the small (RFC 9112): GET and HEAD of any path answer one text; a connection is kept where the client
//! wants that.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The longest head of a request, in bytes.
const MOST_BYTES: u64 = 16 * 1024;

/// Answers a client until it has no more requests.
pub(super) fn answer(stream: TcpStream, text: &str) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        let body = format!("{text}\n");
        let (status, body) = match request.method.as_str() {
            "GET" | "HEAD" => ("200 OK", body.as_str()),
            _ => ("405 Method Not Allowed", "only GET and HEAD are answered\n"),
        };
        let connection = if request.keep { "keep-alive" } else { "close" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
            body.len()
        );
        let body = if request.method == "HEAD" { "" } else { body };
        writer.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
        if !request.keep {
            break;
        }
    }
    Ok(())
}

struct Request {
    method: String,
    keep: bool,
}

/// The next request's head; a body, which these methods have no use for, ends the connection.
fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut head = reader.take(MOST_BYTES);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let mut keep = words.nth(1) == Some("HTTP/1.1");
    loop {
        let mut header = String::new();
        if head.read_line(&mut header)? == 0 {
            return Ok(None);
        }
        let header = header.trim().to_ascii_lowercase();
        match header.split_once(':').map(|(name, value)| (name, value.trim())) {
            None if header.is_empty() => return Ok(Some(Request { method, keep })),
            Some(("connection", "close") | ("transfer-encoding", _)) => keep = false,
            Some(("content-length", length)) => keep &= length == "0",
            _ => {}
        }
    }
}

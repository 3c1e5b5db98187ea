//! HTTP/1.1 over a Unix socket, a connection a call. Knows no engine.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// Bytes of an answer that are read.
const MOST_BYTES: u64 = 32 << 20;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// One call and its whole answer. `limit` is for each wait, not for the whole.
pub fn call(socket: &Path, line: &str, body: Option<&Value>, limit: Duration) -> io::Result<Answer> {
    let mut reader = send(socket, line, body, "Connection: close", limit)?;
    answer(&mut reader)
}

/// A call whose connection becomes a stream of bytes; the answer where it doesn't.
pub fn attach(
    socket: &Path,
    line: &str,
    body: &Value,
    limit: Duration,
) -> io::Result<Result<BufReader<UnixStream>, Answer>> {
    let mut reader = send(socket, line, Some(body), "Connection: Upgrade\r\nUpgrade: tcp", limit)?;
    let (status, headers) = head(&mut reader)?;
    if status == 101 {
        return Ok(Ok(reader));
    }
    Ok(Err(Answer { status, body: rest(&mut reader, &headers)? }))
}

fn send(
    socket: &Path,
    line: &str,
    body: Option<&Value>,
    connection: &str,
    limit: Duration,
) -> io::Result<BufReader<UnixStream>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\n{connection}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    Ok(BufReader::new(stream))
}

fn answer(reader: &mut impl BufRead) -> io::Result<Answer> {
    let (status, headers) = head(reader)?;
    Ok(Answer { status, body: rest(reader, &headers)? })
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(8192).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(io::Error::other("the answer was cut short"));
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn head(reader: &mut impl BufRead) -> io::Result<(u16, Vec<String>)> {
    let first = line(reader)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("what answers there doesn't speak HTTP"))?;
    let mut headers = Vec::new();
    loop {
        let header = line(reader)?;
        if header.is_empty() || headers.len() == 100 {
            return Ok((status, headers));
        }
        headers.push(header.to_ascii_lowercase());
    }
}

fn rest(reader: &mut impl BufRead, headers: &[String]) -> io::Result<Vec<u8>> {
    let value = |name: &str| headers.iter().find_map(|header| header.strip_prefix(name)).map(str::trim);
    let mut body = Vec::new();
    if value("transfer-encoding:") == Some("chunked") {
        loop {
            let size = line(reader)?;
            let size = u64::from_str_radix(size.split(';').next().unwrap_or_default(), 16).map_err(io::Error::other)?;
            if size == 0 {
                return Ok(body);
            }
            if body.len() as u64 + size > MOST_BYTES {
                return Err(io::Error::other("the answer is too long"));
            }
            let had = body.len() as u64;
            reader.take(size).read_to_end(&mut body)?;
            if body.len() as u64 != had + size {
                return Err(io::Error::other("the answer was cut short"));
            }
            line(reader)?;
        }
    }
    let length = value("content-length:").and_then(|length| length.parse().ok()).unwrap_or(MOST_BYTES);
    reader.take(length.min(MOST_BYTES)).read_to_end(&mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_by_length_in_chunks_or_to_the_end() {
        let read = |mut text: &[u8]| answer(&mut text).map(|answer| (answer.status, answer.body)).ok();
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc"), Some((200, b"ab".to_vec())));
        let chunks = b"HTTP/1.1 201 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        assert_eq!(read(chunks), Some((201, b"abc".to_vec())));
        assert_eq!(read(&chunks[..chunks.len() - 9]), None);
        assert_eq!(read(b"HTTP/1.0 404 x\r\n\r\nno"), Some((404, b"no".to_vec())));
        assert_eq!(read(b"SSH-2.0\r\n\r\n"), None);
    }
}

//! What hyper answers by itself, in our envelope.
//!
//! A request that is no HTTP never becomes one: hyper answers it with a bare status, and offers no way to say more. Its
//! answer is known by having no body, which none of ours is without, and is replaced on its way out.

use uuid::Uuid;

use super::super::safeguards;
use super::HEADER_BYTES;
use crate::api::envelope::{Code, Failure};

/// The longest answer that hyper gives by itself, and more.
const LONGEST: usize = 512;

/// Our answer, when `head` is one that hyper gives by itself.
pub(super) fn in_place_of(head: &[u8], is_encrypted: bool) -> Option<Vec<u8>> {
    if head.len() > LONGEST || !head.starts_with(b"HTTP/1.1 4") || !head.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(head).ok()?;
    if !head.contains("\r\ncontent-length: 0\r\n") {
        return None;
    }
    let status = head.lines().next()?.strip_prefix("HTTP/1.1 ")?;
    let error = match status.get(..3)? {
        "414" => "the path is too long".to_owned(),
        "431" => format!("the request line and the headers have more than {HEADER_BYTES} bytes, or are too many"),
        _ => "this is no HTTP/1.1 request: its first line or a header is malformed".to_owned(),
    };
    Some(answer(status, error, is_encrypted))
}

/// Our answer to a client that doesn't encrypt where it must.
pub(super) fn plain() -> Vec<u8> {
    let error = "connections to this address are encrypted: write https://, not http://".to_owned();
    answer("400 Bad Request", error, false)
}

fn answer(status: &str, error: String, is_encrypted: bool) -> Vec<u8> {
    let request_id = Uuid::now_v7().to_string();
    tracing::debug!(status, request_id, "a request could not be read");
    let failure =
        Failure { success: false, error, code: Code::InvalidRequest, details: None, request_id: request_id.clone() };
    let body = serde_json::to_string(&failure).expect("a failure has no map with keys that aren't text");
    let (length, safeguards) = (body.len(), safeguards::lines(is_encrypted));
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\nx-request-id: {request_id}\r\n{safeguards}\r\n{body}"
    );
    answer.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_without_a_body_is_replaced() {
        let own = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let answer = String::from_utf8(in_place_of(own, true).unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{answer}");
        assert!(answer.contains("{\"success\":false,"), "{answer}");
        for part in ["\r\ncache-control: no-store\r\n", "\r\nstrict-transport-security: max-age=31536000\r\n\r\n{"] {
            assert!(answer.contains(part), "{answer}");
        }
        assert!(in_place_of(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true).is_none());
        assert!(in_place_of(b"HTTP/1.1 404 Not Found\r\ncontent-length: 10\r\n\r\n", true).is_none());
    }
}

//! Headers of every answer that keep browsers and caches from making anything of it but data (OWASP's REST security cheat
//! sheet).

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

static ALWAYS: [(HeaderName, HeaderValue); 4] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];
/// For a year, a browser doesn't try without encryption. Means something, and may be sent, on encrypted connections alone
/// (RFC 6797 section 7.2).
static ENCRYPTED: [(HeaderName, HeaderValue); 1] =
    [(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"))];

fn all(is_encrypted: bool) -> impl Iterator<Item = &'static (HeaderName, HeaderValue)> {
    let more = if is_encrypted { &ENCRYPTED[..] } else { &[] };
    ALWAYS.iter().chain(more)
}

/// Adds those that the answer doesn't have yet: a page says itself what it may do.
pub(super) fn add(headers: &mut HeaderMap, is_encrypted: bool) {
    for (name, value) in all(is_encrypted) {
        headers.entry(name).or_insert_with(|| value.clone());
    }
}

/// Them as lines of an answer that is written by hand.
pub(super) fn lines(is_encrypted: bool) -> String {
    let line = |(name, value): &(HeaderName, HeaderValue)| {
        format!("{name}: {}\r\n", value.to_str().expect("they are written above, in ASCII"))
    };
    all(is_encrypted).map(line).collect()
}

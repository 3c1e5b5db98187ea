//! Close codes: how a connection ends, and what of it a client can act on.

use crate::app::Error;

/// The daemon ends, or the connection had to make room (RFC 6455 section 7.4.1).
pub(super) const GOING_AWAY: u16 = 1001;
/// The client broke the protocol.
pub(super) const PROTOCOL: u16 = 1002;
/// A text was none.
pub(super) const NOT_TEXT: u16 = 1007;
/// Too many frames were wrong.
pub(super) const POLICY: u16 = 1008;
/// A message was too large.
pub(super) const TOO_LARGE: u16 = 1009;
/// A fault of the daemon.
const INTERNAL: u16 = 1011;
/// No good token, or it is good no more.
const UNAUTHENTICATED: u16 = 4401;
/// The user may not, or may no more.
const FORBIDDEN: u16 = 4403;
/// Too many connections or requests.
const TOO_MANY: u16 = 4429;

/// The code of a connection that ends with this error.
pub(super) fn code(error: &Error) -> u16 {
    match error {
        Error::Unauthenticated(_) | Error::MfaRequired(_) => UNAUTHENTICATED,
        Error::Forbidden(_) | Error::NotAllowed(_) | Error::NotFound { .. } => FORBIDDEN,
        Error::RateLimited { .. } | Error::TooManyOpen { .. } => TOO_MANY,
        Error::Unavailable(_) => GOING_AWAY,
        Error::Internal(_) => INTERNAL,
        Error::Invalid(_) | Error::Policy(_) | Error::Conflict(_) => POLICY,
    }
}

/// As much of the reason as a close frame has room for: 123 bytes.
pub(super) fn reason(error: &str) -> &str {
    let mut end = error.len().min(120);
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    &error[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_and_is_text() {
        assert_eq!(reason("short"), "short");
        let long = reason(&"é".repeat(200)).to_owned();
        assert_eq!((long.len(), long.chars().all(|c| c == 'é')), (120, true));
    }
}

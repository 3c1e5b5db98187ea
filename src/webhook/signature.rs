//! What proves to a receiver that a message is the daemon's and new: `t=<seconds>,v1=<HMAC-SHA256 of "t.body">`.
//!
//! Whoever has the secret computes the same over the body as it came, byte for byte, and refuses a time long past. While a
//! secret is changed there are two signatures, and one that fits is enough.

use std::fmt::Write;

use aws_lc_rs::hmac;

use crate::model::time::Timestamp;
use crate::model::webhook::WebhookSecret;

/// The value of `X-Prov-Signature`.
pub fn signature<'a>(secrets: impl IntoIterator<Item = &'a WebhookSecret>, at: Timestamp, body: &[u8]) -> String {
    let seconds = at.seconds();
    let mut text = format!("t={seconds}");
    for secret in secrets {
        let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.0.as_bytes()));
        signing.update(format!("{seconds}.").as_bytes());
        signing.update(body);
        text.push_str(",v1=");
        for byte in signing.sign().as_ref() {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `printf '1790000000.{"a":1}' | openssl dgst -sha256 -hmac swordfish-and-chips`.
    const KNOWN: &str = "6828fb2982f36c52dc5bd4dad37dcd951bef43b6de85ab05719400ec3dd91aa9";

    #[test]
    fn a_signature_is_what_others_compute() {
        let (secret, at) = (WebhookSecret("swordfish-and-chips".to_owned()), Timestamp(1_790_000_000_999));
        let known = format!("t=1790000000,v1={KNOWN}");
        assert_eq!(signature([&secret], at, br#"{"a":1}"#), known);
        let other = WebhookSecret("another-one-altogether".to_owned());
        let both = signature([&other, &secret], at, br#"{"a":1}"#);
        assert!(both.starts_with("t=1790000000,v1=") && both.ends_with(&format!(",v1={KNOWN}")), "{both}");
        assert_ne!(signature([&secret], at, br#"{"a":2}"#), known);
    }
}

//! One-time codes of an authenticator app (TOTP, RFC 6238): HMAC-SHA-1, six digits, steps of 30 s, one step of tolerance.
//!
//! SHA-1 and six digits because every app knows them, and most ignore a URI that asks for others; what SHA-1 is weak in,
//! collisions, HMAC doesn't rely on. The algorithm is a dozen lines over the HMAC that signs everything else, so a library
//! would only bring a second implementation of it.
//!
//! A code is good once, and none is good that is older than the last: the record goes in with the last accepted step and
//! comes out with the new one. Whoever stores it must make sure that it is still the one that was read. A wrong code counts
//! against the account like a wrong password ([`super::lockout`]); otherwise six digits are soon guessed.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{hmac, rand};

use super::secret::NoRandomness;
use crate::model::mfa::{Mfa, MfaState, TotpSecret};
use crate::model::time::Timestamp;

/// How long a code is the present one.
pub const STEP: Duration = Duration::from_secs(30);
/// Steps before and after the present one whose codes are good too: for clocks that differ, and people who type slowly.
const TOLERANCE: u64 = 1;
const DIGITS: usize = 6;
const ISSUER: &str = "prov";

/// What the user needs to set up the app; shown once. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The secret in base 32, for typing.
    pub secret: String,
    /// The secret as a URI that apps read, mostly from a QR code.
    pub uri: String,
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Enrolment(hidden)")
    }
}

/// Why there is no enrolment.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub enum EnrolError {
    /// A second factor that works must not be replaced by one that may not.
    #[error("a second factor is set up already; remove it first, with a code of it")]
    Active,
    /// No secret could be made.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

/// A new secret for a user whose present record is `present`. It counts for nothing until a code of it is [confirmed](confirm).
///
/// # Errors
/// When a second factor is active, or the system gives no random numbers.
pub fn enrol(present: Option<&Mfa>, username: &str, now: Timestamp) -> Result<(Mfa, Enrolment), EnrolError> {
    if present.is_some_and(Mfa::is_active) {
        return Err(EnrolError::Active);
    }
    let mut secret = [0u8; 20];
    rand::fill(&mut secret).map_err(|_| NoRandomness)?;
    let shown = base32(&secret);
    let uri = uri(username, &shown);
    let record = Mfa {
        state: MfaState::Pending,
        secret: TotpSecret(secret),
        last_step: None,
        backup: Vec::new(),
        backup_salt: [0; 16],
        enrolled_at: now,
    };
    Ok((record, Enrolment { secret: shown, uri }))
}

/// The record of an enrolment that the code confirms: logins ask for a code from now on, and this one is spent.
#[must_use]
pub fn confirm(pending: &Mfa, code: &str, now: Timestamp) -> Option<Mfa> {
    let step = (!pending.is_active()).then(|| accepted(pending, code, now)).flatten()?;
    Some(Mfa { state: MfaState::Active, last_step: Some(step), ..pending.clone() })
}

/// The record after a code that is good, which is spent by this. No code of an enrolment that was not confirmed is good.
#[must_use]
pub fn verify(active: &Mfa, code: &str, now: Timestamp) -> Option<Mfa> {
    let step = active.is_active().then(|| accepted(active, code, now)).flatten()?;
    Some(Mfa { last_step: Some(step), ..active.clone() })
}

/// The latest step that the code belongs to, among those that are good. The latest, because a code that happens to belong to
/// two steps would otherwise be good twice.
fn accepted(record: &Mfa, code: &str, now: Timestamp) -> Option<u64> {
    let code = digits(code)?;
    let present = u64::try_from(now.seconds()).ok()? / STEP.as_secs();
    let steps = present.saturating_sub(TOLERANCE)..=present + TOLERANCE;
    // Every step is compared, so that time doesn't tell which one matched.
    steps.fold(None, |found, step| {
        let matches = verify_slices_are_equal(&code, &six(number(&record.secret, step))).is_ok();
        if matches && record.last_step.is_none_or(|last| step > last) { Some(step) } else { found }
    })
}

/// Six digits, in the groups that apps show them in.
fn digits(code: &str) -> Option<[u8; DIGITS]> {
    let digits: Vec<u8> = code.bytes().filter(|byte| !byte.is_ascii_whitespace()).take(DIGITS + 1).collect();
    let digits: [u8; DIGITS] = digits.try_into().ok()?;
    digits.iter().all(u8::is_ascii_digit).then_some(digits)
}

/// The last six digits of a number.
fn six(number: u32) -> [u8; DIGITS] {
    let mut rest = number;
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).expect("a digit is less than 256");
        rest /= 10;
    }
    digits
}

/// The number that a code is the last digits of: 31 bits out of the HMAC of the step (RFC 4226 section 5.3).
fn number(secret: &TotpSecret, step: u64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret.0);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[tag.len() - 1] & 0x0f);
    let bytes = [tag[offset], tag[offset + 1], tag[offset + 2], tag[offset + 3]];
    u32::from_be_bytes(bytes) & 0x7fff_ffff
}

/// The key URI that authenticator apps agree on (<https://github.com/google/google-authenticator/wiki/Key-Uri-Format>).
fn uri(username: &str, secret: &str) -> String {
    let user = percent_encoded(username);
    let period = STEP.as_secs();
    format!(
        "otpauth://totp/{ISSUER}:{user}?secret={secret}&issuer={ISSUER}&algorithm=SHA1&digits={DIGITS}&period={period}"
    )
}

/// The text with everything escaped that isn't unreserved in a URI (RFC 3986 section 2.3).
fn percent_encoded(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}

/// Base 32 (RFC 4648) of bytes that need no padding, because they come in fives.
fn base32(bytes: &[u8; 20]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letters = |five: &[u8]| {
        let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8).rev().map(move |place| char::from(ALPHABET[usize::from((bits >> (place * 5) & 31) as u8)]))
    };
    bytes.chunks_exact(5).flat_map(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: TotpSecret = TotpSecret(*b"12345678901234567890");

    fn active() -> Mfa {
        let (record, _) = enrol(None, "alice", Timestamp(0)).unwrap();
        Mfa { state: MfaState::Active, secret: SECRET, ..record }
    }

    fn at(step: u64) -> Timestamp {
        Timestamp(i64::try_from(step * 30_000 + 12_345).unwrap())
    }

    fn code(step: u64) -> String {
        String::from_utf8(six(number(&SECRET, step)).to_vec()).unwrap()
    }

    #[test]
    fn the_test_vectors_of_rfc_6238() {
        let vectors = [
            (59, 94_287_082),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ];
        for (seconds, expected) in vectors {
            assert_eq!(number(&SECRET, seconds / 30) % 100_000_000, expected, "{seconds}");
            let code = format!("{:06}", expected % 1_000_000);
            let now = Timestamp(i64::try_from(seconds * 1000).unwrap());
            assert_eq!(verify(&active(), &code, now).unwrap().last_step, Some(seconds / 30));
        }
    }

    #[test]
    fn the_test_vectors_of_rfc_4226() {
        let codes = [755_224, 287_082, 359_152, 969_429, 338_314, 254_676, 287_922, 162_583, 399_871, 520_489];
        for (step, expected) in (0..).zip(codes) {
            assert_eq!(code(step), format!("{expected:06}"));
        }
    }

    #[test]
    fn the_step_before_and_the_one_after_are_good_and_no_other() {
        for (step, good) in [(98, false), (99, true), (100, true), (101, true), (102, false)] {
            assert_eq!(verify(&active(), &code(step), at(100)).is_some(), good, "{step}");
        }
    }

    #[test]
    fn no_code_is_good_twice_and_none_older_than_the_last() {
        let after = verify(&active(), &code(100), at(100)).unwrap();
        assert_eq!(verify(&after, &code(100), at(100)), None);
        assert_eq!(verify(&after, &code(99), at(100)), None);
        assert_eq!(verify(&after, &code(101), at(100)).unwrap().last_step, Some(101));
        assert_eq!(verify(&after, &code(100), at(101)), None);
    }

    #[test]
    fn what_is_not_six_digits_is_no_code() {
        let good = code(100);
        for wrong in ["", "12345", "abcdef", "-12345", "١٢٣٤٥٦", &format!("{good}0"), &format!("0{good}"), &good[..5]]
        {
            assert_eq!(verify(&active(), wrong, at(100)), None, "{wrong}");
        }
        let grouped = format!(" {} {}\n", &good[..3], &good[3..]);
        assert!(verify(&active(), &grouped, at(100)).is_some());
        assert_eq!(verify(&active(), &good, Timestamp(-1)), None);
    }

    #[test]
    fn an_enrolment_counts_once_it_is_confirmed_and_is_not_replaced_then() {
        let (pending, _) = enrol(None, "alice", Timestamp(0)).unwrap();
        let pending = Mfa { secret: SECRET, ..pending };
        assert_eq!(verify(&pending, &code(100), at(100)), None);
        assert_eq!(confirm(&pending, "000000", at(100)), None);
        assert!(enrol(Some(&pending), "alice", at(100)).is_ok());
        let confirmed = confirm(&pending, &code(100), at(100)).unwrap();
        assert!(confirmed.is_active());
        assert_eq!(verify(&confirmed, &code(100), at(100)), None, "the code that confirmed is spent");
        assert_eq!(confirm(&confirmed, &code(101), at(101)), None);
        assert!(matches!(enrol(Some(&confirmed), "alice", at(100)), Err(EnrolError::Active)));
    }

    #[test]
    fn the_uri_names_user_and_secret_and_nothing_else_shows_them() {
        let (record, enrolment) = enrol(None, "jörg & co/ä?x=1:", Timestamp(0)).unwrap();
        let secret = &enrolment.secret;
        let expected = format!(
            "otpauth://totp/prov:j%C3%B6rg%20%26%20co%2F%C3%A4%3Fx%3D1%3A?secret={secret}&issuer=prov&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(enrolment.uri, expected);
        assert_eq!(secret.len(), 32);
        assert!(!format!("{enrolment:?} {record:?}").contains(secret));
        assert_ne!(*secret, enrol(None, "alice", Timestamp(0)).unwrap().1.secret);
    }

    #[test]
    fn base_32_is_that_of_the_rfc() {
        assert_eq!(base32(b"fooba12345678901234\xff"), "MZXW6YTBGEZDGNBVGY3TQOJQGEZDGNH7");
        assert_eq!(base32(&SECRET.0), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    proptest! {
        #[test]
        fn the_last_step_only_grows(tries in prop::collection::vec((0u64..6, 0u64..6), 0..30)) {
            let mut record = active();
            for (tried, now) in tries {
                if let Some(next) = verify(&record, &code(tried), at(now)) {
                    prop_assert!(next.last_step > record.last_step);
                    prop_assert!(tried.abs_diff(now) <= 1);
                    record = next;
                }
            }
        }
    }
}

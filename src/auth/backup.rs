//! Backup codes: ten codes for the day on which the authenticator app is lost, each good once.
//!
//! A code is twelve characters of Crockford's base 32 in three groups, 60 random bits: no `i`, `l`, `o` or `u`, and who
//! types those for `1` and `0` is understood. What is kept is their SHA-256 with a salt of the user's own; a slow hash
//! is for secrets that people choose. Who can read the record reads the secret of the codes beside it as well.
//!
//! They stand in for a code, never for the password, and a wrong one counts against the account ([`super::lockout`]).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;

use super::secret::NoRandomness;
use crate::model::digest::sha256;
use crate::model::mfa::Mfa;

/// How many codes a user has.
pub const CODES: usize = 10;
/// Characters of a code, without its hyphens.
const LENGTH: usize = 12;
const GROUP: usize = 4;
/// <https://www.crockford.com/base32.html>, in lower case.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The record with ten new codes, and the codes, which are shown once. Those from before are good no more.
///
/// # Errors
/// When the system gives no random numbers.
pub fn renew(record: &Mfa) -> Result<(Mfa, Vec<String>), NoRandomness> {
    let mut salt = [0u8; 16];
    let mut random = [[0u8; LENGTH]; CODES];
    rand::fill(&mut salt).map_err(|_| NoRandomness)?;
    rand::fill(random.as_flattened_mut()).map_err(|_| NoRandomness)?;
    // 32 divides 256: every character is as likely as another.
    let codes = random.map(|code| code.map(|byte| ALPHABET[usize::from(byte % 32)]));
    let backup = codes.iter().map(|code| hash(&salt, code)).collect();
    let grouped = codes.iter().map(|code| {
        let groups: Vec<String> = code.chunks(GROUP).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
        groups.join("-")
    });
    Ok((Mfa { backup, backup_salt: salt, ..record.clone() }, grouped.collect()))
}

/// The record without the code, when it is one of those that are left.
#[must_use]
pub fn spend(active: &Mfa, code: &str) -> Option<Mfa> {
    let presented = hash(&active.backup_salt, &read(code)?);
    // Every hash is compared, so that time doesn't tell which one matched.
    let place = (0..).zip(&active.backup).fold(None, |found, (place, kept)| {
        if verify_slices_are_equal(kept, &presented).is_ok() { Some(place) } else { found }
    });
    let place: usize = place.filter(|_| active.is_active())?;
    let mut next = active.clone();
    next.backup.remove(place);
    Some(next)
}

/// Whether a text has the form of a backup code, so that a login with one field knows what it was given.
#[must_use]
pub fn is_one(text: &str) -> bool {
    read(text).is_some()
}

fn hash(salt: &[u8; 16], code: &[u8; LENGTH]) -> [u8; 32] {
    sha256(&[salt.as_slice(), code.as_slice()].concat())
}

/// A code as it was made from one as it is typed.
fn read(code: &str) -> Option<[u8; LENGTH]> {
    let meant = code.bytes().filter(|byte| *byte != b'-' && !byte.is_ascii_whitespace()).map(|byte| {
        match byte.to_ascii_lowercase() {
            b'o' => b'0',
            b'i' | b'l' => b'1',
            byte => byte,
        }
    });
    let code: [u8; LENGTH] = meant.take(LENGTH + 1).collect::<Vec<u8>>().try_into().ok()?;
    code.iter().all(|byte| ALPHABET.contains(byte)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::totp;
    use crate::model::mfa::MfaState;
    use crate::model::time::Timestamp;
    use std::collections::BTreeSet;

    fn made() -> (Mfa, Vec<String>) {
        let (pending, _) = totp::enrol(None, "alice", Timestamp(0)).unwrap();
        renew(&Mfa { state: MfaState::Active, ..pending }).unwrap()
    }

    #[test]
    fn ten_codes_are_readable_and_differ() {
        let (record, codes) = made();
        assert_eq!((record.backup.len(), codes.len()), (10, 10));
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 10);
        for code in &codes {
            assert_eq!(code.len(), 14);
            assert_eq!(code.split('-').map(str::len).collect::<Vec<_>>(), [4, 4, 4]);
            assert!(!code.contains(['i', 'l', 'o', 'u']), "{code}");
            assert!(is_one(code));
            assert!(!format!("{record:?}").contains(code.as_str()));
        }
    }

    #[test]
    fn each_is_good_once() {
        let (mut record, codes) = made();
        for (used, code) in (1..).zip(&codes) {
            record = spend(&record, code).unwrap();
            assert_eq!(record.backup.len(), CODES - used);
            assert_eq!(spend(&record, code), None);
        }
    }

    #[test]
    fn what_people_type_for_a_code_is_understood() {
        let (record, codes) = made();
        let typed = codes[0].to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l");
        assert!(spend(&record, &format!(" {typed}\n")).is_some());
    }

    #[test]
    fn nothing_else_is_good() {
        let (record, codes) = made();
        let (other, foreign) = made();
        for wrong in ["", "123456", "uuuu-uuuu-uuuu", &codes[0][..13], &format!("{}0", codes[0]), &foreign[0]] {
            assert_eq!(spend(&record, wrong), None, "{wrong}");
        }
        let resalted = Mfa { backup_salt: other.backup_salt, ..record.clone() };
        assert_eq!(spend(&resalted, &codes[0]), None);
        let pending = Mfa { state: MfaState::Pending, ..record.clone() };
        assert_eq!(spend(&pending, &codes[0]), None);
        let (renewed, _) = renew(&record).unwrap();
        assert_eq!(spend(&renewed, &codes[0]), None, "new codes end the old ones");
    }
}

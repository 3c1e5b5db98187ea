//! API tokens: `prov_<prefix>_<secret>`, for scripts that can't log in.
//!
//! ```text
//! prov_8Kd2mQxZ_Vb3nR7tYpL0aSgW4cXeH1jUoFq6zMiDk9wTyEs2g5hB
//!      └── 8 ─┘ └───────────── 37 random ───────────┘└ 6 ─┘
//! ```
//!
//! All of it is letters and digits, so a double click takes a part whole, and `prov_[0-9A-Za-z]{8}_[0-9A-Za-z]{43}` finds
//! tokens in places where they don't belong. The prefix is public: the record is found by it, and people tell tokens apart
//! by it. The last six characters of the secret are the CRC-32 of everything before them, in base 62: a scanner drops what
//! only looks like a token, and a person hears of a typo, without asking the store. The other 37 are 220 random bits, so
//! their SHA-256 is kept, unsalted.
//!
//! A token never has more than its owner: what it is worth is asked with the owner's roles of the moment.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;

use super::secret::NoRandomness;
use crate::model::api_token::ApiToken;
use crate::model::digest::sha256;
use crate::model::id::{ApiTokenId, UserId};
use crate::model::time::Timestamp;
use crate::model::user::Role;

/// How long a token is good for when nobody says.
pub const LIFETIME: Duration = Duration::from_hours(90 * 24);
/// How long a token can be good for: one that is forgotten ends by itself.
pub const LONGEST_LIFETIME: Duration = Duration::from_hours(366 * 24);
/// How exactly it is kept when a token was last used: not every request is worth a write.
const USE_INTERVAL: Duration = Duration::from_mins(1);

const SCHEME: &str = "prov_";
const PREFIX: usize = 8;
const RANDOM: usize = 37;
const CHECKSUM: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a token is made for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What the user calls it.
    pub name: String,
    /// What it may at most.
    pub roles: Vec<Role>,
    /// Whether its maker gave a second factor.
    pub mfa: bool,
    /// How long it is good for.
    pub lifetime: Duration,
}

/// Why a token is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// A token with none would be worth nothing.
    #[error("a token needs at least one role")]
    NoRoles,
    /// A token has at most the roles of its maker.
    #[error("a token can't have the role {0}, because its maker hasn't")]
    Role(Role),
    /// Too short or too long.
    #[error("a token is good for at least a minute and at most {} days", LONGEST_LIFETIME.as_secs() / 86_400)]
    Lifetime,
    /// No secret could be made.
    #[error("the system gives no random numbers")]
    Random,
}

impl From<NoRandomness> for MakeError {
    fn from(_: NoRandomness) -> Self {
        Self::Random
    }
}

/// A token as it was presented. `Debug` shows its public part.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    prefix: String,
    hash: [u8; 32],
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Presented {
    /// The public part, by which the record is found.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAToken {
    /// It doesn't look like one.
    #[error("an API token looks like `prov_`, 8 characters, `_` and 43 characters")]
    Form,
    /// It looks like one, but isn't what was shown.
    #[error("the API token has a typo, or is not whole: copy it again")]
    Checksum,
}

/// A new token of a user who has these roles, and its text, which is shown once.
///
/// # Errors
/// When the user may not make it so, or the system gives no random numbers.
pub fn make(
    id: ApiTokenId,
    owner: UserId,
    owner_roles: &[Role],
    wanted: Wanted,
    now: Timestamp,
) -> Result<(ApiToken, String), MakeError> {
    if wanted.roles.is_empty() {
        return Err(MakeError::NoRoles);
    }
    if let Some(role) = wanted.roles.iter().find(|role| !has(owner_roles, **role)) {
        return Err(MakeError::Role(*role));
    }
    if wanted.lifetime < Duration::from_mins(1) || wanted.lifetime > LONGEST_LIFETIME {
        return Err(MakeError::Lifetime);
    }
    let prefix = random(PREFIX)?;
    let start = format!("{SCHEME}{prefix}_{}", random(RANDOM)?);
    let token = format!("{start}{}", checksum(&start));
    let record = ApiToken {
        id,
        name: wanted.name,
        hash: sha256(&token.as_bytes()[token.len() - RANDOM - CHECKSUM..]),
        prefix,
        owner,
        roles: wanted.roles,
        mfa: wanted.mfa,
        created_at: now,
        expires_at: now.plus(wanted.lifetime),
        last_used_at: None,
    };
    Ok((record, token))
}

/// Whether a text is meant as an API token, not as an access token, which is a JWT.
#[must_use]
pub fn is_meant(text: &str) -> bool {
    text.starts_with(SCHEME)
}

/// A token that was presented, if it is one.
///
/// # Errors
/// When it is none; the text doesn't show it.
pub fn parse(text: &str) -> Result<Presented, NotAToken> {
    let (prefix, secret) = text.strip_prefix(SCHEME).and_then(|rest| rest.split_once('_')).ok_or(NotAToken::Form)?;
    let is_form = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_form(prefix, PREFIX) || !is_form(secret, RANDOM + CHECKSUM) {
        return Err(NotAToken::Form);
    }
    let (start, end) = text.split_at(text.len() - CHECKSUM);
    if checksum(start) != end {
        return Err(NotAToken::Checksum);
    }
    Ok(Presented { prefix: prefix.to_owned(), hash: sha256(secret.as_bytes()) })
}

/// The roles that a presented token has now: those of its own that its owner has as well, who may have lost some. Nothing
/// when there are none, when it isn't the record's token, or when it is over. `owner_roles` is `None` for an owner who is
/// deleted or locked.
#[must_use]
pub fn worth(
    record: &ApiToken,
    presented: &Presented,
    owner_roles: Option<&[Role]>,
    now: Timestamp,
) -> Option<Vec<Role>> {
    let is_it = verify_slices_are_equal(&record.hash, &presented.hash).is_ok() && record.prefix == presented.prefix;
    if is_it { roles(record, owner_roles, now) } else { None }
}

/// The roles that a token has now, as [`worth`], for one that was presented before.
#[must_use]
pub fn roles(record: &ApiToken, owner_roles: Option<&[Role]>, now: Timestamp) -> Option<Vec<Role>> {
    let owner_roles = owner_roles.filter(|_| now < record.expires_at)?;
    let roles: Vec<Role> = record.roles.iter().copied().filter(|role| has(owner_roles, *role)).collect();
    (!roles.is_empty()).then_some(roles)
}

/// The record after a use, when that is worth writing down.
#[must_use]
pub fn used(record: &ApiToken, now: Timestamp) -> Option<ApiToken> {
    let is_news = record.last_used_at.is_none_or(|last| now.since(last) >= USE_INTERVAL);
    is_news.then(|| ApiToken { last_used_at: Some(now), ..record.clone() })
}

/// Whether somebody with these roles has the role, by itself or within another one.
fn has(roles: &[Role], wanted: Role) -> bool {
    roles.iter().any(|role| role.includes(wanted))
}

/// Random characters, each as likely as another: bytes beyond the last multiple of 62 are thrown away.
fn random(length: usize) -> Result<String, NoRandomness> {
    const FAIR: u8 = 248;
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = [0u8; 64];
        rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        let fair = bytes.iter().filter(|byte| **byte < FAIR).take(length - text.len());
        text.extend(fair.map(|byte| char::from(ALPHABET[usize::from(byte % 62)])));
    }
    Ok(text)
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.map(char::from).iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn wanted(roles: &[Role]) -> Wanted {
        Wanted { name: "ci".to_owned(), roles: roles.to_vec(), mfa: false, lifetime: LIFETIME }
    }

    fn made(owner_roles: &[Role], roles: &[Role]) -> Result<(ApiToken, String), MakeError> {
        let ids = (ApiTokenId(uuid::Uuid::from_u128(1)), UserId(uuid::Uuid::from_u128(2)));
        make(ids.0, ids.1, owner_roles, wanted(roles), NOW)
    }

    #[test]
    fn a_token_has_its_form_and_the_record_not_its_secret() {
        let (record, token) = made(&[Role::Operator], &[Role::Operator]).unwrap();
        let parts: Vec<&str> = token.split('_').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [4, 8, 43]);
        assert_eq!(parts[1], record.prefix);
        assert_eq!(record.hash, sha256(parts[2].as_bytes()));
        let presented = parse(&token).unwrap();
        assert_eq!(presented.prefix(), record.prefix);
        let shown = format!("{record:?} {presented:?} {}", serde_json::to_string(&record).unwrap());
        assert!(!shown.contains(parts[2]));
        assert!(is_meant(&token) && !is_meant("eyJhbGciOi"));
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // CRC-32 of "123456789" is cbf43926 (the check value of the catalogue of parametrised CRC algorithms).
        let checksum = checksum("123456789");
        let places = checksum.bytes().map(|c| ALPHABET.iter().position(|letter| *letter == c).unwrap());
        let value = places.fold(0u64, |value, digit| value * 62 + digit as u64);
        assert_eq!(value, 0xcbf4_3926);
    }

    #[test]
    fn a_typo_is_told_from_what_is_no_token() {
        let (_, token) = made(&[Role::Admin], &[Role::Admin]).unwrap();
        for place in 5..token.len() {
            let mut typo = token.clone().into_bytes();
            typo[place] = match typo[place] {
                b'_' => continue,
                b'x' => b'y',
                _ => b'x',
            };
            assert_eq!(parse(&String::from_utf8(typo).unwrap()), Err(NotAToken::Checksum));
        }
        for wrong in ["", "prov_", "prov__", &token[..56], &token[1..], &format!("{token}x"), &token.replace('_', "-")]
        {
            assert_eq!(parse(wrong), Err(NotAToken::Form), "{wrong}");
        }
    }

    #[test]
    fn a_token_has_at_most_its_makers_roles() {
        assert_eq!(made(&[Role::Viewer], &[Role::Admin]).unwrap_err(), MakeError::Role(Role::Admin));
        assert_eq!(
            made(&[Role::Developer], &[Role::Developer, Role::Viewer]).unwrap_err(),
            MakeError::Role(Role::Viewer)
        );
        assert_eq!(made(&[Role::Admin], &[]).unwrap_err(), MakeError::NoRoles);
        assert!(made(&[Role::Admin], &[Role::Viewer, Role::Auditor]).is_ok());
        assert!(made(&[Role::Operator], &[Role::Viewer]).is_ok());
        for lifetime in [Duration::ZERO, LONGEST_LIFETIME + Duration::from_secs(1), Duration::MAX] {
            let wanted = Wanted { lifetime, ..wanted(&[Role::Admin]) };
            let ids = (ApiTokenId(uuid::Uuid::nil()), UserId(uuid::Uuid::nil()));
            assert_eq!(make(ids.0, ids.1, &[Role::Admin], wanted, NOW).unwrap_err(), MakeError::Lifetime);
        }
    }

    #[test]
    fn it_is_worth_what_it_and_its_owner_have_in_common_now() {
        let (record, token) = made(&[Role::Admin], &[Role::Operator, Role::Auditor]).unwrap();
        let presented = parse(&token).unwrap();
        let worth = |owner: &[Role]| worth(&record, &presented, Some(owner), NOW);
        assert_eq!(worth(&[Role::Admin]), Some(vec![Role::Operator, Role::Auditor]));
        assert_eq!(worth(&[Role::Auditor, Role::Viewer]), Some(vec![Role::Auditor]));
        assert_eq!(worth(&[Role::Viewer]), None, "what it has left is none of its roles");
        assert_eq!(worth(&[]), None);
    }

    #[test]
    fn it_is_worth_nothing_when_it_or_its_owner_is_gone() {
        let (record, token) = made(&[Role::Admin], &[Role::Admin]).unwrap();
        let presented = parse(&token).unwrap();
        let admin = Some([Role::Admin].as_slice());
        assert!(worth(&record, &presented, admin, NOW).is_some());
        assert_eq!(worth(&record, &presented, None, NOW), None, "deleted or locked");
        let end = NOW.plus(LIFETIME);
        assert!(worth(&record, &presented, admin, Timestamp(end.0 - 1)).is_some());
        assert_eq!(worth(&record, &presented, admin, end), None);
        let (other, _) = made(&[Role::Admin], &[Role::Admin]).unwrap();
        assert_eq!(worth(&other, &presented, admin, NOW), None);
        let same_prefix = ApiToken { prefix: record.prefix.clone(), ..other };
        assert_eq!(worth(&same_prefix, &presented, admin, NOW), None);
    }

    #[test]
    fn use_is_noted_by_the_minute() {
        let (record, _) = made(&[Role::Admin], &[Role::Admin]).unwrap();
        let first = used(&record, NOW).unwrap();
        assert_eq!(used(&first, NOW.plus(Duration::from_secs(59))), None);
        let later = NOW.plus(Duration::from_mins(1));
        assert_eq!(used(&first, later).unwrap().last_used_at, Some(later));
    }

    proptest! {
        #[test]
        fn nobody_gains_a_role_by_a_token(owner in roles(), asked in roles(), now in roles()) {
            let Ok((record, token)) = made(&owner, &asked) else { return Ok(()) };
            let worth = worth(&record, &parse(&token).unwrap(), Some(&now), NOW).unwrap_or_default();
            for role in worth {
                prop_assert!(asked.contains(&role) && has(&owner, role) && has(&now, role));
            }
        }

        #[test]
        fn any_text_is_read(text in ".{0,80}") {
            prop_assert!(parse(&text).is_err());
        }
    }

    fn roles() -> impl Strategy<Value = Vec<Role>> {
        prop::sample::subsequence(Role::ALL.to_vec(), 0..=Role::ALL.len())
    }
}

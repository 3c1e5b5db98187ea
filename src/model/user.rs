//! Who uses prov, and in which roles.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::id::{SessionId, UserId};
use super::time::Timestamp;

/// A role; what each may do is a policy's matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// Everything.
    Admin,
    /// Runs work on every infra.
    Operator,
    /// Runs work outside production.
    Developer,
    /// Reads tasks, batches and state.
    Viewer,
    /// Reads that, and audit, policies and users.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Self] = &[Self::Admin, Self::Operator, Self::Developer, Self::Viewer, Self::Auditor];

    /// The role's word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "Admin",
            Self::Operator => "Operator",
            Self::Developer => "Developer",
            Self::Viewer => "Viewer",
            Self::Auditor => "Auditor",
        }
    }

    /// Whether who has this role has what the other one may as well, by the rules that prov ships. A Developer doesn't
    /// have what a Viewer may, who reads production.
    #[must_use]
    pub const fn includes(self, other: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Operator => matches!(other, Self::Operator | Self::Developer | Self::Viewer),
            Self::Auditor => matches!(other, Self::Auditor | Self::Viewer),
            Self::Developer => matches!(other, Self::Developer),
            Self::Viewer => matches!(other, Self::Viewer),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// Why a text is no user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to 64 of the letters a to z, digits, `.`, `_` and `-`, begin with a letter or a digit, and not look like an id"
)]
pub struct NotAUsername;

/// The text as a user name: `Alice` is `alice`. None has the form of an id, because both name a user in a path.
///
/// # Errors
/// When it can't be one.
pub fn username(text: &str) -> Result<String, NotAUsername> {
    let name = text.to_ascii_lowercase();
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
    let is_one = begins_well && name.len() <= 64 && name.bytes().all(is_good) && UserId::from_str(&name).is_err();
    is_one.then_some(name).ok_or(NotAUsername)
}

/// A word that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role; the roles are Admin, Operator, Developer, Viewer and Auditor")]
pub struct UnknownRole(pub String);

/// A person or program that logs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Never reused.
    pub id: UserId,
    /// Unique, as typed at login.
    pub username: String,
    /// Where to reach them; may be empty.
    pub email: String,
    /// At least one.
    pub roles: Vec<Role>,
    /// When the account was made.
    pub created_at: Timestamp,
}

/// A login that can be refreshed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id; refresh tokens name it.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// Counts refreshes; a transaction that relies on it can't race another.
    pub generation: u64,
    /// SHA-256 of the refresh token that is good.
    pub refresh_hash: [u8; 32],
    /// SHA-256 of those already spent; one of them used again ends the session.
    pub spent: Vec<[u8; 32]>,
    /// When it began.
    pub created_at: Timestamp,
    /// When the refresh token stops being good.
    pub expires_at: Timestamp,
    /// When it was ended, by logout or for reuse.
    pub revoked_at: Option<Timestamp>,
    /// Whether a second factor was given.
    pub mfa: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inclusion_is_an_order() {
        for one in Role::ALL {
            assert!(one.includes(*one));
            for other in Role::ALL {
                assert!(!(one.includes(*other) && other.includes(*one)) || one == other, "{one} and {other}");
                for third in Role::ALL {
                    assert!(!(one.includes(*other) && other.includes(*third)) || one.includes(*third), "{one} {third}");
                }
            }
        }
    }

    #[test]
    fn a_user_name_is_one_safe_word() {
        assert_eq!(username("Alice.B-2_x"), Ok("alice.b-2_x".to_owned()));
        let id = "01a20dde-a76b-74cc-b9dd-d96eee9b4642";
        for bad in ["", ".", "..", "-rf", "a b", "a\nb", "a\r\nb", "a/b", "alice\u{200b}", "älice", &"x".repeat(65), id]
        {
            assert_eq!(username(bad), Err(NotAUsername), "{bad:?}");
        }
    }

    #[test]
    fn every_role_is_read_from_its_word() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
        }
        assert!("admin".parse::<Role>().is_err());
    }
}

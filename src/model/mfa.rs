//! A user's second factor as it is stored: the shared secret of an authenticator app, and what is left of the backup codes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The secret that prov and the authenticator app share: 160 bits, as RFC 4226 section 4 recommends. `Debug` hides it.
///
/// Codes are computed from it, so it can't be stored as a hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TotpSecret(pub [u8; 20]);

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(hidden)")
    }
}

/// How far an enrolment has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MfaState {
    /// The secret was handed out, and no code of it has been seen: logins don't ask for one.
    #[default]
    Pending,
    /// A code proved that the app has the secret: logins ask for one.
    Active,
}

/// A user's second factor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mfa {
    /// How far the enrolment has come.
    #[serde(default)]
    pub state: MfaState,
    /// What codes are computed from.
    pub secret: TotpSecret,
    /// The time step of the last code that was accepted; only later ones are good.
    #[serde(default)]
    pub last_step: Option<u64>,
    /// Salted SHA-256 of the backup codes that have not been used.
    #[serde(default)]
    pub backup: Vec<[u8; 32]>,
    /// What is hashed before a backup code, so that equal codes of two users differ.
    #[serde(default)]
    pub backup_salt: [u8; 16],
    /// When the secret was handed out.
    #[serde(default)]
    pub enrolled_at: Timestamp,
}

impl Mfa {
    /// Whether logins ask for a code.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == MfaState::Active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_back_and_its_secret_is_not_shown() {
        let mfa = Mfa {
            state: MfaState::Active,
            secret: TotpSecret([77; 20]),
            last_step: Some(9),
            backup: vec![[1; 32]],
            backup_salt: [2; 16],
            enrolled_at: Timestamp(3),
        };
        let json = serde_json::to_string(&mfa).unwrap();
        assert_eq!(serde_json::from_str::<Mfa>(&json).unwrap(), mfa);
        assert!(!format!("{mfa:?}").contains("77"), "{mfa:?}");
    }

    #[test]
    fn a_record_with_a_secret_alone_is_an_enrolment_that_was_not_confirmed() {
        let json = serde_json::json!({ "secret": vec![0; 20] });
        let mfa: Mfa = serde_json::from_value(json).unwrap();
        assert!(!mfa.is_active());
        assert_eq!((mfa.last_step, mfa.backup.len()), (None, 0));
    }
}

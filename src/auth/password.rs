//! Passwords: Argon2id with the parameters that OWASP recommends first (19 MiB, two passes, one lane; *Password Storage
//! Cheat Sheet*). One check takes some 20 ms and 19 MiB: call these on blocking threads, and bound how many.

use std::sync::OnceLock;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};

use super::secret;

/// The password can't be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password can't be hashed: {0}")]
pub struct HashError(String);

/// The hash to store, as a PHC string with its salt and parameters.
///
/// # Errors
/// When the system gives no random salt.
pub fn hash(password: &str) -> Result<String, HashError> {
    let mut salt = [0u8; 16];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| HashError(secret::NoRandomness.to_string()))?;
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| HashError(error.to_string()))
}

/// Whether the password is the one that was hashed. Without a hash the answer is no, after the same work, so that time
/// doesn't tell whether a user exists.
#[must_use]
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    static NOBODY: OnceLock<Option<String>> = OnceLock::new();
    let stand_in = || NOBODY.get_or_init(|| secret::random().ok().and_then(|random| self::hash(&random).ok()));
    let verify = |hash: &str| Argon2::default().verify_password(password.as_bytes(), hash).is_ok();
    match hash {
        Some(hash) => verify(hash),
        None => stand_in().as_deref().is_some_and(verify) && hash.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_matches() {
        let stored = hash("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify("correct horse", Some(&stored)));
        assert!(!verify("correct horsf", Some(&stored)));
        assert!(!verify("correct horse", None));
    }
}

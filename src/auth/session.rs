//! Sessions: refresh tokens that are spent by use. A spent one used again means that somebody has a copy, so it ends the
//! session (RFC 9700 section 4.14.2).

use std::time::Duration;

use super::secret::{NoRandomness, random};
use crate::model::digest::sha256;
use crate::model::id::{SessionId, UserId};
use crate::model::time::Timestamp;
use crate::model::user::Session;

/// How long a refresh token is good for.
pub const REFRESH_LIFETIME: Duration = Duration::from_hours(7 * 24);
/// Spent tokens that are remembered: a week of refreshing every 15 minutes.
const REMEMBERED: usize = 672;

/// What a presented refresh token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It is the session's present one.
    Good,
    /// It was, and the session must end.
    Spent,
    /// It never was, or the session is over.
    Nothing,
}

/// A refresh token: the session it belongs to, and its secret.
#[must_use]
pub fn parse(token: &str) -> Option<(SessionId, [u8; 32])> {
    let (id, secret) = token.split_once('.')?;
    (secret.len() == 43).then(|| Some((id.parse().ok()?, sha256(secret.as_bytes())))).flatten()
}

/// A new session with its first refresh token.
///
/// # Errors
/// When the system gives no random numbers.
pub fn begin(id: SessionId, user: UserId, mfa: bool, now: Timestamp) -> Result<(Session, String), NoRandomness> {
    let secret = random()?;
    let record = Session {
        id,
        user,
        generation: 0,
        refresh_hash: sha256(secret.as_bytes()),
        spent: Vec::new(),
        created_at: now,
        expires_at: now.plus(REFRESH_LIFETIME),
        revoked_at: None,
        mfa,
    };
    Ok((record, format!("{id}.{secret}")))
}

/// What the token with this hash is worth to the session.
#[must_use]
pub fn worth(session: &Session, hash: &[u8; 32], now: Timestamp) -> Worth {
    // Hashes of 256 random bits: comparing them tells nothing that helps to guess one.
    if !is_live(session, now) {
        Worth::Nothing
    } else if session.refresh_hash == *hash {
        Worth::Good
    } else if session.spent.contains(hash) {
        Worth::Spent
    } else {
        Worth::Nothing
    }
}

/// The session after a refresh, with its next refresh token.
///
/// # Errors
/// When the system gives no random numbers.
pub fn rotate(session: &Session, now: Timestamp) -> Result<(Session, String), NoRandomness> {
    let secret = random()?;
    let mut next = session.clone();
    next.generation += 1;
    next.spent.push(next.refresh_hash);
    let excess = next.spent.len().saturating_sub(REMEMBERED);
    next.spent.drain(..excess);
    next.refresh_hash = sha256(secret.as_bytes());
    next.expires_at = now.plus(REFRESH_LIFETIME);
    Ok((next, format!("{}.{secret}", session.id)))
}

/// The session after its user proved a second factor: with a new refresh token, so that a copy of the old one isn't raised
/// with it.
///
/// # Errors
/// When the system gives no random numbers.
pub fn raise(session: &Session, now: Timestamp) -> Result<(Session, String), NoRandomness> {
    let (next, token) = rotate(session, now)?;
    Ok((Session { mfa: true, ..next }, token))
}

/// The session after the second factor that its user gave was removed.
#[must_use]
pub fn lower(session: &Session) -> Session {
    Session { generation: session.generation + 1, mfa: false, ..session.clone() }
}

/// The session, ended.
#[must_use]
pub fn end(session: &Session, now: Timestamp) -> Session {
    let mut ended = session.clone();
    ended.generation += 1;
    ended.revoked_at.get_or_insert(now);
    ended
}

/// Whether access tokens of the session are good.
#[must_use]
pub fn is_live(session: &Session, now: Timestamp) -> bool {
    session.revoked_at.is_none() && session.expires_at > now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_token_is_recognised_and_an_ended_session_takes_none() {
        let id = SessionId(uuid::Uuid::from_u128(1));
        let now = Timestamp(0);
        let (first, one) = begin(id, UserId(uuid::Uuid::from_u128(2)), false, now).unwrap();
        let (second, two) = rotate(&first, now).unwrap();
        let hash = |token: &str| parse(token).unwrap().1;
        assert_eq!(worth(&first, &hash(&one), now), Worth::Good);
        assert_eq!(worth(&second, &hash(&one), now), Worth::Spent);
        assert_eq!(worth(&second, &hash(&two), now), Worth::Good);
        assert_eq!(worth(&second, &[0; 32], now), Worth::Nothing);
        assert_eq!(worth(&second, &hash(&two), now.plus(REFRESH_LIFETIME)), Worth::Nothing);
        assert_eq!(worth(&end(&second, now), &hash(&two), now), Worth::Nothing);
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn a_session_is_raised_with_a_new_token_and_lowered_without() {
        let (id, now) = (SessionId(uuid::Uuid::from_u128(1)), Timestamp(0));
        let (first, one) = begin(id, UserId(uuid::Uuid::from_u128(2)), false, now).unwrap();
        let (raised, two) = raise(&first, now).unwrap();
        let hash = |token: &str| parse(token).unwrap().1;
        assert!(raised.mfa && raised.generation > first.generation);
        assert_eq!(worth(&raised, &hash(&one), now), Worth::Spent);
        let lowered = lower(&raised);
        assert!(!lowered.mfa && lowered.generation > raised.generation);
        assert_eq!(worth(&lowered, &hash(&two), now), Worth::Good);
    }
}

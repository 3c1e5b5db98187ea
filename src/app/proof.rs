//! Proving who one is: by a password, by a code of the second factor, or by both.
//!
//! Every attempt is counted, and judged on the record that is stored; whoever fails too often is locked out, whether the
//! password or the code was wrong. Doesn't know what the proof is for.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::accounts::{TRIES, overtaken, replaced, was_overtaken};
use super::context::{Caller, Context, Permit};
use super::error::Error;
use super::login::problem;
use super::{App, aside, trail};
use crate::audit::Outcome;
use crate::auth::{backup, lockout, password, rules, totp};
use crate::model::lockout::Lockout;
use crate::model::mfa::Mfa;
use crate::model::time::Timestamp;
use crate::model::user::Session;
use crate::store::record::UserRecord;
use crate::store::{Change, Transaction};

/// What an attempt is worth.
pub(super) enum Verdict {
    /// It is them; the record with the code spent and the failures forgotten.
    Good(Box<UserRecord>),
    /// The password is right, and a code is needed.
    NeedsCode,
    /// It is not, or they may not; the record with the failure counted, where it counts.
    Wrong(Option<Box<UserRecord>>),
}

/// What an attempt says of the second factor.
#[derive(Clone, Copy)]
pub(super) enum Factor<'a> {
    NotAsked,
    /// The code of one that is active, where it was given.
    Asked(Option<&'a str>),
    /// The first code of one that is being set up.
    Confirms(&'a str),
}

/// What somebody who is logged in proves once more.
pub(super) struct Proof<'a> {
    /// The present password, where it is asked for.
    pub(super) password: Option<&'a str>,
    pub(super) factor: Factor<'a>,
    /// What is said when it is wrong.
    pub(super) wrong: &'static str,
}

/// What was proven, on the record as it was read.
pub(super) struct Proven {
    pub(super) record: UserRecord,
    /// The record with the code spent.
    pub(super) next: UserRecord,
    /// All sessions of the user.
    pub(super) sessions: Vec<Session>,
    pub(super) now: Timestamp,
}

/// One attempt, with the turn to check its password.
pub(super) struct Attempt<'a> {
    caller: &'a Caller,
    username: &'a str,
    operation: &'static str,
    pub(super) turn: Option<OwnedSemaphorePermit>,
    checked: Option<Checked>,
    /// Whether it counts as a failure as long as nothing else is known.
    counted: bool,
}

/// A password that was checked against a hash, if there was one.
struct Checked {
    hash: Option<String>,
    matches: bool,
}

impl App {
    /// Begins an attempt, when not too many failed. It counts as failed before it is known, and is given back on success:
    /// many at once are no way round the limit.
    pub(super) async fn attempt<'a>(
        &self,
        caller: &'a Caller,
        username: &'a str,
        operation: &'static str,
    ) -> Result<Attempt<'a>, Error> {
        let limited = |error| {
            self.refused(trail::rate_limited(caller, username, operation, self.clock.now()));
            error
        };
        self.counters.before_login(caller.address, username).map_err(limited)?;
        let turn = Arc::clone(&self.password_checks).acquire_owned().await;
        self.counters.count_login(caller.address, username).map_err(limited)?;
        let turn = turn.map_err(|error| Error::Internal(Box::new(error)))?;
        Ok(Attempt { caller, username, operation, turn: Some(turn), checked: None, counted: true })
    }

    /// It was them: what failed before under this name is forgiven.
    pub(super) fn succeeded(&self, attempt: &mut Attempt<'_>) {
        if std::mem::take(&mut attempt.counted) {
            self.counters.login_succeeded(attempt.caller.address, attempt.username);
        }
    }

    /// It has neither failed nor succeeded: it alone is forgiven.
    pub(super) fn undecided(&self, attempt: &mut Attempt<'_>) {
        if std::mem::take(&mut attempt.counted) {
            self.counters.login_undecided(attempt.caller.address, attempt.username);
        }
    }

    /// Whether the password is that of the record; checked once for each hash.
    pub(super) async fn check(
        &self,
        attempt: &mut Attempt<'_>,
        password: &str,
        record: Option<&UserRecord>,
    ) -> Result<bool, Error> {
        let hash = record.map(|record| record.password_hash.clone());
        if let Some(checked) = attempt.checked.as_ref().filter(|checked| checked.hash == hash) {
            return Ok(checked.matches);
        }
        let (password, against, held) = (password.to_owned(), hash.clone(), attempt.turn.take());
        // The turn goes with the check, which goes on when its client goes away.
        let (matches, held) = aside(move || (password::verify(&password, against.as_deref()), held)).await?;
        attempt.turn = held;
        attempt.checked = Some(Checked { hash, matches });
        Ok(matches)
    }

    /// What somebody who is logged in proves once more. A session alone, which may be stolen, must not be enough to take an
    /// account over.
    ///
    /// # Errors
    /// [`Error::NotAllowed`] when it is wrong.
    pub(super) async fn prove(
        &self,
        context: &Context,
        attempt: &mut Attempt<'_>,
        proof: &Proof<'_>,
    ) -> Result<Proven, Error> {
        let (store, id) = (&self.guarded.open(&Permit::own()).store, context.user);
        for _ in 0..TRIES {
            let read = store.read(move |reads| {
                let Some(record) = reads.user(id)? else { return Ok(None) };
                let sessions = reads.sessions_of(id)?;
                Ok(Some((record, sessions)))
            });
            let (record, sessions) = read.await?.ok_or(Error::NotAllowed(proof.wrong))?;
            let matches = match proof.password {
                Some(password) => self.check(attempt, password, Some(&record)).await?,
                None => true,
            };
            let now = self.clock.now();
            let counted = match judge(&record, matches, proof.factor, now) {
                Verdict::Good(next) => {
                    // A code alone is not a whole login.
                    if proof.password.is_some() && is_whole(&record, proof.factor) {
                        self.succeeded(attempt);
                    } else {
                        self.undecided(attempt);
                    }
                    return Ok(Proven { record, next: *next, sessions, now });
                }
                Verdict::NeedsCode => None,
                Verdict::Wrong(counted) => counted,
            };
            let entry = trail::unproven(attempt.caller, attempt.username, attempt.operation, failure("forbidden"), now);
            if self.note_failure(Some(&record), counted, entry).await? {
                return Err(Error::NotAllowed(proof.wrong));
            }
        }
        Err(overtaken())
    }

    /// The hash of a password that the user may have.
    pub(super) async fn hash(
        &self,
        pointer: &str,
        password: &str,
        record: &UserRecord,
        turn: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<String, Error> {
        rules::check(password, &record.user.username, &record.user.email)
            .map_err(|refused| problem(pointer, &refused.to_string()))?;
        let held = match turn.take() {
            Some(held) => held,
            None => Arc::clone(&self.password_checks)
                .acquire_owned()
                .await
                .map_err(|error| Error::Internal(Box::new(error)))?,
        };
        let password = password.to_owned();
        let (hash, held) = aside(move || (password::hash(&password), held)).await?;
        *turn = Some(held);
        hash.map_err(|error| Error::Internal(Box::new(error)))
    }

    /// Writes down an attempt that failed; false when somebody changed the user meanwhile.
    pub(super) async fn note_failure(
        &self,
        record: Option<&UserRecord>,
        counted: Option<Box<UserRecord>>,
        entry: Change,
    ) -> Result<bool, Error> {
        let store = &self.guarded.open(&Permit::own()).store;
        let mut transaction = Transaction::of(vec![entry]);
        if let (Some(old), Some(next)) = (record, counted) {
            if let Some(until) = next.lockout.locked_until.filter(|_| next.lockout.failures == 0) {
                tracing::warn!(user = old.user.username, %until, "locked after too many failed logins");
            }
            let (precondition, put) = replaced(old, *next);
            transaction.preconditions.push(precondition);
            transaction.changes.push(put);
        }
        let committed = store.commit(transaction).await;
        if was_overtaken(&committed) {
            return Ok(false);
        }
        committed?;
        Ok(true)
    }
}

/// While an account is locked nothing is checked and nothing counted.
pub(super) fn judge(record: &UserRecord, matches: bool, factor: Factor<'_>, now: Timestamp) -> Verdict {
    if record.disabled || lockout::locked_until(&record.lockout, now).is_some() {
        return Verdict::Wrong(None);
    }
    let with = |lockout, mfa| Box::new(UserRecord { mfa, lockout, ..record.clone() });
    let wrong = || Verdict::Wrong(Some(with(lockout::failed(&record.lockout, now), record.mfa.clone())));
    if !matches {
        return wrong();
    }
    let next = match (&record.mfa, factor) {
        (Some(active), Factor::Asked(None)) if active.is_active() => return Verdict::NeedsCode,
        (Some(active), Factor::Asked(Some(code))) if active.is_active() => spent(active, code, now),
        (Some(pending), Factor::Confirms(code)) if !pending.is_active() => totp::confirm(pending, code, now),
        (unchanged, _) => return Verdict::Good(with(forgiven(record, factor), unchanged.clone())),
    };
    next.map_or_else(wrong, |next| Verdict::Good(with(forgiven(record, factor), Some(next))))
}

/// What is left of the failures: only the whole login is a success.
fn forgiven(record: &UserRecord, factor: Factor<'_>) -> Lockout {
    if is_whole(record, factor) { lockout::cleared() } else { record.lockout.clone() }
}

/// Whether a right password with this is a whole login. Where a second factor is active the password alone is none: who
/// knows it could guess codes for ever, and prove it in between.
fn is_whole(record: &UserRecord, factor: Factor<'_>) -> bool {
    match factor {
        Factor::Asked(_) => true,
        Factor::NotAsked => !record.has_mfa(),
        Factor::Confirms(_) => false,
    }
}

/// The second factor after a code that is good, of the app or a backup code.
fn spent(active: &Mfa, code: &str, now: Timestamp) -> Option<Mfa> {
    if backup::is_one(code) { backup::spend(active, code) } else { totp::verify(active, code, now) }
}

pub(super) fn failure(code: &str) -> Outcome {
    Outcome::Failure { code: code.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::UserId;
    use crate::model::mfa::MfaState;
    use crate::model::user::{Role, User};

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn user(mfa: Option<Mfa>) -> UserRecord {
        let user = User {
            id: UserId(uuid::Uuid::from_u128(1)),
            username: "alice".to_owned(),
            email: String::new(),
            roles: vec![Role::Viewer],
            created_at: Timestamp(0),
        };
        UserRecord { mfa, ..UserRecord::new(user, String::new()) }
    }

    fn pending() -> Mfa {
        totp::enrol(None, "alice", Timestamp(0)).unwrap().0
    }

    fn active() -> (Mfa, String) {
        let (active, codes) = backup::renew(&Mfa { state: MfaState::Active, ..pending() }).unwrap();
        (active, codes[0].clone())
    }

    /// `good`, `needs a code`, or how many failures are counted.
    fn word(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Good(_) => "good".to_owned(),
            Verdict::NeedsCode => "needs a code".to_owned(),
            Verdict::Wrong(counted) => counted.as_ref().map_or(0, |counted| counted.lockout.failures).to_string(),
        }
    }

    #[test]
    fn a_login_takes_a_code_where_one_is_active_and_counts_a_wrong_one() {
        let (mfa, code) = active();
        for (record, factor, matches, expected) in [
            (user(None), Factor::Asked(None), true, "good"),
            (user(None), Factor::Asked(Some("123456")), true, "good"),
            (user(Some(pending())), Factor::Asked(None), true, "good"),
            (user(Some(mfa.clone())), Factor::Asked(None), true, "needs a code"),
            (user(Some(mfa.clone())), Factor::Asked(None), false, "1"),
            (user(Some(mfa.clone())), Factor::Asked(Some("nonsense")), true, "1"),
            (user(Some(mfa.clone())), Factor::Asked(Some(&code)), false, "1"),
            (user(Some(mfa.clone())), Factor::Asked(Some(&code)), true, "good"),
            (user(Some(mfa)), Factor::NotAsked, true, "good"),
            (user(Some(pending())), Factor::Confirms("nonsense"), true, "1"),
        ] {
            assert_eq!(word(&judge(&record, matches, factor, NOW)), expected);
        }
    }

    #[test]
    fn whoever_is_locked_or_shut_out_proves_nothing_and_spends_nothing() {
        let (mfa, code) = active();
        let mut locked = user(Some(mfa));
        for _ in 0..lockout::FAILURES {
            locked.lockout = lockout::failed(&locked.lockout, NOW);
        }
        let disabled = UserRecord { disabled: true, lockout: lockout::cleared(), ..locked.clone() };
        for record in [locked, disabled] {
            for factor in [Factor::NotAsked, Factor::Asked(None), Factor::Asked(Some(&code)), Factor::Confirms(&code)] {
                assert!(matches!(judge(&record, true, factor, NOW), Verdict::Wrong(None)));
            }
        }
    }

    #[test]
    fn a_part_of_a_login_forgives_no_failures() {
        let (mfa, code) = active();
        let failures = |mfa: Option<Mfa>, factor| {
            let mut record = user(mfa);
            record.lockout = lockout::failed(&record.lockout, NOW);
            match judge(&record, true, factor, NOW) {
                Verdict::Good(next) => next.lockout.failures,
                _ => panic!("it is good"),
            }
        };
        assert_eq!((failures(None, Factor::Confirms("123456")), failures(None, Factor::NotAsked)), (1, 0));
        assert_eq!(failures(Some(pending()), Factor::NotAsked), 0);
        assert_eq!(failures(Some(mfa.clone()), Factor::NotAsked), 1, "a code is lacking");
        assert_eq!(failures(Some(mfa), Factor::Asked(Some(&code))), 0);
    }
}

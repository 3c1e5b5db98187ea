//! Idempotency keys: the same request sent twice within a day makes one piece of work.

use std::time::Duration;

use uuid::Uuid;

use super::Resources;
use super::context::Context;
use super::error::Error;
use crate::model::time::Timestamp;
use crate::scheduler::{ScheduleError, Submission};
use crate::store::record::Remembered;
use crate::store::{Change, Store, Transaction};

/// How long a key is remembered.
const LIFETIME: Duration = Duration::from_hours(24);
/// Keys forgotten with one commit.
const AT_ONCE: usize = 1000;

/// A key as it came, with the digest of the request it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// 1 to 255 visible ASCII characters.
    pub key: String,
    /// SHA-256 of the request.
    pub digest: [u8; 32],
}

/// A key of a user for an operation: keys of different users and operations are different keys.
pub(super) struct Claim {
    name: String,
    key: Idempotency,
    at: Timestamp,
}

impl Claim {
    pub(super) fn new(context: &Context, operation: &str, key: Idempotency, at: Timestamp) -> Self {
        Self { name: format!("{}/{operation}/{}", context.principal(), key.key), key, at }
    }

    /// What the key stands for. One that has had its time is forgotten here, so that it is free again to the minute.
    ///
    /// # Errors
    /// When the key came with another request before.
    pub(super) async fn find(&self, store: &Store) -> Result<Option<Uuid>, Error> {
        let wanted = self.name.clone();
        match store.read(move |reads| reads.remembered(&wanted)).await? {
            None => Ok(None),
            Some(before) if before.at.plus(LIFETIME) <= self.at => {
                store.commit(Transaction::of(vec![Change::Forget(before.at, self.name.clone())])).await?;
                Ok(None)
            }
            Some(before) if before.digest == self.key.digest => Ok(Some(before.id)),
            Some(_) => {
                Err(Error::Conflict(format!("the idempotency key {:?} was used with another request", self.key.key)))
            }
        }
    }

    /// The key as standing for `id`.
    fn standing_for(&self, id: Uuid) -> (String, Remembered) {
        (self.name.clone(), Remembered { digest: self.key.digest, id, at: self.at })
    }

    /// What remembers that what was asked for is done to `id`.
    pub(super) fn remembering(&self, id: Uuid) -> Change {
        let (name, remembered) = self.standing_for(id);
        Change::Remember(name, remembered)
    }
}

/// Hands work to the scheduler, once for each key; answers the id of the work that stands for the key.
///
/// # Errors
/// When the work is not accepted, or the key came with another request before.
pub(super) async fn submit(
    resources: &Resources,
    context: &Context,
    operation: &str,
    key: Option<Idempotency>,
    mut submission: Submission,
) -> Result<Uuid, Error> {
    let id = submission.id.0;
    let Some(key) = key else {
        resources.scheduler.submit(submission).await?;
        return Ok(id);
    };
    let (store, claim) = (&resources.store, Claim::new(context, operation, key, submission.work.created_at));
    if let Some(before) = claim.find(store).await? {
        return Ok(before);
    }
    submission.remember = Some(claim.standing_for(id));
    match resources.scheduler.submit(submission).await {
        Ok(()) => Ok(id),
        // Somebody else was faster with the same key.
        Err(error @ ScheduleError::Refused(_)) => claim.find(store).await?.ok_or_else(|| error.into()),
        Err(error) => Err(error.into()),
    }
}

/// Forgets all keys that have had their time.
pub(super) async fn forget_expired(store: &Store, now: Timestamp) -> Result<(), Error> {
    let before = now.minus(LIFETIME);
    loop {
        let expired = store.read(move |reads| reads.remembered_before(before, AT_ONCE)).await?;
        let count = expired.len();
        let changes = expired.into_iter().map(|(at, key)| Change::Forget(at, key)).collect();
        if count > 0 {
            store.commit(Transaction::of(changes)).await?;
        }
        if count < AT_ONCE {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remember(store: &Store, name: &str, at: i64) {
        let remembered = Remembered { digest: [1; 32], id: Uuid::from_u128(7), at: Timestamp(at) };
        let written = store.submit(Transaction::of(vec![Change::Remember(name.to_owned(), remembered)]));
        written.blocking_recv().unwrap().unwrap();
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_key_stands_for_its_work_for_a_day() {
        let store = Store::in_memory().unwrap();
        remember(&store, "k", 0);
        let key = Idempotency { key: "k".to_owned(), digest: [1; 32] };
        let other = Idempotency { digest: [2; 32], ..key.clone() };
        let day = i64::try_from(LIFETIME.as_millis()).unwrap();
        let found = |key: &Idempotency, now| {
            let claim = Claim { name: "k".to_owned(), key: key.clone(), at: Timestamp(now) };
            run(claim.find(&store))
        };
        assert_eq!(found(&key, day - 1).unwrap(), Some(Uuid::from_u128(7)));
        assert!(matches!(found(&other, day - 1), Err(Error::Conflict(_))));
        assert_eq!(found(&other, day).unwrap(), None);
        assert_eq!(found(&key, 0).unwrap(), None, "it was forgotten");
    }

    #[test]
    fn a_key_that_was_remembered_anew_is_not_forgotten_with_the_old_one() {
        let store = Store::in_memory().unwrap();
        remember(&store, "k", 0);
        remember(&store, "k", 5);
        run(store.commit(Transaction::of(vec![Change::Forget(Timestamp(0), "k".to_owned())]))).unwrap();
        assert_eq!(store.reads().remembered("k").unwrap().unwrap().at, Timestamp(5));
        assert_eq!(store.reads().remembered_before(Timestamp(10), 10).unwrap(), [(Timestamp(5), "k".to_owned())]);
    }

    #[test]
    fn tidying_forgets_what_is_old_and_nothing_else() {
        let store = Store::in_memory().unwrap();
        let day = i64::try_from(LIFETIME.as_millis()).unwrap();
        for n in 0..2500 {
            remember(&store, &n.to_string(), n);
        }
        run(forget_expired(&store, Timestamp(day + 2400))).unwrap();
        let left = store.reads().remembered_before(Timestamp(i64::MAX), 5000).unwrap();
        assert_eq!(left.iter().map(|(at, _)| at.0).collect::<Vec<_>>(), (2400..2500).collect::<Vec<_>>());
    }
}

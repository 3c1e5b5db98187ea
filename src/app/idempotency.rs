//! Idempotency keys: the same request sent twice makes one piece of work.

use uuid::Uuid;

use super::context::Context;
use super::error::Error;
use crate::model::time::Timestamp;
use crate::store::record::Remembered;
use crate::store::{Store, StoreError};

/// A key as it came, with the digest of the request it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// 1 to 255 visible ASCII characters.
    pub key: String,
    /// SHA-256 of the request.
    pub digest: [u8; 32],
}

impl Idempotency {
    /// The name under which the key is remembered: keys of different users and operations are different keys.
    fn scoped(&self, context: &Context, operation: &str) -> String {
        format!("{}/{operation}/{}", context.principal(), self.key)
    }
}

/// What a key made of a request.
pub(super) enum Seen {
    /// It is new; this is remembered with the work.
    New(Option<(String, Remembered)>),
    /// The same request made this before.
    Before(Uuid),
}

/// Looks the key up; `id` is what a new request will answer.
pub(super) async fn look_up(
    store: &Store,
    context: &Context,
    operation: &str,
    idempotency: Option<Idempotency>,
    id: Uuid,
    now: Timestamp,
) -> Result<Seen, Error> {
    let Some(idempotency) = idempotency else { return Ok(Seen::New(None)) };
    let name = idempotency.scoped(context, operation);
    let wanted = name.clone();
    match store.read(move |reads| reads.remembered(&wanted)).await? {
        None => Ok(Seen::New(Some((name, Remembered { digest: idempotency.digest, id, at: now })))),
        Some(before) if before.digest == idempotency.digest => Ok(Seen::Before(before.id)),
        Some(_) => {
            Err(Error::Conflict(format!("the idempotency key {:?} was used with another request", idempotency.key)))
        }
    }
}

/// After a race was lost: what the winner made.
pub(super) fn after_race(found: Result<Option<Remembered>, StoreError>, digest: [u8; 32]) -> Option<Uuid> {
    found.ok().flatten().filter(|remembered| remembered.digest == digest).map(|remembered| remembered.id)
}

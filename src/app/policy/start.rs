//! The policies when the daemon starts: those of the store, where the first start wrote those that ship.

use uuid::Uuid;

use crate::app::in_force::{InForce, Set};
use crate::model::id::PolicyId;
use crate::model::name::Name;
use crate::model::time::Timestamp;
use crate::policy::{Problems, Shipped, shipped};
use crate::store::record::PolicyRecord;
use crate::store::{Change, CommitError, Precondition, Store, StoreError, Transaction};

/// Why there are no policies to go by.
#[derive(Debug, thiserror::Error)]
pub enum PolicyStartError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store can't be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A policy of the store doesn't compile. To leave it out could open what it closes.
    #[error("a policy of the store can't be used")]
    Policies(#[from] Problems),
}

/// Puts the policies of the store into force; a store that never had any gets those that ship first.
///
/// # Errors
/// When they can't be had, or are wrong.
pub async fn policies(store: &Store, now: Timestamp) -> Result<InForce, PolicyStartError> {
    let (mut generation, mut policies) = store.read(|reads| reads.policies()).await?;
    let had_any = store.read(|reads| reads.meta(WRITTEN)).await?.is_some();
    if !had_any {
        // The oldest first, so that a list has them in the order in which they ship.
        let written = shipped().iter().rev().filter_map(|shipped| record(shipped, now));
        let mut changes: Vec<Change> = written.map(|record| Change::PutPolicy(Box::new(record))).collect();
        changes.push(Change::PutMeta(WRITTEN.to_owned(), b"1".to_vec()));
        let preconditions = vec![Precondition::PolicyGeneration(generation)];
        store.commit(Transaction { preconditions, changes }).await?;
        (generation, policies) = store.read(|reads| reads.policies()).await?;
    }
    Ok(InForce::new(Set::compile(generation, &policies)?))
}

/// The name of the fact that the policies that ship were written.
const WRITTEN: &str = "policies_shipped";

fn record(shipped: &Shipped, now: Timestamp) -> Option<PolicyRecord> {
    Some(PolicyRecord {
        id: PolicyId(Uuid::now_v7()),
        name: Name::new(shipped.name.clone()).ok()?,
        description: shipped.description.clone(),
        content: shipped.content.to_owned(),
        enabled: shipped.enabled,
        shipped: true,
        version: 1,
        created_at: now,
        created_by: String::new(),
        updated_at: now,
        updated_by: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_ships_is_written_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Store::in_memory().unwrap();
            for _ in 0..2 {
                policies(&store, Timestamp(0)).await.unwrap();
                let (_, written) = store.reads().policies().unwrap();
                let names = |policy: &PolicyRecord| policy.name.to_string();
                let expected: Vec<String> = shipped().iter().map(|shipped| shipped.name.clone()).collect();
                assert_eq!(written.iter().map(names).collect::<Vec<_>>(), expected);
            }
            let (_, written) = store.reads().policies().unwrap();
            let removed = Transaction::of(written.iter().map(|policy| Change::RemovePolicy(policy.id)).collect());
            store.commit(removed).await.unwrap();
            policies(&store, Timestamp(0)).await.unwrap();
            assert!(store.reads().policies().unwrap().1.is_empty(), "what was removed doesn't come back");
        });
    }
}

//! The policies when the daemon starts: those of the store, where those that ship are written once each, and brought up to
//! date as long as nobody has changed their text.

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;

use crate::app::in_force::{InForce, Set};
use crate::app::trail;
use crate::audit;
use crate::model::id::PolicyId;
use crate::model::name::Name;
use crate::model::time::Timestamp;
use crate::policy::{Problems, Shipped, shipped};
use crate::store::record::PolicyRecord;
use crate::store::{Backend, Change, CommitError, Precondition, Store, StoreError, Transaction};

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

/// Puts the policies of the store into force. With `reset`, those that ship are first made as they ship and all others
/// disabled: the way out when a policy can't be used, or keeps everybody out.
///
/// # Errors
/// When they can't be had, or are wrong.
pub async fn policies(store: &Store, reset: bool, now: Timestamp) -> Result<InForce, PolicyStartError> {
    let (generation, stored) = store.read(Stored::read).await?;
    let due = stored.due(reset, now);
    let written: Vec<&str> = shipped().iter().map(|shipped| shipped.name.as_str()).collect();
    if due.is_empty() && written.iter().all(|name| stored.written.contains(*name)) {
        return Ok(InForce::new(Set::compile(generation, &stored.policies)?));
    }
    let told = |policy: &PolicyRecord| {
        let details = json!({ "version": policy.version, "enabled": policy.enabled, "reset": reset });
        trail::own("policy_ship", audit::Resource::new("policy", &policy.name), now, details)
    };
    let entries: Vec<Change> = due.iter().map(told).collect();
    let mut changes: Vec<Change> = due.into_iter().map(|policy| Change::PutPolicy(Box::new(policy))).collect();
    changes.extend(entries);
    let names: BTreeSet<&str> = stored.written.iter().map(String::as_str).chain(written).collect();
    changes.push(Change::PutMeta(WRITTEN.to_owned(), json!(names).to_string().into_bytes()));
    let preconditions = vec![Precondition::PolicyGeneration(generation)];
    store.commit(Transaction { preconditions, changes }).await?;
    let (generation, policies) = store.read(|reads| reads.policies()).await?;
    Ok(InForce::new(Set::compile(generation, &policies)?))
}

/// The name of the fact which of the policies that ship were ever written: what was removed doesn't come back.
const WRITTEN: &str = "policies_shipped";

/// What the store has of policies.
struct Stored {
    policies: Vec<PolicyRecord>,
    /// Those that ship and whose text is one that shipped, now or once.
    untouched: BTreeSet<PolicyId>,
    written: BTreeSet<String>,
}

impl Stored {
    /// With the generation that it is of.
    fn read(reads: &dyn Backend) -> Result<(u64, Self), StoreError> {
        let (generation, policies) = reads.policies()?;
        let mut untouched = BTreeSet::new();
        for policy in policies.iter().filter(|policy| policy.shipped) {
            let versions = reads.policy_versions(policy.id)?;
            if versions.iter().any(|then| then.updated_by.is_empty() && then.content == policy.content) {
                untouched.insert(policy.id);
            }
        }
        let written = match reads.meta(WRITTEN)? {
            None => BTreeSet::new(),
            // Before names were kept, all were written at once.
            Some(value) => serde_json::from_slice(&value)
                .unwrap_or_else(|_| shipped().iter().map(|shipped| shipped.name.clone()).collect()),
        };
        Ok((generation, Self { policies, untouched, written }))
    }

    /// What is to be written, the oldest first, so that a list has them in the order in which they ship.
    fn due(&self, reset: bool, now: Timestamp) -> Vec<PolicyRecord> {
        let mut due: Vec<PolicyRecord> =
            shipped().iter().rev().filter_map(|text| self.next(text, reset, now)).collect();
        if reset {
            let is_shipped = |policy: &PolicyRecord| shipped().iter().any(|text| text.name == policy.name.as_str());
            let others = self.policies.iter().filter(|policy| policy.enabled && !is_shipped(policy));
            due.extend(others.map(|policy| PolicyRecord { enabled: false, ..next_version(policy, now) }));
        }
        due
    }

    /// What becomes of a policy that ships, unless it stays.
    fn next(&self, text: &Shipped, reset: bool, now: Timestamp) -> Option<PolicyRecord> {
        let Some(old) = self.policies.iter().find(|policy| policy.name.as_str() == text.name) else {
            return if reset || !self.written.contains(&text.name) { record(text, now) } else { None };
        };
        let is_due = reset || self.untouched.contains(&old.id);
        let enabled = if reset { text.enabled } else { old.enabled };
        let (description, content) = (text.description.clone(), text.content.to_owned());
        let is_so = old.content == content && old.description == description && old.enabled == enabled;
        let next = || PolicyRecord { description, content, enabled, shipped: true, ..next_version(old, now) };
        (is_due && !is_so).then(next)
    }
}

fn next_version(policy: &PolicyRecord, now: Timestamp) -> PolicyRecord {
    PolicyRecord { version: policy.version + 1, updated_at: now, updated_by: String::new(), ..policy.clone() }
}

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

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test);
    }

    fn stored(store: &Store) -> Vec<PolicyRecord> {
        store.reads().policies().unwrap().1
    }

    fn named(store: &Store, name: &str) -> PolicyRecord {
        stored(store).into_iter().find(|policy| policy.name.as_str() == name).unwrap()
    }

    async fn put(store: &Store, policy: PolicyRecord) {
        store.commit(Transaction::of(vec![Change::PutPolicy(Box::new(policy))])).await.unwrap();
    }

    #[test]
    fn all_that_ships_is_written_once() {
        run(async {
            let store = Store::in_memory().unwrap();
            for _ in 0..2 {
                policies(&store, false, Timestamp(0)).await.unwrap();
                let names: Vec<String> = stored(&store).iter().map(|policy| policy.name.to_string()).collect();
                let expected: Vec<String> = shipped().iter().map(|shipped| shipped.name.clone()).collect();
                assert_eq!(names, expected);
            }
            let removed = stored(&store).iter().map(|policy| Change::RemovePolicy(policy.id)).collect();
            store.commit(Transaction::of(removed)).await.unwrap();
            policies(&store, false, Timestamp(0)).await.unwrap();
            assert!(stored(&store).is_empty(), "what was removed doesn't come back");
        });
    }

    #[test]
    fn an_old_text_is_brought_up_to_date_unless_somebody_changed_it() {
        run(async {
            let store = Store::in_memory().unwrap();
            for (name, by) in [("role-viewer", ""), ("mfa", "")] {
                let shipped = shipped().iter().find(|shipped| shipped.name == name).unwrap();
                let old = PolicyRecord { content: "// of old".to_owned(), ..record(shipped, Timestamp(0)).unwrap() };
                put(&store, PolicyRecord { updated_by: by.to_owned(), ..old }).await;
            }
            let mfa = named(&store, "mfa");
            let enabled = PolicyRecord { enabled: true, updated_by: "alice".to_owned(), version: 2, ..mfa };
            put(&store, enabled).await;
            policies(&store, false, Timestamp(1)).await.unwrap();
            let (viewer, mfa) = (named(&store, "role-viewer"), named(&store, "mfa"));
            assert!(viewer.content.contains("permit") && viewer.version == 2);
            assert!(mfa.content.contains("forbid") && mfa.enabled, "only its text is ours");
            let own = "permit (principal in Role::\"Viewer\", action == Action::\"task_read\", resource);".to_owned();
            put(&store, PolicyRecord { content: own.clone(), updated_by: "alice".to_owned(), version: 3, ..viewer })
                .await;
            policies(&store, false, Timestamp(2)).await.unwrap();
            assert_eq!(named(&store, "role-viewer").content, own);
        });
    }

    #[test]
    fn a_reset_is_the_way_out_of_policies_that_can_not_be_used() {
        run(async {
            let store = Store::in_memory().unwrap();
            policies(&store, false, Timestamp(0)).await.unwrap();
            let admin = named(&store, "role-admin");
            let broken =
                PolicyRecord { content: "permit (".to_owned(), updated_by: "a".to_owned(), version: 2, ..admin };
            let own = PolicyRecord { name: Name::new("own").unwrap(), id: PolicyId(Uuid::now_v7()), ..broken.clone() };
            put(&store, broken).await;
            put(&store, own).await;
            assert!(policies(&store, false, Timestamp(1)).await.is_err());
            policies(&store, true, Timestamp(2)).await.unwrap();
            assert_eq!((named(&store, "role-admin").version, named(&store, "own").enabled), (3, false));
            let versions = store.reads().policy_versions(named(&store, "own").id).unwrap();
            assert_eq!(versions.len(), 2, "nothing is lost");
            policies(&store, false, Timestamp(3)).await.unwrap();
        });
    }
}

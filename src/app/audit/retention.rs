//! How long entries are kept. What is dropped is dropped from the oldest on, so that the rest is a chain of its own: where
//! it begins is kept with it, and that something was dropped is an entry.

use std::time::Duration;

use serde_json::json;

use crate::app::error::Error;
use crate::app::trail;
use crate::audit::Resource;
use crate::model::time::Timestamp;
use crate::store::{Change, Store, Transaction};

/// Entries dropped with one commit.
const AT_ONCE: usize = 1000;
const HOURS_A_DAY: u64 = 24;

/// Drops the entries that are older than so many days.
pub(super) async fn prune(store: &Store, days: u32, now: Timestamp) -> Result<(), Error> {
    let cutoff = now.minus(Duration::from_hours(HOURS_A_DAY * u64::from(days)));
    while let Some(upto) = store.read(move |reads| reads.audit_before(cutoff, AT_ONCE)).await? {
        let details = json!({ "older_than": cutoff, "last_dropped": upto });
        let entry = trail::own("audit_prune", Resource::all("audit"), now, details);
        store.commit(Transaction::of(vec![Change::PruneAudit(upto, now), entry])).await?;
        tracing::info!(upto, "audit entries have had their time");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::audit::{AuditFilter, AuditPage};
    use crate::app::audit::verify::verify;
    use crate::audit::{Key, Keyring};

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn what_is_older_goes_with_its_index_and_the_rest_is_a_chain() {
        let store = Store::in_memory().unwrap();
        let (day, mut written) = (86_400_000, Vec::new());
        for n in 0..2500 {
            let entry = trail::own("noted", Resource::new("task", n), Timestamp(n), json!({}));
            written.push(store.submit(Transaction::of(vec![entry])));
        }
        for written in written {
            run(written).unwrap().unwrap();
        }
        run(prune(&store, 1, Timestamp(day + 2400))).unwrap();
        let page = AuditPage { limit: 1000, offset: 0, after: None };
        let all = store.reads().audit_page(&AuditFilter::default(), page).unwrap();
        assert_eq!((all.total, all.items.len()), (103, 103), "100 that are young, and three prunings");
        let gone = AuditFilter { resource: Some("task/7".to_owned()), ..AuditFilter::default() };
        assert_eq!(store.reads().audit_page(&gone, page).unwrap().total, 0);
        let kept = AuditFilter { action: Some("noted".to_owned()), ..AuditFilter::default() };
        assert_eq!(store.reads().audit_page(&kept, page).unwrap().total, 100);
        let keys = Keyring::new(Key::from_bytes(1, [0; 32]));
        let found = verify(store.reads(), &keys, None).unwrap();
        assert_eq!((found.verified, found.entries, found.head.sequence), (true, 103, 2503), "{found:?}");
        run(prune(&store, 1, Timestamp(day + 2400))).unwrap();
        assert_eq!(store.reads().audit_head().unwrap().sequence, 2503, "nothing more to drop, nothing written");
    }
}

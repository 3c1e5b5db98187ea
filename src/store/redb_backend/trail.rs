//! The audit trail by its indexes: a range of the smallest one that applies, the other conditions looked up in theirs.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};

use super::{decode, failed};
use crate::api::audit::{AuditFilter, AuditListed, AuditPage};
use crate::audit::{Checkpoint, Sealed};
use crate::model::time::Timestamp;
use crate::store::backend::{AuditPlace, StoreError};
use crate::store::index::{self, Prefix};
use crate::store::tables;

/// Above every entry.
const END: AuditPlace = [0xff; 16];

/// Entries after the one with this sequence, in order, up to the first that is damaged; that is an error when there is
/// nothing before it.
pub(super) fn after(transaction: &ReadTransaction, after: u64, limit: usize) -> Result<Vec<Sealed>, StoreError> {
    let table = transaction.open_table(tables::AUDIT).map_err(failed("open a table"))?;
    let mut found = Vec::new();
    for entry in table.range(after.saturating_add(1)..).map_err(failed("read"))?.take(limit) {
        let (sequence, value) = entry.map_err(failed("read"))?;
        match decode("audit", &sequence.value().to_be_bytes(), value.value()) {
            Ok(sealed) => found.push(sealed),
            // What comes before it is told first.
            Err(_) if !found.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Where the audit trail begins, as it is stored.
pub(super) fn anchor_of(stored: &[u8]) -> Result<Checkpoint, StoreError> {
    let damaged = |error: serde_json::Error| StoreError::Damaged {
        kind: "audit",
        key: "anchor".to_owned(),
        cause: error.to_string(),
    };
    serde_json::from_slice(stored).map_err(damaged)
}

/// The indexes that a filter needs.
struct Search {
    index: ReadOnlyTable<&'static [u8], ()>,
    /// The smallest, which is walked.
    walked: Prefix,
    others: Vec<Prefix>,
    /// How many there are, where a counter says it.
    total: Option<u64>,
    /// The times, as places: from the first on, before the second.
    from: AuditPlace,
    before: AuditPlace,
}

impl Search {
    fn of(transaction: &ReadTransaction, filter: &AuditFilter) -> Result<Self, StoreError> {
        let index = transaction.open_table(tables::INDEX).map_err(failed("open a table"))?;
        let counts = transaction.open_table(tables::COUNTS).map_err(failed("open a table"))?;
        let mut counted = Vec::new();
        for prefix in index::of_audit_filter(filter) {
            let count = counts.get(&prefix[..]).map_err(failed("read a count"))?.map_or(0, |count| count.value());
            counted.push((count, prefix));
        }
        counted.sort_unstable();
        let mut prefixes = counted.into_iter();
        let (count, walked) = prefixes.next().unwrap_or_default();
        let others: Vec<Prefix> = prefixes.map(|(_, prefix)| prefix).collect();
        let is_timed = filter.from_date.is_some() || filter.to_date.is_some();
        let total = (others.is_empty() && !is_timed).then_some(count);
        let from = filter.from_date.map_or([0; 16], |from| index::audit_id(from, 0));
        let before = filter.to_date.map_or(END, |to| index::audit_id(to, u64::MAX));
        Ok(Self { index, walked, others, total, from, before })
    }

    /// The ids between two places, in order, that stand under all prefixes.
    fn ids(
        &self,
        from: AuditPlace,
        before: AuditPlace,
    ) -> Result<impl DoubleEndedIterator<Item = Result<AuditPlace, StoreError>>, StoreError> {
        let (from, before) = (index::key(&self.walked, from), index::key(&self.walked, before.max(from)));
        let keys = self.index.range::<&[u8]>(&from[..]..&before[..]).map_err(failed("read an index"))?;
        let id = |key: &[u8]| key.get(self.walked.len()..).and_then(|id| AuditPlace::try_from(id).ok());
        Ok(keys.filter_map(move |entry| match entry {
            Err(error) => Some(Err(failed("read an index")(error))),
            Ok((key, _)) => {
                let id = id(key.value())?;
                match self.applies(id) {
                    Ok(true) => Some(Ok(id)),
                    Ok(false) => None,
                    Err(error) => Some(Err(error)),
                }
            }
        }))
    }

    fn applies(&self, id: AuditPlace) -> Result<bool, StoreError> {
        for other in &self.others {
            if self.index.get(&index::key(other, id)[..]).map_err(failed("read an index"))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A page of the trail, newest first. With one condition the cost is that of the page; with several, or with times, the
/// part of the smallest index that lies within them is walked, because nothing else knows the total.
pub(super) fn page(
    transaction: &ReadTransaction,
    filter: &AuditFilter,
    page: AuditPage,
) -> Result<AuditListed<Sealed>, StoreError> {
    let search = Search::of(transaction, filter)?;
    let entries = transaction.open_table(tables::AUDIT).map_err(failed("open a table"))?;
    let after = match page.after {
        None => END,
        Some(sequence) => match read(&entries, sequence)?.map(|sealed| sealed.entry()) {
            Some(Ok(entry)) => index::audit_id(entry.event.at, sequence),
            // It was dropped, and so was all that is older.
            Some(Err(_)) | None => [0; 16],
        },
    };
    let end = if search.total.is_some() { after.min(search.before) } else { search.before };
    let (mut ids, mut matching, mut passed, mut more) = (Vec::new(), 0u64, 0, false);
    for id in search.ids(search.from, end)?.rev() {
        let id = id?;
        matching += 1;
        if id >= after {
            continue;
        }
        if passed < page.offset {
            passed += 1;
        } else if ids.len() < page.limit {
            ids.push(id);
        } else {
            more = true;
            if search.total.is_some() {
                break;
            }
        }
    }
    let next_after = if more { ids.last().map(|id| index::audit_sequence(*id)) } else { None };
    let mut items = Vec::with_capacity(ids.len());
    for id in ids {
        match read(&entries, index::audit_sequence(id)) {
            Ok(sealed) => items.extend(sealed),
            // The others are still to be seen; verification names it.
            Err(error) => tracing::error!(%error, "a damaged entry is left out of a list"),
        }
    }
    Ok(AuditListed { items, total: search.total.unwrap_or(matching), next_after })
}

/// Entries after a place, oldest first, with the place where they end.
pub(super) fn matching(
    transaction: &ReadTransaction,
    filter: &AuditFilter,
    after: Option<AuditPlace>,
    limit: usize,
) -> Result<(Vec<Sealed>, Option<AuditPlace>), StoreError> {
    let search = Search::of(transaction, filter)?;
    let entries = transaction.open_table(tables::AUDIT).map_err(failed("open a table"))?;
    let from = after.map_or(search.from, |after| (u128::from_be_bytes(after).saturating_add(1)).to_be_bytes());
    let (mut found, mut last) = (Vec::new(), None);
    for id in search.ids(from.max(search.from), search.before)?.take(limit) {
        let id = id?;
        found.extend(read(&entries, index::audit_sequence(id))?);
        last = Some(id);
    }
    Ok((found, last))
}

/// The sequence up to which all entries are older than `cutoff`.
pub(super) fn before(
    transaction: &ReadTransaction,
    cutoff: Timestamp,
    limit: usize,
) -> Result<Option<u64>, StoreError> {
    let entries = transaction.open_table(tables::AUDIT).map_err(failed("open a table"))?;
    let mut last = None;
    for entry in entries.iter().map_err(failed("read"))?.take(limit) {
        let (sequence, value) = entry.map_err(failed("read"))?;
        let sealed: Sealed = decode("audit", &sequence.value().to_be_bytes(), value.value())?;
        let Ok(entry) = sealed.entry() else { break };
        if entry.event.at >= cutoff {
            break;
        }
        last = Some(sequence.value());
    }
    Ok(last)
}

fn read(entries: &ReadOnlyTable<u64, &'static [u8]>, sequence: u64) -> Result<Option<Sealed>, StoreError> {
    let value = entries.get(sequence).map_err(failed("read"))?;
    value.map(|value| decode("audit", &sequence.to_be_bytes(), value.value())).transpose()
}

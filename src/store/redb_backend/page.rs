//! A page of a list: a range scan of the smallest index that applies, the other conditions checked by their own index.

use std::collections::{BinaryHeap, HashSet};

use redb::{ReadTransaction, ReadableTable, StorageError};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Bytes, decode, failed, hex};
use crate::api::list::{Listed, Page};
use crate::model::name::Name;
use crate::model::rollback::Checkpoint;
use crate::model::task::Task;
use crate::store::backend::StoreError;
use crate::store::index::{self, Prefix};
use crate::store::record::{BatchRecord, RollbackRecord};
use crate::store::tables;

type Id = [u8; 16];

/// A record that knows the key that it stands under.
pub(super) trait Listable {
    fn id(&self) -> Id;
}

impl Listable for Task {
    fn id(&self) -> Id {
        self.id.bytes()
    }
}

impl Listable for BatchRecord {
    fn id(&self) -> Id {
        self.id.bytes()
    }
}

impl Listable for RollbackRecord {
    fn id(&self) -> Id {
        self.id.bytes()
    }
}

impl Listable for Checkpoint {
    fn id(&self) -> Id {
        self.id.bytes()
    }
}

/// A record that was found under a key, unless it is that of another key, which the disk changed into this one.
pub(super) fn of_its_own<T: Listable>(found: Option<T>, kind: &'static str, id: Id) -> Result<Option<T>, StoreError> {
    match found {
        Some(record) if record.id() != id => {
            let cause = "it is the record of another key".to_owned();
            Err(StoreError::Damaged { kind, key: hex(&id), cause })
        }
        found => Ok(found),
    }
}

/// The records that stand under all of `prefixes` and, where there is a `within`, under one of those, which exclude each
/// other; newest first.
///
/// With one condition the cost is that of the page (and of the offset), and the total is a counter, or the sum of some. With
/// several, the smallest index is walked to its end, because nothing else knows the total.
pub(super) fn page<T: DeserializeOwned + Listable>(
    transaction: &ReadTransaction,
    table: Bytes,
    kind: &'static str,
    prefixes: &[Prefix],
    within: Option<&[Prefix]>,
    page: Page,
) -> Result<Listed<T>, StoreError> {
    let records = transaction.open_table(table).map_err(failed("open a table"))?;
    let keys = transaction.open_table(tables::INDEX).map_err(failed("open a table"))?;
    let (walked, others, count) = plan(transaction, prefixes, within)?;
    let after = page.after.map_or([0xff; 16], Uuid::into_bytes);
    let end = if others.is_empty() { after } else { [0xff; 16] };
    let (mut ids, mut matching, mut passed, mut more) = (Vec::with_capacity(page.limit), 0u64, 0, false);
    for id in Merged::over(&keys, &walked, end)? {
        let id = id.map_err(failed("read an index"))?;
        let mut applies = true;
        for other in &others {
            applies &= keys.get(&index::key(other, id)[..]).map_err(failed("read an index"))?.is_some();
        }
        if !applies {
            continue;
        }
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
            if others.is_empty() {
                break;
            }
        }
    }
    // A key of an index that the disk changed can name a record a second time.
    let mut seen = HashSet::with_capacity(ids.len());
    ids.retain(|id| seen.insert(*id));
    let mut items = Vec::with_capacity(ids.len());
    for id in &ids {
        if let Some(value) = records.get(&id[..]).map_err(failed("read"))? {
            let record = decode::<T>(kind, id, value.value());
            match record.and_then(|record| of_its_own(Some(record), kind, *id)) {
                Ok(record) => items.extend(record),
                // The others are still to be seen.
                Err(error) => tracing::error!(%error, "a damaged record is left out of a list"),
            }
        }
    }
    let next_after = if more { ids.last().copied().map(Uuid::from_bytes) } else { None };
    Ok(Listed { items, total: if others.is_empty() { count } else { matching }, next_after })
}

/// What is walked, what is checked of each, and how many there are where nothing is to be checked.
fn plan<'p>(
    transaction: &ReadTransaction,
    prefixes: &'p [Prefix],
    within: Option<&'p [Prefix]>,
) -> Result<(Vec<&'p Prefix>, Vec<&'p Prefix>, u64), StoreError> {
    let counts = transaction.open_table(tables::COUNTS).map_err(failed("open a table"))?;
    let mut counted = Vec::with_capacity(prefixes.len());
    for prefix in within.unwrap_or(prefixes) {
        let count = counts.get(&prefix[..]).map_err(failed("read a count"))?.map_or(0, |count| count.value());
        counted.push((count, prefix));
    }
    if within.is_some() {
        let others = prefixes.iter().filter(|prefix| !index::is_all(prefix)).collect();
        let total = counted.iter().map(|(count, _)| count).sum();
        return Ok((counted.into_iter().map(|(_, prefix)| prefix).collect(), others, total));
    }
    counted.sort_unstable();
    let mut by_size = counted.iter().map(|(_, prefix)| *prefix);
    let walked = by_size.next().into_iter().collect();
    Ok((walked, by_size.collect(), counted.first().map_or(0, |(count, _)| *count)))
}

/// The infras that something of a kind belongs to.
pub(super) fn infras(transaction: &ReadTransaction, of: index::Of) -> Result<Vec<Name>, StoreError> {
    let counts = transaction.open_table(tables::COUNTS).map_err(failed("open a table"))?;
    let start = index::of_infras(of);
    let mut found = Vec::new();
    for entry in counts.range::<&[u8]>(&start[..]..).map_err(failed("read the counts"))? {
        let (prefix, count) = entry.map_err(failed("read the counts"))?;
        if !prefix.value().starts_with(&start) {
            break;
        }
        found.extend(index::infra(prefix.value()).filter(|_| count.value() > 0));
    }
    Ok(found)
}

/// The ids below several prefixes as one list, newest first.
struct Merged<'k> {
    sources: Vec<Source<'k>>,
    /// The newest id of each source that is not at its end.
    heads: BinaryHeap<(Id, usize)>,
    error: Option<StorageError>,
}

struct Source<'k> {
    prefix_bytes: usize,
    keys: redb::Range<'k, &'static [u8], ()>,
}

impl<'k> Merged<'k> {
    /// Of ids before `end`.
    fn over(
        keys: &'k impl ReadableTable<&'static [u8], ()>,
        prefixes: &[&Prefix],
        end: Id,
    ) -> Result<Self, StoreError> {
        let mut merged = Self { sources: Vec::with_capacity(prefixes.len()), heads: BinaryHeap::new(), error: None };
        for prefix in prefixes {
            let end = index::key(prefix, end);
            let keys = keys.range::<&[u8]>(&prefix[..]..&end[..]).map_err(failed("read an index"))?;
            merged.sources.push(Source { prefix_bytes: prefix.len(), keys });
            merged.advance(merged.sources.len() - 1);
        }
        Ok(merged)
    }

    fn advance(&mut self, source: usize) {
        let Source { prefix_bytes, keys } = &mut self.sources[source];
        for entry in keys.rev() {
            match entry {
                Ok((key, _)) => {
                    if let Some(Ok(id)) = key.value().get(*prefix_bytes..).map(Id::try_from) {
                        self.heads.push((id, source));
                        return;
                    }
                }
                Err(error) => {
                    self.error = Some(error);
                    return;
                }
            }
        }
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Id, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        let (id, source) = self.heads.pop()?;
        self.advance(source);
        Some(Ok(id))
    }
}

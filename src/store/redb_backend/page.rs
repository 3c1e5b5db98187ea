//! A page of a list: a range scan of the smallest index that applies, the other conditions checked by their own index.

use redb::ReadTransaction;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Bytes, decode, failed};
use crate::api::list::{Listed, Page};
use crate::store::backend::StoreError;
use crate::store::index::{self, Prefix};
use crate::store::tables;

/// The records that stand under all of `prefixes`, newest first.
///
/// With one condition the cost is that of the page (and of the offset), and the total is a counter. With several, the
/// smallest index is walked to its end, because nothing else knows the total.
pub(super) fn page<T: DeserializeOwned>(
    transaction: &ReadTransaction,
    table: Bytes,
    kind: &'static str,
    prefixes: &[Prefix],
    page: Page,
) -> Result<Listed<T>, StoreError> {
    let records = transaction.open_table(table).map_err(failed("open a table"))?;
    let keys = transaction.open_table(tables::INDEX).map_err(failed("open a table"))?;
    let counts = transaction.open_table(tables::COUNTS).map_err(failed("open a table"))?;
    let mut counted = Vec::with_capacity(prefixes.len());
    for prefix in prefixes {
        let count = counts.get(&prefix[..]).map_err(failed("read a count"))?.map_or(0, |count| count.value());
        counted.push((count, prefix));
    }
    counted.sort_unstable();
    let Some(((count, prefix), others)) = counted.split_first() else {
        return Ok(Listed { items: Vec::new(), total: 0, next_after: None });
    };
    let after = page.after.map_or([0xff; 16], Uuid::into_bytes);
    let end = index::key(prefix, if others.is_empty() { after } else { [0xff; 16] });
    let (mut ids, mut matching, mut passed, mut more) = (Vec::with_capacity(page.limit), 0u64, 0, false);
    for entry in keys.range::<&[u8]>(&prefix[..]..&end[..]).map_err(failed("read an index"))?.rev() {
        let (key, _) = entry.map_err(failed("read an index"))?;
        let Some(Ok(id)) = key.value().get(prefix.len()..).map(<[u8; 16]>::try_from) else { continue };
        let mut applies = true;
        for (_, other) in others {
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
    let mut items = Vec::with_capacity(ids.len());
    for id in &ids {
        if let Some(value) = records.get(&id[..]).map_err(failed("read"))? {
            match decode(kind, id, value.value()) {
                Ok(record) => items.push(record),
                // The others are still to be seen.
                Err(error) => tracing::error!(%error, "a damaged record is left out of a list"),
            }
        }
    }
    let next_after = if more { ids.last().copied().map(Uuid::from_bytes) } else { None };
    Ok(Listed { items, total: if others.is_empty() { *count } else { matching }, next_after })
}

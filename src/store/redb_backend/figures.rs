//! Reads of what is counted, and never by looking at each of what is counted.

use std::collections::BTreeMap;
use std::ops::Range;

use redb::{ReadTransaction, ReadableTableMetadata};

use super::apply::STATISTICS_SINCE;
use super::{decode, failed, one_of};
use crate::model::status::TaskStatus;
use crate::model::task::Task;
use crate::model::time::Timestamp;
use crate::store::backend::StoreError;
use crate::store::record::{Counts, Rollup, Tally};
use crate::store::{index, statistics, tables};

/// How much of what there is.
pub(super) fn counts(read: &ReadTransaction) -> Result<Counts, StoreError> {
    let counts = read.open_table(tables::COUNTS).map_err(failed("open a table"))?;
    let mut tasks = BTreeMap::new();
    for status in TaskStatus::ALL {
        let count = counts.get(&index::of_task_status(*status)[..]).map_err(failed("read a count"))?;
        tasks.insert(*status, count.map_or(0, |count| count.value()));
    }
    let live = read.open_table(tables::LIVE).map_err(failed("open a table"))?;
    let live_works = live.len().map_err(failed("read a count"))?;
    Ok(Counts { live_works, tasks, oldest_pending: oldest_pending(read)? })
}

/// When the oldest task that waits was accepted. One that is damaged is passed over.
fn oldest_pending(read: &ReadTransaction) -> Result<Option<Timestamp>, StoreError> {
    let keys = read.open_table(tables::INDEX).map_err(failed("open a table"))?;
    let prefix = index::of_task_status(TaskStatus::Pending);
    for entry in keys.range::<&[u8]>(&prefix[..]..).map_err(failed("read an index"))? {
        let key = entry.map_err(failed("read an index"))?.0;
        let Some(id) = key.value().strip_prefix(&prefix[..]) else { break };
        if let Ok(Some(task)) = one_of::<Task>(read, tables::TASKS, "task", id) {
            return Ok(Some(task.created_at));
        }
    }
    Ok(None)
}

/// What ended in these hours. A damaged record is left out.
pub(super) fn rollups(read: &ReadTransaction, hours: &Range<u64>) -> Result<Vec<(Rollup, Tally)>, StoreError> {
    let table = read.open_table(tables::STATISTICS).map_err(failed("open a table"))?;
    let range = statistics::range(hours);
    let mut found: BTreeMap<Rollup, Tally> = BTreeMap::new();
    if range.start >= range.end {
        return Ok(Vec::new());
    }
    for entry in table.range::<&[u8]>(&range.start[..]..&range.end[..]).map_err(failed("read"))? {
        let (key, value) = entry.map_err(failed("read"))?;
        let Some(rollup) = statistics::rollup(key.value()) else { continue };
        match decode::<Tally>("statistics", key.value(), value.value()) {
            Ok(tally) => found.entry(rollup).or_default().add(tally),
            Err(error) => tracing::error!(%error, "a damaged record is left out of the statistics"),
        }
    }
    Ok(found.into_iter().collect())
}

/// Since when everything is counted; none when nothing was yet.
pub(super) fn counted_since(read: &ReadTransaction) -> Result<Option<Timestamp>, StoreError> {
    let meta = read.open_table(tables::META).map_err(failed("open a table"))?;
    let stored = meta.get(STATISTICS_SINCE).map_err(failed("read"))?;
    Ok(stored.and_then(|bytes| bytes.value().try_into().ok()).map(|bytes| Timestamp(i64::from_be_bytes(bytes))))
}

/// How long the last Completed tasks of this name and infra took, in milliseconds, the newest last.
pub(super) fn durations(
    read: &ReadTransaction,
    name: &str,
    infra: &str,
    is_check: bool,
) -> Result<Vec<u64>, StoreError> {
    let key = statistics::history(name, infra, is_check);
    Ok(one_of(read, tables::STATISTICS, "statistics", &key)?.unwrap_or_default())
}

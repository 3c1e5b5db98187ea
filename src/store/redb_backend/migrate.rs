//! What an older prov's file lacks is added when it is opened, once, in a transaction of its own.

use std::collections::BTreeMap;

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::apply::STATISTICS_SINCE;
use super::figures::counted_since;
use super::{decode, failed};
use crate::store::backend::StoreError;
use crate::store::index;
use crate::store::record::BatchRecord;
use crate::store::tables;

/// The name of the indexes' version among the store's facts.
const INDEXES: &str = "indexes";
/// 1: batches stand under their infra.
const VERSION: u64 = 1;

/// Puts the batches of a file that was written without it under their infra.
pub(super) fn indexes(database: &Database) -> Result<(), StoreError> {
    let write = database.begin_write().map_err(failed("begin a transaction"))?;
    {
        let mut meta = write.open_table(tables::META).map_err(failed("open a table"))?;
        let stored = meta.get(INDEXES).map_err(failed("read the version of the indexes"))?;
        let version = stored.and_then(|bytes| bytes.value().try_into().ok()).map_or(0, u64::from_be_bytes);
        if version >= VERSION {
            return Ok(());
        }
        let batches = write.open_table(tables::BATCHES).map_err(failed("open a table"))?;
        let mut index = write.open_table(tables::INDEX).map_err(failed("open a table"))?;
        let mut counts = write.open_table(tables::COUNTS).map_err(failed("open a table"))?;
        let mut counted = BTreeMap::new();
        for entry in batches.iter().map_err(failed("read"))? {
            let (key, value) = entry.map_err(failed("read"))?;
            let Ok(id) = <[u8; 16]>::try_from(key.value()) else { continue };
            // One that is damaged stands nowhere; what replaces it will.
            let Ok(batch) = decode::<BatchRecord>("batch", &id, value.value()) else { continue };
            let prefix = index::of_infra(index::Of::Batches, &batch.infra);
            index.insert(&index::key(&prefix, id)[..], ()).map_err(failed("write"))?;
            *counted.entry(prefix).or_insert(0u64) += 1;
        }
        for (prefix, count) in counted {
            counts.insert(&prefix[..], count).map_err(failed("write"))?;
        }
        meta.insert(INDEXES, &VERSION.to_be_bytes()[..]).map_err(failed("write"))?;
    }
    write.commit().map_err(failed("bring its indexes up to date"))
}

/// Of a file without tasks everything will be counted; of any other what ends from now on.
pub(super) fn statistics(database: &Database) -> Result<(), StoreError> {
    let read = database.begin_read().map_err(failed("begin a read"))?;
    let tasks = read.open_table(tables::TASKS).map_err(failed("open a table"))?;
    if counted_since(&read)?.is_some() || !tasks.is_empty().map_err(failed("read"))? {
        return Ok(());
    }
    let write = database.begin_write().map_err(failed("begin a transaction"))?;
    {
        let mut meta = write.open_table(tables::META).map_err(failed("open a table"))?;
        meta.insert(STATISTICS_SINCE, &i64::MIN.to_be_bytes()[..]).map_err(failed("write"))?;
    }
    write.commit().map_err(failed("begin its statistics"))
}

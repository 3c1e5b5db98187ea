//! What is counted of tasks that end, in the commit in which they do. What one commit adds to a count is written once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use redb::{ReadableTable, WriteTransaction};
use serde::de::DeserializeOwned;

use super::{BytesTable, put};
use crate::model::status::TaskStatus;
use crate::model::task::Task;
use crate::model::time::Timestamp;
use crate::store::backend::StoreError;
use crate::store::record::Tally;
use crate::store::redb_backend::lazy::Lazy;
use crate::store::redb_backend::{decode, failed};
use crate::store::{statistics, tables};

/// The name among the store's facts of the time since which everything is counted (i64, milliseconds, big-endian).
pub(in crate::store::redb_backend) const SINCE: &str = "statistics_since";

/// What this commit adds.
pub(super) struct Statistics<'t> {
    table: BytesTable<'t>,
    tallies: HashMap<Vec<u8>, Tally>,
    histories: HashMap<Vec<u8>, Vec<u64>>,
    /// When the first of them ended.
    first: Option<Timestamp>,
}

impl<'t> Statistics<'t> {
    pub(super) fn of(write: &'t WriteTransaction) -> Self {
        let table = Lazy::new(write, tables::STATISTICS);
        Self { table, tallies: HashMap::new(), histories: HashMap::new(), first: None }
    }

    /// A task has ended.
    pub(super) fn ended(&mut self, task: &Task) -> Result<(), StoreError> {
        let Some(at) = task.completed_at else { return Ok(()) };
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        let took_ms = task.ran().map_or(0, |ran| u64::try_from(ran.as_millis()).unwrap_or(u64::MAX));
        let tally = loaded(&mut self.tallies, &mut self.table, statistics::key(task, at))?;
        tally.count = tally.count.saturating_add(1);
        tally.total_ms = tally.total_ms.saturating_add(took_ms);
        if task.status == TaskStatus::Completed && task.started_at.is_some() {
            let infra = task.infra.as_ref().map_or("", |infra| infra.as_str());
            let key = statistics::history(&task.name, infra, task.is_check());
            let history = loaded(&mut self.histories, &mut self.table, key)?;
            history.push(took_ms);
            history.drain(..history.len().saturating_sub(statistics::KEPT));
        }
        Ok(())
    }

    pub(super) fn write(
        &mut self,
        meta: &mut Lazy<'t, &'static str, &'static [u8]>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let Some(first) = self.first else { return Ok(()) };
        let meta = meta.get()?;
        if meta.get(SINCE).map_err(failed("read"))?.is_none() {
            meta.insert(SINCE, &first.0.to_be_bytes()[..]).map_err(failed("write"))?;
        }
        for (key, tally) in &self.tallies {
            put(self.table.get()?, key, tally, buffer)?;
        }
        for (key, history) in &self.histories {
            put(self.table.get()?, key, history, buffer)?;
        }
        Ok(())
    }
}

/// What this commit has made of a record so far; at first it is as it is on disk. A damaged one begins anew.
fn loaded<'m, T: DeserializeOwned + Default>(
    known: &'m mut HashMap<Vec<u8>, T>,
    table: &mut BytesTable<'_>,
    key: Vec<u8>,
) -> Result<&'m mut T, StoreError> {
    match known.entry(key) {
        Entry::Occupied(entry) => Ok(entry.into_mut()),
        Entry::Vacant(entry) => {
            let stored = table.get()?.get(&entry.key()[..]).map_err(failed("read"))?;
            let stored = stored.map(|value| decode("statistics", entry.key(), value.value()));
            Ok(entry.insert(match stored {
                Some(Ok(stored)) => stored,
                Some(Err(error)) => {
                    tracing::error!(%error, "what was counted in a damaged record is lost");
                    T::default()
                }
                None => T::default(),
            }))
        }
    }
}

//! The order of all events, whatever work they happened to.

use redb::{ReadTransaction, ReadableTable};

use super::{decode, failed};
use crate::store::backend::StoreError;
use crate::store::record::LoggedEvent;
use crate::store::tables;

/// The events after this place, at most `limit`, and up to where that is. One that is damaged is left out, so that it holds
/// up no other.
pub(super) fn after(
    read: &ReadTransaction,
    after: u64,
    limit: usize,
) -> Result<(Vec<(u64, LoggedEvent)>, u64), StoreError> {
    let order = read.open_table(tables::SEQUENCE).map_err(failed("open a table"))?;
    let events = read.open_table(tables::EVENTS).map_err(failed("open a table"))?;
    let (mut found, mut upto) = (Vec::new(), after);
    for entry in order.range(after.saturating_add(1)..).map_err(failed("read"))?.take(limit) {
        let (place, work) = entry.map_err(failed("read"))?;
        let place = place.value();
        upto = place;
        let key = [work.value(), &place.to_be_bytes()[..]].concat();
        let event = events.get(&key[..]).map_err(failed("read"))?;
        match event.map(|event| decode("event", &key, event.value())) {
            Some(Ok(event)) => found.push((place, event)),
            Some(Err(error)) => tracing::error!(%error, place, "an event is left out"),
            None => tracing::error!(place, "an event is gone"),
        }
    }
    Ok((found, upto))
}

/// The place of the last event.
pub(super) fn end(read: &ReadTransaction) -> Result<u64, StoreError> {
    let order = read.open_table(tables::SEQUENCE).map_err(failed("open a table"))?;
    Ok(order.last().map_err(failed("read"))?.map_or(0, |(place, _)| place.value()))
}

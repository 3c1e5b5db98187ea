//! The format of a file, and its tables: all of them are made when it is opened, so that no read meets one that no write made.

use redb::{Database, ReadableTable, WriteTransaction};

use super::failed;
use crate::store::backend::StoreError;
use crate::store::tables;

/// The format this program writes; a store of another is migrated or refused.
const FORMAT: u32 = 1;
/// Refuses a file of a newer format, and makes the tables of any other.
pub(super) fn check_format(database: &Database) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(failed("begin a transaction"))?;
    {
        let mut meta = transaction.open_table(tables::META).map_err(failed("open a table"))?;
        let stored = meta.get("format").map_err(failed("read the format"))?.map(|value| value.value().to_vec());
        match stored.as_deref().map(<[u8; 4]>::try_from) {
            None => {
                meta.insert("format", &FORMAT.to_be_bytes()[..]).map_err(failed("write the format"))?;
            }
            Some(Ok(bytes)) if u32::from_be_bytes(bytes) > FORMAT => {
                return Err(StoreError::Newer { found: u32::from_be_bytes(bytes), known: FORMAT });
            }
            Some(Ok(_)) => {}
            Some(Err(_)) => {
                let cause = "it is not four bytes long".to_owned();
                return Err(StoreError::Damaged { kind: "meta", key: "format".to_owned(), cause });
            }
        }
    }
    make_tables(&transaction)?;
    transaction.commit().map_err(failed("make its tables"))
}

fn make_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    let bytes = [
        tables::WORKS,
        tables::LIVE,
        tables::EVENTS,
        tables::TASKS,
        tables::BATCHES,
        tables::OPERATIONS,
        tables::ROLLBACKS,
        tables::CHECKPOINTS,
        tables::REMEMBERED,
        tables::USERS,
        tables::USERNAMES,
        tables::SESSIONS,
        tables::POLICIES,
        tables::POLICY_VERSIONS,
        tables::API_TOKENS,
        tables::API_TOKEN_PREFIXES,
        tables::STATISTICS,
        tables::WEBHOOKS,
        tables::WEBHOOK_PROGRESS,
        tables::WEBHOOK_DELIVERIES,
    ];
    for table in bytes {
        transaction.open_table(table).map_err(failed("make a table"))?;
    }
    for table in [tables::INDEX, tables::REMEMBERED_AT, tables::SESSIONS_OF, tables::API_TOKENS_OF] {
        transaction.open_table(table).map_err(failed("make a table"))?;
    }
    transaction.open_table(tables::SEQUENCE).map_err(failed("make a table"))?;
    transaction.open_table(tables::COUNTS).map_err(failed("make a table"))?;
    transaction.open_table(tables::AUDIT).map_err(failed("make a table"))?;
    Ok(())
}

//! Reading users with what belongs to them.

use redb::{ReadTransaction, ReadableTableMetadata, TableDefinition};
use serde::de::DeserializeOwned;

use super::{Bytes, failed, one_of};
use crate::api::list::{Listed, Page};
use crate::model::api_token::ApiToken;
use crate::model::id::UserId;
use crate::store::backend::StoreError;
use crate::store::record::UserRecord;
use crate::store::tables;

type Keys = TableDefinition<'static, &'static [u8], ()>;

pub(super) fn user_by_name(transaction: &ReadTransaction, username: &str) -> Result<Option<UserRecord>, StoreError> {
    let names = transaction.open_table(tables::USERNAMES).map_err(failed("open a table"))?;
    let Some(id) = names.get(username.as_bytes()).map_err(failed("read"))? else { return Ok(None) };
    one_of(transaction, tables::USERS, "user", id.value())
}

/// Users in the order of their names. After somebody who is gone there is nobody.
pub(super) fn users(transaction: &ReadTransaction, page: Page) -> Result<Listed<UserRecord>, StoreError> {
    let names = transaction.open_table(tables::USERNAMES).map_err(failed("open a table"))?;
    let total = names.len().map_err(failed("count"))?;
    let last = page.after.map(|id| one_of::<UserRecord>(transaction, tables::USERS, "user", id.as_bytes()));
    let start = match last.transpose()? {
        None => Vec::new(),
        // The least name behind this one.
        Some(Some(last)) => [last.user.username.as_bytes(), b"\0"].concat(),
        Some(None) => return Ok(Listed { items: Vec::new(), total, next_after: None }),
    };
    let (mut items, mut more) = (Vec::new(), false);
    for entry in names.range::<&[u8]>(&start[..]..).map_err(failed("read"))?.skip(page.offset) {
        if items.len() == page.limit {
            more = true;
            break;
        }
        let id = entry.map_err(failed("read"))?.1;
        items.extend(one_of::<UserRecord>(transaction, tables::USERS, "user", id.value())?);
    }
    let next_after = items.last().filter(|_| more).map(|last| last.user.id.0);
    Ok(Listed { items, total, next_after })
}

pub(super) fn api_token_by_prefix(transaction: &ReadTransaction, prefix: &str) -> Result<Option<ApiToken>, StoreError> {
    let prefixes = transaction.open_table(tables::API_TOKEN_PREFIXES).map_err(failed("open a table"))?;
    let Some(id) = prefixes.get(prefix.as_bytes()).map_err(failed("read"))? else { return Ok(None) };
    one_of(transaction, tables::API_TOKENS, "API token", id.value())
}

/// The records of a user, oldest first: `of` has their ids, each behind the user's.
pub(super) fn owned<T: DeserializeOwned>(
    transaction: &ReadTransaction,
    of: Keys,
    records: Bytes,
    kind: &'static str,
    user: UserId,
) -> Result<Vec<T>, StoreError> {
    let table = transaction.open_table(of).map_err(failed("open a table"))?;
    let prefix = user.bytes();
    let mut found = Vec::new();
    for entry in table.range::<&[u8]>(&prefix[..]..).map_err(failed("read"))? {
        let key = entry.map_err(failed("read"))?.0;
        let Some(id) = key.value().strip_prefix(&prefix[..]) else { break };
        found.extend(one_of::<T>(transaction, records, kind, id)?);
    }
    Ok(found)
}

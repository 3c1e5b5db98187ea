//! Tables of a write transaction, each opened when it is first needed: an open table costs its share of the commit, whether
//! it was written to or not, and most commits touch a few of them.

use redb::{Key, Table, TableDefinition, Value, WriteTransaction};

use super::failed;
use crate::store::backend::StoreError;

/// A table that may yet be opened.
pub(super) struct Lazy<'t, K: Key + 'static, V: Value + 'static> {
    write: &'t WriteTransaction,
    definition: TableDefinition<'static, K, V>,
    open: Option<Table<'t, K, V>>,
}

impl<'t, K: Key + 'static, V: Value + 'static> Lazy<'t, K, V> {
    pub(super) fn new(write: &'t WriteTransaction, definition: TableDefinition<'static, K, V>) -> Self {
        Self { write, definition, open: None }
    }

    /// The table, which is open from now on.
    pub(super) fn get(&mut self) -> Result<&mut Table<'t, K, V>, StoreError> {
        let table = match self.open.take() {
            Some(open) => open,
            None => self.write.open_table(self.definition).map_err(failed("open a table"))?,
        };
        Ok(self.open.insert(table))
    }
}

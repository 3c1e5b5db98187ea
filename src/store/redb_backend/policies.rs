//! Policies and their versions in the tables, and the generation that each change of them begins.

use redb::{ReadTransaction, ReadableTable, Table, WriteTransaction};

use super::apply::{put, remove};
use super::lazy::Lazy;
use super::{decode, failed};
use crate::model::id::PolicyId;
use crate::store::backend::StoreError;
use crate::store::record::PolicyRecord;
use crate::store::tables;

/// The name of the generation among the store's facts.
const GENERATION: &str = "policies";

/// The tables of one write transaction.
pub(super) struct Tables<'t> {
    policies: Lazy<'t, &'static [u8], &'static [u8]>,
    versions: Lazy<'t, &'static [u8], &'static [u8]>,
}

impl<'t> Tables<'t> {
    pub(super) fn of(write: &'t WriteTransaction) -> Self {
        Self { policies: Lazy::new(write, tables::POLICIES), versions: Lazy::new(write, tables::POLICY_VERSIONS) }
    }

    pub(super) fn put(&mut self, policy: &PolicyRecord, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
        let id = policy.id.bytes();
        let version = [&id[..], &policy.version.to_be_bytes()[..]].concat();
        put(self.versions.get()?, &version, policy, buffer)?;
        put(self.policies.get()?, &id, policy, buffer)
    }

    pub(super) fn remove(&mut self, id: PolicyId) -> Result<(), StoreError> {
        let id = id.bytes();
        remove(self.policies.get()?, &id)?;
        let last = [&id[..], &[0xff; 8][..]].concat();
        let versions = self.versions.get()?;
        versions.retain_in::<&[u8], _>(&id[..]..=&last[..], |_, _| false).map_err(failed("write"))
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

/// The generation that a write transaction sees.
pub(super) fn generation(meta: &Table<'_, &'static str, &'static [u8]>) -> Result<u64, StoreError> {
    let stored = meta.get(GENERATION).map_err(failed("read the generation of the policies"))?;
    Ok(stored.map_or(0, |stored| number(stored.value())))
}

/// From now on it is another generation.
pub(super) fn begin_generation(meta: &mut Table<'_, &'static str, &'static [u8]>) -> Result<(), StoreError> {
    let next = generation(meta)? + 1;
    meta.insert(GENERATION, &next.to_be_bytes()[..]).map_err(failed("write"))?;
    Ok(())
}

/// All policies, newest first, with their generation, as one state of the store has them.
pub(super) fn all(read: &ReadTransaction) -> Result<(u64, Vec<PolicyRecord>), StoreError> {
    let meta = read.open_table(tables::META).map_err(failed("open a table"))?;
    let stored = meta.get(GENERATION).map_err(failed("read the generation of the policies"))?;
    let table = read.open_table(tables::POLICIES).map_err(failed("open a table"))?;
    let mut found = Vec::new();
    for entry in table.iter().map_err(failed("read"))?.rev() {
        let (key, value) = entry.map_err(failed("read"))?;
        found.push(decode("policy", key.value(), value.value())?);
    }
    Ok((stored.map_or(0, |stored| number(stored.value())), found))
}

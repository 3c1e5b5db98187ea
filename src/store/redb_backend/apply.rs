//! Applying transactions: preconditions first, then changes with their indexes and counts, then one commit.

use std::collections::HashMap;

use redb::{Database, Durability, ReadableTable, Table, WriteTransaction};
use serde::Serialize;

use super::{Bytes, RECORD_VERSION, decode, failed};
use crate::model::task::Task;
use crate::model::time::Timestamp;
use crate::model::user::Session;
use crate::store::backend::StoreError;
use crate::store::change::{Change, Precondition, Refused, Transaction};
use crate::store::index::{self, Prefix};
use crate::store::record::{BatchRecord, LoggedEvent, Remembered, UserRecord};
use crate::store::tables;

/// Applies the transactions and commits them together.
pub(super) fn apply(database: &Database, transactions: &[Transaction]) -> Result<Vec<Result<(), Refused>>, StoreError> {
    let mut write = database.begin_write().map_err(failed("begin a transaction"))?;
    write.set_durability(Durability::Immediate).map_err(failed("ask for durability"))?;
    // After a crash a large store opens at once instead of being walked through; `cargo bench` shows no cost.
    write.set_quick_repair(true);
    let verdicts = {
        let mut tables = Tables::open(&write)?;
        let mut verdicts = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            let verdict = tables.check(&transaction.preconditions)?;
            if verdict.is_ok() {
                for change in &transaction.changes {
                    tables.change(change)?;
                }
            }
            verdicts.push(verdict);
        }
        tables.write_counts()?;
        verdicts
    };
    write.commit().map_err(failed("commit"))?;
    Ok(verdicts)
}

type BytesTable<'t> = Table<'t, &'static [u8], &'static [u8]>;
type KeysTable<'t> = Table<'t, &'static [u8], ()>;

/// The tables of one write transaction, opened once for all it does.
struct Tables<'t> {
    meta: Table<'t, &'static str, &'static [u8]>,
    works: BytesTable<'t>,
    live: BytesTable<'t>,
    events: BytesTable<'t>,
    sequence: Table<'t, u64, &'static [u8]>,
    next_sequence: u64,
    tasks: BytesTable<'t>,
    batches: BytesTable<'t>,
    operations: BytesTable<'t>,
    index: KeysTable<'t>,
    counts: Table<'t, &'static [u8], u64>,
    counted: HashMap<Prefix, i64>,
    remembered: BytesTable<'t>,
    remembered_at: KeysTable<'t>,
    users: BytesTable<'t>,
    usernames: BytesTable<'t>,
    sessions: BytesTable<'t>,
    sessions_of: KeysTable<'t>,
    buffer: Vec<u8>,
}

impl<'t> Tables<'t> {
    fn open(write: &'t WriteTransaction) -> Result<Self, StoreError> {
        let bytes = |table: Bytes| write.open_table(table).map_err(failed("open a table"));
        let keys = |table| write.open_table(table).map_err(failed("open a table"));
        let sequence = write.open_table(tables::SEQUENCE).map_err(failed("open a table"))?;
        let next_sequence = sequence.last().map_err(failed("read"))?.map_or(1, |(last, _)| last.value() + 1);
        Ok(Self {
            meta: write.open_table(tables::META).map_err(failed("open a table"))?,
            works: bytes(tables::WORKS)?,
            live: bytes(tables::LIVE)?,
            events: bytes(tables::EVENTS)?,
            sequence,
            next_sequence,
            tasks: bytes(tables::TASKS)?,
            batches: bytes(tables::BATCHES)?,
            operations: bytes(tables::OPERATIONS)?,
            index: keys(tables::INDEX)?,
            counts: write.open_table(tables::COUNTS).map_err(failed("open a table"))?,
            counted: HashMap::new(),
            remembered: bytes(tables::REMEMBERED)?,
            remembered_at: keys(tables::REMEMBERED_AT)?,
            users: bytes(tables::USERS)?,
            usernames: bytes(tables::USERNAMES)?,
            sessions: bytes(tables::SESSIONS)?,
            sessions_of: keys(tables::SESSIONS_OF)?,
            buffer: Vec::with_capacity(1024),
        })
    }

    fn check(&self, preconditions: &[Precondition]) -> Result<Result<(), Refused>, StoreError> {
        for precondition in preconditions {
            if !self.holds(precondition)? {
                return Ok(Err(Refused(precondition.clone())));
            }
        }
        Ok(Ok(()))
    }

    fn holds(&self, precondition: &Precondition) -> Result<bool, StoreError> {
        Ok(match precondition {
            Precondition::KeyUnused(key) => self.remembered.get(key.as_bytes()).map_err(failed("read"))?.is_none(),
            Precondition::UsernameFree(name) => self.usernames.get(name.as_bytes()).map_err(failed("read"))?.is_none(),
            Precondition::SessionGeneration(id, generation) => {
                let key = id.bytes();
                let value = self.sessions.get(&key[..]).map_err(failed("read"))?;
                let session = value.map(|value| decode::<Session>("session", &key, value.value())).transpose()?;
                session.is_some_and(|session| session.generation == *generation)
            }
        })
    }

    fn change(&mut self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::PutWork(id, record) => put(&mut self.works, &id.bytes(), &**record, &mut self.buffer),
            Change::PutLive(id, record) => put(&mut self.live, &id.bytes(), record, &mut self.buffer),
            Change::RemoveLive(id) => remove(&mut self.live, &id.bytes()),
            Change::Append(event) => self.append(event),
            Change::PutTask(task) => self.put_task(task),
            Change::PutBatch(batch) => self.put_batch(batch),
            Change::PutOperation(operation) => {
                let key = [&operation.batch.bytes()[..], &operation.index.to_be_bytes()[..]].concat();
                put(&mut self.operations, &key, &**operation, &mut self.buffer)
            }
            Change::Remember(key, remembered) => {
                let at = [&remembered.at.0.to_be_bytes()[..], key.as_bytes()].concat();
                self.remembered_at.insert(&at[..], ()).map_err(failed("write"))?;
                put(&mut self.remembered, key.as_bytes(), remembered, &mut self.buffer)
            }
            Change::Forget(at, key) => self.forget(*at, key),
            Change::PutUser(user) => self.put_user(user),
            Change::PutSession(session) => {
                let of = [session.user.bytes(), session.id.bytes()].concat();
                self.sessions_of.insert(&of[..], ()).map_err(failed("write"))?;
                put(&mut self.sessions, &session.id.bytes(), &**session, &mut self.buffer)
            }
            Change::RemoveSession(id) => self.remove_session(id.bytes()),
            Change::PutMeta(name, value) => {
                self.meta.insert(name.as_str(), &value[..]).map_err(failed("write"))?;
                Ok(())
            }
        }
    }

    fn append(&mut self, event: &LoggedEvent) -> Result<(), StoreError> {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let work = event.work.bytes();
        self.sequence.insert(sequence, &work[..]).map_err(failed("write"))?;
        let key = [&work[..], &sequence.to_be_bytes()[..]].concat();
        put(&mut self.events, &key, event, &mut self.buffer)
    }

    fn put_task(&mut self, task: &Task) -> Result<(), StoreError> {
        let id = task.id.bytes();
        let old = self.tasks.get(&id[..]).map_err(failed("read"))?;
        let old = old.map(|value| decode::<Task>("task", &id, value.value())).transpose()?;
        let before = old.as_ref().map(index::of_task).unwrap_or_default();
        self.reindex(&before, &index::of_task(task), id)?;
        put(&mut self.tasks, &id, task, &mut self.buffer)
    }

    fn put_batch(&mut self, batch: &BatchRecord) -> Result<(), StoreError> {
        let id = batch.id.bytes();
        let old = self.batches.get(&id[..]).map_err(failed("read"))?;
        let old = old.map(|value| decode::<BatchRecord>("batch", &id, value.value())).transpose()?;
        let before = old.as_ref().map(index::of_batch).unwrap_or_default();
        self.reindex(&before, &index::of_batch(batch), id)?;
        put(&mut self.batches, &id, batch, &mut self.buffer)
    }

    /// Moves `id` from the prefixes it stood under to those it stands under now.
    fn reindex(&mut self, before: &[Prefix], after: &[Prefix], id: [u8; 16]) -> Result<(), StoreError> {
        for prefix in before.iter().filter(|prefix| !after.contains(prefix)) {
            self.index.remove(&index::key(prefix, id)[..]).map_err(failed("write an index"))?;
            *self.counted.entry(prefix.clone()).or_default() -= 1;
        }
        for prefix in after.iter().filter(|prefix| !before.contains(prefix)) {
            self.index.insert(&index::key(prefix, id)[..], ()).map_err(failed("write an index"))?;
            *self.counted.entry(prefix.clone()).or_default() += 1;
        }
        Ok(())
    }

    fn write_counts(&mut self) -> Result<(), StoreError> {
        for (prefix, difference) in self.counted.drain() {
            let count = self.counts.get(&prefix[..]).map_err(failed("read a count"))?.map_or(0, |count| count.value());
            let count = count.saturating_add_signed(difference);
            self.counts.insert(&prefix[..], count).map_err(failed("write a count"))?;
        }
        Ok(())
    }

    fn put_user(&mut self, record: &UserRecord) -> Result<(), StoreError> {
        let id = record.user.id.bytes();
        let old = self.users.get(&id[..]).map_err(failed("read"))?;
        let old = old.map(|value| decode::<UserRecord>("user", &id, value.value())).transpose()?;
        if let Some(old) = old {
            remove(&mut self.usernames, old.user.username.as_bytes())?;
        }
        self.usernames.insert(record.user.username.as_bytes(), &id[..]).map_err(failed("write"))?;
        put(&mut self.users, &id, record, &mut self.buffer)
    }

    /// Forgets a key that was remembered at that time; one that was remembered anew since stays.
    fn forget(&mut self, at: Timestamp, key: &str) -> Result<(), StoreError> {
        let dated = [&at.0.to_be_bytes()[..], key.as_bytes()].concat();
        self.remembered_at.remove(&dated[..]).map_err(failed("write"))?;
        let value = self.remembered.get(key.as_bytes()).map_err(failed("read"))?;
        let value =
            value.map(|value| decode::<Remembered>("idempotency", key.as_bytes(), value.value())).transpose()?;
        if value.is_some_and(|remembered| remembered.at == at) {
            remove(&mut self.remembered, key.as_bytes())
        } else {
            Ok(())
        }
    }

    fn remove_session(&mut self, id: [u8; 16]) -> Result<(), StoreError> {
        let old = self.sessions.remove(&id[..]).map_err(failed("write"))?;
        let old = old.map(|value| decode::<Session>("session", &id, value.value())).transpose()?;
        if let Some(session) = old {
            let of = [session.user.bytes(), session.id.bytes()].concat();
            self.sessions_of.remove(&of[..]).map_err(failed("write"))?;
        }
        Ok(())
    }
}

fn put<T: Serialize>(
    table: &mut BytesTable<'_>,
    key: &[u8],
    record: &T,
    buffer: &mut Vec<u8>,
) -> Result<(), StoreError> {
    buffer.clear();
    buffer.push(RECORD_VERSION);
    serde_json::to_writer(&mut *buffer, record).map_err(failed("encode a record"))?;
    table.insert(key, &buffer[..]).map_err(failed("write"))?;
    Ok(())
}

fn remove(table: &mut BytesTable<'_>, key: &[u8]) -> Result<(), StoreError> {
    table.remove(key).map_err(failed("write"))?;
    Ok(())
}

//! Applying transactions: preconditions first, then changes with their indexes and counts, then one commit.

use std::collections::HashMap;

use redb::{Database, Durability, ReadableTable, Table, WriteTransaction};
use serde::Serialize;

use super::lazy::Lazy;
use super::{HEADER_BYTES, RECORD_VERSION, decode, failed, policies, webhooks};
use crate::audit::{self, Chain};
use crate::model::rollback;
use crate::model::task::Task;
use crate::model::time::Timestamp;
use crate::model::user::Session;
use crate::store::backend::StoreError;
use crate::store::change::{Change, Precondition, Refused, Transaction};
use crate::store::index::{self, Prefix};
use crate::store::record::{BatchRecord, LoggedEvent, Remembered};
use crate::store::tables;

mod accounts;
mod statistics;
mod trail;

pub(super) use statistics::SINCE as STATISTICS_SINCE;
pub(super) use trail::{AUDIT_ANCHOR, AUDIT_HEAD, head_of};

/// The name of the number of the last commit among the store's facts.
pub(super) const COMMITS: &str = "commits";

/// Applies the transactions and commits them together, as the commit of this number. The verdicts are known before the
/// commit is, and hold if it turns out to have happened.
pub(super) fn apply(
    database: &Database,
    transactions: &[Transaction],
    number: u64,
    audit_key: &audit::Key,
    verdicts: &mut Vec<Result<(), Refused>>,
) -> Result<(), StoreError> {
    let mut write = database.begin_write().map_err(failed("begin a transaction"))?;
    write.set_durability(Durability::Immediate).map_err(failed("ask for durability"))?;
    // After a crash a large store opens at once instead of being walked through. That costs a second flush and a quarter
    // of a millisecond a commit, and nothing where many share one.
    write.set_quick_repair(true);
    {
        let mut tables = Tables::of(&write, audit_key);
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
        tables.statistics.write(&mut tables.meta, &mut tables.buffer)?;
        tables.write_head()?;
        tables.meta.get()?.insert(COMMITS, &number.to_be_bytes()[..]).map_err(failed("write"))?;
    }
    write.commit().map_err(failed("commit"))
}

type BytesTable<'t> = Lazy<'t, &'static [u8], &'static [u8]>;
type KeysTable<'t> = Lazy<'t, &'static [u8], ()>;

/// The tables of one write transaction.
struct Tables<'t> {
    meta: Lazy<'t, &'static str, &'static [u8]>,
    works: BytesTable<'t>,
    live: BytesTable<'t>,
    events: BytesTable<'t>,
    sequence: Lazy<'t, u64, &'static [u8]>,
    /// Known once the first event was appended.
    next_sequence: Option<u64>,
    tasks: BytesTable<'t>,
    batches: BytesTable<'t>,
    operations: BytesTable<'t>,
    rollbacks: BytesTable<'t>,
    checkpoints: BytesTable<'t>,
    index: KeysTable<'t>,
    counts: Lazy<'t, &'static [u8], u64>,
    counted: HashMap<Prefix, i64>,
    audit: Lazy<'t, u64, &'static [u8]>,
    audit_key: &'t audit::Key,
    /// Known once the first event was sealed.
    chain: Option<Chain<'t>>,
    remembered: BytesTable<'t>,
    remembered_at: KeysTable<'t>,
    users: BytesTable<'t>,
    usernames: BytesTable<'t>,
    sessions: BytesTable<'t>,
    sessions_of: KeysTable<'t>,
    policies: policies::Tables<'t>,
    api_tokens: BytesTable<'t>,
    api_token_prefixes: BytesTable<'t>,
    api_tokens_of: KeysTable<'t>,
    statistics: statistics::Statistics<'t>,
    webhooks: webhooks::Tables<'t>,
    buffer: Vec<u8>,
}

impl<'t> Tables<'t> {
    fn of(write: &'t WriteTransaction, audit_key: &'t audit::Key) -> Self {
        let (bytes, keys) = (|table| Lazy::new(write, table), |table| Lazy::new(write, table));
        Self {
            meta: Lazy::new(write, tables::META),
            works: bytes(tables::WORKS),
            live: bytes(tables::LIVE),
            events: bytes(tables::EVENTS),
            sequence: Lazy::new(write, tables::SEQUENCE),
            next_sequence: None,
            tasks: bytes(tables::TASKS),
            batches: bytes(tables::BATCHES),
            operations: bytes(tables::OPERATIONS),
            rollbacks: bytes(tables::ROLLBACKS),
            checkpoints: bytes(tables::CHECKPOINTS),
            index: keys(tables::INDEX),
            counts: Lazy::new(write, tables::COUNTS),
            counted: HashMap::new(),
            audit: Lazy::new(write, tables::AUDIT),
            audit_key,
            chain: None,
            remembered: bytes(tables::REMEMBERED),
            remembered_at: keys(tables::REMEMBERED_AT),
            users: bytes(tables::USERS),
            usernames: bytes(tables::USERNAMES),
            sessions: bytes(tables::SESSIONS),
            sessions_of: keys(tables::SESSIONS_OF),
            policies: policies::Tables::of(write),
            api_tokens: bytes(tables::API_TOKENS),
            api_token_prefixes: bytes(tables::API_TOKEN_PREFIXES),
            api_tokens_of: keys(tables::API_TOKENS_OF),
            statistics: statistics::Statistics::of(write),
            webhooks: webhooks::Tables::of(write),
            buffer: Vec::with_capacity(1024),
        }
    }

    fn check(&mut self, preconditions: &[Precondition]) -> Result<Result<(), Refused>, StoreError> {
        for precondition in preconditions {
            if !self.holds(precondition)? {
                return Ok(Err(Refused(precondition.clone())));
            }
        }
        Ok(Ok(()))
    }

    fn holds(&mut self, precondition: &Precondition) -> Result<bool, StoreError> {
        Ok(match precondition {
            Precondition::KeyUnused(key) => {
                self.remembered.get()?.get(key.as_bytes()).map_err(failed("read"))?.is_none()
            }
            Precondition::UsernameFree(name) => {
                self.usernames.get()?.get(name.as_bytes()).map_err(failed("read"))?.is_none()
            }
            Precondition::SessionGeneration(id, generation) => {
                let key = id.bytes();
                let value = self.sessions.get()?.get(&key[..]).map_err(failed("read"))?;
                let session = value.map(|value| decode::<Session>("session", &key, value.value())).transpose()?;
                session.is_some_and(|session| session.generation == *generation)
            }
            Precondition::PolicyGeneration(generation) => policies::generation(self.meta.get()?)? == *generation,
            Precondition::UserGeneration(id, generation) => {
                self.user(*id)?.is_some_and(|user| user.generation == *generation)
            }
            Precondition::AnotherAdmin(id) => self.has_another_admin(*id)?,
            Precondition::ApiTokenPrefixFree(prefix) => {
                self.api_token_prefixes.get()?.get(prefix.as_bytes()).map_err(failed("read"))?.is_none()
            }
            Precondition::ApiTokenThere(id) => self.api_token(*id)?.is_some(),
            Precondition::WebhookThere(id) => self.webhooks.get(*id)?.is_some(),
            Precondition::WebhookGeneration(id, generation) => {
                self.webhooks.get(*id)?.is_some_and(|webhook| webhook.generation == *generation)
            }
        })
    }

    fn change(&mut self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::PutWork(id, record) => put(self.works.get()?, &id.bytes(), &**record, &mut self.buffer),
            Change::PutLive(id, record) => put(self.live.get()?, &id.bytes(), record, &mut self.buffer),
            Change::RemoveLive(id) => remove(self.live.get()?, &id.bytes()),
            Change::Append(event) => self.append(event),
            Change::PutTask(task) => self.put_task(task),
            Change::PutBatch(batch) => self.put_batch(batch),
            Change::PutOperation(operation) => {
                let key = [&operation.batch.bytes()[..], &operation.index.to_be_bytes()[..]].concat();
                put(self.operations.get()?, &key, &**operation, &mut self.buffer)
            }
            Change::PutRollback(rollback) => {
                let id = rollback.id.bytes();
                if self.rollbacks.get()?.get(&id[..]).map_err(failed("read"))?.is_none() {
                    self.reindex(&[], &[index::of_rollbacks()], id)?;
                }
                put(self.rollbacks.get()?, &id, &**rollback, &mut self.buffer)
            }
            Change::PutCheckpoint(checkpoint) => self.put_checkpoint(checkpoint),
            Change::Remember(key, remembered) => {
                let at = [&remembered.at.0.to_be_bytes()[..], key.as_bytes()].concat();
                self.remembered_at.get()?.insert(&at[..], ()).map_err(failed("write"))?;
                put(self.remembered.get()?, key.as_bytes(), remembered, &mut self.buffer)
            }
            Change::Forget(at, key) => self.forget(*at, key),
            Change::PutUser(user) => self.put_user(user),
            Change::PutSession(session) => {
                let of = [session.user.bytes(), session.id.bytes()].concat();
                self.sessions_of.get()?.insert(&of[..], ()).map_err(failed("write"))?;
                put(self.sessions.get()?, &session.id.bytes(), &**session, &mut self.buffer)
            }
            Change::RemoveSession(id) => self.remove_session(*id),
            Change::RemoveUser(id) => self.remove_user(*id),
            Change::PutApiToken(token) => self.put_api_token(token),
            Change::RemoveApiToken(id) => self.remove_api_token(*id),
            Change::PutPolicy(policy) => {
                policies::begin_generation(self.meta.get()?)?;
                self.policies.put(policy, &mut self.buffer)
            }
            Change::RemovePolicy(id) => {
                policies::begin_generation(self.meta.get()?)?;
                self.policies.remove(*id)
            }
            Change::PutWebhook(webhook) => self.webhooks.put(webhook, &mut self.buffer),
            Change::PutWebhookProgress(id, progress) => self.webhooks.put_progress(*id, progress, &mut self.buffer),
            Change::RemoveWebhook(id) => self.webhooks.remove(*id),
            Change::PutDelivery(delivery) => self.webhooks.put_delivery(delivery, &mut self.buffer),
            Change::RemoveDelivery(webhook, delivery) => self.webhooks.remove_delivery(*webhook, *delivery),
            Change::Audit(event) => self.seal(event),
            Change::PruneAudit(upto, at) => self.prune(*upto, *at),
            Change::PutMeta(name, value) => {
                self.meta.get()?.insert(name.as_str(), &value[..]).map_err(failed("write"))?;
                Ok(())
            }
        }
    }

    fn append(&mut self, event: &LoggedEvent) -> Result<(), StoreError> {
        let sequence = self.sequence()?;
        let work = event.work.bytes();
        self.sequence.get()?.insert(sequence, &work[..]).map_err(failed("write"))?;
        let key = [&work[..], &sequence.to_be_bytes()[..]].concat();
        put(self.events.get()?, &key, event, &mut self.buffer)
    }

    /// A checkpoint stands after the last event there is; it is made once.
    fn put_checkpoint(&mut self, checkpoint: &rollback::Checkpoint) -> Result<(), StoreError> {
        let id = checkpoint.id.bytes();
        let placed = rollback::Checkpoint { place: self.upcoming()? - 1, ..checkpoint.clone() };
        self.reindex(&[], &[index::of_checkpoints()], id)?;
        put(self.checkpoints.get()?, &id, &placed, &mut self.buffer)
    }

    /// The next place in the order of all events.
    fn upcoming(&mut self) -> Result<u64, StoreError> {
        let next = match self.next_sequence {
            Some(next) => next,
            None => self.sequence.get()?.last().map_err(failed("read"))?.map_or(1, |(last, _)| last.value() + 1),
        };
        self.next_sequence = Some(next);
        Ok(next)
    }

    /// The next place in the order of all events, which is taken.
    fn sequence(&mut self) -> Result<u64, StoreError> {
        let next = self.upcoming()?;
        self.next_sequence = Some(next + 1);
        Ok(next)
    }

    fn put_task(&mut self, task: &Task) -> Result<(), StoreError> {
        let id = task.id.bytes();
        let old = self.tasks.get()?.get(&id[..]).map_err(failed("read"))?;
        let old = old.map(|value| decode::<Task>("task", &id, value.value()));
        let had_ended = matches!(&old, Some(Ok(old)) if old.status.is_terminal());
        let before = predecessor(old, index::of_task);
        self.reindex(&before, &index::of_task(task), id)?;
        if task.status.is_terminal() && !had_ended {
            self.statistics.ended(task)?;
        }
        put(self.tasks.get()?, &id, task, &mut self.buffer)
    }

    fn put_batch(&mut self, batch: &BatchRecord) -> Result<(), StoreError> {
        let id = batch.id.bytes();
        let old = self.batches.get()?.get(&id[..]).map_err(failed("read"))?;
        let old = old.map(|value| decode::<BatchRecord>("batch", &id, value.value()));
        let before = predecessor(old, index::of_batch);
        self.reindex(&before, &index::of_batch(batch), id)?;
        put(self.batches.get()?, &id, batch, &mut self.buffer)
    }

    /// Moves `id` from the prefixes it stood under to those it stands under now.
    fn reindex(&mut self, before: &[Prefix], after: &[Prefix], id: [u8; 16]) -> Result<(), StoreError> {
        for prefix in before.iter().filter(|prefix| !after.contains(prefix)) {
            self.index.get()?.remove(&index::key(prefix, id)[..]).map_err(failed("write an index"))?;
            *self.counted.entry(prefix.clone()).or_default() -= 1;
        }
        for prefix in after.iter().filter(|prefix| !before.contains(prefix)) {
            self.index.get()?.insert(&index::key(prefix, id)[..], ()).map_err(failed("write an index"))?;
            *self.counted.entry(prefix.clone()).or_default() += 1;
        }
        Ok(())
    }

    fn write_counts(&mut self) -> Result<(), StoreError> {
        for (prefix, difference) in self.counted.drain() {
            let count =
                self.counts.get()?.get(&prefix[..]).map_err(failed("read a count"))?.map_or(0, |count| count.value());
            let count = count.saturating_add_signed(difference);
            self.counts.get()?.insert(&prefix[..], count).map_err(failed("write a count"))?;
        }
        Ok(())
    }

    /// Forgets a key that was remembered at that time; one that was remembered anew since stays.
    fn forget(&mut self, at: Timestamp, key: &str) -> Result<(), StoreError> {
        let dated = [&at.0.to_be_bytes()[..], key.as_bytes()].concat();
        self.remembered_at.get()?.remove(&dated[..]).map_err(failed("write"))?;
        let value = self.remembered.get()?.get(key.as_bytes()).map_err(failed("read"))?;
        let value =
            value.map(|value| decode::<Remembered>("idempotency", key.as_bytes(), value.value())).transpose()?;
        if value.is_some_and(|remembered| remembered.at == at) {
            remove(self.remembered.get()?, key.as_bytes())
        } else {
            Ok(())
        }
    }
}

/// Where a record stood under before it is written anew. One that is damaged stood nowhere that is known; what it is
/// replaced by is whole again, and must not be held up by it.
fn predecessor<T>(old: Option<Result<T, StoreError>>, prefixes: impl Fn(&T) -> Vec<Prefix>) -> Vec<Prefix> {
    match old {
        None => Vec::new(),
        Some(Ok(old)) => prefixes(&old),
        Some(Err(error)) => {
            tracing::error!(%error, "a damaged record is replaced");
            Vec::new()
        }
    }
}

pub(super) fn put<T: Serialize>(
    table: &mut Table<'_, &'static [u8], &'static [u8]>,
    key: &[u8],
    record: &T,
    buffer: &mut Vec<u8>,
) -> Result<(), StoreError> {
    table.insert(key, encode(record, buffer)?).map_err(failed("write"))?;
    Ok(())
}

/// The record as it is stored, in the buffer.
fn encode<'b, T: Serialize>(record: &T, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], StoreError> {
    buffer.clear();
    buffer.extend_from_slice(&[RECORD_VERSION, 0, 0, 0, 0]);
    serde_json::to_writer(&mut *buffer, record).map_err(failed("encode a record"))?;
    let checksum = crc32fast::hash(&buffer[HEADER_BYTES..]);
    buffer[1..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Ok(buffer)
}

pub(super) fn remove(table: &mut Table<'_, &'static [u8], &'static [u8]>, key: &[u8]) -> Result<(), StoreError> {
    table.remove(key).map_err(failed("write"))?;
    Ok(())
}

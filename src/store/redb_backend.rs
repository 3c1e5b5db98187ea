//! The redb engine: opening and checking the file, applying transactions, reading.

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use redb::{Database, ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;

use file::{File, Reading};
use format::check_format;

use super::backend::{AuditPlace, Backend, StoreError};
use super::change::{Refused, Transaction};
use super::delivery::DeliveryRecord;
use super::record::{
    BatchRecord, Counts, LiveRecord, LoggedEvent, OperationRecord, PolicyRecord, Remembered, RollbackRecord, Rollup,
    Tally, UserRecord, WorkRecord,
};
use super::{index, tables};
use crate::api::audit::{AuditFilter, AuditListed, AuditPage};
use crate::api::list::{Listed, Page};
use crate::api::task::TaskFilter;
use crate::audit::{self, Checkpoint, Head, Sealed};
use crate::model::api_token::ApiToken;
use crate::model::id::{
    ApiTokenId, BatchId, CheckpointId, DeliveryId, PolicyId, RollbackId, SessionId, TaskId, UserId, WebhookId, WorkId,
};
use crate::model::name::Name;
use crate::model::rollback;
use crate::model::status::BatchStatus;
use crate::model::task::Task;
use crate::model::time::Timestamp;
use crate::model::user::Session;
use crate::model::webhook::{Webhook, WebhookProgress};

mod accounts;
mod apply;
#[cfg(test)]
mod faults;
mod figures;
mod file;
mod format;
mod lazy;
mod log;
mod migrate;
mod page;
mod policies;
mod trail;
mod webhooks;

/// The version byte before every record's JSON.
pub(super) const RECORD_VERSION: u8 = 1;
/// The version byte and the checksum.
const HEADER_BYTES: usize = 5;

/// redb in a file or in memory.
pub struct RedbBackend {
    file: File,
    /// Seals the audit trail.
    audit_key: audit::Key,
    written: Mutex<Written>,
}

/// What is known of the commits so far.
#[derive(Debug, Default)]
struct Written {
    /// The number of the last one on disk.
    commits: u64,
    /// A commit that failed, with its number: whether it is on disk can't be told before the file is opened again.
    doubtful: Option<(u64, Vec<Transaction>)>,
}

/// Turns any of redb's errors into ours, saying what was attempted.
fn failed<E: std::fmt::Display>(attempt: &'static str) -> impl FnOnce(E) -> StoreError {
    move |error| StoreError::Failed { attempt, cause: error.to_string() }
}

impl RedbBackend {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path, cache_bytes: usize, audit_key: audit::Key) -> Result<Self, StoreError> {
        Self::prepare(File::open(path, cache_bytes, check_format)?, audit_key)
    }

    /// An empty store in memory.
    pub(super) fn in_memory(audit_key: audit::Key) -> Result<Self, StoreError> {
        Self::prepare(File::in_memory()?, audit_key)
    }

    /// Checks the format and makes every table, so that no read meets one that no write made.
    fn prepare(file: File, audit_key: audit::Key) -> Result<Self, StoreError> {
        file.write(check_format)?;
        file.write(migrate::indexes)?;
        file.write(migrate::statistics)?;
        let written = Mutex::new(Written { commits: commits(&file)?, doubtful: None });
        Ok(Self { file, audit_key, written })
    }

    /// Settles whether a commit that failed is on disk all the same; those of its transactions that are sent again then
    /// have happened already.
    fn settle(&self, written: &mut Written, again: &[Transaction]) -> Result<bool, StoreError> {
        let Some((number, transactions)) = &written.doubtful else { return Ok(false) };
        self.file.open_again()?;
        let on_disk = commits(&self.file)?;
        let happened = on_disk == *number;
        if happened {
            tracing::warn!("a commit that had failed is on disk all the same");
        }
        let repeated = happened && again == transactions;
        *written = Written { commits: on_disk, doubtful: None };
        Ok(repeated)
    }

    fn begin(&self) -> Result<Reading<'_>, StoreError> {
        self.file.read()
    }

    fn one<T: DeserializeOwned>(&self, table: Bytes, kind: &'static str, key: &[u8]) -> Result<Option<T>, StoreError> {
        one_of(&*self.begin()?, table, kind, key)
    }

    /// Every record whose key starts with `prefix`, in order.
    fn all<T: DeserializeOwned>(
        &self,
        table: Bytes,
        kind: &'static str,
        prefix: &[u8],
    ) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        let transaction = self.begin()?;
        let table = transaction.open_table(table).map_err(failed("open a table"))?;
        let mut found = Vec::new();
        for entry in table.range(prefix..).map_err(failed("read"))? {
            let (key, value) = entry.map_err(failed("read"))?;
            if !key.value().starts_with(prefix) {
                break;
            }
            found.push((key.value().to_vec(), decode(kind, key.value(), value.value())?));
        }
        Ok(found)
    }
}

/// One record as this read sees it. A read never begins another: the file may be waiting to be opened again.
fn one_of<T: DeserializeOwned>(
    read: &ReadTransaction,
    table: Bytes,
    kind: &'static str,
    key: &[u8],
) -> Result<Option<T>, StoreError> {
    let table = read.open_table(table).map_err(failed("open a table"))?;
    let value = table.get(key).map_err(failed("read"))?;
    value.map(|value| decode(kind, key, value.value())).transpose()
}

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// The number of the last commit on disk.
fn commits(file: &File) -> Result<u64, StoreError> {
    let transaction = file.read()?;
    let meta = transaction.open_table(tables::META).map_err(failed("open a table"))?;
    let stored = meta.get(apply::COMMITS).map_err(failed("read the number of commits"))?;
    Ok(stored.and_then(|bytes| bytes.value().try_into().ok()).map_or(0, u64::from_be_bytes))
}

fn decode<T: DeserializeOwned>(kind: &'static str, key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
    let damaged = |cause: String| StoreError::Damaged { kind, key: hex(key), cause };
    let Some(([version, checksum @ ..], json)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(damaged("it is cut short".to_owned()));
    };
    if *version != RECORD_VERSION {
        return Err(damaged(format!("it has version {version}")));
    }
    if crc32fast::hash(json).to_le_bytes() != *checksum {
        return Err(damaged("its checksum is not that of what it holds".to_owned()));
    }
    serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))
}

fn hex(key: &[u8]) -> String {
    use std::fmt::Write as _;
    key.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Backend for RedbBackend {
    fn apply(&self, transactions: &[Transaction]) -> Result<Vec<Result<(), Refused>>, StoreError> {
        let written = &mut *self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if self.settle(written, transactions)? {
            return Ok(transactions.iter().map(|_| Ok(())).collect());
        }
        let (number, mut verdicts) = (written.commits + 1, Vec::with_capacity(transactions.len()));
        let applied =
            self.file.write(|database| apply::apply(database, transactions, number, &self.audit_key, &mut verdicts));
        match applied {
            Ok(()) => written.commits = number,
            Err(error @ StoreError::Failed { .. }) => {
                // What failed may have happened: only the file can tell.
                written.doubtful = Some((number, transactions.to_vec()));
                if !self.settle(written, transactions).unwrap_or(false) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(verdicts)
    }

    fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        page::of_its_own(self.one(tables::TASKS, "task", &id.bytes())?, "task", id.bytes())
    }

    fn tasks(&self, filter: &TaskFilter, page: Page) -> Result<Listed<Task>, StoreError> {
        page::page(&*self.begin()?, tables::TASKS, "task", &index::of_filter(filter), None, page)
    }

    fn work(&self, id: WorkId) -> Result<Option<WorkRecord>, StoreError> {
        self.one(tables::WORKS, "work", &id.bytes())
    }

    fn live(&self) -> Result<Vec<(WorkId, LiveRecord)>, StoreError> {
        let found = self.all(tables::LIVE, "live", b"")?;
        let id = |key: Vec<u8>| key.try_into().map(WorkId::from_bytes).ok();
        Ok(found.into_iter().filter_map(|(key, record)| Some((id(key)?, record))).collect())
    }

    fn events(&self, work: WorkId) -> Result<Vec<(u64, LoggedEvent)>, StoreError> {
        let place = |key: &[u8]| key.last_chunk::<8>().map_or(0, |place| u64::from_be_bytes(*place));
        let found = self.all(tables::EVENTS, "event", &work.bytes())?;
        Ok(found.into_iter().map(|(key, event)| (place(&key), event)).collect())
    }

    fn log(&self, after: u64, limit: usize) -> Result<(Vec<(u64, LoggedEvent)>, u64), StoreError> {
        log::after(&*self.begin()?, after, limit)
    }

    fn log_end(&self) -> Result<u64, StoreError> {
        log::end(&*self.begin()?)
    }

    fn batch(&self, id: BatchId) -> Result<Option<BatchRecord>, StoreError> {
        page::of_its_own(self.one(tables::BATCHES, "batch", &id.bytes())?, "batch", id.bytes())
    }

    fn operations(&self, batch: BatchId) -> Result<Vec<OperationRecord>, StoreError> {
        Ok(self.all(tables::OPERATIONS, "operation", &batch.bytes())?.into_iter().map(|(_, record)| record).collect())
    }

    fn batches(&self, status: Option<BatchStatus>, page: Page) -> Result<Listed<BatchRecord>, StoreError> {
        page::page(&*self.begin()?, tables::BATCHES, "batch", &[index::of_batch_status(status)], None, page)
    }

    fn rollback(&self, id: RollbackId) -> Result<Option<RollbackRecord>, StoreError> {
        page::of_its_own(self.one(tables::ROLLBACKS, "rollback", &id.bytes())?, "rollback", id.bytes())
    }

    fn rollbacks(&self, page: Page) -> Result<Listed<RollbackRecord>, StoreError> {
        page::page(&*self.begin()?, tables::ROLLBACKS, "rollback", &[index::of_rollbacks()], None, page)
    }

    fn checkpoint(&self, id: CheckpointId) -> Result<Option<rollback::Checkpoint>, StoreError> {
        page::of_its_own(self.one(tables::CHECKPOINTS, "checkpoint", &id.bytes())?, "checkpoint", id.bytes())
    }

    fn checkpoints(&self, page: Page) -> Result<Listed<rollback::Checkpoint>, StoreError> {
        page::page(&*self.begin()?, tables::CHECKPOINTS, "checkpoint", &[index::of_checkpoints()], None, page)
    }

    fn task_infras(&self) -> Result<Vec<Name>, StoreError> {
        page::infras(&*self.begin()?, index::Of::Tasks)
    }

    fn tasks_within(&self, infras: &[Name], filter: &TaskFilter, page: Page) -> Result<Listed<Task>, StoreError> {
        let within: Vec<_> = infras.iter().map(|infra| index::of_infra(index::Of::Tasks, infra)).collect();
        page::page(&*self.begin()?, tables::TASKS, "task", &index::of_filter(filter), Some(&within), page)
    }

    fn batch_infras(&self) -> Result<Vec<Name>, StoreError> {
        page::infras(&*self.begin()?, index::Of::Batches)
    }

    fn batches_within(
        &self,
        infras: &[Name],
        status: Option<BatchStatus>,
        page: Page,
    ) -> Result<Listed<BatchRecord>, StoreError> {
        let within: Vec<_> = infras.iter().map(|infra| index::of_infra(index::Of::Batches, infra)).collect();
        let prefixes = [index::of_batch_status(status)];
        page::page(&*self.begin()?, tables::BATCHES, "batch", &prefixes, Some(&within), page)
    }

    fn counts(&self) -> Result<Counts, StoreError> {
        figures::counts(&*self.begin()?)
    }

    fn statistics(&self, hours: Range<u64>) -> Result<Vec<(Rollup, Tally)>, StoreError> {
        figures::rollups(&*self.begin()?, &hours)
    }

    fn statistics_since(&self) -> Result<Option<Timestamp>, StoreError> {
        figures::counted_since(&*self.begin()?)
    }

    fn durations(&self, name: &str, infra: &str, is_check: bool) -> Result<Vec<u64>, StoreError> {
        figures::durations(&*self.begin()?, name, infra, is_check)
    }

    fn policies(&self) -> Result<(u64, Vec<PolicyRecord>), StoreError> {
        policies::all(&*self.begin()?)
    }

    fn policy_versions(&self, id: PolicyId) -> Result<Vec<PolicyRecord>, StoreError> {
        let mut found = self.all(tables::POLICY_VERSIONS, "policy", &id.bytes())?;
        found.reverse();
        Ok(found.into_iter().map(|(_, record)| record).collect())
    }

    fn admins(&self) -> Result<Vec<UserRecord>, StoreError> {
        let users = self.all::<UserRecord>(tables::USERS, "user", b"")?.into_iter().map(|(_, user)| user);
        Ok(users.filter(UserRecord::is_enabled_admin).collect())
    }

    fn remembered(&self, key: &str) -> Result<Option<Remembered>, StoreError> {
        self.one(tables::REMEMBERED, "idempotency", key.as_bytes())
    }

    fn remembered_before(&self, before: Timestamp, limit: usize) -> Result<Vec<(Timestamp, String)>, StoreError> {
        let transaction = self.begin()?;
        let table = transaction.open_table(tables::REMEMBERED_AT).map_err(failed("open a table"))?;
        let end = before.0.to_be_bytes();
        let mut found = Vec::new();
        for entry in table.range(..&end[..]).map_err(failed("read"))?.take(limit) {
            let key = entry.map_err(failed("read"))?.0;
            let Some((time, name)) = key.value().split_first_chunk::<8>() else { continue };
            found.push((Timestamp(i64::from_be_bytes(*time)), String::from_utf8_lossy(name).into_owned()));
        }
        Ok(found)
    }

    fn user(&self, id: UserId) -> Result<Option<UserRecord>, StoreError> {
        self.one(tables::USERS, "user", &id.bytes())
    }

    fn user_by_name(&self, username: &str) -> Result<Option<UserRecord>, StoreError> {
        accounts::user_by_name(&*self.begin()?, username)
    }

    fn users(&self, page: Page) -> Result<Listed<UserRecord>, StoreError> {
        accounts::users(&*self.begin()?, page)
    }

    fn has_users(&self) -> Result<bool, StoreError> {
        let transaction = self.begin()?;
        let users = transaction.open_table(tables::USERS).map_err(failed("open a table"))?;
        Ok(users.first().map_err(failed("read"))?.is_some())
    }

    fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        self.one(tables::SESSIONS, "session", &id.bytes())
    }

    fn sessions_of(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        accounts::owned(&*self.begin()?, tables::SESSIONS_OF, tables::SESSIONS, "session", user)
    }

    fn api_token(&self, id: ApiTokenId) -> Result<Option<ApiToken>, StoreError> {
        self.one(tables::API_TOKENS, "API token", &id.bytes())
    }

    fn api_token_by_prefix(&self, prefix: &str) -> Result<Option<ApiToken>, StoreError> {
        accounts::api_token_by_prefix(&*self.begin()?, prefix)
    }

    fn api_tokens_of(&self, user: UserId) -> Result<Vec<ApiToken>, StoreError> {
        accounts::owned(&*self.begin()?, tables::API_TOKENS_OF, tables::API_TOKENS, "API token", user)
    }

    fn audit(&self, after: u64, limit: usize) -> Result<Vec<Sealed>, StoreError> {
        let transaction = self.begin()?;
        let table = transaction.open_table(tables::AUDIT).map_err(failed("open a table"))?;
        let mut found = Vec::new();
        for entry in table.range(after.saturating_add(1)..).map_err(failed("read"))?.take(limit) {
            let (sequence, value) = entry.map_err(failed("read"))?;
            match decode("audit", &sequence.value().to_be_bytes(), value.value()) {
                Ok(sealed) => found.push(sealed),
                // What comes before it is told first.
                Err(_) if !found.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    fn audit_page(&self, filter: &AuditFilter, page: AuditPage) -> Result<AuditListed<Sealed>, StoreError> {
        trail::page(&*self.begin()?, filter, page)
    }

    fn audit_matching(
        &self,
        filter: &AuditFilter,
        after: Option<AuditPlace>,
        limit: usize,
    ) -> Result<(Vec<Sealed>, Option<AuditPlace>), StoreError> {
        trail::matching(&*self.begin()?, filter, after, limit)
    }

    fn audit_anchor(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.meta(apply::AUDIT_ANCHOR)?.map(|stored| trail::anchor_of(&stored)).transpose()
    }

    fn audit_before(&self, cutoff: Timestamp, limit: usize) -> Result<Option<u64>, StoreError> {
        trail::before(&*self.begin()?, cutoff, limit)
    }

    fn audit_head(&self) -> Result<Head, StoreError> {
        apply::head_of(self.meta(apply::AUDIT_HEAD)?.as_deref())
    }

    fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        Ok(self.all(tables::WEBHOOKS, "webhook", b"")?.into_iter().map(|(_, webhook)| webhook).collect())
    }

    fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        self.one(tables::WEBHOOKS, "webhook", &id.bytes())
    }

    fn webhook_progress(&self, id: WebhookId) -> Result<Option<WebhookProgress>, StoreError> {
        self.one(tables::WEBHOOK_PROGRESS, "webhook progress", &id.bytes())
    }

    fn deliveries(&self, webhook: WebhookId) -> Result<Vec<DeliveryRecord>, StoreError> {
        let found = self.all(tables::WEBHOOK_DELIVERIES, "delivery", &webhook.bytes())?;
        Ok(found.into_iter().map(|(_, record)| record).collect())
    }

    fn delivery(&self, webhook: WebhookId, id: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        self.one(tables::WEBHOOK_DELIVERIES, "delivery", &webhooks::key(webhook, id))
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let transaction = self.begin()?;
        let meta = transaction.open_table(tables::META).map_err(failed("open a table"))?;
        Ok(meta.get(name).map_err(failed("read"))?.map(|value| value.value().to_vec()))
    }
}

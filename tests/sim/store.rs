//! A store that is a few maps: what was applied is durable, and nothing else is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

use prov::api::audit::{AuditFilter, AuditListed, AuditPage};
use prov::api::list::{Listed, Page};
use prov::api::task::TaskFilter;
use prov::audit::{Checkpoint, Head, Sealed};
use prov::model::api_token::ApiToken;
use prov::model::id::{
    ApiTokenId, BatchId, CheckpointId, DeliveryId, PolicyId, RollbackId, SessionId, TaskId, UserId, WebhookId, WorkId,
};
use prov::model::name::Name;
use prov::model::rollback;
use prov::model::status::BatchStatus;
use prov::model::task::Task;
use prov::model::time::Timestamp;
use prov::model::user::Session;
use prov::model::webhook::{Webhook, WebhookProgress};
use prov::store::delivery::DeliveryRecord;
use prov::store::record::{
    BatchRecord, Counts, LiveRecord, LoggedEvent, OperationRecord, PolicyRecord, Remembered, RollbackRecord, Rollup,
    Tally, UserRecord, WorkRecord,
};
use prov::store::{AuditPlace, Backend, Change, Precondition, Refused, StoreError, Transaction};

/// The tables.
#[derive(Debug, Default)]
pub struct Tables {
    pub works: BTreeMap<WorkId, WorkRecord>,
    pub live: BTreeMap<WorkId, LiveRecord>,
    pub events: BTreeMap<WorkId, Vec<LoggedEvent>>,
    pub tasks: BTreeMap<TaskId, Task>,
    pub batches: BTreeMap<BatchId, BatchRecord>,
    pub operations: BTreeMap<(BatchId, u32), OperationRecord>,
    pub rollbacks: BTreeMap<RollbackId, RollbackRecord>,
    pub checkpoints: usize,
    pub remembered: BTreeMap<String, Remembered>,
}

/// A store that survives every crash.
#[derive(Debug, Default)]
pub struct FakeStore(Mutex<Tables>);

impl FakeStore {
    /// Looks at what is on disk.
    pub fn look<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.0.lock().unwrap())
    }

    /// Applies one transaction, all or nothing.
    pub fn write(&self, transaction: &Transaction) -> Result<(), Refused> {
        let mut tables = self.0.lock().unwrap();
        for precondition in &transaction.preconditions {
            let holds = match precondition {
                Precondition::KeyUnused(key) => !tables.remembered.contains_key(key),
                other => panic!("the scheduler relies on {other:?}, which the simulation doesn't know"),
            };
            if !holds {
                return Err(Refused(precondition.clone()));
            }
        }
        transaction.changes.iter().cloned().for_each(|change| tables.change(change));
        Ok(())
    }
}

impl Tables {
    fn change(&mut self, change: Change) {
        match change {
            Change::PutWork(id, record) => _ = self.works.insert(id, *record),
            Change::PutLive(id, record) => _ = self.live.insert(id, record),
            Change::RemoveLive(id) => _ = self.live.remove(&id),
            Change::Append(event) => self.events.entry(event.work).or_default().push(event),
            Change::PutTask(task) => _ = self.tasks.insert(task.id, *task),
            Change::PutBatch(batch) => _ = self.batches.insert(batch.id, *batch),
            Change::PutOperation(row) => _ = self.operations.insert((row.batch, row.index), *row),
            Change::PutRollback(row) => _ = self.rollbacks.insert(row.id, *row),
            Change::PutCheckpoint(_) => self.checkpoints += 1,
            Change::Remember(key, remembered) => _ = self.remembered.insert(key, remembered),
            other => panic!("the scheduler writes {other:?}, which the simulation doesn't know"),
        }
    }
}

/// What the scheduler reads; the rest is empty.
impl Backend for FakeStore {
    fn apply(&self, transactions: &[Transaction]) -> Result<Vec<Result<(), Refused>>, StoreError> {
        Ok(transactions.iter().map(|transaction| self.write(transaction)).collect())
    }

    fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(self.look(|tables| tables.tasks.get(&id).cloned()))
    }

    fn work(&self, id: WorkId) -> Result<Option<WorkRecord>, StoreError> {
        Ok(self.look(|tables| tables.works.get(&id).cloned()))
    }

    fn live(&self) -> Result<Vec<(WorkId, LiveRecord)>, StoreError> {
        Ok(self.look(|tables| tables.live.iter().map(|(id, record)| (*id, *record)).collect()))
    }

    fn events(&self, work: WorkId) -> Result<Vec<(u64, LoggedEvent)>, StoreError> {
        Ok((1..).zip(self.look(|tables| tables.events.get(&work).cloned().unwrap_or_default())).collect())
    }

    fn log(&self, after: u64, _: usize) -> Result<(Vec<(u64, LoggedEvent)>, u64), StoreError> {
        Ok((Vec::new(), after))
    }

    fn log_end(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn batch(&self, id: BatchId) -> Result<Option<BatchRecord>, StoreError> {
        Ok(self.look(|tables| tables.batches.get(&id).cloned()))
    }

    fn operations(&self, batch: BatchId) -> Result<Vec<OperationRecord>, StoreError> {
        Ok(self
            .look(|tables| tables.operations.range((batch, 0)..=(batch, u32::MAX)).map(|row| row.1.clone()).collect()))
    }

    fn rollback(&self, id: RollbackId) -> Result<Option<RollbackRecord>, StoreError> {
        Ok(self.look(|tables| tables.rollbacks.get(&id).cloned()))
    }

    fn rollbacks(&self, _: Page) -> Result<Listed<RollbackRecord>, StoreError> {
        Ok(Listed { items: Vec::new(), total: 0, next_after: None })
    }

    fn checkpoint(&self, _: CheckpointId) -> Result<Option<rollback::Checkpoint>, StoreError> {
        Ok(None)
    }

    fn checkpoints(&self, _: Page) -> Result<Listed<rollback::Checkpoint>, StoreError> {
        Ok(Listed { items: Vec::new(), total: 0, next_after: None })
    }

    fn remembered(&self, key: &str) -> Result<Option<Remembered>, StoreError> {
        Ok(self.look(|tables| tables.remembered.get(key).cloned()))
    }

    fn tasks(&self, _: &TaskFilter, _: Page) -> Result<Listed<Task>, StoreError> {
        Ok(Listed { items: Vec::new(), total: 0, next_after: None })
    }

    fn batches(&self, _: Option<BatchStatus>, _: Page) -> Result<Listed<BatchRecord>, StoreError> {
        Ok(Listed { items: Vec::new(), total: 0, next_after: None })
    }

    fn task_infras(&self) -> Result<Vec<Name>, StoreError> {
        Ok(Vec::new())
    }

    fn tasks_within(&self, _: &[Name], filter: &TaskFilter, page: Page) -> Result<Listed<Task>, StoreError> {
        self.tasks(filter, page)
    }

    fn batch_infras(&self) -> Result<Vec<Name>, StoreError> {
        Ok(Vec::new())
    }

    fn batches_within(
        &self,
        _: &[Name],
        status: Option<BatchStatus>,
        page: Page,
    ) -> Result<Listed<BatchRecord>, StoreError> {
        self.batches(status, page)
    }

    fn counts(&self) -> Result<Counts, StoreError> {
        Ok(Counts::default())
    }

    fn statistics(&self, _: Range<u64>) -> Result<Vec<(Rollup, Tally)>, StoreError> {
        Ok(Vec::new())
    }

    fn statistics_since(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    fn durations(&self, _: &str, _: &str, _: bool) -> Result<Vec<u64>, StoreError> {
        Ok(Vec::new())
    }

    fn policies(&self) -> Result<(u64, Vec<PolicyRecord>), StoreError> {
        Ok((0, Vec::new()))
    }

    fn policy_versions(&self, _: PolicyId) -> Result<Vec<PolicyRecord>, StoreError> {
        Ok(Vec::new())
    }

    fn admins(&self) -> Result<Vec<UserRecord>, StoreError> {
        Ok(Vec::new())
    }

    fn remembered_before(&self, _: Timestamp, _: usize) -> Result<Vec<(Timestamp, String)>, StoreError> {
        Ok(Vec::new())
    }

    fn user(&self, _: UserId) -> Result<Option<UserRecord>, StoreError> {
        Ok(None)
    }

    fn user_by_name(&self, _: &str) -> Result<Option<UserRecord>, StoreError> {
        Ok(None)
    }

    fn users(&self, _: Page) -> Result<Listed<UserRecord>, StoreError> {
        Ok(Listed { items: Vec::new(), total: 0, next_after: None })
    }

    fn api_token(&self, _: ApiTokenId) -> Result<Option<ApiToken>, StoreError> {
        Ok(None)
    }

    fn api_token_by_prefix(&self, _: &str) -> Result<Option<ApiToken>, StoreError> {
        Ok(None)
    }

    fn api_tokens_of(&self, _: UserId) -> Result<Vec<ApiToken>, StoreError> {
        Ok(Vec::new())
    }

    fn audit(&self, _: u64, _: usize) -> Result<Vec<Sealed>, StoreError> {
        Ok(Vec::new())
    }

    fn audit_page(&self, _: &AuditFilter, _: AuditPage) -> Result<AuditListed<Sealed>, StoreError> {
        Ok(AuditListed { items: Vec::new(), total: 0, next_after: None })
    }

    fn audit_matching(
        &self,
        _: &AuditFilter,
        _: Option<AuditPlace>,
        _: usize,
    ) -> Result<(Vec<Sealed>, Option<AuditPlace>), StoreError> {
        Ok((Vec::new(), None))
    }

    fn audit_anchor(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(None)
    }

    fn audit_before(&self, _: Timestamp, _: usize) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    fn audit_head(&self) -> Result<Head, StoreError> {
        Ok(Head::START)
    }

    fn has_users(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn session(&self, _: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(None)
    }

    fn sessions_of(&self, _: UserId) -> Result<Vec<Session>, StoreError> {
        Ok(Vec::new())
    }

    fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        Ok(Vec::new())
    }

    fn webhook(&self, _: WebhookId) -> Result<Option<Webhook>, StoreError> {
        Ok(None)
    }

    fn webhook_progress(&self, _: WebhookId) -> Result<Option<WebhookProgress>, StoreError> {
        Ok(None)
    }

    fn deliveries(&self, _: WebhookId) -> Result<Vec<DeliveryRecord>, StoreError> {
        Ok(Vec::new())
    }

    fn delivery(&self, _: WebhookId, _: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        Ok(None)
    }

    fn meta(&self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }
}

//! What a storage engine must do to stand behind [`super::Store`].

use std::ops::Range;

use super::change::{Refused, Transaction};
use super::delivery::DeliveryRecord;
use super::record::{
    BatchRecord, Counts, LiveRecord, LoggedEvent, OperationRecord, PolicyRecord, Remembered, RollbackRecord, Rollup,
    Tally, UserRecord, WorkRecord,
};
use crate::api::audit::{AuditFilter, AuditListed, AuditPage};
use crate::api::list::{Listed, Page};
use crate::api::task::TaskFilter;
use crate::audit::{Checkpoint, Head, Sealed};
use crate::model::api_token::ApiToken;
use crate::model::id::{
    ApiTokenId, BatchId, CheckpointId, DeliveryId, PolicyId, RollbackId, SessionId, TaskId, UserId, WebhookId, WorkId,
};
use crate::model::name::Name;
use crate::model::rollback::Checkpoint as RollbackCheckpoint;
use crate::model::status::BatchStatus;
use crate::model::task::Task;
use crate::model::time::Timestamp;
use crate::model::user::Session;
use crate::model::webhook::{Webhook, WebhookProgress};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the store open.
    #[error("the store {0} is in use by another process")]
    Locked(String),
    /// The store was written by a newer prov.
    #[error("the store has format {found}, this program knows formats up to {known}")]
    Newer {
        /// The store's format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// A record can't be read.
    #[error("the {kind} record {key} is damaged: {cause}")]
    Damaged {
        /// What kind of record.
        kind: &'static str,
        /// Which one.
        key: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The engine or the disk failed.
    #[error("the store failed to {attempt}: {cause}")]
    Failed {
        /// What was attempted.
        attempt: &'static str,
        /// Why it failed.
        cause: String,
    },
}

/// A place in the audit trail by time, between two entries.
pub type AuditPlace = [u8; 16];

/// A storage engine: applies transactions durably, and reads what is committed.
pub trait Backend: Send + Sync + 'static {
    /// Applies the transactions in order, each all or nothing, and makes them durable together. The answer has a verdict
    /// for each.
    ///
    /// # Errors
    /// When nothing of the whole could be made durable.
    fn apply(&self, transactions: &[Transaction]) -> Result<Vec<Result<(), Refused>>, StoreError>;

    /// One task.
    fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError>;
    /// Tasks, newest first.
    fn tasks(&self, filter: &TaskFilter, page: Page) -> Result<Listed<Task>, StoreError>;
    /// The unchanging part of a unit of work.
    fn work(&self, id: WorkId) -> Result<Option<WorkRecord>, StoreError>;
    /// Everything not yet ended, oldest first.
    fn live(&self) -> Result<Vec<(WorkId, LiveRecord)>, StoreError>;
    /// What happened to a unit of work, in order, each with its place in the order of all events.
    fn events(&self, work: WorkId) -> Result<Vec<(u64, LoggedEvent)>, StoreError>;
    /// What happened after the event at this place, to whatever work, in order, at most `limit`, and the place up to which
    /// that is. What is damaged is left out.
    fn log(&self, after: u64, limit: usize) -> Result<(Vec<(u64, LoggedEvent)>, u64), StoreError>;
    /// The place of the last event; 0 when there is none.
    fn log_end(&self) -> Result<u64, StoreError>;
    /// One batch.
    fn batch(&self, id: BatchId) -> Result<Option<BatchRecord>, StoreError>;
    /// The operations of a batch, in the order given.
    fn operations(&self, batch: BatchId) -> Result<Vec<OperationRecord>, StoreError>;
    /// Batches, newest first.
    fn batches(&self, status: Option<BatchStatus>, page: Page) -> Result<Listed<BatchRecord>, StoreError>;
    /// The infras that there are tasks of.
    fn task_infras(&self) -> Result<Vec<Name>, StoreError>;
    /// Tasks of these infras alone, newest first.
    fn tasks_within(&self, infras: &[Name], filter: &TaskFilter, page: Page) -> Result<Listed<Task>, StoreError>;
    /// The infras that there are batches of.
    fn batch_infras(&self) -> Result<Vec<Name>, StoreError>;
    /// Batches of these infras alone, newest first.
    fn batches_within(
        &self,
        infras: &[Name],
        status: Option<BatchStatus>,
        page: Page,
    ) -> Result<Listed<BatchRecord>, StoreError>;
    /// One rollback.
    fn rollback(&self, id: RollbackId) -> Result<Option<RollbackRecord>, StoreError>;
    /// Rollbacks, newest first.
    fn rollbacks(&self, page: Page) -> Result<Listed<RollbackRecord>, StoreError>;
    /// One checkpoint of the log.
    fn checkpoint(&self, id: CheckpointId) -> Result<Option<RollbackCheckpoint>, StoreError>;
    /// Checkpoints of the log, newest first.
    fn checkpoints(&self, page: Page) -> Result<Listed<RollbackCheckpoint>, StoreError>;
    /// How much there is, from counters.
    fn counts(&self) -> Result<Counts, StoreError>;
    /// What ended in these hours, by [`hour`](super::statistics::hour).
    fn statistics(&self, hours: Range<u64>) -> Result<Vec<(Rollup, Tally)>, StoreError>;
    /// Since when [`Backend::statistics`] has everything; none when nothing has ended that was counted.
    fn statistics_since(&self) -> Result<Option<Timestamp>, StoreError>;
    /// How long the last Completed tasks of this name and infra took, in milliseconds, the newest last.
    fn durations(&self, name: &str, infra: &str, is_check: bool) -> Result<Vec<u64>, StoreError>;
    /// All policies, newest first, and the generation that they are of.
    fn policies(&self) -> Result<(u64, Vec<PolicyRecord>), StoreError>;
    /// Every version of a policy, newest first.
    fn policy_versions(&self, id: PolicyId) -> Result<Vec<PolicyRecord>, StoreError>;
    /// The users who are administrators and can log in.
    fn admins(&self) -> Result<Vec<UserRecord>, StoreError>;
    /// What an idempotency key stands for.
    fn remembered(&self, key: &str) -> Result<Option<Remembered>, StoreError>;
    /// Keys remembered before `before`, at most `limit`.
    fn remembered_before(&self, before: Timestamp, limit: usize) -> Result<Vec<(Timestamp, String)>, StoreError>;
    /// One user.
    fn user(&self, id: UserId) -> Result<Option<UserRecord>, StoreError>;
    /// The user who logs in by this name.
    fn user_by_name(&self, username: &str) -> Result<Option<UserRecord>, StoreError>;
    /// Users in the order of their names; `after` is the id of the one before.
    fn users(&self, page: Page) -> Result<Listed<UserRecord>, StoreError>;
    /// Whether there is any user.
    fn has_users(&self) -> Result<bool, StoreError>;
    /// One session.
    fn session(&self, id: SessionId) -> Result<Option<Session>, StoreError>;
    /// The sessions of a user.
    fn sessions_of(&self, user: UserId) -> Result<Vec<Session>, StoreError>;
    /// One API token.
    fn api_token(&self, id: ApiTokenId) -> Result<Option<ApiToken>, StoreError>;
    /// The API token with this public part.
    fn api_token_by_prefix(&self, prefix: &str) -> Result<Option<ApiToken>, StoreError>;
    /// The API tokens of a user, oldest first.
    fn api_tokens_of(&self, user: UserId) -> Result<Vec<ApiToken>, StoreError>;
    /// Entries of the audit trail after the one with this sequence, in order, at most `limit`; fewer when the next one is
    /// damaged, which is an error when it is the first.
    fn audit(&self, after: u64, limit: usize) -> Result<Vec<Sealed>, StoreError>;
    /// Entries of the audit trail that the filter lets through, newest first.
    fn audit_page(&self, filter: &AuditFilter, page: AuditPage) -> Result<AuditListed<Sealed>, StoreError>;
    /// Entries of the audit trail that the filter lets through and that come after the place `after`, oldest first, at
    /// most `limit`; with the place where they end.
    fn audit_matching(
        &self,
        filter: &AuditFilter,
        after: Option<AuditPlace>,
        limit: usize,
    ) -> Result<(Vec<Sealed>, Option<AuditPlace>), StoreError>;
    /// Where the audit trail begins; nothing when nothing of it was dropped.
    fn audit_anchor(&self) -> Result<Option<Checkpoint>, StoreError>;
    /// The sequence of the last entry that may be dropped when only those made since `cutoff` are to be kept; looks at no
    /// more than `limit`.
    fn audit_before(&self, cutoff: Timestamp, limit: usize) -> Result<Option<u64>, StoreError>;
    /// Where the audit trail ends.
    fn audit_head(&self) -> Result<Head, StoreError>;
    /// All webhooks, oldest first.
    fn webhooks(&self) -> Result<Vec<Webhook>, StoreError>;
    /// One webhook.
    fn webhook(&self, id: WebhookId) -> Result<Option<Webhook>, StoreError>;
    /// How far the sending to a webhook has come.
    fn webhook_progress(&self, id: WebhookId) -> Result<Option<WebhookProgress>, StoreError>;
    /// What is known of the deliveries to a webhook, in the order of their frames.
    fn deliveries(&self, webhook: WebhookId) -> Result<Vec<DeliveryRecord>, StoreError>;
    /// One delivery.
    fn delivery(&self, webhook: WebhookId, id: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError>;
    /// A fact about the daemon itself, by name.
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
}

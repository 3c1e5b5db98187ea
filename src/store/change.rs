//! Transactions: what is written, and what it relies on.

use super::delivery::DeliveryRecord;
use super::record::{
    BatchRecord, LiveRecord, LoggedEvent, OperationRecord, PolicyRecord, Remembered, RollbackRecord, UserRecord,
    WorkRecord,
};
use crate::audit::Event;
use crate::model::api_token::ApiToken;
use crate::model::id::{ApiTokenId, DeliveryId, PolicyId, SessionId, UserId, WebhookId, WorkId};
use crate::model::rollback::Checkpoint;
use crate::model::task::Task;
use crate::model::time::Timestamp;
use crate::model::user::Session;
use crate::model::webhook::{Webhook, WebhookProgress};

/// Changes that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    /// What must hold, checked first.
    pub preconditions: Vec<Precondition>,
    /// What is written, in order.
    pub changes: Vec<Change>,
}

impl Transaction {
    /// A transaction without preconditions.
    #[must_use]
    pub fn of(changes: Vec<Change>) -> Self {
        Self { preconditions: Vec::new(), changes }
    }
}

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A unit of work, once, when it is accepted.
    PutWork(WorkId, Box<WorkRecord>),
    /// The work is not ended, and whose it is.
    PutLive(WorkId, LiveRecord),
    /// The work has ended.
    RemoveLive(WorkId),
    /// What happened to a unit of work; its place in the order of all events is given by the store.
    Append(LoggedEvent),
    /// A task as it now stands.
    PutTask(Box<Task>),
    /// A batch as it now stands.
    PutBatch(Box<BatchRecord>),
    /// An operation as it now stands.
    PutOperation(Box<OperationRecord>),
    /// A rollback as it now stands.
    PutRollback(Box<RollbackRecord>),
    /// A checkpoint after all that was appended until now; its place is given by the store.
    PutCheckpoint(Box<Checkpoint>),
    /// What an idempotency key stands for.
    Remember(String, Remembered),
    /// An idempotency key that was remembered at this time has had its day.
    Forget(Timestamp, String),
    /// A user as they now stand.
    PutUser(Box<UserRecord>),
    /// A session as it now stands.
    PutSession(Box<Session>),
    /// A session is over and forgotten.
    RemoveSession(SessionId),
    /// A policy as it now stands, and for ever as this version of it; begins a new generation of the policies.
    PutPolicy(Box<PolicyRecord>),
    /// A policy is gone with all its versions; begins a new generation of the policies.
    RemovePolicy(PolicyId),
    /// A user is gone, with sessions, API tokens and webhooks; the name is free.
    RemoveUser(UserId),
    /// An API token as it now stands.
    PutApiToken(Box<ApiToken>),
    /// An API token is over and forgotten.
    RemoveApiToken(ApiTokenId),
    /// A webhook as it now stands.
    PutWebhook(Box<Webhook>),
    /// How far the sending to a webhook has come.
    PutWebhookProgress(WebhookId, Box<WebhookProgress>),
    /// A webhook is gone, with all that is known of its deliveries.
    RemoveWebhook(WebhookId),
    /// A delivery as it now stands.
    PutDelivery(Box<DeliveryRecord>),
    /// A delivery is forgotten.
    RemoveDelivery(WebhookId, DeliveryId),
    /// A fact about the daemon itself.
    PutMeta(String, Vec<u8>),
    /// An event for the audit trail; its place in the chain is given by the store.
    Audit(Box<Event>),
    /// The entries of the audit trail up to the one with this sequence are dropped, at this time. Where the rest begins
    /// is kept, so that it can be verified.
    PruneAudit(u64, Timestamp),
}

/// What a transaction relies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The idempotency key stands for nothing.
    KeyUnused(String),
    /// Nobody logs in by this name.
    UsernameFree(String),
    /// The session is at this generation: nobody refreshed it meanwhile.
    SessionGeneration(SessionId, u64),
    /// The policies are of this generation: since it was read, no policy was changed, and nobody became an administrator or
    /// ceased to be one. Whoever relies on both, such as the check that an administrator is left, can't race another.
    PolicyGeneration(u64),
    /// The user is there, at this generation: nobody changed them meanwhile.
    UserGeneration(UserId, u64),
    /// Somebody else than this user is an Admin who can log in.
    AnotherAdmin(UserId),
    /// No API token has this public part.
    ApiTokenPrefixFree(String),
    /// The API token is there: nobody revoked it meanwhile.
    ApiTokenThere(ApiTokenId),
    /// The webhook is there: nobody deleted it meanwhile.
    WebhookThere(WebhookId),
    /// The webhook is at this generation: nobody changed it meanwhile.
    WebhookGeneration(WebhookId, u64),
}

/// A precondition did not hold; nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the transaction relied on something that is not so: {0:?}")]
pub struct Refused(pub Precondition);

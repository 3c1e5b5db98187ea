//! The tables, with the layout of their keys and values. Values are one version byte, the CRC-32 of what
//! follows (little-endian), and JSON: a byte that the disk changed is noticed, and never taken for what was written.

use redb::TableDefinition;

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;
type Keys = TableDefinition<'static, &'static [u8], ()>;

/// name → bytes: `format` (u32, big-endian), `commits` and `epoch` (u64, big-endian),
/// `audit_head` (`audit::Head`, JSON), `audit_anchor` (`audit::Checkpoint`, JSON): where the audit trail begins,
/// `policies` and `indexes` (u64, big-endian), `statistics_since` (i64 milliseconds, big-endian)
pub(super) const META: TableDefinition<'static, &'static str, &'static [u8]> = TableDefinition::new("meta_v1");
/// work id → `WorkRecord`
pub(super) const WORKS: Bytes = TableDefinition::new("works_v1");
/// work id → `LiveRecord`; only what has not ended
pub(super) const LIVE: Bytes = TableDefinition::new("live_v1");
/// work id + sequence (u64, big-endian) → `LoggedEvent`
pub(super) const EVENTS: Bytes = TableDefinition::new("events_v1");
/// sequence → work id: the order of all events
pub(super) const SEQUENCE: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("sequence_v1");
/// task id → `Task`
pub(super) const TASKS: Bytes = TableDefinition::new("tasks_v1");
/// batch id → `BatchRecord`
pub(super) const BATCHES: Bytes = TableDefinition::new("batches_v1");
/// batch id + index (u32, big-endian) → `OperationRecord`
pub(super) const OPERATIONS: Bytes = TableDefinition::new("operations_v1");
/// rollback id → `RollbackRecord`
pub(super) const ROLLBACKS: Bytes = TableDefinition::new("rollbacks_v1");
/// checkpoint id → `Checkpoint`
pub(super) const CHECKPOINTS: Bytes = TableDefinition::new("checkpoints_v1");
/// see `index.rs`
pub(super) const INDEX: Keys = TableDefinition::new("index_v1");
/// an index's prefix → how many keys it has
pub(super) const COUNTS: TableDefinition<'static, &'static [u8], u64> = TableDefinition::new("counts_v1");
/// sequence → `audit::Sealed`
pub(super) const AUDIT: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("audit_v1");
/// idempotency key → `Remembered`
pub(super) const REMEMBERED: Bytes = TableDefinition::new("remembered_v1");
/// time (i64 milliseconds, big-endian) + idempotency key
pub(super) const REMEMBERED_AT: Keys = TableDefinition::new("remembered_at_v1");
/// user id → `UserRecord`
pub(super) const USERS: Bytes = TableDefinition::new("users_v1");
/// user name → user id
pub(super) const USERNAMES: Bytes = TableDefinition::new("usernames_v1");
/// session id → `Session`
pub(super) const SESSIONS: Bytes = TableDefinition::new("sessions_v1");
/// user id + session id
pub(super) const SESSIONS_OF: Keys = TableDefinition::new("sessions_of_v1");
/// policy id → `PolicyRecord`
pub(super) const POLICIES: Bytes = TableDefinition::new("policies_v1");
/// policy id + version (u64, big-endian) → `PolicyRecord` as it was then
pub(super) const POLICY_VERSIONS: Bytes = TableDefinition::new("policy_versions_v1");
/// API token id → `ApiToken`
pub(super) const API_TOKENS: Bytes = TableDefinition::new("api_tokens_v1");
/// public part of an API token → API token id
pub(super) const API_TOKEN_PREFIXES: Bytes = TableDefinition::new("api_token_prefixes_v1");
/// user id + API token id
pub(super) const API_TOKENS_OF: Keys = TableDefinition::new("api_tokens_of_v1");
/// what is counted of ended tasks, see `statistics.rs`: hour, infra, provider, kind and status → `Tally`;
/// name and infra → the last lengths in milliseconds
pub(super) const STATISTICS: Bytes = TableDefinition::new("statistics_v1");
/// webhook id → `Webhook`
pub(super) const WEBHOOKS: Bytes = TableDefinition::new("webhooks_v1");
/// webhook id → `WebhookProgress`
pub(super) const WEBHOOK_PROGRESS: Bytes = TableDefinition::new("webhook_progress_v1");
/// webhook id + delivery id → `DeliveryRecord`
pub(super) const WEBHOOK_DELIVERIES: Bytes = TableDefinition::new("webhook_deliveries_v1");

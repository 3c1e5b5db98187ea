//! Secondary indexes: one table of keys, a prefix a condition, with a count for each prefix.
//!
//! A key is `prefix + id`, a prefix is the resource (`t` tasks, `b` batches, `r` rollbacks, `c` checkpoints), the condition (`*` all, `s` status, `n`
//! name, `i` infra, `b` batch), the value's length and the value; ids are version 7, so keys under one prefix stand in
//! the order of time.
//!
//! The audit trail stands here as well: the resource is `a`, the conditions are `*`, `u` user id, `n` user name, `a`
//! action, `r` resource, `k` kind of resource and `o` outcome, and the id is the entry's time and sequence, so that every
//! one of these indexes is one by time too.

use crate::api::audit::AuditFilter;
use crate::api::task::TaskFilter;
use crate::audit::{Event, entry};
use crate::model::id::UserId;
use crate::model::name::Name;
use crate::model::status::{BatchStatus, TaskStatus};
use crate::model::task::Task;
use crate::model::time::Timestamp;

use super::record::BatchRecord;

pub(super) type Prefix = Vec<u8>;

fn prefix(resource: u8, condition: u8, value: &[u8]) -> Prefix {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[resource, condition], &length[..], &value[..usize::from(u16::from_be_bytes(length))]].concat()
}

pub(super) fn key(prefix: &[u8], id: [u8; 16]) -> Vec<u8> {
    [prefix, &id[..]].concat()
}

/// Every prefix that a task stands under.
pub(super) fn of_task(task: &Task) -> Vec<Prefix> {
    let mut prefixes =
        vec![prefix(b't', b'*', b""), of_task_status(task.status), prefix(b't', b'n', task.name.as_bytes())];
    prefixes.extend(task.infra.as_ref().map(|infra| prefix(b't', b'i', infra.as_str().as_bytes())));
    prefixes.extend(task.batch_id.map(|batch| prefix(b't', b'b', &batch.bytes())));
    prefixes
}

/// The prefixes of a filter's conditions; that of all tasks when it has none.
pub(super) fn of_filter(filter: &TaskFilter) -> Vec<Prefix> {
    let mut prefixes = Vec::new();
    prefixes.extend(filter.status.map(of_task_status));
    prefixes.extend(filter.name.as_ref().map(|name| prefix(b't', b'n', name.as_bytes())));
    prefixes.extend(filter.infra.as_ref().map(|infra| prefix(b't', b'i', infra.as_str().as_bytes())));
    prefixes.extend(filter.batch_id.map(|batch| prefix(b't', b'b', &batch.bytes())));
    if prefixes.is_empty() {
        prefixes.push(prefix(b't', b'*', b""));
    }
    prefixes
}

/// The prefix of the tasks in a status.
pub(super) fn of_task_status(status: TaskStatus) -> Prefix {
    prefix(b't', b's', status.as_str().as_bytes())
}

/// Every prefix that a batch stands under.
pub(super) fn of_batch(batch: &BatchRecord) -> Vec<Prefix> {
    vec![
        prefix(b'b', b'*', b""),
        prefix(b'b', b's', batch.status.as_str().as_bytes()),
        prefix(b'b', b'i', batch.infra.as_str().as_bytes()),
    ]
}

/// The prefix of the batches in a status, or of all.
pub(super) fn of_batch_status(status: Option<BatchStatus>) -> Prefix {
    status.map_or_else(|| prefix(b'b', b'*', b""), |status| prefix(b'b', b's', status.as_str().as_bytes()))
}

/// The prefix of all rollbacks.
pub(super) fn of_rollbacks() -> Prefix {
    prefix(b'r', b'*', b"")
}

/// The prefix of all checkpoints.
pub(super) fn of_checkpoints() -> Prefix {
    prefix(b'c', b'*', b"")
}

/// The id of an entry of the audit trail: its time and its sequence.
pub(super) fn audit_id(at: Timestamp, sequence: u64) -> [u8; 16] {
    // With the sign turned over, times before 1970 stand before those after it.
    let time = at.0.cast_unsigned() ^ (1 << 63);
    ((u128::from(time) << 64) | u128::from(sequence)).to_be_bytes()
}

/// The sequence in such an id.
pub(super) fn audit_sequence(id: [u8; 16]) -> u64 {
    let [_, sequence] = id.as_chunks::<8>().0 else { return 0 };
    u64::from_be_bytes(*sequence)
}

/// Every prefix that an entry of the audit trail stands under.
pub(super) fn of_audit(event: &Event) -> Vec<Prefix> {
    let mut prefixes = vec![
        prefix(b'a', b'*', b""),
        prefix(b'a', b'n', event.actor.username.as_bytes()),
        prefix(b'a', b'a', event.action.as_bytes()),
        prefix(b'a', b'r', event.resource.to_string().as_bytes()),
        prefix(b'a', b'k', event.resource.kind.as_bytes()),
        prefix(b'a', b'o', event.outcome.as_str().as_bytes()),
    ];
    prefixes.extend(event.actor.user.map(|user| prefix(b'a', b'u', &user.bytes())));
    prefixes
}

/// The prefixes of a filter's conditions; that of the whole trail when it has none. What is looked for is cleaned like
/// what was written.
pub(super) fn of_audit_filter(filter: &AuditFilter) -> Vec<Prefix> {
    let text = |condition, text: &String| prefix(b'a', condition, entry::cleaned(text).as_bytes());
    let mut prefixes = Vec::new();
    prefixes.extend(filter.user_id.as_ref().map(|user| match user.parse::<UserId>() {
        Ok(id) => prefix(b'a', b'u', &id.bytes()),
        Err(_) => text(b'n', user),
    }));
    prefixes.extend(filter.action.as_ref().map(|action| text(b'a', action)));
    prefixes.extend(filter.resource.as_ref().map(|resource| {
        let resource = entry::Resource::from(resource.clone());
        match &resource.name {
            None => text(b'k', &resource.kind),
            Some(name) => {
                let whole = entry::Resource::new(entry::cleaned(&resource.kind), entry::cleaned(name));
                prefix(b'a', b'r', whole.to_string().as_bytes())
            }
        }
    }));
    prefixes.extend(filter.outcome.map(|outcome| prefix(b'a', b'o', outcome.as_str().as_bytes())));
    if prefixes.is_empty() {
        prefixes.push(prefix(b'a', b'*', b""));
    }
    prefixes
}

/// What an index is of.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Tasks,
    Batches,
}

impl Of {
    const fn byte(self) -> u8 {
        match self {
            Self::Tasks => b't',
            Self::Batches => b'b',
        }
    }
}

/// The prefix of what belongs to an infra.
pub(super) fn of_infra(of: Of, infra: &Name) -> Prefix {
    prefix(of.byte(), b'i', infra.as_str().as_bytes())
}

/// What the prefixes of all infras begin with.
pub(super) fn of_infras(of: Of) -> [u8; 2] {
    [of.byte(), b'i']
}

/// The infra of such a prefix.
pub(super) fn infra(prefix: &[u8]) -> Option<Name> {
    let name = std::str::from_utf8(prefix.get(4..)?).ok()?;
    Name::new(name.to_owned()).ok()
}

/// Whether a prefix says nothing: everything stands under it.
pub(super) fn is_all(prefix: &[u8]) -> bool {
    prefix.get(1) == Some(&b'*')
}

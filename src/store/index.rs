//! Secondary indexes: one table of keys, a prefix a condition, with a count for each prefix.
//!
//! A key is `prefix + id`, a prefix is the resource (`t` tasks, `b` batches), the condition (`*` all, `s` status, `n`
//! name, `i` infra, `b` batch), the value's length and the value; ids are version 7, so keys under one prefix stand in
//! the order of time.

use crate::api::task::TaskFilter;
use crate::model::name::Name;
use crate::model::status::BatchStatus;
use crate::model::task::Task;

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
    let mut prefixes = vec![
        prefix(b't', b'*', b""),
        prefix(b't', b's', task.status.as_str().as_bytes()),
        prefix(b't', b'n', task.name.as_bytes()),
    ];
    prefixes.extend(task.infra.as_ref().map(|infra| prefix(b't', b'i', infra.as_str().as_bytes())));
    prefixes.extend(task.batch_id.map(|batch| prefix(b't', b'b', &batch.bytes())));
    prefixes
}

/// The prefixes of a filter's conditions; that of all tasks when it has none.
pub(super) fn of_filter(filter: &TaskFilter) -> Vec<Prefix> {
    let mut prefixes = Vec::new();
    prefixes.extend(filter.status.map(|status| prefix(b't', b's', status.as_str().as_bytes())));
    prefixes.extend(filter.name.as_ref().map(|name| prefix(b't', b'n', name.as_bytes())));
    prefixes.extend(filter.infra.as_ref().map(|infra| prefix(b't', b'i', infra.as_str().as_bytes())));
    prefixes.extend(filter.batch_id.map(|batch| prefix(b't', b'b', &batch.bytes())));
    if prefixes.is_empty() {
        prefixes.push(prefix(b't', b'*', b""));
    }
    prefixes
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

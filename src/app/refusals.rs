//! Refused requests on their way into the audit trail.
//!
//! Each is worth an entry, but a flood of them must not fill the disk. The first of its kind is written at once; what is
//! like it within a minute is counted, and told in one more entry when the minute is over, or when somebody reads the
//! trail. Kinds are remembered up to a number; beyond it all that is refused is of one kind, so that made-up names are no
//! way round. A daemon that is killed forgets what it had counted: at most a minute of repetitions.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use crate::audit::Event;
use crate::model::digest::sha256;
use crate::model::time::Timestamp;

const WINDOW: Duration = Duration::from_mins(1);
/// Kinds remembered at once.
const MOST: usize = 1000;

/// What was refused within the last minute.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<[u8; 32], Counted>>);

struct Counted {
    since: Timestamp,
    /// The last one, which stands for those that were counted.
    last: Event,
    /// How many weren't written.
    more: u64,
}

impl Refusals {
    /// Notes one; answers what is to be written now.
    pub(super) fn note(&self, event: Event) -> Vec<Event> {
        let now = event.at;
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = over(&mut kinds, |counted| now.since(counted.since) >= WINDOW || now < counted.since);
        let full = kinds.len() >= MOST;
        let kind = kind(&event);
        let kind = if full && !kinds.contains_key(&kind) { [0; 32] } else { kind };
        if let Some(counted) = kinds.get_mut(&kind) {
            counted.more += 1;
            counted.last = event;
        } else {
            due.push(event.clone());
            kinds.insert(kind, Counted { since: now, last: event, more: 0 });
        }
        due
    }

    /// What was counted and not yet written.
    pub(super) fn settle(&self) -> Vec<Event> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = kinds.values_mut().filter(|counted| counted.more > 0);
        told.map(|counted| summary(counted.last.clone(), std::mem::take(&mut counted.more))).collect()
    }
}

/// Takes out what `is_over`; answers the entries that tell of it.
fn over(kinds: &mut HashMap<[u8; 32], Counted>, is_over: impl Fn(&Counted) -> bool) -> Vec<Event> {
    let gone = kinds.extract_if(|_, counted| is_over(counted));
    gone.filter(|(_, counted)| counted.more > 0).map(|(_, counted)| summary(counted.last, counted.more)).collect()
}

fn summary(mut last: Event, count: u64) -> Event {
    last.details.insert("repeated".to_owned(), json!(count));
    last
}

/// Who was refused what: the same for all that one entry can tell of.
fn kind(event: &Event) -> [u8; 32] {
    let address = event.address.map(|address| address.to_string());
    let parts = (&event.actor.user, &event.actor.username, address, &event.action, &event.resource, &event.outcome);
    sha256(&serde_json::to_vec(&parts).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Actor, Decision, Outcome, Resource};

    fn refused(name: &str, at: i64) -> Event {
        Event {
            at: Timestamp(at),
            actor: Actor::unproven(name),
            address: None,
            user_agent: None,
            request_id: format!("r-{at}"),
            action: "task_cancel".to_owned(),
            resource: Resource::all("system"),
            decision: Decision::Denied { policies: Vec::new() },
            outcome: Outcome::Denied,
            details: serde_json::Map::new(),
        }
    }

    #[test]
    fn the_first_is_written_and_the_rest_of_its_minute_is_one_entry() {
        let refusals = Refusals::default();
        assert_eq!(refusals.note(refused("mallory", 0)), [refused("mallory", 0)]);
        for at in 1..1000 {
            assert_eq!(refusals.note(refused("mallory", at)), []);
        }
        assert_eq!(refusals.note(refused("trudy", 1000)), [refused("trudy", 1000)], "another is another");
        let due = refusals.note(refused("mallory", 60_000));
        assert_eq!((due.len(), due[0].details["repeated"].as_u64()), (2, Some(999)));
        assert_eq!(due[0].at, Timestamp(999), "the last of them");
        assert_eq!(due[1], refused("mallory", 60_000));
    }

    #[test]
    fn who_reads_sees_what_was_counted_so_far_and_nothing_twice() {
        let refusals = Refusals::default();
        refusals.note(refused("mallory", 0));
        assert_eq!(refusals.settle(), []);
        refusals.note(refused("mallory", 1));
        refusals.note(refused("mallory", 2));
        assert_eq!(refusals.settle()[0].details["repeated"], 2);
        assert_eq!(refusals.settle(), []);
        assert_eq!(refusals.note(refused("mallory", 3)), [], "the minute goes on");
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let refusals = Refusals::default();
        let flood = (0..100_000).flat_map(|n| refusals.note(refused(&format!("name-{n}"), 0)));
        let written = flood.count();
        assert!(written <= MOST + 1, "{written}");
        assert_eq!(refusals.settle()[0].details["repeated"].as_u64(), Some(100_000 - written as u64));
    }
}

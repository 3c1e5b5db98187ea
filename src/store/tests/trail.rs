//! The audit trail in the store, against a model of it.

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use crate::api::audit::{AuditFilter, AuditPage, OutcomeKind};
use crate::audit::{Actor, Decision, Event, Outcome, Resource};
use crate::model::id::{SessionId, UserId};
use crate::model::time::Timestamp;
use crate::store::{Change, CommitError, Precondition, Store, Transaction};

fn event(at: i64, user: u8, action: u8, resource: u8, outcome: u8) -> Event {
    Event {
        at: Timestamp(at),
        actor: Actor { user: Some(UserId(Uuid::from_u128(user.into()))), ..Actor::unproven(format!("user-{user}")) },
        address: None,
        user_agent: None,
        request_id: String::new(),
        action: format!("action-{action}"),
        resource: Resource::new("infra", resource),
        decision: Decision::None,
        outcome: if outcome == 0 { Outcome::Success } else { Outcome::Denied },
        details: serde_json::Map::new(),
    }
}

fn write(store: &Store, event: Event) {
    let written = store.submit(Transaction::of(vec![Change::Audit(Box::new(event))]));
    written.blocking_recv().unwrap().unwrap();
}

fn lets_through(filter: &AuditFilter, event: &Event) -> bool {
    let user = event.actor.user.map(|id| id.to_string());
    filter.user_id.as_ref().is_none_or(|wanted| *wanted == event.actor.username || Some(wanted) == user.as_ref())
        && filter.action.as_ref().is_none_or(|action| *action == event.action)
        && filter.resource.as_ref().is_none_or(|wanted| *wanted == event.resource.to_string() || wanted == "infra")
        && filter.outcome.is_none_or(|outcome| outcome.as_str() == event.outcome.as_str())
        && filter.from_date.is_none_or(|from| event.at >= from)
        && filter.to_date.is_none_or(|to| event.at <= to)
}

fn filters() -> impl Strategy<Value = AuditFilter> {
    let user = prop_oneof![
        (0u8..3).prop_map(|n| format!("user-{n}")),
        (0u8..3).prop_map(|n| Uuid::from_u128(n.into()).to_string())
    ];
    let resource = prop_oneof![Just("infra".to_owned()), (0u8..3).prop_map(|n| format!("infra/{n}"))];
    let outcome = prop::sample::select(OutcomeKind::ALL);
    let times = (prop::option::of(-5i64..25), prop::option::of(-5i64..25));
    let action = (0u8..3).prop_map(|n| format!("action-{n}"));
    let texts = (prop::option::of(user), prop::option::of(action), prop::option::of(resource));
    (texts, prop::option::of(outcome), times).prop_map(|((user_id, action, resource), outcome, (from, to))| {
        AuditFilter { user_id, action, resource, outcome, from_date: from.map(Timestamp), to_date: to.map(Timestamp) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_query_finds_what_a_walk_through_everything_finds(
        events in vec((-3i64..20, 0u8..3, 0u8..3, 0u8..3, 0u8..2), 0..30),
        filter in filters(),
        (limit, offset) in (1usize..8, 0usize..4),
    ) {
        let store = Store::in_memory().unwrap();
        let mut expected = Vec::new();
        for (sequence, (at, user, action, resource, outcome)) in (1u64..).zip(events) {
            let event = event(at, user, action, resource, outcome);
            if lets_through(&filter, &event) {
                expected.push((event.at, sequence));
            }
            write(&store, event);
        }
        expected.sort_unstable();
        let (forwards, _) = store.reads().audit_matching(&filter, None, 1000).unwrap();
        let forwards: Vec<u64> = forwards.iter().map(|sealed| sealed.sequence().unwrap()).collect();
        prop_assert_eq!(forwards, expected.iter().map(|(_, sequence)| *sequence).collect::<Vec<_>>());
        expected.reverse();
        let (mut found, mut after, mut skip) = (Vec::new(), None, offset);
        loop {
            let page = AuditPage { limit, offset: skip, after };
            let listed = store.reads().audit_page(&filter, page).unwrap();
            prop_assert_eq!(listed.total, expected.len() as u64);
            found.extend(listed.items.iter().map(|sealed| sealed.sequence().unwrap()));
            skip = 0;
            match listed.next_after {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let expected: Vec<u64> = expected.iter().skip(offset).map(|(_, sequence)| *sequence).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_transaction_that_is_refused_leaves_no_entry() {
    let store = Store::in_memory().unwrap();
    let changes = vec![Change::PutMeta("done".to_owned(), vec![1]), Change::Audit(Box::new(event(0, 0, 0, 0, 0)))];
    let precondition = Precondition::SessionGeneration(SessionId(Uuid::nil()), 7);
    let refused = store.submit(Transaction { preconditions: vec![precondition], changes: changes.clone() });
    assert!(matches!(refused.blocking_recv().unwrap(), Err(CommitError::Refused(_))));
    let nothing = (store.reads().meta("done").unwrap(), store.reads().audit_head().unwrap().sequence);
    assert_eq!(nothing, (None, 0));
    store.submit(Transaction::of(changes)).blocking_recv().unwrap().unwrap();
    assert_eq!(store.reads().audit_head().unwrap().sequence, 1);
}

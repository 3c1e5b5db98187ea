//! The audit trail under test: what any log, any damage to it and any text from outside must come to.

mod damage;
mod exports;
mod history;
mod redaction;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::id::UserId;
use crate::model::time::Timestamp;
use crate::model::user::Role;

/// A key of a number; equal numbers with equal seeds are equal keys.
fn key(id: u32, seed: u8) -> Key {
    Key::from_bytes(id, [seed; 32])
}

/// An event that a test tells apart by its number.
fn event(number: i64) -> Event {
    let actor = Actor {
        user: Some(UserId(uuid::Uuid::from_u128(7))),
        username: "alice".to_owned(),
        roles: vec![Role::Operator],
        credential: Credential::Session,
        credential_id: Some("s-1".to_owned()),
    };
    Event {
        at: Timestamp(1_790_000_000_000 + number),
        actor,
        address: Some([192, 0, 2, 7].into()),
        user_agent: Some("prov/0.1".to_owned()),
        request_id: format!("r-{number}"),
        action: "batch_execute".to_owned(),
        resource: Resource::new("infra", "production"),
        decision: Decision::Allowed { policies: vec!["role-operator".to_owned()] },
        outcome: Outcome::Success,
        details: serde_json::from_value(json!({"operations": number})).unwrap(),
    }
}

/// The events sealed one after another from a place on.
fn sealed(key: &Key, head: Head, events: impl IntoIterator<Item = Event>) -> Vec<Sealed> {
    let mut chain = Chain::new(key, head).unwrap();
    events.into_iter().map(|event| chain.seal(event)).collect()
}

/// Where a log stands after an entry.
fn head(sealed: &Sealed) -> Head {
    Head { sequence: sealed.sequence().unwrap(), mac: sealed.mac, key: sealed.key }
}

fn verify(verifier: Verifier<'_>, log: &[Sealed]) -> Result<Report, Broken> {
    let mut verifier = verifier;
    log.iter().try_for_each(|entry| verifier.push(entry))?;
    verifier.finish()
}

/// Any event that a caller might make.
fn events() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![
        Just(Outcome::Success),
        Just(Outcome::Denied),
        any::<String>().prop_map(|code| Outcome::Failure { code })
    ];
    let policies = vec(any::<String>(), 0..3);
    let decision = prop_oneof![
        Just(Decision::None),
        policies.clone().prop_map(|policies| Decision::Allowed { policies }),
        policies.prop_map(|policies| Decision::Denied { policies })
    ];
    let texts = (any::<String>(), any::<Option<String>>(), any::<Option<String>>());
    let rest = (outcome, decision, any::<Option<[u8; 16]>>(), 0..2_000_000_000_000_i64);
    (texts, rest).prop_map(|((username, user_agent, name), (outcome, decision, address, at))| Event {
        at: Timestamp(at),
        actor: Actor::unproven(username.clone()),
        address: address.map(Into::into),
        user_agent,
        resource: name.map_or_else(|| Resource::all("task"), |name| Resource::new("task", name)),
        decision,
        outcome,
        details: serde_json::from_value(json!({"said": username, "at": at})).unwrap(),
        ..event(at)
    })
}

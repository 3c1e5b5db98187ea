//! What ships is well-formed, and the examples do what they say once they are enabled.

use std::collections::BTreeSet;

use super::*;
use crate::policy::check;

#[test]
fn what_ships_is_valid_and_named() {
    let mut names = BTreeSet::new();
    for it in shipped() {
        assert_eq!(check(&text(&it.name, it.content)), Ok(()), "{}", it.name);
        assert!(names.insert(&it.name) && it.description.ends_with('.'), "{}", it.name);
        assert_eq!(it.enabled, it.name.starts_with("role-"), "{}", it.name);
    }
    for role in Role::ALL {
        assert!(names.contains(&format!("role-{}", role.as_str().to_lowercase())), "{role}");
    }
    let all = shipped().iter().map(|it| PolicyText { enabled: true, ..text(&it.name, it.content) });
    assert!(Policies::compile(all).is_ok());
}

#[test]
fn mfa_guards_production_and_deletes() {
    let policies = with_example("mfa");
    let submit = |infra| request(&[Role::Operator], Action::WorkflowSubmit, Resource::Infra(infra));
    let delete = |infra| {
        let mut delete = submit(infra);
        delete.circumstances.operation = Some("delete");
        delete
    };
    for (ask, because) in [
        (submit(PRODUCTION), &["mfa"][..]),
        (delete(PRODUCTION), &["mfa", "mfa#2"]),
        (delete(STAGING), &["mfa#2"]),
        (submit(STAGING), &["role-operator"]),
        (request(&[Role::Operator], Action::TaskRead, task(PRODUCTION)), &["role-operator"]),
        (request(&[Role::Operator], Action::RollbackExecute, Resource::System), &["role-operator"]),
        (request(&[Role::Operator], Action::RollbackExecute, batch(PRODUCTION)), &["mfa"]),
    ] {
        let decision = policies.decide(&ask);
        assert_eq!(decision.policies, because, "{ask:?}");
        assert_eq!(decision.allowed, because == ["role-operator"], "{ask:?}");
        let mut with_factor = ask;
        with_factor.circumstances.mfa = true;
        assert!(policies.decide(&with_factor).allowed, "{ask:?}");
    }
}

#[test]
fn working_hours_end_on_friday_evening() {
    let policies = with_example("working-hours");
    for (hours_later, allowed) in [(0, true), (8, true), (9, false), (-3, true), (-4, false), (24, false), (72, true)] {
        for infra in [PRODUCTION, STAGING] {
            let mut ask = request(&[Role::Operator], Action::WorkflowSubmit, Resource::Infra(infra));
            ask.circumstances.time = Timestamp(FRIDAY_MORNING.0 + hours_later * HOUR_MS);
            let allowed = allowed || infra.name == STAGING.name;
            assert_eq!(policies.decide(&ask).allowed, allowed, "{hours_later} {infra:?}");
            ask.circumstances.check_mode = true;
            assert!(policies.decide(&ask).allowed, "a plan changes nothing");
        }
    }
}

#[test]
fn the_corporate_network_changes_things_and_others_look_on() {
    let policies = with_example("corporate-network");
    for (ip, allowed) in [("10.9.8.7", true), ("::1", true), ("fd00::1", true), ("203.0.113.9", false)] {
        let mut ask = request(&[Role::Admin], Action::PolicyManage, Resource::System);
        ask.circumstances.ip = ip.parse().unwrap();
        assert_eq!(policies.decide(&ask).allowed, allowed, "{ip}");
        ask.action = Action::PolicyRead;
        assert!(policies.decide(&ask).allowed, "{ip}");
    }
}

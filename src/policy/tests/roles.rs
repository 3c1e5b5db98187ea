//! What each role may, action by action, written out by hand from the contract.

use super::*;
use crate::api::actions::Kind;

/// Who may, by the letters below: on an infra (or its tasks and batches) that is staging, on one that is production, and on
/// what belongs to no infra. `.` is nobody, `-` says that the action isn't done to such things.
const EXPECTED: [(&str, &str, &str, &str); 26] = [
    ("task_read", "AODVU", "AOVU", "AODVU"),
    ("task_logs", "AODVU", "AOVU", "-"),
    ("task_cancel", "AOD", "AO", "-"),
    ("task_retry", "AOD", "AO", "-"),
    ("workflow_submit", "AOD", "AO", "-"),
    ("batch_read", "AODVU", "AOVU", "AODVU"),
    ("batch_execute", "AOD", "AO", "-"),
    ("batch_execute_command", "AO", "AO", "-"),
    ("batch_cancel", "AOD", "AO", "-"),
    ("batch_retry", "AOD", "AO", "-"),
    ("checkpoint_read", "-", "-", "AO"),
    ("checkpoint_create", "-", "-", "AO"),
    ("rollback_execute", "AO", "AO", "AO"),
    ("state_read", "AODVU", "AOVU", "AODVU"),
    ("event_read", "AODVU", "AOVU", "AODVU"),
    ("infra_read", "AOD", "AO", "AOD"),
    ("webhook_manage", "-", "-", "A"),
    ("user_read", "-", "-", "AU"),
    ("user_manage", "-", "-", "A"),
    ("policy_read", "-", "-", "AU"),
    ("policy_manage", "-", "-", "A"),
    ("audit_read", "-", "-", "AOU"),
    ("log_read", "-", "-", "AU"),
    ("log_manage", "-", "-", "A"),
    ("token_manage", "-", "-", "A"),
    ("session_manage", "-", "-", "A"),
];

fn letter(role: Role) -> char {
    match role {
        Role::Admin => 'A',
        Role::Operator => 'O',
        Role::Developer => 'D',
        Role::Viewer => 'V',
        Role::Auditor => 'U',
    }
}

fn policy(role: Role) -> String {
    format!("role-{}", role.as_str().to_lowercase())
}

/// Every resource the action is done to: on an infra of this environment, or on none.
fn resources(action: Action, infra: Option<Infra<'static>>) -> Vec<Resource<'static>> {
    let resource = |kind: &Kind| match (kind, infra) {
        (Kind::Infra, Some(infra)) => Some(Resource::Infra(infra)),
        (Kind::Task, Some(infra)) => Some(task(infra)),
        (Kind::Batch, Some(infra)) => Some(batch(infra)),
        (Kind::System, None) => Some(Resource::System),
        (Kind::User, None) => Some(Resource::User(Subject { username: "bob", ..subject(&[Role::Viewer]) })),
        (Kind::Policy, None) => Some(Resource::Policy("mfa")),
        _ => None,
    };
    action.kinds().iter().filter_map(resource).collect()
}

#[test]
fn each_role_may_what_the_contract_says() {
    let policies = with([]).unwrap();
    for action in Action::ALL {
        let row = EXPECTED.iter().find(|row| row.0 == action.as_str());
        let (_, staging, production, elsewhere) = row.unwrap_or_else(|| panic!("{action} has no expectation"));
        for (expected, infra) in [(staging, Some(STAGING)), (production, Some(PRODUCTION)), (elsewhere, None)] {
            let resources = resources(*action, infra);
            assert_eq!(resources.is_empty(), *expected == "-", "{action} {infra:?}");
            for (resource, role) in resources.iter().flat_map(|it| Role::ALL.iter().map(move |role| (it, role))) {
                let decision = policies.decide(&request(&[*role], *action, *resource));
                let allowed = expected.contains(letter(*role));
                assert_eq!(decision.allowed, allowed, "{role} {action} {resource:?}: {decision:?}");
                assert_eq!(decision.errors, Vec::<String>::new());
                let because = if allowed { vec![policy(*role)] } else { vec![] };
                assert_eq!(decision.policies, because, "{role} {action}");
            }
        }
    }
}

#[test]
fn roles_add_up_and_no_role_is_no_right() {
    let policies = with([]).unwrap();
    let both = request(&[Role::Developer, Role::Auditor], Action::AuditRead, Resource::System);
    assert!(policies.decide(&both).allowed);
    let read = request(&[Role::Developer, Role::Auditor], Action::TaskRead, task(STAGING));
    assert_eq!(policies.decide(&read).policies, ["role-auditor", "role-developer"]);
    assert!(!policies.decide(&request(&[], Action::TaskRead, task(STAGING))).allowed);
}

#[test]
fn production_is_production_however_it_is_written() {
    let infra = Infra { name: "shop", environment: "Production" };
    let policies = with([]).unwrap();
    for resource in [Resource::Infra(infra), task(infra)] {
        let action = if resource.kind() == Kind::Infra { Action::WorkflowSubmit } else { Action::TaskCancel };
        assert!(!policies.decide(&request(&[Role::Developer], action, resource)).allowed);
    }
}

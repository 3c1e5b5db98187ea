//! Permits, forbids, errors, and what a denied caller is told.

use super::*;
use crate::policy::WhyNot;

#[test]
fn without_policies_nobody_may_anything() {
    let policies = Policies::compile([]).unwrap();
    let decision = policies.decide(&request(&[Role::Admin], Action::TaskRead, Resource::System));
    assert_eq!((decision.allowed, decision.policies.len()), (false, 0));
}

#[test]
fn a_forbid_wins_and_is_named() {
    let freeze = r#"forbid (principal, action == Action::"workflow_submit", resource in Infra::"shop");"#;
    let policies = with([("freeze", freeze)]).unwrap();
    let denied = policies.decide(&request(&[Role::Admin], Action::WorkflowSubmit, Resource::Infra(PRODUCTION)));
    assert_eq!((denied.allowed, &denied.policies[..]), (false, &["freeze".to_owned()][..]));
    assert!(policies.decide(&request(&[Role::Admin], Action::WorkflowSubmit, Resource::Infra(STAGING))).allowed);
    let cancel = request(&[Role::Admin], Action::TaskCancel, task(PRODUCTION));
    assert!(policies.decide(&cancel).allowed, "the freeze doesn't concern it");
}

#[test]
fn an_administrator_may_open_everything_and_sees_that_it_is_open() {
    let policies = with([("reports for the team", PERMIT_ALL)]).unwrap();
    let decision = policies.decide(&request(&[Role::Viewer], Action::UserManage, Resource::System));
    assert_eq!((decision.allowed, &decision.policies[..]), (true, &["reports for the team".to_owned()][..]));
}

#[test]
fn policies_see_infras_submitters_operations_and_providers() {
    let content = r#"
        permit (principal, action == Action::"task_cancel", resource)
        when { resource.submitted_by == principal.username && resource.infra.name == "shop" && resource in Infra::"shop" };
        permit (principal, action == Action::"workflow_submit", resource)
        when { context has providers && context.providers.contains("aws") && context has operation
               && context.operation == "create" && context.time >= datetime("2026-11-27") };"#;
    let policies = Policies::compile([text("several", content)]).unwrap();
    let task = |submitted_by| Resource::Task { id: "1", name: "x", infra: PRODUCTION, submitted_by };
    assert!(policies.decide(&request(&[], Action::TaskCancel, task("alice"))).allowed);
    assert!(!policies.decide(&request(&[], Action::TaskCancel, task("bob"))).allowed);
    let mut submit = request(&[], Action::WorkflowSubmit, Resource::Infra(STAGING));
    assert!(!policies.decide(&submit).allowed);
    submit.circumstances.providers = Some(&["local", "aws"]);
    submit.circumstances.operation = Some("create");
    assert_eq!(policies.decide(&submit).policies, ["several#2"]);
}

#[test]
fn a_forbid_that_fails_forbids_and_a_permit_that_fails_permits_nothing() {
    let overflow = "when { context.hour * 9223372036854775807 > 1 };";
    let failing = |effect: &str| format!("{effect} (principal, action, resource) {overflow}");
    let ask = request(&[Role::Admin], Action::TaskRead, Resource::System);

    let policies = with([("broken", &failing("forbid")[..])]).unwrap();
    let decision = policies.decide(&ask);
    assert_eq!((decision.allowed, &decision.policies[..]), (false, &["broken".to_owned()][..]));
    assert!(decision.errors.len() == 1 && decision.errors[0].contains("overflow"), "{:?}", decision.errors);

    let policies = with([("broken", &failing("permit")[..])]).unwrap();
    let decision = policies.decide(&ask);
    assert_eq!((decision.allowed, &decision.policies[..]), (true, &["role-admin".to_owned()][..]));
    assert_eq!(decision.errors.len(), 1);
    assert!(!policies.decide(&request(&[], Action::TaskRead, Resource::System)).allowed);
}

#[test]
fn an_action_on_the_wrong_thing_is_denied_to_all() {
    let policies = with([("open", PERMIT_ALL)]).unwrap();
    let decision = policies.decide(&request(&[Role::Admin], Action::PolicyManage, task(STAGING)));
    assert!(!decision.allowed);
    assert_eq!(decision.errors, ["policy_manage is nothing that can be done to Task"]);
}

#[test]
fn users_who_act_on_themselves_are_one_entity() {
    let roles = [Role::Admin];
    let policies = with([]).unwrap();
    // What the token says of the roles may be older than what the account has.
    let themselves = Resource::User(subject(&[Role::Viewer]));
    assert!(policies.decide(&request(&roles, Action::UserManage, themselves)).allowed);
}

#[test]
fn an_ipv4_address_is_one_whatever_socket_it_came_through() {
    let lan = r#"permit (principal, action, resource) when { context.ip.isInRange(ip("10.0.0.0/8")) };"#;
    let policies = Policies::compile([text("lan", lan)]).unwrap();
    for (ip, allowed) in [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("11.0.0.1", false), ("::1", false)] {
        let mut ask = request(&[], Action::TaskRead, Resource::System);
        ask.circumstances.ip = ip.parse().unwrap();
        assert_eq!(policies.decide(&ask).allowed, allowed, "{ip}");
    }
}

#[test]
fn names_of_any_kind_are_no_danger() {
    let policies = with([]).unwrap();
    for name in ["", "\"", "a\\", "al\nice", "ünïcode", "::", "Role::\"Admin\""] {
        let infra = Infra { name, environment: name };
        let subject = Subject { username: name, email: name, roles: &[Role::Viewer], mfa_enrolled: true };
        let resource = Resource::Task { id: name, name, infra, submitted_by: name };
        let ask = Request { subject, action: Action::TaskRead, resource, circumstances: circumstances() };
        assert_eq!(policies.decide(&ask).errors, Vec::<String>::new(), "{name:?}");
        assert!(policies.decide(&ask).allowed, "{name:?}");
        assert!(!policies.decide(&Request { action: Action::TaskCancel, ..ask }).allowed, "{name:?}");
    }
}

#[test]
fn times_that_nobody_can_write_deny() {
    let mut ask = request(&[Role::Admin], Action::TaskRead, Resource::System);
    ask.circumstances.time = Timestamp(i64::MAX);
    let decision = with([]).unwrap().decide(&ask);
    assert_eq!((decision.allowed, decision.errors.len()), (false, 1), "{decision:?}");
}

#[test]
fn a_denied_caller_is_told_what_is_missing() {
    let why_not = |policies: &Policies, roles: &[Role], action, resource| {
        policies.why_not(&request(roles, action, resource)).to_string()
    };
    let policies = with([]).unwrap();
    let submit = (Action::WorkflowSubmit, Resource::Infra(PRODUCTION));
    let told = why_not(&policies, &[Role::Developer], submit.0, submit.1);
    assert_eq!(told, "it takes the role Admin or Operator");
    assert_eq!(
        why_not(&policies, &[Role::Viewer], Action::UserRead, Resource::System),
        "it takes the role Admin or Auditor"
    );

    let policies = with_example("mfa");
    let told = why_not(&policies, &[Role::Operator], submit.0, submit.1);
    assert_eq!(told, "it takes a login with a second factor");
    let told = why_not(&policies, &[Role::Developer], submit.0, submit.1);
    assert_eq!(told, "it takes the role Admin or Operator, and a login with a second factor");

    let policies = with([("closed", FORBID_ALL)]).unwrap();
    assert_eq!(policies.why_not(&request(&[Role::Viewer], submit.0, submit.1)), WhyNot::default());
}

//! Sets of policies that leave an administrator the way back, and sets that don't.

use super::*;
use crate::policy::{LockedOut, Reach};

/// Asks for one admin without a second factor.
fn keeps(name: &str, content: &str) -> Result<(), LockedOut> {
    keeps_with(name, content, false)
}

fn keeps_with(name: &str, content: &str, mfa_enrolled: bool) -> Result<(), LockedOut> {
    let admin = Subject { mfa_enrolled, ..subject(&[Role::Admin]) };
    with([(name, content)]).unwrap().keeps_an_admin([admin], Reach::Anywhere, FRIDAY_MORNING)
}

fn locked(action: Action, policy: &str) -> Result<(), LockedOut> {
    Err(LockedOut { action, policies: vec![policy.to_owned()] })
}

#[test]
fn what_ships_locks_nobody_out_enabled_or_not() {
    let all = shipped().iter().map(|it| text(&it.name, it.content));
    let policies = Policies::compile(all).unwrap();
    assert_eq!(policies.keeps_an_admin([subject(&[Role::Admin])], Reach::Anywhere, FRIDAY_MORNING), Ok(()));
}

#[test]
fn a_forbid_for_all_is_refused_by_name() {
    assert_eq!(keeps("closed", FORBID_ALL), locked(Action::PolicyManage, "closed"));
    let users = r#"forbid (principal in Role::"Admin", action == Action::"user_manage", resource);"#;
    assert_eq!(keeps("users", users), locked(Action::UserManage, "users"));
    let message = keeps("closed", FORBID_ALL).unwrap_err().to_string();
    assert_eq!(message, "no administrator could policy_manage any more: policy `closed` forbids it");
}

#[test]
fn a_policy_that_could_never_be_removed_is_refused() {
    let stone = r#"forbid (principal, action == Action::"policy_manage", resource == Policy::"stone");"#;
    assert_eq!(keeps("stone", stone), locked(Action::PolicyManage, "stone"));
    assert_eq!(keeps("sand", stone), Ok(()), "it speaks of a policy that isn't there");
}

#[test]
fn what_nobody_could_see_nobody_could_change() {
    let blind = r#"forbid (principal, action == Action::"policy_read", resource);"#;
    assert_eq!(keeps("blind", blind), locked(Action::PolicyRead, "blind"));
    let ghost = r#"forbid (principal, action == Action::"policy_read", resource == Policy::"ghost");
        permit (principal == User::"view", action, resource);"#;
    assert_eq!(keeps("ghost", ghost), locked(Action::PolicyRead, "ghost"));
    let apart = r#"forbid (principal, action == Action::"policy_read", resource) when { context.hour < 12 };
        forbid (principal, action == Action::"policy_manage", resource) when { context.hour >= 12 };"#;
    assert!(keeps("apart", apart).is_err(), "one sees them in the morning and may change them in the afternoon");
}

#[test]
fn what_ends_some_day_is_no_way_back() {
    for never in [r#"context.time > datetime("2026-12-20")"#, r#"context.time > datetime("2031-05-05T08:00:00Z")"#] {
        let late = format!("forbid (principal, action, resource) when {{ {never} }};");
        assert_eq!(keeps("late", &late), locked(Action::PolicyManage, "late"), "{never}");
    }
    let freeze = r#"forbid (principal, action, resource)
        when { context.time > datetime("2026-12-20") && context.time < datetime("2026-12-24") };"#;
    assert_eq!(keeps("freeze", freeze), Ok(()));
}

#[test]
fn nobody_can_go_where_a_daemon_does_not_listen() {
    let only = r#"forbid (principal, action, resource) unless { context.ip.isInRange(ip("10.0.0.0/8")) };"#;
    let policies = with([("office", only)]).unwrap();
    let keeps = |reach| policies.keeps_an_admin([subject(&[Role::Admin])], reach, FRIDAY_MORNING);
    assert_eq!(keeps(Reach::Anywhere), Ok(()));
    assert_eq!(keeps(Reach::Host), locked(Action::PolicyManage, "office"));
}

#[test]
fn without_a_permit_there_is_none_to_name() {
    let policies =
        Policies::compile([text("reading", r#"permit (principal, action == Action::"task_read", resource);"#)]);
    let error =
        policies.unwrap().keeps_an_admin([subject(&[Role::Admin])], Reach::Anywhere, FRIDAY_MORNING).unwrap_err();
    assert_eq!(error, LockedOut { action: Action::PolicyManage, policies: vec![] });
    assert_eq!(error.to_string(), "no administrator could policy_manage any more: no enabled policy permits it");
    let nobody = with([]).unwrap().keeps_an_admin([], Reach::Anywhere, FRIDAY_MORNING);
    assert_eq!(nobody, Err(LockedOut { action: Action::PolicyManage, policies: vec![] }));
}

#[test]
fn hours_that_come_within_a_week_are_kept_and_others_are_not() {
    let unless = |condition: &str| format!("forbid (principal, action, resource) unless {{ {condition} }};");
    for kept in [
        "context.weekday <= 5 && context.hour >= 7 && context.hour < 19",
        "context.weekday == 7 && context.hour == 3",
        r#"context.time.toTime() < duration("2h")"#,
        r#"context.time > datetime("2026-12-01")"#,
    ] {
        assert_eq!(keeps("hours", &unless(kept)), Ok(()), "{kept}");
    }
    for never in ["context.hour == 24", "context.weekday == 0", r#"context.time > datetime("2030-01-01")"#] {
        assert_eq!(keeps("hours", &unless(never)), locked(Action::PolicyManage, "hours"), "{never}");
    }
}

#[test]
fn networks_that_one_can_go_to_are_kept() {
    let only = |network: &str| {
        format!(r#"forbid (principal, action, resource) unless {{ context.ip.isInRange(ip("{network}")) }};"#)
    };
    for network in ["127.0.0.0/8", "10.0.0.0/8", "198.51.100.0/24", "2001:db8:77::/48", "203.0.113.77"] {
        assert_eq!(keeps("network", &only(network)), Ok(()), "{network}");
    }
    let both = r#"forbid (principal, action, resource)
        unless { context.ip.isInRange(ip("198.51.100.0/24")) && context.ip.isInRange(ip("192.0.2.0/24")) };"#;
    assert_eq!(keeps("network", both), locked(Action::PolicyManage, "network"));
}

#[test]
fn a_second_factor_can_be_demanded_once_somebody_has_one() {
    let demand = "forbid (principal, action, resource) unless { context.mfa };";
    assert_eq!(keeps_with("factor", demand, true), Ok(()));
    assert_eq!(keeps_with("factor", demand, false), locked(Action::PolicyManage, "factor"));
    let without = "forbid (principal, action, resource) when { context.mfa };";
    assert_eq!(keeps_with("factor", without, true), Ok(()), "they can log in without");
}

#[test]
fn one_admin_is_enough() {
    let alone = r#"forbid (principal, action, resource) unless { principal.username == "carol" };"#;
    let policies = with([("alone", alone)]).unwrap();
    let [alice, carol] = ["alice", "carol"].map(|username| Subject { username, ..subject(&[Role::Admin]) });
    assert_eq!(policies.keeps_an_admin([alice, carol], Reach::Anywhere, FRIDAY_MORNING), Ok(()));
    assert_eq!(
        policies.keeps_an_admin([alice], Reach::Anywhere, FRIDAY_MORNING),
        locked(Action::PolicyManage, "alone")
    );
}

#[test]
fn several_that_lock_out_together_are_named_together() {
    let early = "forbid (principal, action, resource) when { context.hour < 12 };";
    let late = "forbid (principal, action, resource) when { context.hour >= 12 };";
    let error = with([("early", early), ("late", late)]).unwrap().keeps_an_admin(
        [subject(&[Role::Admin])],
        Reach::Anywhere,
        FRIDAY_MORNING,
    );
    assert_eq!(error, Err(LockedOut { action: Action::PolicyManage, policies: vec!["early".into(), "late".into()] }));
}

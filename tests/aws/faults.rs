//! What the real EC2 does and moto doesn't: lost answers, tokens, throttling, capacity, knowledge that spreads slowly.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prov::provision::provider::cloud::{Api, CallError, Deletion, MachineState};
use serde_json::json;

use super::Sample;
use crate::support::ec2::{Ec2, Fate};
use crate::support::moto::moto;

/// The first call of an action meets this fate, all others pass.
fn first(
    action: &'static str,
    fate: impl Fn() -> Fate + Send + 'static,
) -> impl FnMut(&crate::support::ec2::Call) -> Fate + Send {
    let mut met = false;
    move |call| {
        if call.action != action || std::mem::replace(&mut met, true) {
            return Fate::Pass;
        }
        fate()
    }
}

#[test]
fn an_order_whose_answer_was_lost_makes_one_machine() {
    let Some(moto) = moto() else { return };
    for (infra, fate) in [("lost", (|| Fate::Lose) as fn() -> Fate), ("cut", || Fate::Cut), ("dropped", || Fate::Drop)]
    {
        let sample = Sample::new(infra);
        let ec2 = Ec2::before(&moto.address, first("RunInstances", fate));
        let aws = sample.aws(&ec2.address);
        let error = sample.create(&aws, "a", &json!({})).unwrap_err();
        assert!(matches!(error, CallError::Unknown(_)), "{infra}: {error}");
        // Another process makes the same order.
        let made = sample.create(&sample.aws(&ec2.address), "a", &json!({})).unwrap();
        let found = aws.find(&sample.labels(&[])).unwrap();
        assert_eq!(found.iter().map(|machine| &machine.id).collect::<Vec<_>>(), [&made.id], "{infra}");
    }
}

#[test]
fn a_call_that_arrives_twice_makes_one_machine() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("twice");
    let ec2 = Ec2::before(&moto.address, first("RunInstances", || Fate::Twice));
    let aws = sample.aws(&ec2.address);
    sample.create(&aws, "a", &json!({})).unwrap();
    assert_eq!(aws.find(&sample.labels(&[])).unwrap().len(), 1);
}

#[test]
fn a_token_that_was_used_otherwise_is_refused() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("token");
    let ec2 = Ec2::before(&moto.address, |_| Fate::Pass);
    let aws = sample.aws(&ec2.address);
    let made = sample.create(&aws, "a", &json!({})).unwrap();
    for (fields, code) in
        [(json!({"plan": "2xCPU-4 GB"}), "IdempotentParameterMismatch"), (json!({}), "IdempotentInstanceTerminated")]
    {
        if code == "IdempotentInstanceTerminated" {
            aws.delete(&made).unwrap();
        }
        let error = sample.create(&aws, "a", &fields).unwrap_err();
        assert!(
            matches!(&error, CallError::Refused { hint: Some(_), .. }) && error.to_string().contains(code),
            "{error}"
        );
    }
}

#[test]
fn how_far_a_refused_order_is_follows_from_the_code() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("codes");
    let fails = |fate: fn() -> Fate| {
        let ec2 = Ec2::before(&moto.address, first("RunInstances", fate));
        sample.create(&sample.aws(&ec2.address), "a", &json!({})).unwrap_err()
    };
    let after = |error: CallError| match error {
        CallError::Later { after, throttled: true, .. } => after,
        other => panic!("{other}"),
    };
    assert_eq!(after(fails(|| Fate::Refuse(503, "RequestLimitExceeded", Some(1)))), Some(Duration::from_secs(1)));
    assert_eq!(after(fails(|| Fate::Refuse(400, "Throttling", None))), None);
    assert!(matches!(fails(|| Fate::Refuse(500, "InternalError", None)), CallError::Unknown(_)));
    assert!(matches!(fails(|| Fate::Refuse(503, "Unavailable", None)), CallError::Unknown(_)));
    let CallError::Refused { hint: Some(hint), .. } = fails(|| Fate::Refuse(500, "InsufficientInstanceCapacity", None))
    else {
        panic!("there is a hint")
    };
    assert!(hint.contains("another zone"), "{hint}");
    let nobody = sample.aws("http://127.0.0.1:1");
    assert!(matches!(sample.create(&nobody, "a", &json!({})), Err(CallError::Unreachable(_))));
}

#[test]
fn many_pages_are_one_list() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("pages");
    let ec2 =
        Ec2::before(&moto.address, |call| if call.action == "DescribeInstances" { Fate::Pages(5) } else { Fate::Pass });
    let aws = sample.aws(&ec2.address);
    for number in 0..7 {
        sample.create(&aws, &format!("s{number}"), &json!({})).unwrap();
    }
    let found = aws.find(&sample.labels(&[])).unwrap();
    assert_eq!((found.len(), ec2.count("DescribeInstances")), (7, 2));
    assert!(found.is_sorted_by(|a, b| a.id < b.id));
}

#[test]
fn states_on_the_way_are_told_as_such() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("states");
    let ec2 = Ec2::before(&moto.address, |call| match call.action.as_str() {
        "DescribeInstances" => Fate::Edit(|body| body.replace("<name>running</name>", "<name>pending</name>")),
        "StartInstances" => Fate::Refuse(400, "IncorrectInstanceState", None),
        _ => Fate::Pass,
    });
    let aws = sample.aws(&ec2.address);
    let made = sample.create(&aws, "a", &json!({})).unwrap();
    assert_eq!(aws.find(&sample.labels(&[])).unwrap()[0].state, MachineState::Changing);
    assert!(matches!(aws.start(&made), Err(CallError::Later { throttled: false, .. })));
}

#[test]
fn what_is_not_known_everywhere_yet_is_not_gone() {
    static KNOWN: AtomicBool = AtomicBool::new(false);
    let Some(moto) = moto() else { return };
    let sample = Sample::new("eventual");
    let ec2 = Ec2::before(&moto.address, |call| match call.action.as_str() {
        "StartInstances" | "TerminateInstances" | "CreateTags" if !KNOWN.load(Ordering::SeqCst) => {
            Fate::Refuse(400, "InvalidInstanceID.NotFound", None)
        }
        _ => Fate::Pass,
    });
    let aws = sample.aws(&ec2.address);
    let made = sample.create(&aws, "a", &json!({})).unwrap();
    assert!(matches!(aws.start(&made), Err(CallError::Later { .. })));
    assert!(matches!(aws.relabel(&made, &made.labels), Err(CallError::Later { .. })));
    assert_eq!(aws.delete(&made).unwrap(), Deletion::Going);
    // Whoever didn't make it has it from a list: it was known.
    let other = sample.aws(&ec2.address);
    assert_eq!(other.delete(&made).unwrap(), Deletion::Gone);
    assert!(matches!(other.start(&made), Err(CallError::Refused { .. })));
    KNOWN.store(true, Ordering::SeqCst);
    assert_eq!(aws.delete(&made).unwrap(), Deletion::Going);
}

#[test]
fn a_group_that_is_not_known_everywhere_yet_is_waited_for() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("group");
    let ec2 = Ec2::before(&moto.address, first("RunInstances", || Fate::Refuse(400, "InvalidGroup.NotFound", None)));
    let aws = sample.aws(&ec2.address);
    assert!(matches!(sample.create(&aws, "a", &json!({})), Err(CallError::Later { .. })));
    sample.create(&aws, "a", &json!({})).unwrap();
}

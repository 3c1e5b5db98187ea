//! What goes wrong on the way, and how far it says that a call is.

use std::time::Duration;

use prov::provision::provider::cloud::{Api, CallError, Deletion, MachineState};

use super::{Account, labels, none, refused, spec};
use crate::support::upcloud::{Mishap, TOKEN};

#[test]
fn an_order_whose_reply_is_lost_is_found_by_its_labels() {
    for mishap in [Mishap::LostReply, Mishap::FailedReply] {
        let account = Account::new();
        account.cloud.next("POST /server", mishap.clone());
        let error = account.create(&none(), "t-1").unwrap_err();
        assert!(matches!(error, CallError::Unknown(_)), "{mishap:?}: {error:?}");
        assert_eq!(account.cloud.count("POST /server"), 1, "nobody repeats it by himself");
        assert_eq!(account.find(&labels("t-1")).len(), 1);
        assert_eq!(account.find(&labels("t-2")), []);
    }
    let account = Account::new();
    account.cloud.next("POST /server", Mishap::Failure);
    assert!(matches!(account.create(&none(), "t-1").unwrap_err(), CallError::Unknown(_)));
    assert_eq!(account.find(&labels("t-1")), [], "an error tells nothing of what was done");
}

#[test]
fn what_is_lost_before_the_order_leaves_nothing_open() {
    let account = Account::new();
    account.cloud.next("GET /plan", Mishap::LostReply);
    account.cloud.next("GET /storage/template", Mishap::Failure);
    for _ in 0..2 {
        let error = account.create(&none(), "t-1").unwrap_err();
        assert!(matches!(error, CallError::Later { throttled: false, .. }), "{error:?}");
    }
    account.create(&none(), "t-1").unwrap();
    assert_eq!(account.cloud.world().made, 1);
}

#[test]
fn too_many_calls_slow_all_of_them_down() {
    for mishap in [Mishap::TooMany(0), Mishap::Unavailable(0)] {
        let account = Account::new();
        account.cloud.next("POST /server", mishap.clone());
        match account.create(&none(), "t-1").unwrap_err() {
            CallError::Later { after, throttled, .. } => assert_eq!((after, throttled), (Some(Duration::ZERO), true)),
            other => panic!("{mishap:?}: {other:?}"),
        }
        assert_eq!(account.cloud.world().made, 0);
    }
}

#[test]
fn a_refusal_says_what_to_do_about_it() {
    let account = Account::new();
    for (status, code, is_detailed, expected) in [
        (402, "INSUFFICIENT_CREDITS", false, "top it up"),
        (403, "SERVER_FORBIDDEN", true, "permission"),
        (403, "SERVER_CORE_LIMIT_REACHED", false, "limit"),
        (409, "SERVER_RESOURCES_UNAVAILABLE", true, "another zone"),
    ] {
        account.cloud.next("POST /server", Mishap::Refusal { status, code, is_detailed });
        let (what, hint) = refused(account.create(&none(), "t-1").unwrap_err());
        assert_eq!(
            what,
            format!(
                "UpCloud answers {status} {code}: It is refused.{}",
                if is_detailed { " (correlation id 01TESTS)" } else { "" }
            )
        );
        assert!(hint.contains(expected), "{hint}");
    }
    let mut elsewhere = none();
    elsewhere.zone = "xx-yyy1".parse().unwrap();
    let (what, hint) = refused(account.create(&elsewhere, "t-1").unwrap_err());
    assert!(what.contains("ZONE_NOT_FOUND") && hint.contains("de-fra1"), "{what}: {hint}");
}

#[test]
fn a_wrong_token_is_refused_and_not_repeated() {
    let wrong = "ucat_ANOTHERSECRETTOKEN";
    let account = Account::with_token(wrong);
    let (what, hint) = refused(account.api.find(&labels("t-1")).unwrap_err());
    assert_eq!(what, "UpCloud answers 401 AUTHENTICATION_FAILED: the credentials are refused");
    assert!(hint.contains("UPCLOUD_TOKEN"));
    let account = Account::new();
    account.cloud.next("GET /plan", Mishap::Unauthorised);
    let error = format!("{:?}", account.api.catalogue().unwrap_err());
    assert!(!error.contains(TOKEN) && !error.contains(&TOKEN[5..]), "{error}");
}

#[test]
fn what_an_error_quotes_of_the_order_is_covered() {
    let account = Account::new();
    let path = account.dir.path().join("title");
    std::fs::write(&path, format!("swordfish {}", "x".repeat(300))).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let extra = serde_json::json!({"title": {"secret": {"file": "title"}}});
    let error = format!("{:?}", account.create(&spec(&extra), "t-1").unwrap_err());
    assert!(!error.contains("swordfish"), "{error}");
    let extra = serde_json::json!({"user_data": {"secret": {"file": "nowhere"}}});
    let (what, _) = refused(account.create(&spec(&extra), "t-1").unwrap_err());
    assert!(what.starts_with("a secret of the server can't be had: "), "{what}");
    assert_eq!(account.cloud.world().made, 0);
}

#[test]
fn a_server_between_states_is_asked_later() {
    let account = Account::new();
    account.cloud.world().looks = 1000;
    let made = account.create(&none(), "t-1").unwrap();
    assert_eq!(account.api.delete(&made).unwrap(), Deletion::Going);
    assert!(matches!(account.api.start(&made).unwrap_err(), CallError::Later { .. }));
    assert_eq!(account.cloud.count("DELETE /server/*"), 0);
    account.cloud.world().put(&made.id, "stopped");
    // Between the look and the call it may have been taken up by somebody.
    account
        .cloud
        .next("DELETE /server/*", Mishap::Refusal { status: 409, code: "SERVER_STATE_ILLEGAL", is_detailed: false });
    assert!(matches!(account.api.delete(&made).unwrap_err(), CallError::Later { throttled: false, .. }));
    account.cloud.world().put(&made.id, "error");
    assert_eq!(account.api.delete(&made).unwrap(), Deletion::Going);
    assert_eq!(account.find(&made.labels)[0].state, MachineState::Failed);
    account.cloud.world().put(&made.id, "stopped");
    // The reply to the last step is lost: the next look says that it is done.
    account.cloud.next("DELETE /server/*", Mishap::LostReply);
    assert!(matches!(account.api.delete(&made).unwrap_err(), CallError::Unknown(_)));
    assert_eq!(account.api.delete(&made).unwrap(), Deletion::Gone);
    assert_eq!(account.cloud.world().storages, 0);
}

#[test]
fn an_id_that_is_none_reaches_no_other_path() {
    let account = Account::new();
    let mut made = account.create(&none(), "t-1").unwrap();
    made.id = "../account".to_owned();
    let (what, _) = refused(account.api.delete(&made).unwrap_err());
    assert!(what.contains("is no id of a server"), "{what}");
}

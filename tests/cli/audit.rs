//! `prov audit`: looking up, exporting, verifying with a daemon and without one.

use std::fs;

use super::User;

#[test]
fn the_trail_is_listed_and_verified() {
    let user = User::logged_in();
    let list = user.prov(&["audit", "list", "--action", "auth_login"]);
    assert!(list.out().starts_with("ENTRY  AGE  USER   ACTION      RESOURCE"), "{list:?}");
    assert!(list.out().contains("127.0.0.1"), "{list:?}");
    let entries = user.prov(&["audit", "list", "--user", "admin", "--outcome", "success", "-o", "json"]).json();
    assert_eq!(entries.as_array().unwrap().last().unwrap()["action"], "auth_login");
    assert_eq!(user.prov(&["audit", "list", "--from", "2999-01-01", "-o", "json"]).json(), serde_json::json!([]));
    assert!(user.prov(&["audit", "list", "--from", "soon"]).fails(2).contains("must be a time like"));
    let verified = user.prov(&["audit", "verify"]);
    assert!(verified.out().starts_with("verified: "), "{verified:?}");
}

#[test]
fn an_export_is_verified_without_a_daemon() {
    let user = User::logged_in();
    let key = user.daemon().path("data/audit-key").display().to_string();
    let (whole, checkpoint) = (user.path("trail.jsonl"), user.path("checkpoint.json"));
    let (whole, checkpoint) = (whole.to_str().unwrap(), checkpoint.to_str().unwrap());
    user.prov(&["audit", "checkpoint", "--output-file", checkpoint]).out();
    user.prov(&["audit", "export", "--output-file", whole]).out();
    let verify = |file: &str| user.prov(&["audit", "verify", file, "--key-file", &key, "--checkpoint", checkpoint]);
    let good = verify(whole);
    assert!(good.out().contains("agrees with 1 checkpoint"), "{good:?}");
    assert_eq!(user.prov(&["audit", "verify", "--checkpoint", checkpoint]).code, 0);
    let exported = fs::read_to_string(whole).unwrap();
    let alone = ["audit", "verify", "-", "--key-file", &key];
    assert!(user.prov(&alone).fails(2).contains("is empty"), "nothing is no trail");
    let unseen = user.prov_reading(&alone, &exported);
    assert!(unseen.code == 0 && unseen.stderr.contains("without --checkpoint it can't be seen"), "{unseen:?}");
    assert!(!good.stderr.contains("can't be seen"), "{good:?}");
    let beheaded = user.file("beheaded.jsonl", exported.split_once('\n').unwrap().1);
    let bad = verify(&beheaded);
    let told = "broken: audit entry 1 is missing, and all after it up to 1: the checkpoint of ";
    assert!(bad.code == 1 && bad.stdout.starts_with(told), "{bad:?}");
    assert!(verify(&user.file("empty.jsonl", "")).fails(2).contains("is empty"));

    let changed = user.file("changed.jsonl", &exported.replacen("admin_bootstrap", "admin_bootsdrap", 1));
    let bad = verify(&changed);
    assert_eq!(bad.code, 1);
    assert!(bad.stdout.starts_with("broken: audit entry 1 isn't what was written"), "{bad:?}");
    let cut = user.file("cut.jsonl", exported.split_inclusive('\n').next().unwrap());
    let bad = verify(&cut);
    assert!(bad.code == 1 && bad.stdout.starts_with("broken: audit entry 2 and all after it are missing"), "{bad:?}");

    let part = user.prov(&["audit", "export", "--action", "auth_login"]);
    assert!(part.stderr.contains("this is a selection") && part.out().lines().count() == 2, "{part:?}");
    let csv = user.prov(&["audit", "export", "--format", "csv"]);
    assert!(csv.out().starts_with("sequence,at,username,"), "{csv:?}");
    assert!(user.prov(&["audit", "verify", whole]).fails(2).contains("--key-file"));
}

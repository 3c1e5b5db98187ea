//! Users, roles, passwords and sessions from the command line.

use super::User;

const GOOD: &str = "plum-orbit-canvas-thirteen";

#[test]
fn an_administrator_makes_changes_and_deletes_users() {
    let user = User::logged_in();
    let create = ["users", "create", "Alice", "--role", "operator", "--password-stdin", "-o", "name"];
    assert_eq!(user.prov_reading(&create, GOOD).out(), "alice\n");
    assert!(user.prov_reading(&create, GOOD).fails(7).contains("there is a user alice already"));
    let weak = user.prov_reading(&["users", "create", "bob", "--role", "Viewer", "--password-stdin"], "password");
    assert!(weak.fails(2).contains("/password"), "{weak:?}");
    user.prov(&["users", "create", "a/b", "--role", "Viewer"]).fails(2);
    assert!(user.prov(&["users", "create", "bob", "--role", "Viewer"]).fails(2).contains("--password-stdin"));
    let list = user.prov(&["users", "list"]);
    assert!(list.out().lines().any(|line| line.starts_with("alice  Operator  enabled  no")), "{list:?}");
    let update = ["users", "update", "alice", "--role", "Viewer", "--role", "Auditor", "--disable", "-o", "json"];
    let changed = user.prov(&update).json();
    assert_eq!((&changed["roles"], &changed["disabled"]), (&serde_json::json!(["Viewer", "Auditor"]), &true.into()));
    user.prov(&["users", "update", "alice"]).fails(2);
    assert!(user.prov(&["users", "unlock", "alice"]).out().contains("state:       disabled"));
    assert!(user.prov(&["users", "delete", "alice"]).fails(2).contains("--yes"));
    assert_eq!(user.prov(&["users", "delete", "alice", "--yes"]).out(), "");
    user.prov(&["users", "get", "alice"]).fails(6);
    assert!(user.prov(&["users", "delete", "admin", "--yes"]).fails(7).contains("last Admin"));
    assert!(user.prov(&["roles", "list"]).out().contains("A Viewer reads"));
}

#[test]
fn a_password_is_changed_from_two_lines_and_the_session_goes_on() {
    let user = User::logged_in();
    let old = user.daemon().password();
    let change = |text: &str| user.prov_reading(&["password", "--password-stdin"], text);
    assert!(change(&old).fails(2).contains("two lines"));
    let wrong = change(&format!("wrong\n{GOOD}\n"));
    assert!(wrong.fails(4).contains("the current password is wrong") && !wrong.stderr.contains("hint"), "{wrong:?}");
    let changed = change(&format!("{old}\n{GOOD}\n"));
    assert_eq!(changed.out(), "");
    assert!(changed.stderr.contains("the password is changed; 1 other session ended"), "{changed:?}");
    assert!(!changed.stderr.contains(GOOD), "{changed:?}");
    let sessions = user.prov(&["sessions", "list", "-o", "json"]).json();
    assert_eq!((sessions.as_array().unwrap().len(), &sessions[0]["current"]), (1, &true.into()));
    assert_eq!(user.prov_reading(&["login", "--password-stdin"], GOOD).code, 0);
}

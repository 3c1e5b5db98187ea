//! `prov policy`.

use super::User;

const CEDAR: &str = "forbid (principal in Role::\"Viewer\", action == Action::\"task_logs\", resource);\n";

#[test]
fn a_policy_is_checked_made_changed_asked_and_removed() {
    let user = User::logged_in();
    let wrong = user.file("wrong.cedar", &CEDAR.replace("task_logs", "task_log"));
    let validated = user.prov(&["policy", "validate", &wrong]);
    let shown = validated.fails(2);
    assert!(shown.contains("wrong.cedar:1:") && shown.contains("1 | forbid") && shown.contains('^'), "{shown}");
    let right = user.file("right.cedar", CEDAR);
    assert!(user.prov(&["policy", "validate", &right]).out().contains("is valid"));
    assert!(user.prov_reading(&["policy", "validate", "-"], CEDAR).out().contains("is valid"));
    let made = user.prov(&["policy", "create", "no-logs", &right, "--description", "Viewers read no logs."]);
    assert_eq!(made.out(), "policy no-logs is in force, in version 1\n");
    assert!(user.prov(&["policy", "list", "-o", "name"]).out().starts_with("no-logs\nrole-admin\n"));
    let why = ["policy", "why", "--as", "admin", "--action", "workflow_submit", "--infra", "production"];
    let why = user.prov(&why);
    assert_eq!(why.out(), "allow: admin may workflow_submit on infra/production\npermitted by: role-admin\n");
    assert_eq!(user.prov(&["policy", "update", "no-logs", "--disable"]).code, 0);
    assert_eq!(user.prov(&["policy", "versions", "no-logs", "-o", "name"]).out(), "2\n1\n");
    assert_eq!(user.prov(&["policy", "rollback", "no-logs", "1", "-o", "json"]).json()["version"], 3);
    assert!(user.prov(&["policy", "get", "no-logs"]).out().contains("task_logs"));
    user.prov(&["policy", "update", "role-admin", "--disable"]).fails(7);
    user.prov(&["policy", "delete", "no-logs"]).fails(2);
    assert_eq!(user.prov(&["policy", "delete", "no-logs", "--yes"]).code, 0);
    user.prov(&["policy", "get", "no-logs"]).fails(6);
}

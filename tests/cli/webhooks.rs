//! Webhooks from the command line.

use super::User;

#[test]
fn a_webhook_is_made_shown_changed_tried_and_deleted() {
    let user = User::logged_in();
    let made = user.prov(&["webhooks", "create", "https://localhost/hook", "--event", "batch", "--infra", "lab"]);
    assert!(made.out().trim().len() >= 32 && made.stdout.lines().count() == 1, "{made:?}");
    assert!(made.stderr.contains("not shown again") && !made.stderr.contains(made.stdout.trim()), "{made:?}");
    let id = user.prov(&["webhook", "list", "-o", "name"]).out().trim().to_owned();
    let list = user.prov(&["webhooks", "list"]);
    assert!(
        list.out().starts_with("ID ") && list.stdout.contains("active") && list.stdout.contains("batch"),
        "{list:?}"
    );

    let secret = user.file("secret", "nine-kittens-in-a-gale\n");
    let update = ["webhooks", "update", &id, "--all-events", "--pause", "--secret-file", &secret, "--overlap", "2h"];
    let changed = user.prov(&update);
    assert!(
        changed.out().contains("state:        paused") && changed.stdout.contains("two secrets:  until"),
        "{changed:?}"
    );
    assert!(!changed.stdout.contains("kittens"), "{changed:?}");
    let shown = user.prov(&["webhooks", "get", &id, "-o", "json"]).json();
    assert_eq!((shown["events"].as_array().unwrap().len(), shown["enabled"].as_bool()), (0, Some(false)));
    assert!(shown.get("secret").is_none());
    let rolled = user.prov(&["webhooks", "update", &id, "--resume", "--roll-secret", "-o", "json"]).json();
    assert!(rolled["secret"].as_str().unwrap().len() >= 32 && rolled["state"] == "active");

    let ping = user.prov(&["webhooks", "ping", &id]);
    assert_eq!(ping.code, 1, "{ping:?}");
    assert!(ping.stdout.starts_with("not delivered: ") && ping.stdout.contains("loopback"), "{ping:?}");
    assert!(user.prov(&["webhooks", "deliveries", &id, "--status", "dead"]).out().starts_with("ID"));
    assert_eq!(user.prov(&["webhooks", "redeliver", &id, "--all"]).out(), "0 events on the way again\n");
    user.prov(&["webhooks", "redeliver", &id]).fails(2);

    assert!(user.prov(&["webhooks", "create", "https://127.0.0.1/"]).fails(2).contains("webhook_allow"));
    assert!(user.prov(&["webhooks", "create", "https://localhost/", "--event", "tasks"]).fails(2).contains("task"));
    assert!(user.prov(&["webhooks", "delete", &id]).fails(2).contains("--yes"));
    assert_eq!(user.prov(&["webhooks", "delete", &id, "--yes"]).out(), "");
    user.prov(&["webhooks", "get", &id]).fails(6);
}

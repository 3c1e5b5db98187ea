//! The daemon's own log from the command line.

use super::User;

#[test]
fn the_daemons_log_is_shown_and_turned_up_and_down() {
    let user = User::logged_in();
    let table = user.prov(&["logs", "level"]);
    let level = |table: &str, component: &str| {
        let row = table.lines().find(|row| row.starts_with(component)).unwrap_or_else(|| panic!("{table}"));
        row.split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!((level(table.out(), "default"), level(table.out(), "server")), ("warn".to_owned(), "warn".to_owned()));
    let changed = user.prov(&["logs", "level", "server=debug", "default=error"]);
    assert_eq!(
        (level(changed.out(), "server"), level(changed.out(), "store")),
        ("debug".to_owned(), "error".to_owned())
    );
    user.prov(&["tasks", "list"]).out();
    let back = user.prov(&["logs", "level", "server=default", "-o", "json"]).json();
    assert_eq!(back["components"]["server"], "error");

    let shown = user.prov(&["logs", "--component", "server", "--search", "path=/TASKS"]);
    let [line] = shown.out().lines().collect::<Vec<_>>().try_into().unwrap();
    for part in [" DEBUG server: answered request_id=", " method=GET", " path=/tasks", " status=200"] {
        assert!(line.contains(part), "{line}");
    }
    let json = user.prov(&["logs", "--search", "path=/tasks", "-o", "jsonl"]).json();
    assert_eq!((&json["component"], &json["fields"]["status"]), (&"server".into(), &200.into()));
    assert_eq!(user.prov(&["logs", "--tail", "0"]).out(), "");
    assert_eq!(user.prov(&["logs", "--level", "error"]).out(), "");

    for (wrong, hint) in [("schedulr=debug", "scheduler"), ("store=loud", "debug"), ("store", "COMPONENT=LEVEL")] {
        assert!(user.prov(&["logs", "level", wrong]).fails(2).contains(hint), "{wrong}");
    }
    assert!(user.prov(&["logs", "-o", "yaml"]).fails(2).contains("prov logs -o jsonl"));
    assert!(user.prov(&["logs", "-f", "level"]).fails(2).contains("level"));
}

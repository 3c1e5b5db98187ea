//! API tokens from the command line.

use super::{User, ran};

#[test]
fn a_token_is_made_used_listed_and_revoked() {
    let user = User::logged_in();
    let made = user.prov(&["token", "create", "ci", "--role", "operator", "--expires", "7d"]);
    let token = made.out().trim().to_owned();
    assert!(token.starts_with("prov_") && made.stdout.lines().count() == 1, "{made:?}");
    assert!(made.stderr.contains("not shown again") && !made.stderr.contains(&token), "{made:?}");
    let by_token = |args: &[&str]| {
        let mut command = user.command(args);
        command.env("PROV_TOKEN", &token);
        ran(command, "")
    };
    assert!(by_token(&["whoami"]).out().starts_with("admin\nroles: Operator\n"));
    assert!(by_token(&["tasks", "list"]).out().starts_with("ID"));
    let refused = by_token(&["token", "create", "more"]);
    assert!(refused.fails(5).contains("an API token can't do this"), "{refused:?}");
    assert!(refused.stderr.contains("hint: the token of PROV_TOKEN is used: unset it"), "{refused:?}");
    assert!(!refused.stderr.contains("role that permits it"), "{refused:?}");
    assert!(by_token(&["users", "list"]).fails(5).contains("you may not user_read"));
    let list = user.prov(&["token", "list"]);
    let row = list.out().lines().nth(1).unwrap().to_owned();
    assert!(row.starts_with(&format!("ci    {}  Operator", &token[..13])), "{list:?}");
    assert!(user.prov(&["token", "create", "ci"]).fails(7).contains("called ci already"));
    user.prov(&["token", "create", "x", "--expires", "soon"]).fails(2);
    user.prov(&["token", "create", "x", "--expires", "1000d"]).fails(2);
    assert!(user.prov(&["token", "delete", "cd", "--yes"]).fails(6).contains("prov token list"));
    assert!(user.prov(&["token", "delete", "ci"]).fails(2).contains("--yes"));
    assert_eq!(user.prov(&["token", "delete", "ci", "--yes"]).out(), "");
    assert!(by_token(&["whoami"]).fails(4).contains("PROV_TOKEN"));
}

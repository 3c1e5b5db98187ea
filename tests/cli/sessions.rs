//! Logging in and out; where the session is.

use super::{User, mode};

#[test]
fn a_session_is_kept_privately_until_logout() {
    let user = User::logged_in();
    let again = user.login();
    assert_eq!((again.code, again.stdout.as_str()), (0, ""));
    let kept = user.path(".config/prov/session.json");
    assert_eq!((mode(&kept), mode(kept.parent().unwrap())), (0o600, 0o700));
    let in_keyring = again.stderr.contains("kernel's keyring");
    assert!(in_keyring || again.stderr.contains(&kept.display().to_string()), "{again:?}");
    let text = std::fs::read_to_string(&kept).unwrap();
    assert_eq!(text.contains("refresh_token"), !in_keyring, "no secret stands in the file beside the keyring");

    let who = user.prov(&["whoami"]);
    assert!(who.out().starts_with("admin\nroles: "), "{who:?}");
    assert_eq!(user.prov(&["whoami", "-o", "name"]).out(), "admin\n");
    assert_eq!(user.prov(&["logout"]).out(), "");
    assert!(!kept.exists());
    user.prov(&["whoami"]).fails(4);
    assert_eq!(user.prov(&["logout"]).code, 0, "there is nothing to end");
}

#[test]
fn a_token_of_the_environment_goes_before_the_session() {
    let user = User::logged_in();
    let mut command = user.command(&["whoami"]);
    command.env("PROV_TOKEN", "nonsense");
    assert_eq!(super::ran(command, "").code, 4);
    let file = user.file("token", &user.daemon().token);
    user.prov(&["logout"]);
    let mut command = user.command(&["whoami", "-o", "name"]);
    command.env("PROV_TOKEN_FILE", file);
    assert_eq!(super::ran(command, "").out(), "admin\n");
}

#[test]
fn two_commands_at_once_share_a_session() {
    let user = User::logged_in();
    std::thread::scope(|scope| {
        let commands: Vec<_> = (0..8).map(|_| scope.spawn(|| user.prov(&["whoami", "-o", "name"]))).collect();
        for command in commands {
            assert_eq!(command.join().unwrap().out(), "admin\n");
        }
    });
}

#[test]
fn a_password_is_sent_to_no_other_daemon() {
    let user = User::logged_in();
    let daemon = user.daemon();
    let (orchestrator, control) = (daemon.orchestrator().to_owned(), daemon.control_center.clone());
    let login = |args: &[&str], password: &str| {
        let mut command = user.command(&[&["login", "--password-stdin"], args].concat());
        super::ran(command.env_remove("PROV_SERVER").env_remove("PROV_CONTROL_CENTER"), password)
    };
    for (one, hint) in [
        (["--server", "http://127.0.0.1:1"], "hint: add --control-center URL"),
        (["--control-center", "http://127.0.0.1:1"], "hint: add --server URL"),
    ] {
        assert!(login(&one, "secret").fails(2).contains(hint), "{one:?}");
    }
    for wrong in ["", "localhost", "ftp://localhost:9090"] {
        login(&["--server", wrong, "--control-center", &control], "secret").fails(2);
    }
    let gone = login(&["--server", "http://127.0.0.1:1", "--control-center", &control], &daemon.password());
    assert!(gone.fails(12).contains("can't reach the orchestrator"), "{gone:?}");
    let both = ["--server", &orchestrator, "--control-center", &control];
    assert!(login(&both, "\n").fails(2).contains("the password from standard input is empty"));
    assert!(login(&both, "wrong").fails(4).contains("admin-password"));
    let from_file = login(&[&["--password-file", "/nonexistent"], &both[..]].concat()[..], "");
    assert!(from_file.code == 2, "{from_file:?}");
    assert_eq!(login(&both, &daemon.password()).code, 0);
}

#[test]
fn a_session_is_sent_to_no_other_daemon() {
    let user = User::logged_in();
    let (server, control) = (user.daemon().orchestrator(), user.daemon().control_center.as_str());
    // Nothing listens on port 1: whoever were asked there would be told to be unreachable.
    let nowhere = "http://127.0.0.1:1";
    for (asked, hint) in [
        ([nowhere, control], format!("--server {nowhere} --control-center URL")),
        ([server, nowhere], format!("--server URL --control-center {nowhere}")),
        ([nowhere, nowhere], format!("--server {nowhere} --control-center {nowhere}")),
    ] {
        let mut command = user.command(&["tasks", "list"]);
        command.env("PROV_SERVER", asked[0]).env("PROV_CONTROL_CENTER", asked[1]);
        let refused = super::ran(command, "");
        assert!(refused.fails(4).contains("not logged in to http://"), "{refused:?}");
        assert!(refused.stderr.contains(&format!("hint: prov login {hint} --context NAME")), "{refused:?}");
    }
    let mut one = user.command(&["tasks", "list"]);
    one.env("PROV_SERVER", nowhere).env_remove("PROV_CONTROL_CENTER");
    super::ran(one, "").fails(4);
    let mut same = user.command(&["whoami", "-o", "name"]);
    same.env("PROV_SERVER", format!("{server}/")).env_remove("PROV_CONTROL_CENTER");
    assert_eq!(super::ran(same, "").out(), "admin\n");
}

#[test]
fn a_damaged_session_is_said_and_can_be_replaced() {
    let user = User::logged_in();
    std::fs::write(user.path(".config/prov/session.json"), "{").unwrap();
    let damaged = user.prov(&["whoami"]);
    assert!(damaged.fails(4).contains("session.json is damaged"), "{damaged:?}");
    assert_eq!(user.login().code, 0);
    assert_eq!(user.prov(&["whoami", "-o", "name"]).out(), "admin\n");
}

#[test]
fn contexts_keep_several_logins_apart() {
    let user = User::logged_in();
    let other = User::logged_in();
    let password = other.daemon().password();
    let plain = |args: &[&str], stdin: &str| {
        let mut command = user.command(args);
        command.env_remove("PROV_SERVER").env_remove("PROV_CONTROL_CENTER");
        super::ran(command, stdin)
    };
    let (server, control) = (other.daemon().orchestrator(), other.daemon().control_center.clone());
    let login = ["login", "--context", "lab", "--server", server, "--control-center", &control, "--password-stdin"];
    assert_eq!(plain(&login, &password).code, 0);
    let list = plain(&["context", "list"], "");
    let rows: Vec<Vec<&str>> = list.out().lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..4], ["default", "no", "admin", user.daemon().orchestrator()]);
    assert_eq!(rows[1][..4], ["lab", "yes", "admin", server]);
    let sees = |ran: super::Ran| ran.json()["session_id"].clone();
    let lab = sees(plain(&["whoami", "-o", "json"], ""));
    assert_eq!(plain(&["context", "use", "default"], "").code, 0);
    assert_ne!(sees(plain(&["whoami", "-o", "json"], "")), lab);
    let mut command = user.command(&["whoami", "-o", "json"]);
    command.env_remove("PROV_SERVER").env_remove("PROV_CONTROL_CENTER").env("PROV_CONTEXT", "lab");
    assert_eq!(sees(super::ran(command, "")), lab);
    assert!(plain(&["context", "use", "lap"], "").fails(6).contains("did you mean `lab`"));
    let mut command = user.command(&["whoami"]);
    command.env("PROV_CONTEXT", "../x");
    super::ran(command, "").fails(2);
    assert_eq!(plain(&["context", "use", "lab"], "").code, 0);
    assert_eq!(plain(&["logout"], "").code, 0);
    assert!(!plain(&["context", "list"], "").out().contains("lab"));
    plain(&["whoami"], "").fails(4);
}

//! The second factor from the command line: by scripts in two steps, on a terminal in one.

use super::terminal::Terminal;
use super::{Ran, User, ran};
use crate::support::totp::code;
use crate::support::{Daemon, run};

fn with_variable(user: &User, args: &[&str], value: &str, stdin: &str) -> Ran {
    let mut command = user.command(args);
    ran(command.env("PROV_MFA_CODE", value), stdin)
}

#[test]
fn a_script_sets_it_up_logs_in_with_it_and_removes_it() {
    let user = User::logged_in();
    let password = user.daemon().password();
    assert!(user.prov(&["mfa", "enroll"]).fails(2).contains("--password-stdin"));
    assert!(user.prov(&["mfa", "verify"]).fails(2).contains("prov mfa verify CODE"));
    user.prov(&["mfa", "verify", "123456"]).fails(7);
    assert!(user.prov(&["mfa", "status"]).out().starts_with("second factor: none\n"));
    user.prov_reading(&["mfa", "enroll", "--password-stdin"], "wrong").fails(4);
    let enrolment = user.prov_reading(&["mfa", "enroll", "--password-stdin", "-o", "json"], &password).json();
    let secret = enrolment["secret"].as_str().unwrap();
    assert!(enrolment["otpauth_uri"].as_str().unwrap().contains(secret));
    assert_eq!(user.prov(&["mfa", "status", "-o", "name"]).out(), "pending\n");
    let wrong = user.prov(&["mfa", "verify", "nonsense"]);
    assert!(wrong.fails(4).contains("the code is not good") && !wrong.stderr.contains("hint"), "{wrong:?}");

    let verified = user.prov_reading(&["mfa", "verify", "-"], &code(secret, 0));
    let backup: Vec<&str> = verified.out().lines().collect();
    assert_eq!(backup.len(), 10, "{verified:?}");
    assert!(verified.stderr.contains("the second factor is active"), "{verified:?}");
    assert!(user.prov(&["whoami"]).out().contains("second factor: given\n"), "the session goes on with it");

    let login = ["login", "--password-stdin"];
    let missing = user.prov_reading(&login, &password);
    assert!(missing.fails(4).contains("PROV_MFA_CODE"), "{missing:?}");
    let both = ["login", "--password-stdin", "--mfa-code", "-"];
    assert!(user.prov_reading(&both, &password).fails(2).contains("two lines"));
    let lines = format!("{password}\n{}\n", code(secret, 1));
    assert_eq!(user.prov_reading(&both, &lines).code, 0);
    let again = user.prov_reading(&both, &lines);
    assert!(again.fails(4).contains("a code is good once"), "{again:?}");
    assert_eq!(with_variable(&user, &login, backup[0], &password).code, 0);
    with_variable(&user, &login, "", &password).fails(4);
    let status = user.prov(&["mfa", "status", "-o", "json"]).json();
    assert_eq!((&status["active"], &status["backup_codes_left"]), (&true.into(), &9.into()));

    let disable = ["mfa", "disable", "--password-stdin"];
    assert!(user.prov_reading(&disable, &password).fails(2).contains("--mfa-code"));
    with_variable(&user, &disable, backup[0], &password).fails(4);
    let removed = with_variable(&user, &disable, backup[1], &password);
    assert!(removed.out().is_empty() && removed.stderr.contains("the second factor is removed"), "{removed:?}");
    assert_eq!(user.login().code, 0);
    with_variable(&user, &disable, backup[1], &password).fails(7);
}

#[test]
fn on_a_terminal_it_is_set_up_in_one_go_and_login_asks_for_the_code_alone() {
    let user = User::logged_in();
    let password = user.daemon().password();
    let mut enroll = Terminal::of(&user, &["mfa", "enroll"]);
    enroll.shows("present password (not shown): ");
    enroll.types(&password);
    let shown = enroll.shows("code that the app shows: ");
    assert!(shown.lines().filter(|line| line.contains(['▀', '▄', '█'])).count() > 20, "{shown}");
    let secret = shown.split("secret: ").nth(1).unwrap().lines().next().unwrap().to_owned();
    assert!(shown.contains("otpauth://totp/prov:admin?"), "{shown}");
    enroll.types("nonsense");
    enroll.shows("the code is not good");
    enroll.shows("code that the app shows: ");
    enroll.types(&code(&secret, 0));
    enroll.shows("the second factor is active");
    let (exit, shown) = enroll.ends();
    let codes = shown.lines().filter(|line| line.len() == 14 && line.matches('-').count() == 2);
    assert_eq!((exit, codes.count()), (0, 10), "{shown}");

    let mut login = Terminal::of(&user, &["login"]);
    login.shows("password of admin (not shown): ");
    login.types(&password);
    login.shows("code of your authenticator app, or a backup code: ");
    login.types(&code(&secret, 1));
    let (exit, shown) = login.ends();
    assert!(exit == 0 && shown.contains("logged in as admin"), "{shown}");
}

#[test]
fn who_must_have_one_is_told_and_let_in_once_they_have() {
    let mut user = User::alone();
    run(async { user.daemon = Some(Daemon::start(&["--require-mfa", "Admin,Operator"]).await) });
    assert_eq!(user.login().code, 0);
    let refused = user.prov(&["tasks", "list"]);
    assert!(refused.fails(4).contains("set one up with `prov mfa enroll`"), "{refused:?}");
    assert!(user.prov(&["mfa", "status"]).out().contains("required:      yes"));
    let password = user.daemon().password();
    let secret = user.prov_reading(&["mfa", "enroll", "--password-stdin", "-o", "name"], &password);
    assert_eq!(user.prov(&["mfa", "verify", &code(secret.out().trim(), 0), "-q"]).stderr, "");
    assert_eq!(user.prov(&["tasks", "list", "-o", "json"]).json(), serde_json::json!([]));

    let create = ["users", "create", "oscar", "--role", "Operator", "--password-stdin"];
    user.prov_reading(&create, "plum-orbit-canvas-thirteen").out();
    assert!(user.prov(&["users", "update", "oscar", "--no-mfa"]).out().contains("mfa:         no"));
    assert!(user.prov(&["users", "update", "admin", "--no-mfa"]).fails(2).contains("DELETE /mfa"));
    let wrong = User::alone().prov(&["serve", "--require-mfa", "Admn"]);
    assert!(wrong.fails(2).contains("unknown role `Admn`; did you mean `Admin`?"), "{wrong:?}");
}

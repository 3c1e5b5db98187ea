//! Logging in to a daemon that encrypts: whose certificate is trusted, and what happens when it changes.

use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};

use super::terminal::Terminal;
use super::{Ran, User, ran};
use crate::support::certificates::{Authority, Issued};
use crate::support::{Daemon, run, trusting, until};

/// Somebody with a daemon that encrypts with a certificate of this authority; nobody has logged in.
fn user(authority: &Authority, more: &str) -> (User, Issued) {
    let (mut user, issued) = (User::alone(), authority.issue());
    let mut daemon = Daemon::new(&[]);
    let (certificate, key) = issued.write(daemon.dir.path(), "daemon");
    let (certificate, key) = (certificate.display(), key.display());
    daemon.configure(&format!("tls_certificate = \"{certificate}\"\ntls_key = \"{key}\"\n{more}"));
    let identity = reqwest::Identity::from_pem(format!("{}{}", issued.key, issued.certificate).as_bytes()).unwrap();
    daemon.http = trusting([authority.certificate()]).identity(identity).build().unwrap();
    run(daemon.boot());
    user.daemon = Some(daemon);
    (user, issued)
}

fn login(user: &User, args: &[&str]) -> Ran {
    user.prov_reading(&[&["login", "--password-stdin"], args].concat(), &user.daemon().password())
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_trusted_by_its_fingerprint_until_it_changes() {
    let authority = Authority::new();
    let (user, issued) = user(&authority, "");
    let (shown, other) = (issued.fingerprint.to_string(), authority.issue());
    let hint = format!(
        "hint: if that is the fingerprint that `prov serve` printed on its host: prov login --fingerprint {shown}"
    );
    assert!(login(&user, &[]).fails(2).contains(&hint));
    let wrong = login(&user, &["--fingerprint", &other.fingerprint.to_string()]);
    let told = format!("it is {shown}, trusted is {}", other.fingerprint);
    assert!(wrong.fails(1).contains(&told), "{wrong:?}");
    login(&user, &["--fingerprint", "SHA256:abc"]).fails(2);
    assert_eq!(login(&user, &["--fingerprint", &shown]).code, 0);
    assert_eq!(user.prov(&["whoami", "-o", "name"]).out(), "admin\n", "the fingerprint is remembered");
    assert_eq!(login(&user, &[]).code, 0);

    other.write(user.daemon().dir.path(), "daemon");
    let pid = Pid::from_raw(i32::try_from(user.daemon().pid()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    let whoami = || async { Some(user.prov(&["whoami"])).filter(|who| who.code != 0) };
    let mut changed = None;
    run(async { changed = Some(until("the certificate is another one", whoami).await) });
    let changed = changed.unwrap();
    let told = format!("it is {}, trusted is {shown}", other.fingerprint);
    assert!(changed.fails(1).contains(&told), "{changed:?}");
    assert!(changed.stderr.contains(&format!("prov login --fingerprint {}", other.fingerprint)), "{changed:?}");
    // Nobody is asked to trust another one than before.
    let password = user.file("password", &user.daemon().password());
    let (code, shown) = Terminal::of(&user, &["login", "--password-file", &password]).ends();
    assert!(code == 1 && shown.contains(&told), "{code}: {shown}");
    assert_eq!(login(&user, &["--fingerprint", &other.fingerprint.to_string()]).code, 0);
    assert_eq!(user.prov(&["whoami", "-o", "name"]).out(), "admin\n");
}

#[test]
fn on_a_terminal_somebody_is_asked() {
    let (user, issued) = user(&Authority::new(), "");
    let shown = issued.fingerprint.to_string();
    let password = user.file("password", &user.daemon().password());
    let asked = || {
        let mut terminal = Terminal::of(&user, &["login", "--password-file", &password]);
        let question = terminal.shows("(yes/no/the fingerprint) ");
        assert!(question.contains(&shown), "{question}");
        terminal
    };
    let mut no = asked();
    no.types("y");
    no.shows("yes, no, or the fingerprint: ");
    no.types("no");
    let (code, told) = no.ends();
    assert!(code == 1 && told.contains("nothing was sent"), "{code}: {told}");
    user.prov(&["whoami"]).fails(4);
    let mut yes = asked();
    yes.types(&shown);
    let (code, told) = yes.ends();
    assert!(code == 0 && told.contains("logged in as admin"), "{code}: {told}");
    assert_eq!(user.prov(&["whoami", "-o", "name"]).out(), "admin\n");
}

#[test]
fn an_authority_may_vouch_and_a_token_needs_no_login() {
    let authority = Authority::new();
    let (user, issued) = user(&authority, "");
    user.file("ca.pem", &authority.pem());
    assert_eq!(login(&user, &["--fingerprint", &issued.fingerprint.to_string()]).code, 0);
    let is_pinned = || std::fs::read_to_string(user.path(".config/prov/session.json")).unwrap().contains("SHA256:");
    assert!(is_pinned());
    assert_eq!(login(&user, &["--ca-certificate", "ca.pem"]).code, 0);
    assert!(!is_pinned(), "whoever names an authority wants it to vouch");
    let mut elsewhere = user.command(&["whoami", "-o", "name"]);
    assert_eq!(ran(elsewhere.current_dir("/"), "").out(), "admin\n");
    assert!(login(&user, &["--ca-certificate", "nothing.pem"]).fails(2).contains("nothing.pem"));
    std::fs::rename(user.path("ca.pem"), user.path("moved.pem")).unwrap();
    assert!(user.prov(&["whoami"]).fails(2).contains("ca.pem"));
    let logout = user.prov(&["logout"]);
    assert!(logout.code == 0 && logout.stderr.contains("could not be told"), "{logout:?}");
    let with = |name: &str, value: &str| {
        let mut command = user.command(&["whoami", "-o", "name"]);
        ran(command.env("PROV_TOKEN", &user.daemon().token).env(name, value), "")
    };
    assert_eq!(with("PROV_CA_CERTIFICATE", "moved.pem").out(), "admin\n");
    assert_eq!(with("PROV_FINGERPRINT", &issued.fingerprint.to_string()).out(), "admin\n");
    with("PROV_FINGERPRINT", "").fails(1);
    with("PROV_FINGERPRINT", "nonsense").fails(2);
    let plain = user.daemon().orchestrator().replace("https://", "http://");
    let mut command = user.command(&["whoami"]);
    command.env("PROV_SERVER", plain).env("PROV_FINGERPRINT", issued.fingerprint.to_string());
    assert!(ran(command, "").fails(2).contains("is not encrypted"), "a fingerprint is never left out of account");
}

#[test]
fn a_daemon_that_asks_for_certificates_is_given_one() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let ca: PathBuf = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let (user, _) = user(&authority, &format!("tls_client_authorities = \"{}\"", ca.display()));
    let own = authority.issue();
    own.write(user.home.path(), "me");
    let trusted = ["--ca-certificate", ca.to_str().unwrap()];
    let without = login(&user, &trusted);
    assert!(without.fails(4).contains("--client-certificate FILE --client-key FILE"), "{without:?}");
    let with = [&trusted[..], &["--client-certificate", "me.pem", "--client-key", "me.key"]].concat();
    let logged_in = login(&user, &with);
    assert_eq!(logged_in.code, 0, "{logged_in:?}");
    assert_eq!(user.prov(&["whoami", "-o", "name"]).out(), "admin\n");
    std::fs::set_permissions(user.path("me.key"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(user.prov(&["whoami"]).fails(2).contains("can be read by others"));
}

//! Encrypted connections: who is trusted, renewed certificates, handshakes that go nowhere, headers.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use prov::client::{Client, ClientError, Servers, Trust, Untrusted};
use prov::model::digest::Fingerprint;
use reqwest::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::certificates::{Authority, Issued};
use crate::support::{ANY_PORT, Answer, Daemon, answer, command, run, trusting, until};

/// A daemon with a certificate of this authority, and that certificate.
async fn encrypted(authority: &Authority) -> (Daemon, Issued) {
    let issued = authority.issue();
    let mut daemon = prepared(&issued, "");
    daemon.http = trusting([authority.certificate()]).build().unwrap();
    daemon.boot().await;
    (daemon, issued)
}

/// A daemon with this certificate and these keys of its configuration, not started yet.
fn prepared(issued: &Issued, more: &str) -> Daemon {
    let mut daemon = Daemon::new(&[]);
    let (certificate, key) = issued.write(daemon.dir.path(), "daemon");
    let (certificate, key) = (certificate.display(), key.display());
    daemon.configure(&format!("tls_certificate = \"{certificate}\"\ntls_key = \"{key}\"\n{more}"));
    daemon
}

/// What a client that goes by this finds at the daemon.
async fn greeted(daemon: &Daemon, trust: Trust) -> Result<Value, ClientError> {
    let control_center = daemon.control_center.clone();
    let servers = Servers { orchestrator: daemon.orchestrator().to_owned(), control_center, trust };
    Client::new(servers)?.health().await
}

fn pinned(fingerprint: Fingerprint) -> Trust {
    Trust { fingerprint: Some(fingerprint), ..Trust::default() }
}

fn untrusted(greeted: Result<Value, ClientError>) -> Untrusted {
    match greeted {
        Err(ClientError::Untrusted { certificate, .. }) => certificate,
        other => panic!("{other:?}"),
    }
}

/// A connection on which nobody encrypts, or not yet.
fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.orchestrator().trim_start_matches("https://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

fn hang_up_on(daemon: &Daemon) {
    let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
}

#[test]
fn a_certificate_is_trusted_for_its_authority_or_its_fingerprint_and_else_refused() {
    run(async {
        let authority = Authority::new();
        let (daemon, issued) = encrypted(&authority).await;
        assert!(daemon.orchestrator().starts_with("https://") && daemon.control_center.starts_with("https://"));
        assert_eq!(daemon.get("/tasks").await.status, StatusCode::OK);
        let ca_certificate = Some(daemon.path("ca.pem"));
        fs::write(daemon.path("ca.pem"), authority.pem()).unwrap();
        greeted(&daemon, Trust { ca_certificate: ca_certificate.clone(), ..Trust::default() }).await.unwrap();
        greeted(&daemon, pinned(issued.fingerprint)).await.unwrap();
        let unknown = untrusted(greeted(&daemon, Trust::default()).await);
        assert!(matches!(&unknown, Untrusted::Unknown { shown, .. } if *shown == issued.fingerprint), "{unknown:?}");
        let other = Fingerprint::of(b"another");
        let refused = untrusted(greeted(&daemon, Trust { ca_certificate, ..pinned(other) }).await);
        assert_eq!(refused, Untrusted::Other { shown: issued.fingerprint, trusted: other }, "a pin is all that counts");
    });
}

#[test]
fn a_certificate_of_its_own_is_made_once_and_recognised() {
    run(async {
        let mut daemon = Daemon::new(&["--tls-self-signed"]);
        daemon.http = trusting([]).tls_danger_accept_invalid_certs(true).build().unwrap();
        daemon.boot().await;
        let told = |daemon: &Daemon| -> Fingerprint {
            let ready: Value = serde_json::from_slice(&fs::read(daemon.path("ready.json")).unwrap()).unwrap();
            ready["fingerprint"].as_str().unwrap().parse().unwrap()
        };
        let first = told(&daemon);
        assert!(daemon.log().contains(&first.to_string()), "it is printed");
        let mode = fs::metadata(daemon.path("data/tls-key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        untrusted(greeted(&daemon, Trust::default()).await);
        greeted(&daemon, pinned(first)).await.unwrap();
        // It names the addresses that it is reached by.
        let trust = Trust { ca_certificate: Some(daemon.path("data/tls-certificate.pem")), ..Trust::default() };
        greeted(&daemon, trust).await.unwrap();
        daemon.kill();
        daemon.boot().await;
        assert_eq!(told(&daemon), first);
        daemon.kill();
        fs::remove_file(daemon.path("data/tls-key.pem")).unwrap();
        daemon.boot().await;
        assert_ne!(told(&daemon), first);
        let refused = untrusted(greeted(&daemon, pinned(first)).await);
        assert_eq!(refused, Untrusted::Other { shown: told(&daemon), trusted: first });
    });
}

#[test]
fn a_renewed_certificate_is_taken_and_a_bad_one_is_not() {
    run(async {
        let authority = Authority::new();
        let (daemon, first) = encrypted(&authority).await;
        assert_eq!(daemon.get("/tasks").await.status, StatusCode::OK);
        let second = Authority::new().issue();
        let (_, key) = second.write(daemon.dir.path(), "daemon");
        hang_up_on(&daemon);
        until("the new certificate is used", || async { greeted(&daemon, pinned(second.fingerprint)).await.ok() })
            .await;
        let refused = untrusted(greeted(&daemon, pinned(first.fingerprint)).await);
        assert_eq!(refused, Untrusted::Other { shown: second.fingerprint, trusted: first.fingerprint });
        assert_eq!(daemon.get("/tasks").await.status, StatusCode::OK, "a connection of before goes on");

        for (what, spoil) in [
            ("a key of another certificate", &(|| fs::write(&key, authority.issue().key)) as &dyn Fn() -> _),
            ("no key at all", &|| fs::write(&key, "nothing")),
            ("a key that others can read", &|| {
                fs::write(&key, &second.key)?;
                fs::set_permissions(&key, fs::Permissions::from_mode(0o644))
            }),
            ("no file", &|| fs::remove_file(&key)),
        ] {
            let before = daemon.log().len();
            spoil().unwrap();
            hang_up_on(&daemon);
            until(what, || async { daemon.log()[before..].contains("the one before stays").then_some(()) }).await;
            greeted(&daemon, pinned(second.fingerprint)).await.unwrap();
        }
        let third = authority.issue();
        third.write(daemon.dir.path(), "daemon");
        hang_up_on(&daemon);
        until("it is used again", || async { greeted(&daemon, pinned(third.fingerprint)).await.ok() }).await;
    });
}

#[test]
fn without_a_certificate_of_the_right_authority_no_client_connects() {
    run(async {
        let (authority, clients) = (Authority::new(), Authority::new());
        let directory = tempfile::tempdir().unwrap();
        let ca = directory.path().join("clients.pem");
        fs::write(&ca, clients.pem()).unwrap();
        let mut daemon = prepared(&authority.issue(), &format!("tls_client_authorities = \"{}\"", ca.display()));
        let good = clients.issue();
        let identity = reqwest::Identity::from_pem(format!("{}{}", good.key, good.certificate).as_bytes()).unwrap();
        daemon.http = trusting([authority.certificate()]).identity(identity).build().unwrap();
        daemon.boot().await;
        let ca_certificate = directory.path().join("ca.pem");
        fs::write(&ca_certificate, authority.pem()).unwrap();
        let with = |own: Option<&Issued>| {
            let files = own.map(|own| own.write(directory.path(), "client"));
            let (client_certificate, client_key) = files.unzip();
            let ca_certificate = Some(ca_certificate.clone());
            Trust { ca_certificate, client_certificate, client_key, ..Trust::default() }
        };
        greeted(&daemon, with(Some(&good))).await.unwrap();
        for own in [None, Some(&authority.issue())] {
            let refused = greeted(&daemon, with(own)).await;
            let told = format!("{refused:?}");
            assert!(matches!(&refused, Err(ClientError::Transport { .. })) && told.contains("Unwelcome"), "{told}");
        }
        greeted(&daemon, with(Some(&good))).await.unwrap();
    });
}

#[test]
fn who_does_not_encrypt_is_told_to() {
    run(async {
        let (daemon, _) = encrypted(&Authority::new()).await;
        for request in ["GET /health HTTP/1.1\r\nhost: x\r\n\r\n", "anything\r\n"] {
            let mut stream = connect(&daemon);
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
            assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
            assert!(head.contains("\r\ncache-control: no-store") && !head.contains("strict-transport"), "{head}");
            let body: Value = serde_json::from_str(body).unwrap();
            assert!(body["error"].as_str().unwrap().contains("write https://"), "{body}");
        }
        // The other way round.
        let plain = Daemon::start(&[]).await;
        let orchestrator = plain.orchestrator().replace("http://", "https://");
        let servers = Servers { orchestrator, ..Servers::default() };
        let error = Client::new(servers).unwrap().health().await.unwrap_err();
        assert!(format!("{error:?}").contains("Plain"), "{error:?}");
    });
}

/// Clients that begin a handshake and say no more.
fn stalled(daemon: &Daemon, count: usize) -> Vec<TcpStream> {
    let begin = |_| {
        let mut stream = connect(daemon);
        stream.write_all(&[22, 3, 1]).unwrap();
        stream
    };
    (0..count).map(begin).collect()
}

fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 64]), Ok(0) | Err(_))
}

#[test]
fn handshakes_that_nobody_ends_keep_nobody_waiting_and_come_to_an_end() {
    /// More than there is room for.
    const COUNT: usize = 600;
    run(async {
        let (daemon, issued) = encrypted(&Authority::new()).await;
        let begun = Instant::now();
        let mut stalled = stalled(&daemon, COUNT);
        greeted(&daemon, pinned(issued.fingerprint)).await.unwrap();
        assert_eq!(daemon.get("/tasks").await.status, StatusCode::OK);
        assert!(is_closed(&mut stalled[0]) && begun.elapsed() < Duration::from_secs(8), "the oldest make room");
        assert!(is_closed(stalled.last_mut().unwrap()), "the others have had their time");
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        // What is no handshake after all is refused at once.
        let mut stream = connect(&daemon);
        stream.write_all(&[&[22, 3, 1, 0, 5][..], b"nonsense"].concat()).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 64, "an alert at most: {rest:?}");
    });
}

#[test]
fn handshakes_that_nobody_ends_leave_descriptors_for_others() {
    run(async {
        let authority = Authority::new();
        let issued = authority.issue();
        let mut daemon = prepared(&issued, "");
        daemon.limit_open_files(160);
        daemon.http = trusting([authority.certificate()]).build().unwrap();
        daemon.boot().await;
        let begun = Instant::now();
        let _stalled = stalled(&daemon, 400);
        greeted(&daemon, pinned(issued.fingerprint)).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    });
}

#[test]
fn every_answer_has_the_safeguards() {
    run(async {
        let (safe, _) = encrypted(&Authority::new()).await;
        let plain = Daemon::start(&[]).await;
        for (daemon, is_encrypted) in [(&safe, true), (&plain, false)] {
            let large = json!({ "name": "x".repeat(20 * 1024 * 1024) });
            let stranger = daemon.http.get(format!("{}/tasks", daemon.orchestrator()));
            let answers = [
                (daemon.get("/tasks").await, StatusCode::OK),
                (daemon.get("/nothing").await, StatusCode::NOT_FOUND),
                (answer(stranger).await, StatusCode::UNAUTHORIZED),
                (daemon.post("/batch/execute", &large).await, StatusCode::PAYLOAD_TOO_LARGE),
                (answer(daemon.request(Method::PATCH, "/tasks")).await, StatusCode::METHOD_NOT_ALLOWED),
                (answer(daemon.http.get(format!("{}/health", daemon.control_center))).await, StatusCode::OK),
            ];
            for (answer, status) in answers {
                assert_eq!(answer.status, status);
                has_safeguards(&answer, is_encrypted);
            }
        }
    });
}

fn has_safeguards(answer: &Answer, is_encrypted: bool) {
    for (name, value) in [
        ("x-content-type-options", Some("nosniff")),
        ("cache-control", Some("no-store")),
        ("content-security-policy", Some("default-src 'none'; frame-ancestors 'none'")),
        ("referrer-policy", Some("no-referrer")),
        ("strict-transport-security", is_encrypted.then_some("max-age=31536000")),
    ] {
        let found: Vec<_> = answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(found, value.into_iter().collect::<Vec<_>>(), "{name} of {answer:?}");
    }
}

#[test]
fn what_can_not_encrypt_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let issued = Authority::new().issue();
    let (certificate, key) = issued.write(directory.path(), "daemon");
    fs::create_dir(directory.path().join("ws")).unwrap();
    let refused = |options: &[(&str, &Path)]| {
        let mut command = command(&directory.path().join("ws"), &directory.path().join("data"), ANY_PORT);
        for (option, path) in options {
            command.arg(option).arg(path);
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let half = refused(&[("--tls-certificate", &certificate)]);
    assert!(half.0 == Some(2) && half.1.contains("tls_certificate needs tls_key"), "{half:?}");
    let swapped = refused(&[("--tls-certificate", &key), ("--tls-key", &key)]);
    assert!(swapped.0 == Some(1) && swapped.1.contains("there is no certificate in it"), "{swapped:?}");
    let (_, foreign) = Authority::new().issue().write(directory.path(), "foreign");
    let unfit = refused(&[("--tls-certificate", &certificate), ("--tls-key", &foreign)]);
    assert!(unfit.0 == Some(1) && unfit.1.contains("with its key"), "{unfit:?}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = refused(&[("--tls-certificate", &certificate), ("--tls-key", &key)]);
    assert!(exposed.0 == Some(1) && exposed.1.contains("can be read by others (mode 0644)"), "{exposed:?}");
}

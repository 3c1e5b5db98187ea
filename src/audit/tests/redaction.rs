//! No secret that can be known for one is sealed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::audit::redact::{HIDDEN, is_secret, text, value};

const JWT: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";

#[test]
fn names_tell_secrets() {
    let secret = [
        "password",
        "Password",
        "db_password",
        "DB-PASSWD",
        "passPhrase",
        "client_secret",
        "clientSecret",
        "refresh_token",
        "X-Auth-Token",
        "api_key",
        "apiKey",
        "API KEY",
        "private-key",
        "Authorization",
        "Set-Cookie",
        "aws.credentials",
        "mfa_code",
        "mfaCode",
        "otp",
        "userPin",
        "db_pwd",
        "auth",
        "backup_codes",
    ];
    for name in secret {
        assert!(is_secret(name), "{name}");
    }
    let harmless = [
        "username",
        "infra",
        "operations",
        "compass",
        "bypassed",
        "spinning",
        "author",
        "authored_by",
        "code",
        "keyboard",
        "key",
        "hotplug",
        "public_key_id",
        "settings",
        "zone",
        "",
        "_",
    ];
    for name in harmless {
        assert!(!is_secret(name), "{name}");
    }
}

#[test]
fn texts_that_hold_secrets_are_hidden() {
    let basic = "Authorization: Basic YWxpY2U6aHVudGVyMg==";
    let pem = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA\n-----END OPENSSH PRIVATE KEY-----";
    for whole in [JWT, &format!("sent {JWT}."), &format!("https://h/?t={JWT}"), "bearer  abc", "Bearer abc", basic, pem]
    {
        assert_eq!(text(whole), HIDDEN, "{whole}");
    }
    let parts = [
        ("--db-password=hunter2 --wait", "--db-password=[redacted] --wait"),
        ("PGPASSWORD='hun ter2' psql", "PGPASSWORD=[redacted] psql"),
        ("/x?page=2&api_key=hunter2&z=1", "/x?page=2&api_key=[redacted]&z=1"),
        ("Cookie: a=hunter2; b=hunter2\nHost: h", "Cookie: [redacted]\nHost: h"),
        (r#"{"password":"hunter2","zone":"fi"}"#, r#"{"password":[redacted],"zone":"fi"}"#),
        ("postgres://app:hun/ter@2@db/prov", "postgres://app:[redacted]@db/prov"),
        ("token=", "token="),
    ];
    for (given, hidden) in parts {
        assert_eq!(text(given), hidden);
    }
    let harmless = [
        "",
        "alice",
        "12:30:00",
        "a=b",
        "https://user@host:80/x",
        "basic plan",
        "1.2.3",
        "eyJ",
        "infra/production",
        "bearer",
        "http://[::1]:9090/x",
        "-----BEGIN PUBLIC KEY-----",
    ];
    for harmless in harmless {
        assert_eq!(text(harmless), harmless);
    }
}

#[test]
fn pairs_and_arguments_are_known_by_their_neighbour() {
    let given = json!({
        "environment": [{"name": "PGPASSWORD", "value": "hunter2"}, {"name": "ZONE", "value": "fi"}],
        "args": ["--token", "hunter2", "--wait", "--zone", "fi", "--password", "--secret", "hunter2"],
        "mfa_code": 123_456, "has_password": true, "password": null, "credentials": {"user": "hunter2"},
    });
    let expected = json!({
        "environment": [{"name": "PGPASSWORD", "value": HIDDEN}, {"name": "ZONE", "value": "fi"}],
        "args": ["--token", HIDDEN, "--wait", "--zone", "fi", "--password", "--secret", HIDDEN],
        "mfa_code": HIDDEN, "has_password": true, "password": null, "credentials": HIDDEN,
    });
    assert_eq!(value(given), expected);
}

#[test]
fn an_event_is_sealed_without_secrets_and_forged_lines() {
    let mut event = event(0);
    event.actor.username = "alice\n2026-09-21 root \u{1b}[31mlogged in".to_owned();
    event.user_agent = Some(format!("curl {JWT}"));
    event.resource = Resource::new("user", "x".repeat(1000));
    event.details = serde_json::from_value(json!({"a": {"b": [{"Api-Key": "hunter2"}]}, "c": "\u{202e}x"})).unwrap();
    let clean = event.clone().clean();
    assert_eq!(clean.actor.username, "alice\\n2026-09-21 root \\u{1b}[31mlogged in");
    assert_eq!(clean.user_agent.as_deref(), Some(HIDDEN));
    assert_eq!(clean.resource.name.as_ref().unwrap().chars().count(), 256);
    assert_eq!(json!(clean.details), json!({"a": {"b": [{"Api-Key": HIDDEN}]}, "c": "\\u{202e}x"}));

    event.details = (0..100).map(|n| (n.to_string(), "x".repeat(1000).into())).collect();
    assert_eq!(event.clean().details.keys().collect::<Vec<_>>(), ["omitted_bytes"]);
}

/// A secret's name as somebody may write it.
fn secret_names() -> impl Strategy<Value = String> {
    const NAMES: &[&str] =
        &["password", "passwd", "secret", "token", "api_key", "private_key", "authorization", "cookie", "mfa_code"];
    let written = (select(NAMES), vec(any::<bool>(), 16), select(&["", "_", "-", " ", "."][..]), "[a-z]{0,4}");
    written.prop_map(|(name, upper, separator, around)| {
        let cased = name.chars().zip(upper.into_iter().cycle());
        let cased: String = cased.map(|(c, upper)| if upper { c.to_ascii_uppercase() } else { c }).collect();
        format!("{around}{separator}{}{separator}{around}", cased.replace('_', separator))
    })
}

/// A secret with what is around it.
fn hiding() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        secret_names().prop_map(|name| json!({name: "hunter2"})),
        secret_names().prop_map(|name| json!({name: ["hunter2", {"x": "hunter2"}]})),
        "[ -~]{0,9}".prop_map(|before| json!(format!("{before} {JWT}.hunter2"))),
        "[ -~]{0,9}".prop_map(|before| json!(format!("{before} Bearer hunter2"))),
        "[ -~]{0,9}".prop_map(|before| json!(format!("{before}-----BEGIN PRIVATE KEY-----hunter2"))),
    ];
    leaf.prop_recursive(24, 64, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(Value::from),
            ("[a-z]{1,6}", inner.clone(), any::<i64>()).prop_map(|(name, inner, n)| json!({name: inner, "n": n})),
        ]
    })
}

/// Details in which nothing is secret.
fn harmless() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[a-z /]{0,12}".prop_map(Value::from)
    ];
    leaf.prop_recursive(8, 32, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[x-z]{1,4}", inner, 0..3).prop_map(|map| map.into_iter().collect()),
        ]
    })
    .prop_filter("no bearer", |value| !value.to_string().contains("bearer"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn secrets_are_hidden_at_any_depth(hiding in hiding()) {
        let hidden = value(hiding);
        prop_assert!(!hidden.to_string().contains("hunter2"), "{hidden}");
        prop_assert_eq!(value(hidden.clone()), hidden);
    }

    #[test]
    fn what_is_no_secret_stays(harmless in harmless()) {
        prop_assert_eq!(value(harmless.clone()), harmless);
    }

    #[test]
    fn any_event_is_sealed_as_one_harmless_line(event in events()) {
        let text = sealed(&key(1, 1), Head::START, [event])[0].text().to_owned();
        prop_assert!(!text.chars().any(char::is_control));
        prop_assert!(text.len() < 40_000);
    }
}

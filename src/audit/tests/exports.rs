//! Each format as its readers expect it.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn export(format: Format, log: &[Sealed]) -> String {
    let mut exporter = Exporter::new(format, "host-1");
    let mut out = exporter.header();
    for entry in log {
        exporter.entry(entry, &mut out).unwrap();
    }
    out.extend_from_slice(exporter.footer());
    String::from_utf8(out).unwrap()
}

fn log(events: impl IntoIterator<Item = Event>) -> Vec<Sealed> {
    sealed(&key(1, 1), Head::START, events)
}

/// A login that fails, by somebody who wants to run a program in a spreadsheet.
fn login() -> Event {
    Event {
        actor: Actor::unproven("=cmd|' /C calc'!A0, \"x\""),
        user_agent: None,
        action: "auth_login".to_owned(),
        resource: Resource::all("session"),
        decision: Decision::None,
        outcome: Outcome::Failure { code: "invalid_credentials".to_owned() },
        details: serde_json::Map::new(),
        ..event(1)
    }
}

#[test]
fn formats_have_a_word_a_type_and_an_ending() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(*format));
        assert!(format.content_type().contains('/') && !format.extension().is_empty());
    }
    let error = "xml".parse::<Format>().unwrap_err().to_string();
    assert_eq!(error, "\"xml\" is no export format; the formats are jsonl, json, csv, ecs and splunk");
}

#[test]
fn a_line_shows_the_entry_and_its_seal() {
    let log = log([event(0)]);
    let (text, mac) = (log[0].text(), log[0].mac);
    let zeros = "0".repeat(64);
    let line = format!("{{\"entry\":{text},\"key\":1,\"previous\":\"{zeros}\",\"mac\":\"{mac}\"}}\n");
    assert_eq!(export(Format::Jsonl, &log), line);
}

#[test]
fn an_array_is_one_whatever_its_length() {
    for length in 0..3 {
        let log = log((0..length).map(event));
        let array: Vec<Entry> = serde_json::from_str(&export(Format::Json, &log)).unwrap();
        assert_eq!(array, log.iter().map(|entry| entry.entry().unwrap()).collect::<Vec<_>>());
    }
}

#[test]
fn a_table_has_a_header_and_no_formulas() {
    let log = log([event(0), login()]);
    let table = export(Format::Csv, &log);
    let lines: Vec<&str> = table.split_terminator("\r\n").collect();
    let header = "sequence,at,username,user_id,roles,credential,credential_id,address,user_agent,request_id,action,\
                  resource,decision,policies,outcome,code,details,mac";
    assert_eq!(lines[0], header);
    let first = format!(
        "1,2026-09-21T14:13:20.000Z,alice,00000000-0000-0000-0000-000000000007,Operator,session,s-1,192.0.2.7,prov/0.1,\
         r-0,batch_execute,infra/production,allowed,role-operator,success,,\"{{\"\"operations\"\":0}}\",{}",
        log[0].mac
    );
    assert_eq!(lines[1], first);
    let second = format!(
        "2,2026-09-21T14:13:20.001Z,\"'=cmd|' /C calc'!A0, \"\"x\"\"\",,,none,,192.0.2.7,,r-1,auth_login,session,none,,\
         failure,invalid_credentials,,{}",
        log[1].mac
    );
    assert_eq!(lines[2], second);
}

#[test]
fn a_document_follows_the_common_schema() {
    let log = log([event(0), login()]);
    let export = export(Format::Ecs, &log);
    let documents: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = json!({
        "@timestamp": "2026-09-21T14:13:20.000Z",
        "ecs": {"version": "8.11.0"},
        "message": "alice batch_execute infra/production: success",
        "event": {
            "kind": "event", "module": "prov", "dataset": "prov.audit", "category": ["api"],
            "type": ["start", "allowed"], "action": "batch_execute", "outcome": "success", "sequence": 1,
            "hash": log[0].mac,
        },
        "service": {"type": "prov", "name": "prov"},
        "host": {"name": "host-1"},
        "user": {"id": "00000000-0000-0000-0000-000000000007", "name": "alice", "roles": ["Operator"]},
        "source": {"ip": "192.0.2.7"},
        "user_agent": {"original": "prov/0.1"},
        "http": {"request": {"id": "r-0"}},
        "related": {"user": ["alice"], "ip": ["192.0.2.7"]},
        "prov": {
            "resource": {"type": "infra", "name": "production"},
            "credential": {"type": "session", "id": "s-1"},
            "decision": {"verdict": "allowed", "policies": ["role-operator"]},
            "outcome": "success",
            "details": {"operations": 0},
        },
    });
    assert_eq!(documents[0], first);
    let second = &documents[1];
    assert_eq!(second["event"]["category"], json!(["api", "authentication"]));
    assert_eq!(second["event"]["type"], json!(["start"]));
    assert_eq!(second["event"]["outcome"], "failure");
    assert_eq!(second["error"], json!({"code": "invalid_credentials"}));
    assert_eq!((second.get("user_agent"), second["user"].get("id")), (None, None));
}

#[test]
fn an_event_is_what_the_collector_takes() {
    let log = log([event(7)]);
    let text = log[0].text();
    let head = r#"{"time":1790000000.007,"host":"host-1","source":"prov","sourcetype":"prov:audit","event":"#;
    assert_eq!(export(Format::Splunk, &log), format!("{head}{text}}}\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn every_format_writes_every_entry_on_one_line(events in vec(events(), 1..6)) {
        let log = log(events);
        for format in Format::ALL {
            let frame = match format {
                Format::Json => 2,
                Format::Csv => 1,
                Format::Jsonl | Format::Ecs | Format::Splunk => 0,
            };
            prop_assert_eq!(export(*format, &log).lines().count(), log.len() + frame, "{}", format);
        }
    }
}

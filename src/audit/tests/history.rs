//! Logs that are whole: sealed, stored, exported, pruned, gone on with another key.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::audit::chain::OldKey;

#[test]
fn the_encoding_is_the_documented_one() {
    let log = sealed(&key(1, 7), Head::START, [event(0), event(1)]);
    let text = concat!(
        r#"{"sequence":1,"at":"2026-09-21T14:13:20.000Z","actor":{"user":"00000000-0000-0000-0000-000000000007","#,
        r#""username":"alice","roles":["Operator"],"credential":"session","credential_id":"s-1"},"address":"192.0.2.7","#,
        r#""user_agent":"prov/0.1","request_id":"r-0","action":"batch_execute","resource":"infra/production","#,
        r#""decision":{"verdict":"allowed","policies":["role-operator"]},"outcome":{"result":"success"},"#,
        r#""details":{"operations":0}}"#
    );
    assert_eq!(log[0].text(), text);
    let mut message = b"prov audit entry 1\0\0\0\0\x01".to_vec();
    message.extend([0; 32]);
    message.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    message.extend(text.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[7; 32]), &message);
    assert_eq!(log[0].mac.0, tag.as_ref());
    assert_eq!((log[0].previous, log[1].previous), (Head::START.mac, log[0].mac));
}

#[test]
fn the_first_entries_ever_written_are_read_for_ever() {
    let text = r#"{"sequence":1,"at":"2026-09-21T14:13:20.000Z","actor":{"username":"mallory"},"request_id":"r","action":"auth_login","resource":"session","outcome":{"result":"failure","code":"invalid_credentials"}}"#;
    let entry: Entry = serde_json::from_str(text).unwrap();
    assert_eq!(entry.event.actor, Actor::unproven("mallory"));
    assert_eq!(entry.event.outcome.code(), Some("invalid_credentials"));
    assert_eq!(entry.event.resource, Resource::all("session"));
}

#[test]
fn a_key_follows_another_and_never_goes_back() {
    let mut log = sealed(&key(1, 1), Head::START, (0..3).map(event));
    log.extend(sealed(&key(2, 2), head(&log[2]), (3..5).map(event)));
    let keys = Keyring::new(key(1, 1)).with(key(2, 2));
    assert_eq!(verify(Verifier::new(&keys, Head::START), &log).unwrap().entries, 5);
    assert_eq!(Chain::new(&key(1, 1), head(&log[4])).unwrap_err(), OldKey { key: 1, last: 2 });

    // Whoever has the old key can't go on with it.
    let forged = sealed(&key(1, 1), Head { key: 1, ..head(&log[4]) }, [event(5)]);
    log.extend(forged);
    let fault = Fault::ReplacedKey { key: 1, by: 2 };
    assert_eq!(verify(Verifier::new(&keys, Head::START), &log), Err(Broken { sequence: 6, fault }));
    let old = Keyring::new(key(1, 1));
    let fault = Fault::UnknownKey { key: 2 };
    assert_eq!(verify(Verifier::new(&old, Head::START), &log), Err(Broken { sequence: 4, fault }));
}

#[test]
fn what_is_dropped_is_dropped_with_a_signature_only() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let keys = Keyring::new(key(1, 1));
    let log = sealed(&key(1, 1), Head::START, (0..9).map(event));
    let at = Timestamp(0);
    let sign = |checkpoint: Checkpoint| checkpoint.sign("kid", |message| pair.sign(message).as_ref().to_vec());
    let anchor = sign(Checkpoint::anchor(head(&log[3]), at));
    let start = anchor.open(pair.public_key().as_ref()).unwrap().begins_after().unwrap();

    let older = Checkpoint { head: head(&log[1]), first: 1, at };
    let later = Checkpoint { head: head(&log[6]), first: 1, at };
    let same = Checkpoint { head: head(&log[3]), first: 1, at };
    let verifier = Verifier::new(&keys, start).against(&older).against(&later).against(&same);
    let report = verify(verifier, &log[4..]).unwrap();
    assert_eq!(report, Report { entries: 5, head: head(&log[8]), checkpoints: 2 });

    let missing = Broken { sequence: 1, fault: Fault::Missing { found: 5 } };
    assert_eq!(verify(Verifier::new(&keys, Head::START), &log[4..]), Err(missing));
    assert_eq!(later.begins_after(), None);
    // All that is left may be dropped; the checkpoint of an empty log is an anchor.
    let empty = Checkpoint::anchor(head(&log[8]), at);
    assert_eq!(verify(Verifier::new(&keys, empty.head).against(&empty), &[]).unwrap().checkpoints, 1);
    let other = Head { mac: Mac([9; 32]), ..start };
    let broken = Broken { sequence: 4, fault: Fault::Rewritten { at } };
    assert_eq!(verify(Verifier::new(&keys, other).against(&same), &log[4..]), Err(broken));
}

#[test]
fn an_export_that_begins_later_than_a_checkpoint_did_is_beheaded() {
    let keys = Keyring::new(key(1, 1));
    let log = sealed(&key(1, 1), Head::START, (0..9).map(event));
    let at = Timestamp(0);
    let saw = |first| Checkpoint { head: head(&log[6]), first, at };
    let from = |first: usize, checkpoint| {
        let start = first.checked_sub(2).map_or(Head::START, |before| head(&log[before]));
        verify(Verifier::of_claimed(&keys, start).against(&checkpoint), &log[first - 1..])
    };
    assert!(from(1, saw(1)).is_ok() && from(4, saw(4)).is_ok() && from(3, saw(4)).is_ok());
    for (first, checkpoint) in [(2, saw(1)), (5, saw(4)), (9, saw(4))] {
        let fault = Fault::Beheaded { until: first as u64 - 1, at };
        assert_eq!(from(first, checkpoint), Err(Broken { sequence: checkpoint.first, fault }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn any_log_verifies_from_the_store_and_from_its_export(events in vec(events(), 0..12)) {
        let keys = Keyring::new(key(1, 1));
        let log = sealed(keys.current(), Head::START, events.clone());
        let report = verify(Verifier::new(&keys, Head::START), &log).unwrap();
        prop_assert_eq!(report.entries, events.len() as u64);

        let (mut exporter, mut export) = (Exporter::new(Format::Jsonl, "host"), Vec::new());
        for entry in &log {
            exporter.entry(entry, &mut export).unwrap();
        }
        let mut verifier = Verifier::new(&keys, Head::START);
        let export = String::from_utf8(export).unwrap();
        for line in export.lines() {
            verifier.push_line(line).unwrap();
        }
        prop_assert_eq!(verifier.finish(), Ok(report));

        for (event, entry) in events.into_iter().zip(&log) {
            prop_assert_eq!(entry.entry().unwrap().event, event.clean());
        }
    }
}

//! How long is waited, and by which clock.

use std::fs;

use serde_json::{Value, json};

use super::*;

fn web() -> Name {
    spec(1).name
}

/// What the journal has of the server, changed.
fn rewrite(sample: &Sample, change: impl FnOnce(&mut Value)) {
    let path = sample.workspace.state_dir().join("cloud/hostile/i/web.json");
    let mut entry: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut entry);
    fs::write(&path, entry.to_string()).unwrap();
}

#[test]
fn a_machine_that_failed_for_good_is_waited_for_no_longer_and_kept() {
    let sample = Sample::of(Hostile::default());
    sample.cloud().create(&spec(1)).unwrap();
    sample.hostile.0.lock().unwrap().shown = Some(MachineState::Failed);
    let hour = Duration::from_hours(1);
    let error = sample.cloud().wait_ready(&spec(1).infra, &web(), hour).unwrap_err();
    let ProviderError::Unavailable { what, hint: Some(hint) } = &error else { panic!("{error:?}") };
    assert_eq!(what, "server web: hostile says that its machine m1 has failed; the machine is kept");
    assert!(hint.contains("prov servers delete web --infra i"), "{hint}");
    assert_eq!(sample.hostile.count(), 1);
    assert!(sample.hostile.0.lock().unwrap().looks > 2, "once is no proof");
    sample.hostile.0.lock().unwrap().shown = None;
    assert!(sample.cloud().wait_ready(&spec(1).infra, &web(), hour).is_ok());
}

#[test]
fn a_provider_that_asks_for_more_patience_than_there_is_ends_the_order_and_nothing_is_left() {
    let sample = Sample::of(Hostile::with(&[Fate::Well, Fate::Away], false));
    let error = sample.cloud().create(&spec(1)).unwrap_err();
    let ProviderError::Unavailable { what, hint: Some(hint) } = &error else { panic!("{error:?}") };
    assert_eq!(what, "hostile can't make the server web: closed");
    assert!(hint.starts_with("it wants to be asked again in "), "{hint}");
    assert!(sample.cloud().list(&spec(1).infra).unwrap().is_empty(), "nothing was made, so nothing is on record");
    assert!(sample.cloud().create(&spec(1)).is_ok());
}

/// What an earlier call may have made isn't forgotten because a later one is put off.
#[test]
fn what_a_lost_reply_made_is_found_though_the_next_call_is_put_off() {
    for knows_tokens in [false, true] {
        let fates = [Fate::Well, Fate::LostReply, Fate::Away];
        let sample = Sample::of(Hostile::with(&fates, knows_tokens));
        // The look after the lost reply is put off as well: the order stays on record, and the machine is found by it.
        let created = sample.cloud().create(&spec(1));
        let left = sample.cloud().list(&spec(1).infra).unwrap();
        assert_eq!((left.len(), sample.hostile.count()), (1, 1), "{created:?}");
        assert_eq!(sample.cloud().create(&spec(1)).unwrap().id, "m1");
        assert_eq!(sample.hostile.count(), 1);
    }
    // A provider that knows tokens is called again after one look, which may have come too early.
    let fates = [Fate::Well, Fate::LostReply, Fate::Well, Fate::Away];
    let sample = Sample::of(Hostile::with(&fates, true));
    assert_eq!(sample.cloud().create(&spec(1)).unwrap().id, "m1");
}

#[test]
fn a_clock_that_is_set_forward_makes_no_machine_look_gone() {
    let sample = Sample::of(Hostile::default());
    sample.cloud().create(&spec(1)).unwrap();
    {
        let mut world = sample.hostile.0.lock().unwrap();
        world.settles = Some(Duration::from_hours(1));
        // The list is late.
        world.machines.clear();
    }
    let long_ago = "2001-01-01T00:00:00Z";
    rewrite(&sample, |entry| entry["at"] = json!(long_ago));
    let infra = spec(1).infra;
    let listed = sample.cloud().list(&infra).unwrap();
    assert_eq!(listed[0].notes, ["the provider doesn't list it yet"]);
    assert!(sample.cloud().gone(&infra).unwrap().is_empty());
    // A record of an older prov has the wall clock alone.
    rewrite(&sample, |entry| drop(entry.as_object_mut().unwrap().remove("uptime").unwrap()));
    assert!(sample.cloud().list(&infra).unwrap().is_empty());
    assert_eq!(sample.cloud().gone(&infra).unwrap().len(), 1);
}

#[test]
fn whoever_waits_is_told_for_what() {
    let sample = Sample::of(Hostile::with(&[Fate::Unreachable; 8], false));
    let events = sample.workspace.root().join("events");
    let reporter = Reporter::new(Some(&events), true);
    let cloud = Cloud::new(&sample.workspace, Box::new(sample.hostile.clone()), Box::new(Nowhere), reporter);
    cloud.create(&spec(1)).unwrap();
    let told = fs::read_to_string(events).unwrap();
    let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    let step = first["step"].as_str().unwrap();
    assert!(step.starts_with("hostile can't list its machines: ") && step.ends_with(" s more"), "{step}");
}

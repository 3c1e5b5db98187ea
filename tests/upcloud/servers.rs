//! Servers from their order to their end.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use prov::provision::provider::cloud::{Api, MachineState};
use serde_json::json;

use super::{Account, KEY, labels, none, refused, spec};
use crate::support::upcloud::TOKEN;

#[test]
fn a_server_lives_and_leaves_nothing_behind() {
    let account = Account::new();
    let made = account.create(&none(), "t-1").unwrap();
    assert_eq!((made.state, made.zone.as_str()), (MachineState::Changing, "de-fra1"));
    assert_eq!((made.plan, &made.labels), ("1xCPU-2 GB".parse().ok(), &labels("t-1")));
    let running = account.until(&made, MachineState::Running);
    assert_eq!(account.api.address(&running.id).unwrap().as_deref(), Some("192.0.2.2"), "the public one");
    account.api.start(&running).unwrap();

    let others = labels("t-2");
    account.api.relabel(&running, &others).unwrap();
    assert_eq!(account.find(&labels("t-1")), []);
    assert_eq!(account.find(&others)[0].id, made.id);

    assert!(account.delete(&running) > 2, "it is stopped, waited for and deleted");
    assert_eq!(account.find(&others), []);
    assert_eq!(account.delete(&running), 1, "what is gone counts as deleted");
    let world = account.cloud.world();
    assert_eq!((world.servers().len(), world.storages, world.made), (0, 0, 1));
}

#[test]
fn an_order_says_all_that_is_wanted() {
    let account = Account::new();
    let path = account.dir.path().join("cloud-init");
    fs::write(&path, "#!/bin/sh\necho \"swordfish\"\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let extra = json!({
        "template": "ubuntu 24.04", "storage_size": 30, "storage_tier": "hdd", "login": "admin", "hostname": "a.example.org",
        "title": "The web", "ssh_keys": ["ssh-rsa AAAA me"], "user_data": {"secret": {"file": "cloud-init"}},
        "networking": ["public", {"type": "public", "family": "IPv6"}],
    });
    let spec = spec(&extra);
    account.api.validate(&spec).unwrap();
    account.create(&spec, "t-1").unwrap();
    let received = account.cloud.received();
    let order = &received.iter().find(|received| received.call == "POST /server").unwrap().body["server"];
    assert_eq!(order["plan"], "1xCPU-2GB");
    let device = &order["storage_devices"]["storage_device"][0];
    assert_eq!((&device["storage"], &device["size"]), (&json!("01000000-0000-4000-8000-000030240200"), &json!(30)));
    assert_eq!(order["login_user"]["username"], "admin");
    assert_eq!(order["login_user"]["ssh_keys"]["ssh_key"], json!([KEY, "ssh-rsa AAAA me"]));
    assert_eq!(order["user_data"], "#!/bin/sh\necho \"swordfish\"", "resolved at the last moment");
    assert_eq!(order["networking"]["interfaces"]["interface"].as_array().unwrap().len(), 2);
    assert_eq!((&order["metadata"], &order["password_delivery"]), (&json!("yes"), &json!("none")));
    assert_eq!(account.api.login(&spec), "admin");
}

#[test]
fn a_size_that_is_no_plan_is_sold_singly_or_refused_with_the_nearest() {
    let account = Account::new();
    let mut wanted = none();
    wanted.plan = "3xCPU-4 GB".parse().unwrap();
    account.create(&wanted, "t-1").unwrap();
    let order = account.cloud.received().pop().unwrap().body;
    assert_eq!((&order["server"]["core_number"], &order["server"]["memory_amount"]), (&json!(3), &json!(4096)));
    wanted.plan = "5xCPU-8 GB".parse().unwrap();
    let (what, hint) = refused(account.create(&wanted, "t-2").unwrap_err());
    assert_eq!(what, "UpCloud sells no server of the size 5xCPU-8 GB");
    assert_eq!(hint, "the nearest size is 4xCPU-8 GB");
    assert_eq!(account.cloud.world().made, 1);
}

#[test]
fn what_is_found_carries_the_labels_whatever_the_list_says() {
    let account = Account::new();
    let one = account.create(&none(), "t-1").unwrap();
    let other = account.create(&none(), "t-2").unwrap();
    {
        let mut world = account.cloud.world();
        world.put(&one.id, "stopped");
        world.repeat(&one.id, 102);
        world.repeat(&other.id, 1);
    }
    assert_eq!(account.find(&labels("t-1")).len(), 103, "more than a page");
    assert_eq!(account.find(&labels("t-2")).len(), 2);
    assert_eq!(account.cloud.count("GET /server/*"), 0, "a look takes a call a page, and none a server");
    account.cloud.world().filters = false;
    let found = account.find(&labels("t-2"));
    assert_eq!(found.len(), 2, "a filter that doesn't work deletes nobody else's servers");
    assert!(found.windows(2).all(|pair| pair[0].id < pair[1].id));
}

#[test]
fn what_can_be_had_is_asked() {
    let account = Account::new();
    let catalogue = account.api.catalogue().unwrap();
    assert_eq!(catalogue.zones, ["de-fra1", "fi-hel1", "fi-hel2", "us-nyc1"]);
    assert!(catalogue.plans.iter().any(|offer| offer.name == "2xCPU-4GB" && offer.plan.cpus == 2));
    assert!(!account.api.knows_tokens() && TOKEN.starts_with("ucat_"));
}

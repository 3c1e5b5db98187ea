//! The provider `ssh` from the command line: hosts that are there already.

use serde_json::{Value, json};

use super::sshd::Sshd;
use super::workspace::Hosts;

fn settings(sshd: &Sshd, more: &Value) -> Value {
    let mut server = json!({"name": "db", "address": "127.0.0.1", "port": sshd.port, "key": sshd.key()});
    server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"provider": "ssh", "defaults": {"plan": "1xCPU-16 MB"}, "servers": [server]})
}

#[test]
fn a_host_is_confirmed_put_on_record_and_forgotten() {
    let Some(sshd) = Sshd::start("") else { return };
    let hosts = Hosts::new(&settings(&sshd, &json!({})));
    let prov = |line: &str| hosts.prov_with(line, &[]);
    let unknown = prov("servers create --infra demo");
    assert!(unknown.0 == 1 && unknown.2.contains("prov hosts trust db --infra demo"), "{unknown:?}");
    let unasked = prov("hosts trust db --infra demo");
    assert!(unasked.0 == 2 && unasked.2.contains("shows the ssh-ed25519 host key SHA256:"), "{unasked:?}");
    let wrong = prov("hosts trust db --infra demo --fingerprint SHA256:AAAA");
    assert!(wrong.0 == 7 && wrong.2.contains("shows another host key"), "{wrong:?}");
    let start = unasked.2.find("SHA256:").unwrap();
    let fingerprint = unasked.2[start..].split('.').next().unwrap();
    let trusted = prov(&format!("hosts trust db --infra demo --fingerprint {fingerprint}"));
    assert_eq!(trusted.1, format!("root@[127.0.0.1]:{} is known by {fingerprint}\n", sshd.port), "{trusted:?}");
    let made = prov("servers create --infra demo --wait");
    assert_eq!((made.0, made.1.as_str()), (0, "Successfully created 1 server\n"), "{made:?}");
    assert!(hosts.path().join(".prov/ssh/servers/demo/db.json").exists());
    assert_eq!(prov("servers create --infra demo").1, "Nothing to do: 1 server is as declared\n");
    let listed: Value = serde_json::from_str(&prov("servers list --infra demo -o json").1).unwrap();
    assert_eq!(listed[0]["state"], "running", "{listed}");
    assert_eq!(listed[0]["limits"], "not enforced: it is a host of your own");
    // A key that is another one all of a sudden is not talked to; the host stays on record.
    sshd.new_host_key();
    let listed: Value = serde_json::from_str(&prov("servers list --infra demo -o json").1).unwrap();
    assert_eq!(listed[0]["state"], "stopped", "{listed}");
    assert!(listed[0]["notes"].to_string().contains("shows another host key"), "{listed}");
    let unknown = prov("infra drift demo");
    assert!(unknown.0 == 1 && unknown.1.contains("server db") && unknown.1.contains(" unknown "), "{unknown:?}");
    assert!(unknown.2.contains("not everything of demo can be asked"), "{unknown:?}");
    let gone = prov("servers delete --infra demo --yes");
    assert_eq!(gone.1, "Successfully deleted 1 server\n", "{gone:?}");
    assert!(!hosts.path().join(".prov/ssh/servers/demo/db.json").exists());
}

#[test]
fn a_pinned_key_needs_nobody_to_confirm_it_and_another_is_refused() {
    let Some(sshd) = Sshd::start("") else { return };
    let key = sshd.host_key();
    let pinned = json!({"host_key": key.trim()});
    let hosts = Hosts::new(&settings(&sshd, &pinned));
    let made = hosts.prov_with("servers create --infra demo", &[]);
    assert_eq!(made.1, "Successfully created 1 server\n", "{made:?}");
    hosts.prov_with("servers delete --infra demo --yes", &[]);
    sshd.new_host_key();
    let refused = hosts.prov_with("servers create --infra demo", &[]);
    assert!(refused.0 == 1 && refused.2.contains("shows another host key"), "{refused:?}");
    hosts.declare(&settings(&sshd, &json!({"host_key": "SHA256:AAAA"})));
    let refused = hosts.prov_with("servers create --infra demo", &[]);
    assert!(refused.0 == 1 && refused.2.contains("SHA256:AAAA is pinned"), "{refused:?}");
    let start = refused.2.find("SHA256:").unwrap();
    let shown = refused.2[start..].split(',').next().unwrap();
    hosts.declare(&settings(&sshd, &json!({"host_key": shown})));
    let made = hosts.prov_with("servers create --infra demo", &[]);
    assert_eq!(made.1, "Successfully created 1 server\n", "{made:?}");
}

#[test]
fn fields_that_there_are_not_are_refused_with_the_nearest() {
    let hosts = Hosts::new(&json!({
        "provider": "ssh",
        "defaults": {"plan": "1xCPU-1 GB"},
        "servers": [{"name": "a", "adress": "x"}, {"name": "b", "address": "-oProxyCommand=id"}],
    }));
    let refused = hosts.prov_with("servers create --infra demo --check", &[]);
    assert_eq!(refused.0, 2, "{refused:?}");
    assert!(refused.2.contains("unknown field `adress`; did you mean `address`?"), "{refused:?}");
    assert!(refused.2.contains("\"-oProxyCommand=id\" is no address of a host"), "{refused:?}");
}

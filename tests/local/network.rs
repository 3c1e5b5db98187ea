//! Addresses: who reaches whom, and what is left of them.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use prov::provision::provider::local::netlink::Netlink;
use prov::provision::provider::{Provider, ProviderError};
use serde_json::json;

use super::support::{Bench, infra, name, spec, until};

/// Answers every connection to a port with a word, for ever.
const SERVICE: &str = "setsid perl -MIO::Socket::INET -e '
    $s = IO::Socket::INET->new(LocalPort => 7007, Listen => 5, ReuseAddr => 1) or die $!;
    while ($c = $s->accept) { print $c \"hello\"; close $c }' >/dev/null 2>&1 </dev/null &";

fn greeting(address: &str) -> Option<String> {
    let mut stream =
        TcpStream::connect_timeout(&format!("{address}:7007").parse().unwrap(), Duration::from_secs(2)).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn the_host_and_the_other_servers_reach_a_server_by_its_address() {
    let Some(bench) = Bench::as_root() else { return };
    let web = bench.provider.create(&spec("web")).unwrap();
    let db = bench.provider.create(&spec("db")).unwrap();
    let (Some(web), Some(_)) = (web.address.clone(), db.address.clone()) else {
        println!("skipped: this host gives servers no address: {:?}", web.notes);
        return;
    };
    bench.out("web", SERVICE);
    until("the host reaches the server", || greeting(&web).as_deref() == Some("hello"));
    let ask = format!(
        "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(PeerAddr => \"{web}:7007\") or die $!; print <$s>'"
    );
    assert_eq!(bench.out("db", &ask), "hello");
    assert_eq!(bench.out("db", &ask.replace(&web, "web")), "hello", "by its name");
    assert_eq!(bench.out("web", &ask.replace(&web, "127.0.0.1")), "hello", "by its own loopback interface");
}

#[test]
fn addresses_differ_and_last_and_go_with_the_server() {
    let Some(bench) = Bench::as_root() else { return };
    let names = ["a", "b", "c", "d"];
    std::thread::scope(|scope| {
        for server in names {
            let bench = &bench;
            scope.spawn(move || bench.provider.create(&spec(server)).unwrap());
        }
    });
    let servers = bench.provider.list(&infra()).unwrap();
    let addresses: BTreeSet<_> = servers.iter().filter_map(|server| server.address.clone()).collect();
    if addresses.is_empty() {
        println!("skipped: this host gives servers no address: {:?}", servers[0].notes);
        return;
    }
    assert_eq!(addresses.len(), names.len());
    let bridge = format!("pv-{}", servers[0].id.split(':').next().unwrap());
    let mut netlink = Netlink::open().unwrap();
    assert!(netlink.link(&bridge).unwrap().is_some());
    assert_eq!(bench.out("a", "grep -c '^10.213' /etc/hosts"), "4");
    bench.out("a", "echo 192.0.2.1 registry >>/etc/hosts");
    bench.provider.delete(&infra(), &name("d")).unwrap();
    assert_eq!(bench.out("a", "grep -c -e ^10.213 -e registry /etc/hosts"), "4");
    bench.provider.create(&spec("d")).unwrap();
    for (count, server) in names.into_iter().enumerate() {
        bench.provider.delete(&infra(), &name(server)).unwrap();
        assert_eq!(netlink.link(&bridge).unwrap().is_some(), count + 1 < names.len());
    }
    for server in ["a", "b"] {
        assert!(bench.provider.create(&spec(server)).unwrap().address.is_some());
    }
    std::thread::scope(|scope| {
        for server in ["a", "b"] {
            let bench = &bench;
            scope.spawn(move || bench.provider.delete(&infra(), &name(server)).unwrap());
        }
    });
    assert_eq!(netlink.link(&bridge).unwrap(), None, "of two that are deleted at once, one is the last");
}

#[test]
fn two_workspaces_have_networks_apart() {
    let (Some(one), Some(other)) = (Bench::as_root(), Bench::as_root()) else { return };
    let first = one.provider.create(&spec("web")).unwrap();
    let second = other.provider.create(&spec("web")).unwrap();
    assert_ne!(first.id, second.id);
    assert!(first.address.is_none() || first.address != second.address);
}

#[test]
fn a_server_in_the_hosts_network_shares_its_ports() {
    let Some(bench) = Bench::as_root() else { return };
    let mut wanted = spec("web");
    wanted.extra.insert("network".into(), json!("host"));
    bench.provider.create(&wanted).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    bench.out(
        "web",
        &format!("perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => \"127.0.0.1:{port}\") or die $!'"),
    );
    wanted.extra.insert("network".into(), json!("moon"));
    let error = bench.provider.validate(&wanted).unwrap_err();
    assert!(
        matches!(&error, ProviderError::Invalid { hint: Some(_), .. }) && error.to_string().contains("moon"),
        "{error}"
    );
    wanted.extra.insert("colour".into(), json!("red"));
    assert!(bench.provider.create(&wanted).unwrap_err().to_string().contains("colour"));
}

//! Services that are made of artifacts, inside local servers.

use std::fs;
use std::process::Command;

use prov::model::digest::{hexadecimal, sha256};
use serde_json::json;

use super::Sample;
use super::mirror::{Manner, Mirror, dead};

/// An archive by gzip that `make` puts together with shell commands in an empty directory, as `out.tar.gz`.
fn archive(make: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let ran = Command::new("sh").args(["-ec", make]).current_dir(dir.path()).status().unwrap();
    assert!(ran.success());
    fs::read(dir.path().join("out.tar.gz")).unwrap()
}

fn define(sample: &Sample, urls: &[String], more: &str) {
    let urls: Vec<String> = urls.iter().map(|url| format!("{url:?}")).collect();
    let metadata = format!(
        "[[artifacts]]\nname = \"tool\"\nurls = [{}]\nunpack = \"tar.gz\"\nstrip = 1\ndestination = \"/opt/tool\"\n{more}",
        urls.join(", ")
    );
    sample.define(
        "tool",
        &metadata,
        "",
        ["test -x /opt/tool/bin/tool\n", "[[ $(/opt/tool/bin/tool) == works ]]\n", "rm -r /opt/tool\n"],
    );
}

#[test]
fn an_archive_is_fetched_once_and_unpacked_on_every_server() {
    let Some(sample) = Sample::new(&["a", "b"]) else { return };
    let content = archive(
        "mkdir -p t/bin && printf '#!/bin/sh\\necho works\\n' >t/bin/tool && chmod 755 t/bin/tool && tar czf out.tar.gz t",
    );
    let sum = hexadecimal(&sha256(&content));
    let mirror = Mirror::new();
    mirror.put("/v2.1/tool-amd64.tgz", &content, Manner::Whole);
    mirror.put("/v2.1/tool-arm64.tgz", &content, Manner::Whole);
    define(&sample, &[dead(), mirror.url("/v{version}/tool-{arch}.tgz")], "");
    let unknown = sample.operation("create", "t", &json!([{"name": "tool", "params": {"version": "2.1"}}]));
    assert!(
        unknown.code == 1 && unknown.stderr.contains("give its SHA-256 as the parameter sha256_tool"),
        "{unknown:?}"
    );
    let params = json!([{"name": "tool", "params": {"version": "2.1", "sha256_tool": sum}}]);
    let made = sample.operation("create", "t", &params);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(mirror.asked().len(), 1, "{:?}", mirror.asked());
    let listed = sample.prov("taskserv list --infra demo").stdout;
    assert_eq!(listed.matches(" 2.1 ").count(), 2, "{listed}");
    assert!(sample.path().join(".prov/cache/artifacts").join(&sum).exists());
    assert_eq!(sample.inside("a", "ls /var/cache/prov/artifacts"), "");
    // What somebody removed is put there again, from the cache.
    sample.inside("a", "rm -r /opt/tool");
    let again = sample.operation("create", "t", &params);
    assert_eq!((again.code, mirror.asked().len()), (0, 1), "{again:?}");
    assert_eq!(sample.installed(), ["a tool works", "b tool works"]);
}

#[test]
fn an_archive_that_leads_out_of_its_place_is_refused() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    let mirror = Mirror::new();
    for (case, make) in [
        ("dots", "mkdir d && echo x >evil && cd d && tar czPf ../out.tar.gz ../evil"),
        ("root", "echo x >evil && tar czPf out.tar.gz --transform 's,^,/tmp/,' evil"),
        ("link", "mkdir t && ln -s /etc t/link && tar czf out.tar.gz t"),
        ("relative", "mkdir t && ln -s ../../../etc t/link && tar czf out.tar.gz t"),
    ] {
        let content = archive(make);
        let path = format!("/{case}");
        mirror.put(&path, &content, Manner::Whole);
        define(&sample, &[mirror.url(&path)], "");
        let params = json!([{"name": "tool", "params": {"sha256_tool": hexadecimal(&sha256(&content))}}]);
        let refused = sample.operation("create", "t", &params);
        assert!(refused.code == 1 && refused.stderr.contains("out of it"), "{case}: {refused:?}");
        assert_eq!(sample.inside("a", "ls -A /opt/tool; ls /tmp/evil /opt/evil 2>/dev/null"), "", "{case}");
    }
}

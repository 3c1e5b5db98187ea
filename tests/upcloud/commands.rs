//! Commands against an UpCloud of our own, as people and the daemon run them.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::secrets::canary::{Canaries, canary};
use crate::support::upcloud::{Mishap, TOKEN, USER, UpCloud};

/// A workspace whose infra `demo` is at UpCloud.
struct Place {
    dir: tempfile::TempDir,
    cloud: UpCloud,
    secret: String,
}

impl Place {
    fn new() -> Self {
        let (dir, cloud) = (tempfile::tempdir().unwrap(), UpCloud::start());
        cloud.world().looks = 0;
        let infra = dir.path().join("infra/demo");
        fs::create_dir_all(&infra).unwrap();
        let settings = json!({
            "provider": "upcloud",
            "defaults": {"zone": "de-fra1", "plan": "1xCPU-2GB", "labels": {"team": "web"}},
            "servers": [{"name": "web-1", "user_data": {"secret": {"env": "CANARY"}}}],
        });
        fs::write(infra.join("config.json"), settings.to_string()).unwrap();
        Self { dir, cloud, secret: canary("user-data") }
    }

    /// Runs prov with the token.
    fn prov(&self, line: &str) -> (i32, String) {
        let environment = self.cloud.environment();
        self.prov_with(line, &environment.map(|(name, value)| (name.to_owned(), value)))
    }

    /// The exit code, and what it said on either stream.
    fn prov_with(&self, line: &str, env: &[(String, String)]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prov"));
        command.args(line.split_whitespace()).current_dir(self.dir.path()).env_clear().stdin(Stdio::null());
        command.env("HOME", self.dir.path()).env("PATH", "/usr/bin:/bin").env("CANARY", &self.secret);
        let output = command.envs(env.iter().map(|(name, value)| (name, value))).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8(text).unwrap())
    }
}

#[test]
fn a_server_is_made_once_though_the_reply_is_lost_and_leaves_nothing() {
    let place = Place::new();
    let canaries = Canaries::of(&[&place.secret, TOKEN]);
    place.cloud.next("POST /server", Mishap::LostReply);
    place.cloud.next("POST /server", Mishap::LostReply);
    let mut said = String::new();
    for (line, code) in [
        ("servers create --infra demo --check -o json", 0),
        ("servers create --infra demo", 0),
        ("servers create --infra demo", 0),
        ("servers list --infra demo -o json", 0),
    ] {
        let (ended, text) = place.prov(line);
        assert_eq!(ended, code, "{line}: {text}");
        said += &text;
    }
    {
        let world = place.cloud.world();
        assert_eq!((world.made, world.servers().len()), (1, 1), "{said}");
        let labels = world.servers()[0]["labels"].to_string();
        for part in ["\"prov-infra\"", "\"prov-server\"", "\"prov-token\"", "\"team\"", "\"web-1\""] {
            assert!(labels.contains(part), "{labels}");
        }
    }
    let received = place.cloud.received();
    let order = received.iter().find(|received| received.call == "POST /server").unwrap();
    assert_eq!(order.body["server"]["user_data"], *place.secret);
    let (code, text) = place.prov("servers delete --infra demo --yes web-1");
    assert_eq!(code, 0, "{text}");
    {
        let world = place.cloud.world();
        assert_eq!((world.servers().len(), world.storages), (0, 0));
    }
    canaries.expect_none("what the commands say", (said + &text).as_bytes());
    canaries.expect_none_below(place.dir.path(), &[]);
}

#[test]
fn a_list_takes_no_call_for_each_server() {
    let place = Place::new();
    let (code, text) = place.prov("servers create --infra demo");
    assert_eq!(code, 0, "{text}");
    let before = place.cloud.received().len();
    let (code, text) = place.prov("servers list --infra demo -o json");
    assert!(code == 0 && text.contains("\"192.0.2."), "{text}");
    let calls: Vec<String> = place.cloud.received().split_off(before).into_iter().map(|one| one.call).collect();
    assert!(!calls.is_empty() && calls.iter().all(|call| call == "GET /server"), "{calls:?}");
}

#[test]
fn what_only_some_providers_tell_is_shown_or_said_to_be_missing() {
    let place = Place::new();
    let (code, text) = place.prov("provider plans upcloud --zone de-fra1");
    assert!(code == 0 && text.contains("PER HOUR") && text.contains("2.2321 credits"), "{text}");
    let (code, text) = place.prov("provider plans upcloud --zone de-fra1 -o jsonl");
    assert!(code == 0 && text.contains("\"price\":{\"per_hour\":4.4642,\"unit\":\"credits\"}"), "{text}");
    let (code, text) = place.prov("provider plans upcloud");
    assert!(code == 0 && !text.contains("credits"), "{text}");
    let (code, text) = place.prov("provider images upcloud --limit 2");
    assert!(code == 0 && text.contains("of our own") && text.contains("3 more: --limit 5"), "{text}");
    let (code, text) = place.prov("provider plans aws --zone eu-west-1");
    assert!(code == 1 && text.contains("the provider aws tells prov no prices"), "{text}");
    let (code, text) = place.prov("servers create --infra demo");
    assert_eq!(code, 0, "{text}");
    let (code, text) = place.prov("servers console web-1 --infra demo");
    assert!(code == 1 && text.contains("the provider upcloud tells prov no consoles"), "{text}");
    let (code, text) = place.prov("servers console web-2 --infra demo");
    assert!(code == 6 && text.contains("there is no server web-2 in demo"), "{text}");
}

#[test]
fn wrong_credentials_are_told_without_being_told() {
    let place = Place::new();
    let url = ("UPCLOUD_DEBUG_API_BASE_URL".to_owned(), place.cloud.url.clone());
    let set = |name: &str, value: &str| (format!("UPCLOUD_{name}"), value.to_owned());
    let (wrong, list) = (canary("password"), "servers list --infra demo");
    let canaries = Canaries::of(&[&wrong, USER.1, &format!("{}:{wrong}", USER.0)]);
    let (code, text) = place.prov_with(list, &[url.clone(), set("USERNAME", USER.0), set("PASSWORD", &wrong)]);
    assert!(
        code != 0 && text.contains("AUTHENTICATION_FAILED") && text.contains("hint: check UPCLOUD_TOKEN"),
        "{text}"
    );
    canaries.expect_none("the error", text.as_bytes());
    let (code, text) = place.prov_with(list, &[url.clone(), set("USERNAME", USER.0), set("PASSWORD", USER.1)]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = place.prov_with(list, &[url.clone(), set("PASSWORD", USER.1), set("TOKEN", TOKEN)]);
    assert!(code != 0 && text.contains("two kinds of credentials"), "{text}");
    let (code, text) = place.prov_with(list, &[url]);
    assert!(code != 0 && text.contains("prov credentials set upcloud"), "{text}");
    let (code, text) = place.prov_with("infra validate demo", &[]);
    assert_eq!(code, 0, "that needs no credentials: {text}");
    canaries.expect_none_below(place.dir.path(), &[]);
}

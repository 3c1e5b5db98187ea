//! Rehearsals: the same commands and batches against twins of the providers, with the troubles that clouds have.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{self, Daemon};

/// A workspace with one infra, `fleet`.
struct Sample {
    dir: tempfile::TempDir,
    mode: String,
}

impl Sample {
    fn new(mode: &str, settings: &Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("prov.toml"), "").unwrap();
        fs::create_dir_all(dir.path().join("infra/fleet")).unwrap();
        let sample = Self { dir, mode: mode.to_owned() };
        sample.declare(settings);
        sample
    }

    fn declare(&self, settings: &Value) {
        fs::write(self.dir.path().join("infra/fleet/config.json"), settings.to_string()).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prov"));
        command.args(line.split_whitespace()).current_dir(self.dir.path()).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("PROV_PROVIDER_MODE", &self.mode).stdin(Stdio::null());
        command
    }

    fn prov(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    fn json(&self, line: &str) -> Value {
        let output = self.prov(&format!("{line} -o json"));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{line}: {error}: {output:?}"))
    }

    /// The machines that the twin has, and those it ever made.
    fn twin(&self, provider: &str) -> (usize, u64) {
        let file = self.dir.path().join(format!(".prov/rehearsal/twin/{provider}.json"));
        let state: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        let gone = |machine: &&Value| machine["going"] == false;
        let machines = state["machines"].as_object().unwrap();
        (machines.values().filter(gone).count(), state["made"].as_u64().unwrap())
    }
}

fn fleet(count: usize) -> Value {
    let servers: Vec<Value> = (1..=count).map(|number| json!({ "name": format!("node-{number}") })).collect();
    let defaults = json!({ "plan": "1xCPU-2 GB", "zone": "de-fra1" });
    json!({ "provider": "upcloud", "defaults": defaults, "servers": servers })
}

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn two_hundred_servers_at_a_provider_that_bears_ten_calls_a_second() {
    let sample = Sample::new("rehearse:seed=11,speed=40,faults=0.05,rate=10", &fleet(200));
    let made = ok(&sample.prov("servers create --infra fleet --wait --parallel 32"));
    assert_eq!(made, "Successfully created 200 servers\n");
    assert_eq!(sample.twin("upcloud").0, 200);
    let listed = sample.json("servers list --infra fleet");
    assert!(listed.as_array().unwrap().iter().all(|server| server["state"] == "running" && server["stray"].is_null()));
}

#[test]
fn whoever_is_killed_in_between_leaves_nothing_that_the_next_does_not_find() {
    let sample = Sample::new("rehearse:seed=5,speed=20,faults=0.3,rate=100", &fleet(6));
    // Each is killed where another one of the twin's machines is made.
    for made in 1..=4 {
        let mut child = sample
            .command("servers create --infra fleet --wait")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while child.try_wait().unwrap().is_none() && made_by_now(&sample) < made {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();
    }
    ok(&sample.prov("servers create --infra fleet --wait"));
    assert_eq!(sample.twin("upcloud").0, 6);
    assert_eq!(sample.json("infra reconcile fleet"), json!([]));
    assert_eq!(sample.json("infra drift fleet"), json!([]));
    ok(&sample.prov("servers delete --infra fleet --yes"));
    assert_eq!(sample.twin("upcloud").0, 0);
}

#[test]
fn the_way_back_finds_what_a_killed_creation_ordered() {
    let sample = Sample::new("rehearse:seed=9,speed=20,faults=0.3,rate=100", &fleet(1));
    let names = ["a-1", "a-2", "a-3", "a-4"];
    let servers: Vec<Value> =
        names.iter().map(|name| json!({ "name": name, "plan": "1xCPU-2 GB", "zone": "de-fra1" })).collect();
    let operation = json!({
        "batch_id": "0190", "id": "web", "type": "server_batch", "provider": "upcloud", "server_configs": servers,
    });
    fs::write(sample.dir.path().join("operation.json"), operation.to_string()).unwrap();
    for more in [1, 2, 3] {
        let before = made_by_now(&sample);
        let mut create = sample.command("servers create --infra fleet --operation operation.json --wait");
        let mut child = create.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() && made_by_now(&sample) < before + more {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();
        ok(&sample.prov("servers delete --infra fleet --operation operation.json --yes"));
        assert_eq!(sample.twin("upcloud").0, 0);
        assert_eq!(sample.json("servers list --infra fleet"), json!([]));
    }
}

fn made_by_now(sample: &Sample) -> u64 {
    let file = sample.dir.path().join(".prov/rehearsal/twin/upcloud.json");
    let state = fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    state.and_then(|state| state["made"].as_u64()).unwrap_or(0)
}

#[test]
fn a_stray_is_seen_adopted_and_deleted_and_drift_is_told() {
    let sample = Sample::new("rehearse:seed=1,speed=500,faults=0,rate=1000", &fleet(2));
    ok(&sample.prov("servers create --infra fleet --wait"));
    // The workspace loses its memory of one.
    let journal = sample.dir.path().join(".prov/rehearsal/cloud/upcloud/fleet");
    fs::remove_file(journal.join("node-2.json")).unwrap();
    let refused = sample.prov("servers create --infra fleet");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("not on record here") && said.contains("prov infra reconcile fleet"), "{said}");
    let drift = sample.prov("infra drift fleet -o json");
    assert_eq!(drift.status.code(), Some(3));
    let drift: Value = serde_json::from_slice(&drift.stdout).unwrap();
    let kinds: Vec<&str> = drift.as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["missing", "stray"], "{drift}");
    assert_eq!(sample.json("servers list --infra fleet")[1]["stray"], true);
    let adopted = sample.json("infra reconcile fleet --adopt");
    assert_eq!(adopted[0]["outcome"], "adopted", "{adopted}");
    assert_eq!(sample.json("infra drift fleet"), json!([]));
    // What isn't adopted is deleted, for whoever says yes.
    fs::remove_file(journal.join("node-1.json")).unwrap();
    assert_eq!(sample.prov("infra reconcile fleet --delete").status.code(), Some(2));
    assert_eq!(sample.json("infra reconcile fleet --delete --yes")[0]["outcome"], "deleted");
    assert_eq!(sample.twin("upcloud").0, 1);
}

#[test]
fn what_was_to_be_installed_on_a_server_that_was_never_whole_is_missing() {
    let mut settings = fleet(1);
    settings["taskservs"] = json!(["redis"]);
    let sample = Sample::new("rehearse:seed=1,speed=2000,faults=0,rate=1000", &settings);
    ok(&sample.prov("servers create --infra fleet --wait"));
    // As whoever is killed after the order leaves it.
    let record = sample.dir.path().join(".prov/rehearsal/cloud/upcloud/fleet/node-1.json");
    let mut entry: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    entry["stage"] = json!("ordered");
    entry.as_object_mut().unwrap().remove("id");
    fs::write(&record, entry.to_string()).unwrap();
    let drift = sample.prov("infra drift fleet -o json");
    let told: Value = serde_json::from_slice(&drift.stdout).unwrap();
    let said = ["type", "name", "server", "kind", "what"].map(|field| told[1][field].as_str().unwrap());
    assert_eq!(said, ["taskserv", "redis", "node-1", "missing", "its server isn't ready"], "{told}");
}

/// Another workspace with an infra of the same name at the same account.
#[test]
fn machines_of_another_workspace_are_nobodys_strays_until_they_are_taken_over() {
    let mode = "rehearse:seed=1,speed=500,faults=0,rate=1000";
    let (lost, sample) = (Sample::new(mode, &fleet(2)), Sample::new(mode, &fleet(2)));
    ok(&lost.prov("servers create --infra fleet --wait"));
    let id = fs::read_to_string(lost.dir.path().join(".prov/rehearsal/workspace-id")).unwrap();
    let twin = |sample: &Sample| sample.dir.path().join(".prov/rehearsal/twin/upcloud.json");
    fs::create_dir_all(twin(&sample).parent().unwrap()).unwrap();
    fs::copy(twin(&lost), twin(&sample)).unwrap();

    assert_eq!(sample.json("infra reconcile fleet"), json!([]));
    let looked = sample.prov("infra reconcile fleet");
    assert_eq!(looked.status.code(), Some(0), "{looked:?}");
    assert!(String::from_utf8_lossy(&looked.stderr).contains(&format!("--from-workspace {id}")), "{looked:?}");
    assert_eq!(sample.json("servers list --infra fleet"), json!([]));
    ok(&sample.prov("servers delete --infra fleet --yes"));
    assert_eq!(sample.prov("servers delete node-1 --infra fleet --yes").status.code(), Some(6));
    ok(&sample.prov("infra reconcile fleet --delete --yes"));
    assert_eq!(sample.twin("upcloud").0, 2, "nothing of another workspace's is taken");
    let refused = sample.prov("servers create --infra fleet");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains(&format!("made by the workspace {id}")), "{said}");
    assert!(said.contains(&format!("reconcile fleet --from-workspace {id} --adopt")), "{said}");

    let adopted = sample.json(&format!("infra reconcile fleet --from-workspace {id} --adopt"));
    assert_eq!((&adopted[0]["outcome"], &adopted[1]["outcome"]), (&json!("adopted"), &json!("adopted")), "{adopted}");
    assert_eq!(sample.json("infra drift fleet"), json!([]));
    let own = fs::read_to_string(sample.dir.path().join(".prov/rehearsal/workspace-id")).unwrap();
    let mut state: Value = serde_json::from_slice(&fs::read(twin(&sample)).unwrap()).unwrap();
    assert_ne!(own, id);
    for machine in state["machines"].as_object_mut().unwrap().values_mut() {
        assert_eq!(machine["machine"]["labels"]["prov-workspace"], own);
        // As an earlier version made it.
        machine["machine"]["labels"].as_object_mut().unwrap().remove("prov-workspace");
    }
    fs::write(twin(&sample), state.to_string()).unwrap();
    fs::remove_file(sample.dir.path().join(".prov/rehearsal/cloud/upcloud/fleet/node-2.json")).unwrap();
    assert_eq!(sample.json("infra reconcile fleet")[0]["name"], "node-2", "nothing says whose it is");
    let named = sample.prov("servers delete node-2 --infra fleet --yes");
    assert!(named.status.code() == Some(6) && String::from_utf8_lossy(&named.stderr).contains("reconcile fleet"));
    ok(&sample.prov("servers delete --infra fleet --yes"));
    assert_eq!(sample.twin("upcloud").0, 1, "what is on record goes, and nothing else");
    assert_eq!(sample.json("infra reconcile fleet --delete --yes")[0]["outcome"], "deleted");
    assert_eq!(sample.twin("upcloud").0, 0);
}

#[test]
fn task_services_and_clusters_are_found_wherever_their_servers_are() {
    let settings = json!({
        "provider": "upcloud", "defaults": { "plan": "1xCPU-2 GB", "zone": "de-fra1" }, "servers": [{ "name": "a" }],
        "taskservs": ["redis"], "clusters": [{ "type": "etcd", "params": { "zone": "nl-ams1" } }],
    });
    let sample = Sample::new("rehearse:seed=1,speed=2000,faults=0,rate=1000", &settings);
    assert_eq!(sample.json("taskserv list --infra fleet"), json!([]), "nothing was made there yet: nobody is asked");
    ok(&sample.prov("servers create --infra fleet --wait"));
    ok(&sample.prov("taskserv create --infra fleet"));
    assert_eq!(
        ok(&sample.prov("cluster create etcd --infra fleet")),
        "Successfully created cluster etcd: rehearsed, no health check ran\n"
    );
    let listed = sample.json("taskserv list --infra fleet");
    let seen: Vec<(&str, &str)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["server"].as_str().unwrap(), one["name"].as_str().unwrap()))
        .collect();
    let members = ["etcd-member-1", "etcd-member-2", "etcd-member-3"].map(|member| (member, "etcd"));
    assert_eq!(seen, [&[("a", "redis")][..], &members].concat());
    assert_eq!(sample.json("infra drift fleet"), json!([]), "declared, recorded and rehearsed agree");
    let clusters = sample.json("cluster list --infra fleet");
    assert_eq!(
        (clusters[0]["cluster"].as_str(), clusters[0]["running"].as_u64()),
        (Some("etcd"), Some(3)),
        "{clusters}"
    );
    // One that no settings declare goes to where the server is.
    ok(&sample.prov("taskserv create nginx --server etcd-member-1 --infra fleet"));
    let drift = sample.prov("infra drift fleet -o json");
    assert_eq!(drift.status.code(), Some(3), "{drift:?}");
    let drift: Value = serde_json::from_slice(&drift.stdout).unwrap();
    assert_eq!((&drift[0]["type"], &drift[0]["kind"]), (&json!("cluster"), &json!("changed")), "{drift}");
    ok(&sample.prov("taskserv delete nginx --server etcd-member-1 --infra fleet --yes"));
    // Members aren't compared where they don't stay.
    let mut moved = settings.clone();
    moved["clusters"][0]["provider"] = json!("aws");
    moved["clusters"][0]["params"]["zone"] = json!("eu-central-1a");
    sample.declare(&moved);
    let drift = sample.prov("infra drift fleet -o json");
    let told: Value = serde_json::from_slice(&drift.stdout).unwrap();
    assert_eq!((drift.status.code(), told.as_array().unwrap().len()), (Some(3), 1), "{drift:?}");
    assert_eq!((&told[0]["name"], &told[0]["kind"]), (&json!("etcd"), &json!("changed")), "{told}");
    sample.declare(&settings);
    // Nor where one of them can't be known.
    let record = sample.dir.path().join(".prov/rehearsal/cloud/upcloud/fleet/etcd-member-2.json");
    let whole = fs::read(&record).unwrap();
    fs::write(&record, "{").unwrap();
    let drift = sample.prov("infra drift fleet -o json");
    let told: Value = serde_json::from_slice(&drift.stdout).unwrap();
    assert_eq!((drift.status.code(), told.as_array().unwrap().len()), (Some(1), 1), "{drift:?}");
    let said = ["type", "name", "kind", "what"].map(|field| told[0][field].as_str().unwrap());
    assert_eq!(said, ["cluster", "etcd", "unknown", "the record of etcd-member-2 can't be read"]);
    fs::write(&record, whole).unwrap();
    ok(&sample.prov("cluster delete etcd --infra fleet --yes"));
    assert_eq!(sample.twin("upcloud").0, 1);
}

/// What the published example does, with servers at both providers.
fn published(extra: &Value) -> Value {
    let server = |name: &str, zone: &str| json!({ "name": name, "plan": "1xCPU-2 GB", "zone": zone });
    let mut batch = json!({
        "name": "multi_cloud_deployment", "version": "1.0.0", "storage_backend": "redb", "parallel_limit": 5,
        "rollback_enabled": true, "rehearse": { "seed": 3, "speed": 200.0, "rate": 1000.0 },
        "operations": [
            { "id": "upcloud_servers", "type": "server_batch", "provider": "upcloud", "dependencies": [],
              "server_configs": [server("web-01", "de-fra1"), server("web-02", "nl-ams1")] },
            { "id": "aws_servers", "type": "server_batch", "provider": "aws", "dependencies": [],
              "server_configs": [server("db-01", "eu-central-1a")] },
            { "id": "aws_taskservs", "type": "taskserv_batch", "provider": "aws",
              "dependencies": ["upcloud_servers", "aws_servers"], "taskservs": ["containerd", "redis"] },
        ],
    });
    for (key, value) in extra.as_object().unwrap() {
        batch[key] = value.clone();
    }
    batch
}

#[test]
fn the_published_batch_is_rehearsed_and_rolled_back_and_nothing_is_real() {
    support::run(async {
        let daemon = Daemon::start(&[]).await;
        let id = daemon.batch(&published(&json!({}))).await;
        let batch = daemon.ended(&id).await;
        assert_eq!((&batch["status"], &batch["rehearse"]), (&json!("Completed"), &json!(true)), "{batch}");
        let state = daemon.path("ws").join(".prov");
        assert!(state.join("rehearsal/twin/aws.json").exists() && !state.join("cloud").exists());
        // One server that can't be had: everything goes back.
        let failing =
            json!({ "infra": "other", "rehearse": { "seed": 3, "speed": 200.0, "rate": 1000.0, "fail": ["web-02"] } });
        let id = daemon.batch(&published(&failing)).await;
        let batch = daemon.ended(&id).await;
        assert_eq!((&batch["status"], &batch["left"]), (&json!("RolledBack"), &json!([])), "{batch}");
        let error = batch["error"].as_str().unwrap();
        assert!(error.contains("no resources for web-02 in nl-ams1"), "{error}");
        let twin: Value =
            serde_json::from_slice(&fs::read(state.join("rehearsal/twin/upcloud.json")).unwrap()).unwrap();
        let of_infra =
            |machine: &&Value| machine["machine"]["labels"]["prov-infra"] == "other" && machine["going"] == false;
        assert_eq!(twin["machines"].as_object().unwrap().values().filter(of_infra).count(), 0, "{twin}");
    });
}

#[test]
fn a_batch_is_held_to_its_plan() {
    support::run(async {
        let daemon = Daemon::start(&[]).await;
        let batch = published(&json!({}));
        let plan = daemon.post("/batch/plan", &batch).await;
        assert_eq!(plan.status, 200, "{plan:?}");
        let digest = plan.data()["digest"].as_str().unwrap().to_owned();
        let changes = &plan.data()["operations"][0]["changes"]["changes"][0];
        assert_eq!((&changes["action"], &changes["known_after"]), (&json!("create"), &json!(["id", "address"])));
        assert_eq!(plan.data()["operations"][2]["changes"][0]["server"], "db-01", "{:?}", plan.data());
        assert_eq!(
            daemon.post("/batch/plan", &batch).await.data()["digest"],
            digest.as_str(),
            "the same world, the same plan"
        );
        let wrong = daemon.post("/batch/execute", &published(&json!({ "plan": "sha256:12" }))).await;
        assert_eq!(wrong.status, 400, "{wrong:?}");
        let held = published(&json!({ "plan": digest }));
        let id = daemon.batch(&held).await;
        assert_eq!(daemon.ended(&id).await["status"], "Completed");
        // The servers are there now: it would not do that again.
        let refused = daemon.post("/batch/execute", &held).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "conflict"), "{refused:?}");
    });
}

#[test]
fn without_credentials_nothing_is_made_and_nothing_is_said_to_be_left() {
    support::run(async {
        let daemon = Daemon::start(&[]).await;
        let mut batch = published(&json!({}));
        batch.as_object_mut().unwrap().remove("rehearse");
        batch["operations"].as_array_mut().unwrap().truncate(1);
        let plan = daemon.post("/batch/plan", &batch).await;
        assert_eq!(plan.status.as_u16(), 409);
        let said = plan.body["error"].as_str().unwrap();
        assert!(said.contains("no credentials for UpCloud (set UPCLOUD_TOKEN"), "{said}");
        let ended = daemon.ended(&daemon.batch(&batch).await).await;
        assert_eq!((&ended["status"], &ended["left"]), (&json!("RolledBack"), &json!([])), "{ended}");
    });
}

#[test]
fn a_mode_that_is_none_is_refused() {
    let sample = Sample::new("rehearse:sped=2", &fleet(1));
    let refused = sample.prov("servers list");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("did you mean `speed`?"), "{refused:?}");
    assert!(!Path::new(&sample.dir.path().join(".prov")).exists());
}

//! A daemon and its processes with secrets in all the places where they can be: afterwards none is found anywhere.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use prov::api::operations::{Api, Media, TABLE};
use serde_json::{Value, json};

use super::canary::{Canaries, Watch, canary};
use crate::support::upcloud::{TOKEN, UpCloud};
use crate::support::{Daemon, run, until};

/// Writes a task service of the workspace.
fn service(workspace: &Path, name: &str, (install, check): (&str, &str)) {
    let dir = workspace.join("extensions/taskservs/test").join(name);
    fs::create_dir_all(dir.join("default")).unwrap();
    let metadata = format!("name = \"{name}\"\nversion = \"1\"\ndescription = \"Keeps a secret.\"\n");
    for (file, text) in [
        ("metadata.toml", metadata.as_str()),
        ("default/defs.toml", "password = \"\"\nkey = \"\"\n"),
        (&format!("install-{name}.sh"), install),
        (&format!("check-{name}.sh"), check),
        (&format!("uninstall-{name}.sh"), "rm -f /var/lib/sum; echo \"gone: $PROV_PARAM_PASSWORD\"\n"),
    ] {
        fs::write(dir.join(file), text).unwrap();
    }
}

/// Shows what a careless script shows, and keeps what proves that it had the secrets.
const INSTALL: &str = r#"echo "using $PROV_PARAM_PASSWORD and $PROV_PARAM_KEY"
printf '%s' "$PROV_PARAM_PASSWORD" | base64 -w0 >&2
env
printf '%s%s' "$PROV_PARAM_PASSWORD" "$PROV_PARAM_KEY" | sha256sum >/var/lib/sum
"#;
const CHECK: &str = r#"sum=$(printf '%s%s' "$PROV_PARAM_PASSWORD" "$PROV_PARAM_KEY" | sha256sum)
[ "$sum" = "$(cat /var/lib/sum)" ] && echo "known: $PROV_PARAM_PASSWORD"
"#;
const CLUSTER: &str = r#"name = "vaults"
version = "1"
description = "Keeps a secret."
[params]
password = ""
key = ""
[[roles]]
name = "member"
count = 1
plan = "1xCPU-256 MB"
taskservs = ["vault"]
pass = ["password", "key"]
[health]
role = "member"
timeout_seconds = 30
"#;

/// Deletes the servers of an infra when it goes.
struct Cleaning<'a>(&'a Path);

impl Drop for Cleaning<'_> {
    fn drop(&mut self) {
        let names = prov(self.0, "servers list --infra demo -o name", &[]).0.replace('\n', " ");
        if !names.trim().is_empty() {
            prov(self.0, &format!("servers delete --infra demo --yes {names}"), &[]);
        }
    }
}

/// What a command says on either stream.
fn prov(workspace: &Path, line: &str, env: &[(&str, &str)]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prov"));
    command
        .args(line.split_whitespace())
        .current_dir(workspace)
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    let output = command.envs(env.iter().copied()).stdin(Stdio::null()).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_batch_with_secrets_leaves_none_of_them_anywhere() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: local servers need root here");
    }
    run(async {
        let (password, key, cloud) = (canary("env"), canary("file"), UpCloud::start());
        let canaries = Canaries::of(&[&password, &key, TOKEN]);
        let mut daemon = Daemon::new(&[]);
        let workspace = fs::canonicalize(daemon.path("ws")).unwrap();
        let _cleaning = Cleaning(&workspace);
        let file = prepare(&workspace, &key);
        assert!(!canaries.found_in(&fs::read(&file).unwrap()).is_empty(), "what is looked for would be found");
        daemon.environment = vec![("CANARY".to_owned(), password.clone())];
        daemon.environment.extend(cloud.environment().map(|(name, value)| (name.to_owned(), value)));
        daemon.boot().await;

        let watch = Watch::start(&canaries);
        let ids = work(&daemon).await;
        let rounds = watch.expect_none();
        assert!(rounds > 10, "the processes were looked at {rounds} times");

        for (line, must_say) in [
            ("taskserv create vault --infra demo --check -o json", "vault"),
            ("servers create --infra demo --check -o json", "web"),
            ("infra show demo -o yaml", "CANARY"),
            ("taskserv list --infra demo -o json", "\"healthy\": true"),
            ("credentials list -o json", "UPCLOUD_TOKEN"),
        ] {
            let (out, err) = prov(&workspace, line, &[("CANARY", &password), ("UPCLOUD_TOKEN", TOKEN)]);
            assert!(out.contains(must_say), "{line}: {out}{err}");
            canaries.expect_none(line, format!("{out}{err}").as_bytes());
        }
        everything_that_is_told(&daemon, &ids, &canaries).await;
        canaries.expect_none("the daemon's log", daemon.log().as_bytes());
        assert!(canaries.expect_none_below(&daemon.path("data"), &[]) > 3);
        assert!(canaries.expect_none_below(&workspace, &[file]) > 10);
    });
}

/// A workspace whose settings and services refer to secrets; answers the file with one.
fn prepare(workspace: &Path, key: &str) -> std::path::PathBuf {
    service(workspace, "vault", (INSTALL, CHECK));
    service(workspace, "broken", ("echo \"bad: $PROV_PARAM_PASSWORD\" >&2; exit 3\n", "false\n"));
    let cluster = workspace.join("extensions/clusters/test/vaults");
    fs::create_dir_all(&cluster).unwrap();
    fs::write(cluster.join("cluster.toml"), CLUSTER).unwrap();
    fs::write(cluster.join("health.sh"), "echo \"healthy with $PROV_PARAM_PASSWORD\"; env\n").unwrap();
    fs::create_dir_all(workspace.join("infra/demo")).unwrap();
    let settings = json!({
        "servers": [{"name": "web", "plan": "1xCPU-256 MB"}],
        "taskservs": [{"name": "vault", "params": secrets()}],
    });
    fs::write(workspace.join("infra/demo/config.json"), settings.to_string()).unwrap();
    let file = workspace.join("key");
    fs::write(&file, format!("{key}\n")).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    file
}

fn secrets() -> Value {
    json!({"password": {"secret": {"env": "CANARY"}}, "key": {"secret": {"file": "key"}}})
}

/// A batch that succeeds and one that fails with a secret in its mouth; answers all ids.
async fn work(daemon: &Daemon) -> BTreeSet<String> {
    let server = json!({"id": "servers", "type": "server_batch", "provider": "local",
        "server_configs": [{"name": "web", "plan": "1xCPU-256 MB", "zone": "local"}]});
    let taskserv = |id: &str, name: &str| {
        json!({"id": id, "type": "taskserv_batch", "provider": "local", "dependencies": ["servers"],
            "taskservs": [{"name": name, "servers": ["web"], "params": secrets()}]})
    };
    let cluster = json!({"id": "vaults", "type": "cluster_batch", "provider": "local", "cluster_type": "vaults",
        "dependencies": ["vault"], "params": secrets()});
    let batch = |operations: Value| json!({"name": "canary", "infra": "demo", "operations": operations});
    let good = daemon.batch(&batch(json!([server, taskserv("vault", "vault"), cluster]))).await;
    let ended = daemon.ended(&good).await;
    assert_eq!(ended["status"], "Completed", "{ended}");
    let bad = daemon.batch(&batch(json!([server, taskserv("broken", "broken")]))).await;
    let ended = daemon.ended(&bad).await;
    assert_ne!(ended["status"], "Completed");
    assert!(ended.to_string().contains("bad: ********"), "the error is told without the secret: {ended}");
    let listed = daemon.get("/tasks?limit=100").await;
    let tasks = listed.data()["tasks"].as_array().or_else(|| listed.data().as_array()).cloned().unwrap_or_default();
    let mut ids: BTreeSet<String> = tasks.iter().filter_map(|task| task["id"].as_str().map(str::to_owned)).collect();
    assert!(ids.len() >= 5, "{listed:?}");
    ids.extend([good, bad, "demo".to_owned(), "admin".to_owned()]);
    ids
}

/// Every call that reads, of everything that there is.
async fn everything_that_is_told(daemon: &Daemon, ids: &BTreeSet<String>, canaries: &Canaries) {
    let mut told = 0;
    for row in TABLE.iter().filter(|row| row.method == "GET" && row.media != Media::Events && row.id != "event_socket")
    {
        let base = match row.api {
            Api::Orchestrator => daemon.orchestrator(),
            Api::ControlCenter => &daemon.control_center,
        };
        let paths = if row.path.contains('{') {
            ids.iter().map(|id| row.path.replace("{id}", id)).collect()
        } else {
            vec![row.path.to_owned()]
        };
        for path in paths {
            let answer = daemon.http.get(format!("{base}{path}")).bearer_auth(&daemon.token).send().await.unwrap();
            told += usize::from(answer.status().is_success());
            canaries.expect_none(&format!("GET {path}"), &answer.bytes().await.unwrap());
        }
    }
    assert!(told > 40, "{told} answers told something");
    let written = until("the log of a task is told", || async {
        let mut all = String::new();
        for id in ids.iter().filter(|id| id.len() > 30) {
            let request = daemon.http.get(format!("{}/tasks/{id}/logs", daemon.orchestrator()));
            all += &request.bearer_auth(&daemon.token).send().await.unwrap().text().await.unwrap();
        }
        all.contains("using ******** and ********").then_some(all)
    });
    canaries.expect_none("the logs", written.await.as_bytes());
}

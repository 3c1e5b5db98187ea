//! Servers as containers of Docker or Podman, for whom the settings say `driver: "container"` with an `image`.
//!
//! The record on disk decides which there are, so that nobody who has none needs an engine; it is written before the
//! container is made, which is found again by its name and told from others' by its labels.

mod engine;
mod exec;
mod http;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use self::engine::{Engine, LIMIT, refused};
use super::state::{Record, ServerDir};
use super::{LocalProvider, failed, names_in, not_running};
use crate::model::digest::sha256;
use crate::model::name::Name;
use crate::provision::provider::{ProviderError, Server, ServerSpec, ServerState};
use crate::provision::transport::{Exec, ExecResult, Mirrors, Transport};

/// Processes and threads of one server.
const PIDS_MAX: u32 = 16_384;
/// How long an image may take to come.
const PULL_WITHIN: Duration = Duration::from_mins(15);
/// What keeps a container running, and lets it stop at once.
const KEEP: &str = "trap 'exit 0' TERM; while :; do sleep 86400 & wait $!; done";

/// The image, where `spec` asks for a container.
pub fn image(spec: &ServerSpec) -> Result<Option<&str>, ProviderError> {
    let Some(driver) = spec.extra.get("driver") else { return Ok(None) };
    let wrong = |what: String| ProviderError::Invalid {
        what: format!("server {}: {what}", spec.name),
        hint: Some("a container has `driver: \"container\"` and `image`, as in \"debian:12\"".to_owned()),
    };
    if driver != "container" {
        return Err(wrong(format!("there is no driver {driver}")));
    }
    if let Some(other) = spec.extra.keys().find(|key| !["driver", "image"].contains(&key.as_str())) {
        return Err(wrong(format!("a container knows no field {other:?}")));
    }
    let image = spec.extra.get("image").and_then(Value::as_str).ok_or_else(|| wrong("it has no image".to_owned()))?;
    let is_image = image.starts_with(|c: char| c.is_ascii_alphanumeric())
        && image.len() <= 255
        && image.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c))
        && !image.contains("..");
    if is_image { Ok(Some(image)) } else { Err(wrong(format!("{image:?} is no image"))) }
}

/// What of a server can't change while it is there.
fn digest(spec: &ServerSpec) -> String {
    let fixed = json!([spec.plan.to_string(), spec.zone.as_str(), spec.extra]).to_string();
    sha256(fixed.as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The containers of one workspace.
pub struct Containers {
    root: PathBuf,
    workspace: String,
}

impl Containers {
    /// Those whose records are in `root`.
    pub fn new(root: PathBuf, workspace: &str) -> Self {
        Self { root, workspace: workspace.to_owned() }
    }

    fn dir(&self, infra: &Name, name: &Name) -> ServerDir {
        ServerDir::at(self.root.join(infra.as_str()).join(name.as_str()))
    }

    /// The name of the container: names may hold dashes, so only the hash tells `a-b c` from `a b-c`.
    fn id(&self, infra: &Name, name: &Name) -> String {
        let hash = super::hash(format!("{infra}:{name}").as_bytes());
        format!("prov-{}-{:08x}-{infra}-{name}", self.workspace, hash >> 32)
    }

    /// Whether the server is one of them.
    pub fn has(&self, infra: &Name, name: &Name) -> bool {
        self.dir(infra, name).path().exists()
    }

    /// Those of `infra`.
    pub fn list(&self, infra: &Name) -> Result<Vec<Server>, ProviderError> {
        let names = names_in(&self.root.join(infra.as_str()))
            .map_err(|error| failed("can't read the records of containers".to_owned(), error))?;
        let engine = if names.is_empty() { return Ok(Vec::new()) } else { Engine::find()? };
        let mut servers = Vec::new();
        for name in names {
            match self.view(&engine, infra, &name) {
                Ok(seen) => servers.extend(seen),
                Err(ProviderError::Failed { source, .. })
                    if source.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::InvalidData) =>
                {
                    let error = io::Error::other(source.to_string());
                    servers.push(super::damaged(infra, &name, self.id(infra, &name), &error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(servers)
    }

    /// The server as the engine shows it now.
    pub fn find(&self, infra: &Name, name: &Name) -> Result<Server, ProviderError> {
        self.view(&Engine::find()?, infra, name)?.ok_or_else(|| ProviderError::NotFound(name.clone()))
    }

    fn view(&self, engine: &Engine, infra: &Name, name: &Name) -> Result<Option<Server>, ProviderError> {
        let dir = self.dir(infra, name);
        let Some(record) = dir
            .record()
            .and_then(|record| match record {
                None => dir.deleting(),
                record => Ok(record),
            })
            .map_err(|error| unreadable(name, error))?
        else {
            return Ok(None);
        };
        let there = Self::inspect(engine, &record.id, infra, name)?;
        let deleting = dir.path().join("deleting.json").exists();
        let is_running = there.as_ref().is_some_and(|there| there["State"]["Running"] == Value::Bool(true));
        let state = match &there {
            Some(_) if is_running && !deleting => ServerState::Running,
            Some(_) if dir.is_made() && !deleting => ServerState::Stopped,
            _ => ServerState::Incomplete,
        };
        let held = there.unwrap_or_default();
        let networks = held["NetworkSettings"]["Networks"].as_object();
        let address = networks
            .and_then(|all| all.values().find_map(|one| one["IPAddress"].as_str().filter(|text| !text.is_empty())));
        let plan = &record.spec.plan;
        let is_limited = held["HostConfig"]["Memory"].as_u64() == Some(plan.memory_mib << 20)
            && held["HostConfig"]["NanoCpus"].as_u64() == Some(u64::from(plan.cpus) * 1_000_000_000);
        let limits =
            if is_limited { "enforced (by the container engine)" } else { "not enforced: the engine has others" };
        Ok(Some(Server {
            address: address.map(str::to_owned),
            limits: limits.to_owned(),
            spec: record.spec,
            id: record.id,
            provider: "local".to_owned(),
            state,
            notes: record.notes,
            changed: Vec::new(),
            stray: false,
        }))
    }

    /// What the engine says of the container, if there is one; one of somebody else's is an error.
    fn inspect(engine: &Engine, id: &str, infra: &Name, name: &Name) -> Result<Option<Value>, ProviderError> {
        let (status, said) = engine.ask("GET", &format!("/containers/{id}/json"), None, LIMIT)?;
        if status == 404 {
            return Ok(None);
        }
        let labels = &said["Config"]["Labels"];
        if status >= 400 {
            Err(refused(&format!("can't look at server {name}"), &said))
        } else if labels["prov-infra"] == infra.as_str() && labels["prov-server"] == name.as_str() {
            Ok(Some(said))
        } else {
            let what = format!("the container {id} is not server {name}: it has other labels");
            Err(ProviderError::Unavailable { what, hint: Some("remove or rename it".to_owned()) })
        }
    }

    /// Makes the server, or starts the one that is there.
    pub fn create(&self, spec: &ServerSpec, image: &str) -> Result<Server, ProviderError> {
        let (name, dir) = (&spec.name, self.dir(&spec.infra, &spec.name));
        let engine = Engine::find()?;
        let _held = dir.lock().map_err(|error| failed(format!("can't lock server {name}"), error))?;
        let record = dir.record().map_err(|error| unreadable(name, error))?;
        if let Some(there) = &record {
            super::lifecycle::same(&there.spec, spec)?;
        } else {
            let id = self.id(&spec.infra, name);
            if dir.path().join("deleting.json").exists() {
                Self::unmake(&engine, &dir, &id, &spec.infra, name)?;
            }
            let (spec, home) = (spec.clone(), Some(dir.path().to_owned()));
            let (cgroups, limits, notes) = (Vec::new(), String::new(), Vec::new());
            dir.write_record(&Record { spec, id, home, address: None, cgroups, limits, notes })
                .map_err(|error| failed(format!("can't record server {name}"), error))?;
        }
        let id = record.map_or_else(|| self.id(&spec.infra, name), |record| record.id);
        match Self::inspect(&engine, &id, &spec.infra, name)? {
            None => make(&engine, &id, spec, image)?,
            Some(there) => {
                let (actual, wanted) = (&there["Config"]["Labels"]["prov-spec"], digest(spec));
                if *actual != wanted.as_str() {
                    let actual = actual.as_str().unwrap_or("none").to_owned();
                    return Err(ProviderError::Conflict { name: name.clone(), field: "spec", actual, wanted });
                }
            }
        }
        // One that runs already is no error: 304.
        engine.must(&format!("can't start server {name}"), "POST", &format!("/containers/{id}/start"), None)?;
        dir.mark_made().map_err(|error| unreadable(name, error))?;
        self.find(&spec.infra, name)
    }

    /// Deletes the server with its volumes.
    pub fn delete(&self, infra: &Name, name: &Name) -> Result<(), ProviderError> {
        let (dir, engine) = (self.dir(infra, name), Engine::find()?);
        let _held = dir.lock().map_err(|error| failed(format!("can't lock server {name}"), error))?;
        let id = dir.known().map_or_else(|| self.id(infra, name), |record| record.id);
        Self::unmake(&engine, &dir, &id, infra, name)?;
        LocalProvider::forget(&dir).map_err(|error| failed(format!("can't remove {}", dir.path().display()), error))
    }

    fn unmake(engine: &Engine, dir: &ServerDir, id: &str, infra: &Name, name: &Name) -> Result<(), ProviderError> {
        dir.begin_deletion().map_err(|error| failed(format!("can't mark server {name}"), error))?;
        if Self::inspect(engine, id, infra, name)?.is_some() {
            let (status, said) = engine.ask("DELETE", &format!("/containers/{id}?force=true&v=true"), None, LIMIT)?;
            if status >= 400 && status != 404 {
                return Err(refused(&format!("can't delete server {name}"), &said));
            }
        }
        for file in ["made", "deleting.json"] {
            super::remove::remove(&dir.join(file))
                .map_err(|error| failed(format!("the record of server {name} is left"), error))?;
        }
        Ok(())
    }

    /// The state directory of a server, for those who change its record.
    pub fn record_of(&self, infra: &Name, name: &Name) -> ServerDir {
        self.dir(infra, name)
    }

    /// The way into a server that runs.
    pub fn transport(&self, infra: &Name, name: &Name) -> Result<Inside, ProviderError> {
        let engine = Engine::find()?;
        let server = self.view(&engine, infra, name)?.ok_or_else(|| ProviderError::NotFound(name.clone()))?;
        if server.state != ServerState::Running {
            return Err(not_running(name));
        }
        Ok(Inside { engine, id: server.id })
    }
}

/// The way into a container.
pub struct Inside {
    engine: Engine,
    id: String,
}

impl Transport for Inside {
    fn exec(&self, exec: &Exec<'_>) -> Result<ExecResult, ProviderError> {
        exec::run(&self.engine, &self.id, exec)
    }

    fn mirrors(&self) -> Mirrors {
        Mirrors::Reached
    }
}

fn make(engine: &Engine, id: &str, spec: &ServerSpec, image: &str) -> Result<(), ProviderError> {
    let attempt = format!("can't make server {}", spec.name);
    let (status, _) = engine.ask("GET", &format!("/images/{image}/json"), None, LIMIT)?;
    if status == 404 {
        let tag =
            if image.rsplit('/').next().is_some_and(|last| last.contains([':', '@'])) { "" } else { "&tag=latest" };
        let path = format!("/images/create?fromImage={image}{tag}");
        let (status, said) = engine.ask("POST", &path, None, PULL_WITHIN)?;
        // What fails while it comes is said in an answer of status 200.
        if status >= 400 || engine.ask("GET", &format!("/images/{image}/json"), None, LIMIT)?.0 == 404 {
            let why = said["message"].as_str().unwrap_or("the engine could not fetch it").to_owned();
            return Err(ProviderError::Unavailable {
                what: format!("{attempt}: there is no image {image}: {why}"),
                hint: Some("load it (`docker load`, `podman load`), or write another `image`".to_owned()),
            });
        }
    }
    let mut body = order(spec, image, engine.is_podman);
    let path = format!("/containers/create?name={id}");
    let (mut status, mut said) = engine.ask("POST", &path, Some(&body), LIMIT)?;
    if status >= 400 && said["message"].as_str().is_some_and(|why| why.contains("container-init binary")) {
        // Podman's init is a package of its own; without it nothing reaps orphans, and all else works.
        body["HostConfig"]["Init"] = Value::Bool(false);
        (status, said) = engine.ask("POST", &path, Some(&body), LIMIT)?;
    }
    if status >= 400 { Err(refused(&attempt, &said)) } else { Ok(()) }
}

fn order(spec: &ServerSpec, image: &str, is_podman: bool) -> Value {
    let mut labels: serde_json::Map<String, Value> =
        spec.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let own = [("infra", spec.infra.to_string()), ("server", spec.name.to_string()), ("spec", digest(spec))];
    labels.extend(own.into_iter().map(|(key, value)| (format!("prov-{key}"), json!(value))));
    labels.insert("prov-operation".to_owned(), json!(spec.operation));
    let mut host = json!({
        "Memory": spec.plan.memory_mib << 20,
        "NanoCpus": u64::from(spec.plan.cpus) * 1_000_000_000,
        "PidsLimit": PIDS_MAX,
        "Init": true,
    });
    if is_podman {
        // Podman asks for more than an account may have whose hard limits are low.
        let limit = |name: &str, resource, most: u64| {
            let hard = getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
            json!({"Name": name, "Soft": hard, "Hard": hard})
        };
        host["Ulimits"] =
            json!([limit("nofile", Resource::Nofile, 1 << 20), limit("nproc", Resource::Nproc, u64::from(PIDS_MAX))]);
    }
    json!({
        "Image": image, "Hostname": spec.name.as_str(), "User": "0:0", "Labels": labels, "HostConfig": host,
        "Entrypoint": ["sh", "-c", KEEP], "Cmd": [],
    })
}

fn unreadable(name: &Name, error: io::Error) -> ProviderError {
    failed(format!("can't read the state of server {name}"), error)
}

//! The `local` provider: servers as namespaces on this machine, from its own directories, copy-on-write; or, where the
//! settings say so, as containers of its engine ([`container`]).
//!
//! The first need nothing but the kernel: no image, no daemon, no helper program. [`state`] says what is on disk and who may
//! touch it; [`init`] becomes a server; [`exec`] runs commands in it; [`root_fs`] puts its root together. As root of the
//! machine a server has an address of its own ([`network`]) and the limits of its plan ([`cgroup`]). It is isolation
//! from accidents, not from malice. Knows nothing of task services, batches or the daemon.

pub mod cgroup;
mod container;
pub mod exec;
mod hidden;
mod hosts;
pub mod init;
mod kernel_fs;
mod layers;
mod lifecycle;
mod machine_lock;
pub mod netlink;
pub mod network;
mod own_files;
pub mod probe;
pub mod procs;
mod remove;
mod root_fs;
pub mod state;
mod sys;
mod unprivileged;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use self::container::{Containers, Engines, Look};
use self::network::Network;
use self::state::{Record, ServerDir};
use super::{Provider, ProviderError, Server, ServerSpec, ServerState};
use crate::model::name::Name;
use crate::provision::transport::{Exec, ExecResult, Mirrors, Transport};

/// How often a server that somebody else is making is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// What the fields say that are left out.
const DEFAULTS: [(&str, &str); 2] = [("driver", container::NAMESPACE), ("network", network::PRIVATE)];

/// The driver for one workspace.
#[derive(Debug)]
pub struct LocalProvider {
    /// Where the state of all servers is.
    root: PathBuf,
    /// Tells this workspace's servers from those of others, in names that the whole machine shares.
    workspace: String,
    /// The prov binary: it becomes inits and runs commands.
    program: PathBuf,
    /// The container engine's socket, where the usual places are not asked.
    engine: Option<PathBuf>,
}

/// Runs `prov internal WORD …` for one of the driver's own two processes. They must have one thread.
#[must_use]
pub fn internal(word: &str, rest: &[OsString]) -> ExitCode {
    if word == exec::SUBCOMMAND { exec::inside::run(rest) } else { init::run(rest) }
}

impl LocalProvider {
    /// The driver for the workspace at `workspace`.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn new(workspace: &Path) -> Result<Self, ProviderError> {
        let workspace = workspace
            .canonicalize()
            .map_err(|error| failed(format!("can't find the workspace {}", workspace.display()), error))?;
        let hash = hash(workspace.as_os_str().as_encoded_bytes());
        Ok(Self {
            root: workspace.join(".prov/local"),
            workspace: format!("{:08x}", hash >> 32),
            program: PathBuf::from("/proc/self/exe"),
            engine: None,
        })
    }

    /// The same with the prov binary at `program` instead of the running one.
    #[must_use]
    pub fn with_program(self, program: PathBuf) -> Self {
        Self { program, ..self }
    }

    /// The same with the container engine behind `socket` for the servers that it makes.
    #[must_use]
    pub fn with_engine(self, socket: PathBuf) -> Self {
        Self { engine: Some(socket), ..self }
    }

    fn containers(&self) -> Containers<'_> {
        Containers { root: &self.root, workspace: &self.workspace, socket: self.engine.as_deref() }
    }

    fn dir(&self, infra: &Name, name: &Name) -> ServerDir {
        ServerDir::at(self.root.join(infra.as_str()).join(name.as_str()))
    }

    fn id(&self, infra: &Name, name: &Name) -> String {
        // A colon is in no name, so no two servers have one id.
        format!("{}:{infra}:{name}", self.workspace)
    }
}

impl Provider for LocalProvider {
    fn name(&self) -> &'static str {
        "local"
    }

    fn validate(&self, spec: &ServerSpec) -> Result<(), ProviderError> {
        if container::image(spec)?.is_some() {
            return Ok(());
        }
        Network::of(spec).map(drop).map_err(|what| ProviderError::Invalid {
            what: format!("server {}: {what}", spec.name),
            hint: Some("the provider local knows the field `network`: \"private\" or \"host\"".to_owned()),
        })
    }

    fn normal(&self, spec: ServerSpec) -> ServerSpec {
        normal(spec)
    }

    fn warnings(&self, spec: &ServerSpec) -> Vec<String> {
        if let Ok(Some(image)) = container::image(spec) {
            return self.containers().warnings(image);
        }
        let is_open = Network::of(spec) == Ok(Network::Host);
        is_open.then(|| network::HOST_NOTE.to_owned()).into_iter().collect()
    }

    fn no_addresses(&self) -> Option<String> {
        let ordinary = !unprivileged::is_privileged();
        ordinary.then(|| "an ordinary user's servers on this machine have no addresses, only root's have".to_owned())
    }

    fn list(&self, infra: &Name) -> Result<Vec<Server>, ProviderError> {
        let looks = self.look_at_all(infra)?;
        Ok(looks
            .into_iter()
            .filter_map(|look| if let Look::Server(server) = look { Some(*server) } else { None })
            .collect())
    }

    fn gone(&self, infra: &Name) -> Result<Vec<ServerSpec>, ProviderError> {
        let looks = self.look_at_all(infra)?;
        Ok(looks.into_iter().filter_map(|look| if let Look::Gone(spec) = look { Some(*spec) } else { None }).collect())
    }

    fn create(&self, spec: &ServerSpec) -> Result<Server, ProviderError> {
        self.validate(spec)?;
        let spec = &normal(spec.clone());
        let (infra, name, dir) = (&spec.infra, &spec.name, self.dir(&spec.infra, &spec.name));
        let _held = dir.lock().map_err(|error| failed(format!("can't lock server {name}"), error))?;
        let there = dir.record().map_err(|error| failed(format!("can't read the state of server {name}"), error))?;
        let image = container::image(spec)?;
        match &there {
            Some(there) => lifecycle::same(&there.spec, spec)?,
            // A container has nothing to do with the machine's networks, unless a server without one was there.
            None if image.is_some() && dir.is_untouched() => {}
            // What a deletion or a creation that was cut short has left.
            None => self.unmake(&dir, infra, name)?,
        }
        let made = match image {
            Some(image) => self.containers().make(&dir, spec, image, there),
            None => self.make(&dir, spec, there),
        };
        if made.is_err() && dir.is_untouched() {
            // Of one that was never begun nobody needs to know.
            let _ = Self::forget(&dir);
        }
        made?;
        self.find(infra, name)
    }

    fn wait_ready(&self, infra: &Name, name: &Name, limit: Duration) -> Result<Server, ProviderError> {
        let begun = Instant::now();
        loop {
            let server = self.find(infra, name)?;
            match server.state {
                ServerState::Running => return Ok(server),
                ServerState::Incomplete if begun.elapsed() < limit => std::thread::sleep(INTERVAL),
                ServerState::Incomplete => {
                    let what = format!("server {name} was not ready within {} s", limit.as_secs());
                    return Err(ProviderError::Unavailable { what, hint: Some("create it again".to_owned()) });
                }
                ServerState::Stopped | ServerState::Damaged => return Err(not_running(name)),
            }
        }
    }

    fn delete(&self, infra: &Name, name: &Name) -> Result<(), ProviderError> {
        let dir = self.dir(infra, name);
        if !dir.path().exists() {
            return Ok(());
        }
        let _held = dir.lock().map_err(|error| failed(format!("can't lock server {name}"), error))?;
        self.unmake(&dir, infra, name)?;
        Self::forget(&dir).map_err(|error| failed(format!("can't remove {}", dir.path().display()), error))
    }

    fn relabel(&self, infra: &Name, name: &Name, labels: &BTreeMap<String, String>) -> Result<Server, ProviderError> {
        let dir = self.dir(infra, name);
        if !dir.path().exists() {
            return Err(ProviderError::NotFound(name.clone()));
        }
        let _held = dir.lock().map_err(|error| failed(format!("can't lock server {name}"), error))?;
        let unreadable = |error| failed(format!("can't read the state of server {name}"), error);
        let mut record = dir.record().map_err(unreadable)?.ok_or_else(|| ProviderError::NotFound(name.clone()))?;
        record.spec.labels.clone_from(labels);
        dir.write_record(&record).map_err(|error| failed(format!("can't record server {name}"), error))?;
        match self.look(infra, name, &mut Engines::new()).map_err(unreadable)? {
            Look::Server(server) => Ok(*server),
            Look::Nothing | Look::Gone(_) => Err(ProviderError::NotFound(name.clone())),
        }
    }

    fn transport(&self, infra: &Name, name: &Name) -> Result<Box<dyn Transport + '_>, ProviderError> {
        let dir = self.dir(infra, name);
        if !dir.path().exists() {
            return Err(ProviderError::NotFound(name.clone()));
        }
        if dir.is_container() {
            return Ok(Box::new(self.containers().transport(&dir, name)?));
        }
        Ok(Box::new(Inside { program: &self.program, dir, name: name.clone() }))
    }
}

/// The way into a server of this machine.
struct Inside<'p> {
    program: &'p Path,
    dir: ServerDir,
    name: Name,
}

impl Transport for Inside<'_> {
    fn exec(&self, exec: &Exec<'_>) -> Result<ExecResult, ProviderError> {
        let Self { program, dir, name } = self;
        let init = dir.ready_init().map_err(|error| failed(format!("can't read the state of server {name}"), error))?;
        if init.is_none() {
            return Err(not_running(name));
        }
        exec::run(program, dir, name, exec)
    }

    fn mirrors(&self) -> Mirrors {
        Mirrors::ThroughHost
    }
}

impl LocalProvider {
    fn find(&self, infra: &Name, name: &Name) -> Result<Server, ProviderError> {
        let dir = self.dir(infra, name);
        if dir.is_container() {
            return self.containers().find(&dir, name);
        }
        view(&dir)
            .map_err(|error| failed(format!("can't read the state of server {name}"), error))?
            .ok_or_else(|| ProviderError::NotFound(name.clone()))
    }

    fn look(&self, infra: &Name, name: &Name, engines: &mut Engines) -> io::Result<Look> {
        let dir = self.dir(infra, name);
        if dir.is_container() {
            return self.containers().look(&dir, engines);
        }
        Ok(view(&dir)?.map_or(Look::Nothing, |server| Look::Server(Box::new(server))))
    }

    /// What there is of each server of `infra`, ordered by name.
    fn look_at_all(&self, infra: &Name) -> Result<Vec<Look>, ProviderError> {
        let dir = self.root.join(infra.as_str());
        let (mut looks, mut engines) = (Vec::new(), Engines::new());
        for name in names_in(&dir).map_err(|error| failed(format!("can't read {}", dir.display()), error))? {
            match self.look(infra, &name, &mut engines) {
                Ok(look) => looks.push(look),
                // One that can't be read must not keep the others from being used.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let damaged = Server::damaged(infra, &name, "local", self.id(infra, &name), &error);
                    looks.push(Look::Server(Box::new(damaged)));
                }
                Err(error) => return Err(failed(format!("can't read the state of server {name}"), error)),
            }
        }
        Ok(looks)
    }
}

/// The server as its state directory shows it now.
fn view(dir: &ServerDir) -> io::Result<Option<Server>> {
    let (record, deleting) = match dir.record()? {
        Some(record) => (record, false),
        None => match dir.deleting()? {
            Some(record) => (record, true),
            None => return Ok(None),
        },
    };
    let init = dir.ready_init()?;
    let state = match &init {
        Some(_) if !deleting => ServerState::Running,
        None if !deleting && dir.is_made() && !dir.has_init()? => ServerState::Stopped,
        _ => ServerState::Incomplete,
    };
    let Record { spec, id, address, limits, mut notes, .. } = record;
    notes.extend(init.into_iter().flat_map(|init| init.notes));
    let address = address.map(|address| address.to_string());
    Ok(Some(Server { address, limits, notes, ..Server::of(spec, "local", id, state) }))
}

/// The names of the directories in `dir`, ordered; none where there is no such directory.
fn names_in(dir: &Path) -> io::Result<Vec<Name>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        // What is no name was not made by the driver.
        names.extend(entry?.file_name().into_string().ok().and_then(|text| Name::new(text).ok()));
    }
    names.sort();
    Ok(names)
}

/// `spec` without what says no more than its default.
fn normal(mut spec: ServerSpec) -> ServerSpec {
    spec.extra.retain(|field, value| !DEFAULTS.iter().any(|(name, default)| field == name && value == default));
    spec
}

fn failed(attempt: String, source: io::Error) -> ProviderError {
    ProviderError::Failed { attempt, source: Box::new(source) }
}

fn not_running(name: &Name) -> ProviderError {
    ProviderError::Unavailable {
        what: format!("server {name} does not run"),
        hint: Some("create it again: that starts it with the files it had".to_owned()),
    }
}

/// FNV-1a, 64 bits (RFC draft-eastlake-fnv): the same in every release, unlike the standard library's.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_says_no_more_than_its_default_is_neither_recorded_nor_reported() {
        let spec = |extra: &serde_json::Value| -> ServerSpec {
            let whole = json!({"infra": "a", "name": "web", "plan": "1xCPU-1 GB", "zone": "z", "extra": extra});
            serde_json::from_value(whole).unwrap()
        };
        assert_eq!(normal(spec(&json!({"driver": "namespace", "network": "private"}))), spec(&json!({})));
        let said = spec(&json!({"driver": "container", "image": "namespace", "network": "host"}));
        assert_eq!(normal(said.clone()), said);

        let dir = tempfile::tempdir().unwrap();
        let written = spec(&json!({"driver": "namespace"}));
        let record = json!({"spec": written, "id": "i", "address": null, "cgroups": [], "limits": "", "notes": []});
        fs::write(dir.path().join("spec.json"), record.to_string()).unwrap();
        let server = view(&ServerDir::at(dir.path().to_owned())).unwrap().unwrap();
        assert_eq!(server.spec, spec(&json!({})), "an older record says it");
    }
}

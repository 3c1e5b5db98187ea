//! The provider `ssh`: hosts that the user has already. Making one is reaching it, checking it and putting it on record;
//! deleting one is forgetting it.
//!
//! Nothing on a host is made or removed here: its task services are removed by operations of their own.

mod fields;
mod record;
mod trust;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub use self::fields::{Fields, Pinned};
use self::record::{Record, Records};
pub use self::trust::{confirm, way};
use super::{Provider, ProviderError, Server, ServerSpec, ServerState};
use crate::model::name::Name;
use crate::provision::transport::ssh::Ssh;
use crate::provision::transport::{Exec, Transport};
use crate::provision::workspace::Workspace;

/// The provider's name.
pub const NAME: &str = "ssh";
/// How long a host may take to say that it is there, when all are listed.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take to be checked.
const CHECKED_WITHIN: Duration = Duration::from_mins(1);
/// Hosts that are asked at once.
const AT_ONCE: usize = 16;
/// What a host must be able to do, and what is asked of it.
const CHECK: &str =
    "set -e; uname -srm; getconf _NPROCESSORS_ONLN || nproc; sed -n 's/^MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo";

/// Whether the workspace has hosts of `infra` on record.
#[must_use]
pub fn has_any(workspace: &Workspace, infra: &Name) -> bool {
    Records::of(workspace).names(infra).is_ok_and(|names| !names.is_empty())
}

/// The hosts of one workspace.
pub struct SshHosts {
    workspace: Workspace,
    records: Records,
}

impl SshHosts {
    /// Those of `workspace`.
    #[must_use]
    pub fn new(workspace: &Workspace) -> Self {
        Self { workspace: workspace.clone(), records: Records::of(workspace) }
    }

    fn ssh(&self, spec: &ServerSpec) -> Result<Ssh, ProviderError> {
        Ssh::new(way(&self.workspace, &Fields::of(spec)?)?).map_err(|error| named(error, spec))
    }

    fn record(&self, infra: &Name, name: &Name) -> Result<Record, ProviderError> {
        self.records.read(infra, name)?.ok_or_else(|| ProviderError::NotFound(name.clone()))
    }

    /// Two servers that are one host would install over each other.
    fn refuse_second(&self, spec: &ServerSpec, fields: &Fields) -> Result<(), ProviderError> {
        for name in self.records.names(&spec.infra)?.iter().filter(|name| **name != spec.name) {
            let Some(other) = self.records.read(&spec.infra, name)? else { continue };
            let there = Fields::of(&other.spec);
            if there.is_ok_and(|there| (there.to.address(), there.to.port()) == (fields.to.address(), fields.to.port()))
            {
                return Err(ProviderError::Invalid {
                    what: format!("server {}: its host is the server {name} of {} already", spec.name, spec.infra),
                    hint: Some("give each host one name".to_owned()),
                });
            }
        }
        Ok(())
    }

    /// What the host is, a sentence each.
    fn check(&self, spec: &ServerSpec) -> Result<Vec<String>, ProviderError> {
        let argv = ["sh", "-c", CHECK].map(str::to_owned).to_vec();
        let deadline = Instant::now().checked_add(CHECKED_WITHIN);
        let result = self.ssh(spec)?.exec(&Exec { argv, deadline, ..Exec::default() });
        let result = result.map_err(|error| named(error, spec))?;
        let facts = (result.status == 0 && !result.timed_out).then(|| facts(&result.stdout, spec)).flatten();
        facts.ok_or_else(|| ProviderError::Unavailable {
            what: format!("server {}: its host can't say what it is", spec.name),
            hint: Some("it must be a Linux host with a POSIX shell and /proc".to_owned()),
        })
    }

    fn is_there(&self, record: &Record) -> Server {
        let argv = vec!["true".to_owned()];
        let deadline = Instant::now().checked_add(ANSWERS_WITHIN);
        let asked = self
            .ssh(&record.spec)
            .and_then(|ssh| ssh.connecting_within(ANSWERS_WITHIN).exec(&Exec { argv, deadline, ..Exec::default() }));
        let silent = match asked {
            Ok(result) if result.status == 0 && !result.timed_out => None,
            Ok(_) => Some("it takes too long to answer".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        server(record.clone(), silent)
    }
}

impl Provider for SshHosts {
    fn name(&self) -> &str {
        NAME
    }

    fn validate(&self, spec: &ServerSpec) -> Result<(), ProviderError> {
        Fields::of(spec).map(drop)
    }

    fn warnings(&self, spec: &ServerSpec) -> Vec<String> {
        let to = Fields::of(spec).map_or_else(|_| "its host".to_owned(), |fields| fields.to.to_string());
        vec![format!("{to} is a host of your own: it is put on record, and deleting the server changes nothing on it")]
    }

    fn list(&self, infra: &Name) -> Result<Vec<Server>, ProviderError> {
        let names = self.records.names(infra)?;
        // One that can't be read must not keep the others from being used.
        let there = |name| match self.records.read(infra, name) {
            Ok(record) => record.map(|record| self.is_there(&record)),
            Err(error) => Some(Server::damaged(infra, name, NAME, String::new(), &error)),
        };
        let mut servers = Vec::with_capacity(names.len());
        for some in names.chunks(AT_ONCE) {
            std::thread::scope(|scope| {
                let asked: Vec<_> = some.iter().map(|name| scope.spawn(move || there(name))).collect();
                servers.extend(asked.into_iter().filter_map(|one| one.join().ok().flatten()));
            });
        }
        Ok(servers)
    }

    fn recorded(&self, infra: &Name) -> Option<Vec<Name>> {
        Some(self.records.names(infra).unwrap_or_default())
    }

    fn create(&self, spec: &ServerSpec) -> Result<Server, ProviderError> {
        let fields = Fields::of(spec)?;
        if let Some(there) = self.records.read(&spec.infra, &spec.name)? {
            refuse_other(&there.spec, spec)?;
        }
        self.refuse_second(spec, &fields)?;
        let record = Record { spec: spec.clone(), notes: self.check(spec)? };
        self.records.write(&record)?;
        Ok(server(record, None))
    }

    fn wait_ready(&self, infra: &Name, name: &Name, limit: Duration) -> Result<Server, ProviderError> {
        let record = self.record(infra, name)?;
        self.ssh(&record.spec)?.wait_ready(limit).map_err(|error| named(error, &record.spec))?;
        Ok(server(record, None))
    }

    fn delete(&self, infra: &Name, name: &Name) -> Result<(), ProviderError> {
        self.records.remove(infra, name)
    }

    fn relabel(&self, infra: &Name, name: &Name, labels: &BTreeMap<String, String>) -> Result<Server, ProviderError> {
        let mut record = self.record(infra, name)?;
        record.spec.labels.clone_from(labels);
        self.records.write(&record)?;
        Ok(self.is_there(&record))
    }

    fn transport(&self, infra: &Name, name: &Name) -> Result<Box<dyn Transport + '_>, ProviderError> {
        Ok(Box::new(self.ssh(&self.record(infra, name)?.spec)?))
    }
}

/// The host as a server; `silent` says why it doesn't answer.
fn server(record: Record, silent: Option<String>) -> Server {
    let Record { spec, mut notes } = record;
    let fields = Fields::of(&spec).ok();
    let state = if silent.is_some() { ServerState::Stopped } else { ServerState::Running };
    notes.extend(silent.as_ref().map(|why| format!("it doesn't answer: {why}")));
    let id = fields.as_ref().map_or_else(String::new, |fields| fields.to.to_string());
    Server {
        address: fields.map(|fields| fields.to.address().to_owned()),
        limits: "not enforced: it is a host of your own".to_owned(),
        notes,
        silent,
        ..Server::of(spec, NAME, id, state)
    }
}

fn refuse_other(there: &ServerSpec, wanted: &ServerSpec) -> Result<(), ProviderError> {
    let conflict = |field, actual: String, wanted_value: String| {
        Err(ProviderError::Conflict { name: wanted.name.clone(), field, actual, wanted: wanted_value })
    };
    if there.plan != wanted.plan {
        return conflict("plan", there.plan.to_string(), wanted.plan.to_string());
    }
    if there.zone != wanted.zone {
        return conflict("zone", there.zone.to_string(), wanted.zone.to_string());
    }
    let shown = |spec: &ServerSpec| serde_json::Value::from(spec.extra.clone()).to_string();
    if there.extra == wanted.extra { Ok(()) } else { conflict("host", shown(there), shown(wanted)) }
}

/// What the check printed: the system, its processors, its memory in KiB.
fn facts(printed: &[u8], spec: &ServerSpec) -> Option<Vec<String>> {
    let text = String::from_utf8_lossy(printed);
    let [system, cpus, memory] = text.lines().collect::<Vec<_>>()[..] else { return None };
    let (cpus, memory_mib) = (cpus.parse::<u32>().ok()?, memory.parse::<u64>().ok()? / 1024);
    let mut notes = vec![format!("{system}, {cpus} processors, {memory_mib} MB")];
    // What the kernel keeps for itself is no lie of the settings.
    if cpus < spec.plan.cpus || memory_mib + memory_mib / 8 < spec.plan.memory_mib {
        notes.push(format!("it has less than its plan {} says", spec.plan));
    }
    Some(notes)
}

/// The error with the names by which its hint can be followed.
fn named(error: ProviderError, spec: &ServerSpec) -> ProviderError {
    match error {
        ProviderError::Unavailable { what, hint } => ProviderError::Unavailable {
            what,
            hint: hint.map(|hint| hint.replace("NAME --infra INFRA", &format!("{} --infra {}", spec.name, spec.infra))),
        },
        other => other,
    }
}

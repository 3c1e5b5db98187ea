//! One server: what is to be done there, and doing it; packages, scripts, records. Everything happens through its [`Transport`].

use std::path::PathBuf;
use std::time::Duration;

use super::definition::Definition;
use super::library::Library;
use super::order::{self, Placed};
use super::packages::{self, PackageError};
use super::parameter;
use super::record::{DIRECTORY, Record, Stored, digest};
use super::run::whole;
use super::script;
use super::{Action, Cluster, Done, Installed, Removal};
use crate::model::name::Name;
use crate::model::time::Timestamp;
use crate::provision::artifact::ArtifactError;
use crate::provision::provider::{ProviderError, Server};
use crate::provision::report::Reporter;
use crate::provision::secret::SecretError;
use crate::provision::transport::Transport;
use crate::provision::workspace::Workspace;

/// Where scripts find prov, when they need it.
const PROV: &str = "/usr/local/lib/prov/prov";

/// Why a service could not be installed or removed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    #[error("can't run a command in the server")]
    Exec(#[from] ProviderError),
    #[error("{taskserv}: its {what} script took longer than {limit_s} s and was ended{}{last_words}", whole(*is_whole))]
    TimedOut { taskserv: Name, what: &'static str, limit_s: u64, is_whole: bool, last_words: String },
    #[error("{taskserv}: its {what} script failed with status {status}{last_words}")]
    Script { taskserv: Name, what: &'static str, status: i32, last_words: String },
    #[error("{taskserv}: the secret for {variable} can't be had")]
    Secret {
        taskserv: Name,
        variable: String,
        #[source]
        source: SecretError,
    },
    #[error("the key that tells whether secrets changed can't be had")]
    Key(#[source] std::io::Error),
    #[error("{taskserv}: its packages can't be had")]
    Packages {
        taskserv: Name,
        #[source]
        source: PackageError,
    },
    #[error(transparent)]
    Artifact(ArtifactError),
    #[error("{taskserv} was to be {asked} and is {actual}")]
    OtherVersion { taskserv: Name, asked: String, actual: String },
    #[error("can't {what} in the server: status {status}{last_words}")]
    Housekeeping { what: &'static str, status: i32, last_words: String },
    #[error("the program can't be copied into the server")]
    Program(#[source] std::io::Error),
    #[error("{taskserv} can't be installed beside {with}: they exclude each other")]
    Conflict { taskserv: Name, with: Name },
    #[error("a record of what is installed is damaged ({DIRECTORY} in the server)")]
    Record(#[source] serde_json::Error),
    /// Not a failure of the server: something that stays needs what should go.
    #[error("{by} needs {needed}")]
    Needed { needed: Name, by: Name },
}

/// A server and what is needed to work on it.
pub(super) struct Host<'a> {
    pub(super) transport: &'a dyn Transport,
    pub(super) server: &'a Server,
    pub(super) operation: &'a str,
    /// The cluster that the server is a member of, if any.
    pub(super) cluster: Option<&'a Cluster>,
    pub(super) cache: PathBuf,
    /// Where secrets in files are.
    pub(super) workspace: &'a Workspace,
    pub(super) reporter: &'a Reporter,
}

impl Host<'_> {
    pub(super) fn name(&self) -> &Name {
        &self.server.spec.name
    }

    /// What [`install`](Self::install) would do.
    pub(super) fn plan(&self, placed: &[Placed]) -> Result<Vec<Done>, HostError> {
        let records = self.records()?;
        let plan = |one: &Placed| Ok(self.done(one, self.decide(one, &records)?, recorded(&records, one)));
        placed.iter().map(plan).collect()
    }

    /// What is to be done for the service to be there and working.
    fn decide(&self, placed: &Placed, records: &[Stored]) -> Result<Action, HostError> {
        Self::refuse_conflict(&placed.definition, records)?;
        let works = self.is_as_wanted(placed, records)? && self.check(placed).is_ok();
        Ok(if works { Action::Keep } else { Action::Install })
    }

    /// Has the service installed and working. One that is there as wanted, and works, is left as it is.
    pub(super) fn install(&self, placed: &Placed, again: bool) -> Result<Done, HostError> {
        let definition = &placed.definition;
        let records = self.records()?;
        let before = recorded(&records, placed);
        if self.decide(placed, &records)? == Action::Keep && !again {
            self.say(&definition.name, "is there as wanted");
            return Ok(self.done(placed, Action::Keep, before));
        }
        if let Some(before) = before.filter(|_| again) {
            self.uninstall(before, Some(definition))?;
        }
        let record = Record {
            name: definition.name.clone(),
            version: definition.version.clone(),
            digest: digest(placed, self.peers(), self.workspace)?,
            // Whoever installed it first is who undoes it.
            operation: before.map_or_else(|| self.operation.to_owned(), |before| before.record.operation.clone()),
            at: Timestamp::now(),
            complete: false,
            dependencies: definition.dependencies.clone(),
        };
        let environment = placed.environment.clone();
        let mut stored = Stored { record, environment, timeouts: definition.timeouts };
        // Written before anything is done: what is cut short is known to be there.
        self.keep_scripts(definition)?;
        self.write(&stored)?;
        self.say(&definition.name, "installing");
        if definition.needs_prov {
            self.provide_prov()?;
        }
        let limit = Duration::from_secs(definition.timeouts.install);
        let wanted = &placed.software.packages;
        let packages = packages::install(self.transport, &self.cache.join("apt"), wanted, limit);
        packages.map_err(|source| HostError::Packages { taskserv: definition.name.clone(), source })?;
        self.place(&placed.software, limit)?;
        self.script(
            &definition.name,
            &placed.environment,
            "install",
            (script::whole(&definition.install).as_str(), definition.timeouts.install),
        )?;
        self.check(placed)?;
        stored.record.version = self.version(placed)?;
        stored.record.complete = true;
        self.write(&stored)?;
        self.say(&definition.name, &format!("version {} works", stored.record.version));
        Ok(Done { version: stored.record.version, ..self.done(placed, Action::Install, None) })
    }

    fn refuse_conflict(definition: &Definition, records: &[Stored]) -> Result<(), HostError> {
        let conflicts = |stored: &&Stored| definition.conflicts.contains(&stored.record.name);
        match records.iter().find(conflicts) {
            Some(with) => {
                let (taskserv, with) = (definition.name.clone(), with.record.name.clone());
                Err(HostError::Conflict { taskserv, with })
            }
            None => Ok(()),
        }
    }

    /// Runs the uninstall script that the service was installed with; where none was kept, the one of `definition`.
    /// Whether there was one.
    fn uninstall(&self, stored: &Stored, definition: Option<&Definition>) -> Result<bool, HostError> {
        let name = &stored.record.name;
        let kept = self.scripts(name)?.map(|scripts| scripts.uninstall);
        let Some(text) = kept.or_else(|| definition.map(|definition| script::whole(&definition.uninstall))) else {
            return Ok(false);
        };
        let (parameters, gone) = parameter::available(&stored.environment, self.workspace);
        if !gone.is_empty() {
            self.say(name, &format!("its secrets can't be had any more; it is removed without {}", gone.join(", ")));
        }
        self.script(name, &parameters, "uninstall", (text.as_str(), stored.timeouts.uninstall))?;
        Ok(true)
    }

    /// What [`Host::remove`] would remove.
    pub(super) fn plan_removal(&self, names: &[Name], removal: &Removal) -> Result<Vec<Done>, HostError> {
        let gone = |stored: &Stored| self.removed(&stored.record);
        Ok(self.going(names, removal)?.iter().map(gone).collect())
    }

    /// What is meant, those that need others before them.
    fn going(&self, names: &[Name], removal: &Removal) -> Result<Vec<Stored>, HostError> {
        let goes = |stored: &Stored| match removal {
            Removal::Named => names.contains(&stored.record.name),
            Removal::OfOperation(operation) => stored.record.operation == *operation,
        };
        let (going, staying): (Vec<Stored>, Vec<Stored>) = self.records()?.into_iter().partition(goes);
        for going in going.iter().map(|stored| &stored.record) {
            let needs = |other: &&Stored| other.record.dependencies.contains(&going.name);
            if let Some(by) = staying.iter().find(needs) {
                return Err(HostError::Needed { needed: going.name.clone(), by: by.record.name.clone() });
            }
        }
        Ok(order::removal(going))
    }

    /// Removes what the names or the operation mean; what isn't there is no error.
    pub(super) fn remove(&self, names: &[Name], removal: &Removal, library: &Library) -> Result<Vec<Done>, HostError> {
        let mut done = Vec::new();
        for stored in self.going(names, removal)? {
            let record = &stored.record;
            self.say(&record.name, "removing");
            if !self.uninstall(&stored, library.find(&record.name).ok().as_ref())? {
                self.say(&record.name, "has no definition any more: only its record is removed");
            }
            let files = ["json", "check", "uninstall"].map(|ending| format!("{DIRECTORY}/{}.{ending}", record.name));
            self.transport.remove(&files)?;
            done.push(self.removed(record));
        }
        Ok(done)
    }

    /// What is installed, and whether it works: all are asked at once, for a check may take its time to say no.
    pub(super) fn list(&self, library: &Library) -> Result<Vec<Installed>, HostError> {
        let records = self.records()?;
        let installed = std::thread::scope(|scope| {
            let asked: Vec<_> = records.iter().map(|stored| scope.spawn(|| self.is_healthy(stored, library))).collect();
            asked
                .into_iter()
                .map(|one| one.join().unwrap_or(false))
                .zip(&records)
                .map(|(healthy, stored)| Installed {
                    server: self.name().clone(),
                    record: stored.record.clone(),
                    healthy,
                })
                .collect()
        });
        Ok(installed)
    }

    fn is_healthy(&self, stored: &Stored, library: &Library) -> bool {
        stored.record.complete && matches!(self.check_kept(stored, library), Ok(Some(())))
    }

    /// Runs the check that the service was installed with; where none was kept, the one of its definition. Nothing where
    /// there is none.
    pub(super) fn check_kept(&self, stored: &Stored, library: &Library) -> Result<Option<()>, HostError> {
        let name = &stored.record.name;
        let kept = self.scripts(name)?.map(|scripts| scripts.check);
        let check = kept.or_else(|| library.find(name).ok().map(|definition| script::whole(&definition.check)));
        let run =
            |text: String| self.script(name, &stored.environment, "check", (text.as_str(), stored.timeouts.check));
        check.map(run).transpose()
    }

    /// The services that were installed here to their end.
    pub(super) fn complete(&self) -> Result<Vec<Name>, HostError> {
        let complete = self.records()?.into_iter().map(|stored| stored.record).filter(|record| record.complete);
        Ok(complete.map(|record| record.name).collect())
    }

    /// What is done with a service. What will be installed is known by what was asked for; what is there, by its record.
    fn done(&self, placed: &Placed, action: Action, before: Option<&Stored>) -> Done {
        let Definition { name, version, .. } = &placed.definition;
        let asked = &placed.software.version;
        let version = match before.filter(|_| action == Action::Keep) {
            Some(before) => before.record.version.clone(),
            None if asked.is_empty() => version.clone(),
            None => asked.clone(),
        };
        Done { server: self.name().clone(), taskserv: name.clone(), version, action }
    }

    fn removed(&self, record: &Record) -> Done {
        let (taskserv, version) = (record.name.clone(), record.version.clone());
        Done { server: self.name().clone(), taskserv, version, action: Action::Remove }
    }

    pub(super) fn peers(&self) -> &str {
        self.cluster.map_or("", |cluster| &cluster.peers)
    }

    fn is_as_wanted(&self, placed: &Placed, records: &[Stored]) -> Result<bool, HostError> {
        let wanted = digest(placed, self.peers(), self.workspace)?;
        let mut records = records.iter().map(|stored| &stored.record);
        Ok(records.any(|record| record.name == placed.definition.name && record.complete && record.digest == wanted))
    }

    fn check(&self, placed: &Placed) -> Result<(), HostError> {
        let Definition { name, check, timeouts, .. } = &placed.definition;
        self.script(name, &placed.environment, "check", (script::whole(check).as_str(), timeouts.check))
    }

    /// Puts this program into the server, once.
    fn provide_prov(&self) -> Result<(), HostError> {
        let program = std::fs::read("/proc/self/exe").map_err(HostError::Program)?;
        let size = program.len().to_string();
        let there = r#"[ "$(stat -c %s "$1" 2>/dev/null)" = "$2" ]"#;
        if self.run(&["sh", "-c", there, "sh", PROV, &size], b"")?.status == 0 {
            return Ok(());
        }
        let put = r#"mkdir -p "${1%/*}" && cat > "$1.partial" && chmod 755 "$1.partial" && mv "$1.partial" "$1""#;
        self.housekeep("put prov there", &["sh", "-c", put, "sh", PROV], &program)?;
        Ok(())
    }

    pub(super) fn say(&self, taskserv: &Name, what: &str) {
        self.reporter.step(&format!("{} {taskserv}: {what}", self.name()));
    }
}

fn recorded<'r>(records: &'r [Stored], placed: &Placed) -> Option<&'r Stored> {
    records.iter().find(|stored| stored.record.name == placed.definition.name)
}

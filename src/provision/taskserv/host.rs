//! One server: packages, scripts, records. Everything happens through [`Provider::exec`].

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::definition::Definition;
use super::library::Library;
use super::order::{self, Placed};
use super::packages::{self, PackageError};
use super::record::{DIRECTORY, Record, Stored, digest};
use super::{Action, Done, Installed, Removal};
use crate::model::name::Name;
use crate::model::time::Timestamp;
use crate::provision::provider::{Exec, ExecResult, Provider, ProviderError, Server};
use crate::provision::report::Reporter;

/// How long the small commands may take that prov itself runs in a server.
const HOUSEKEEPING: Duration = Duration::from_secs(30);
/// Where scripts find prov, when they need it.
const PROV: &str = "/usr/local/lib/prov/prov";
/// Lines of a script's last words that an error shows.
const LAST_LINES: usize = 6;
/// Lines of a script's output that are passed on.
const MOST_LINES: usize = 200;
/// Characters of a line that are passed on.
const MOST_CHARS: usize = 500;

/// Why a service could not be installed or removed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    #[error("can't run a command in the server")]
    Exec(#[from] ProviderError),
    #[error("{taskserv}: its {what} script took longer than {limit_s} s and was ended with everything it started")]
    TimedOut { taskserv: Name, what: &'static str, limit_s: u64 },
    #[error("{taskserv}: its {what} script failed with status {status}{last_words}")]
    Script { taskserv: Name, what: &'static str, status: i32, last_words: String },
    #[error("{taskserv}: its packages can't be had")]
    Packages {
        taskserv: Name,
        #[source]
        source: PackageError,
    },
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
    pub(super) provider: &'a dyn Provider,
    pub(super) server: &'a Server,
    pub(super) operation: &'a str,
    /// Names and addresses of the members of the same cluster: `a=10.0.0.2 b=10.0.0.3`; empty outside of one.
    pub(super) peers: &'a str,
    pub(super) cache: PathBuf,
    pub(super) reporter: &'a Reporter,
}

impl Host<'_> {
    fn name(&self) -> &Name {
        &self.server.spec.name
    }

    /// What [`install`](Self::install) would do.
    pub(super) fn plan(&self, placed: &[Placed]) -> Result<Vec<Done>, HostError> {
        let records = self.records()?;
        let action = |one: &Placed| if self.is_as_wanted(one, &records) { Action::Keep } else { Action::Install };
        Ok(placed.iter().map(|one| self.done(&one.definition.name, &one.definition.version, action(one))).collect())
    }

    /// Has the service installed and working. One that is there as wanted, and works, is left as it is.
    pub(super) fn install(&self, placed: &Placed, again: bool) -> Result<Done, HostError> {
        let definition = &placed.definition;
        let records = self.records()?;
        let before = records.iter().find(|stored| stored.record.name == definition.name);
        Self::refuse_conflict(definition, &records)?;
        if !again && self.is_as_wanted(placed, &records) && self.check(placed).is_ok() {
            self.say(&definition.name, "is there as wanted");
            return Ok(self.done(&definition.name, &definition.version, Action::Keep));
        }
        if let Some(before) = before.filter(|_| again) {
            self.uninstall(definition, before)?;
        }
        let record = Record {
            name: definition.name.clone(),
            version: definition.version.clone(),
            digest: digest(placed, self.peers),
            // Whoever installed it first is who undoes it.
            operation: before.map_or_else(|| self.operation.to_owned(), |before| before.record.operation.clone()),
            at: Timestamp::now(),
            complete: false,
            dependencies: definition.dependencies.clone(),
        };
        let mut stored = Stored { record, environment: placed.environment.clone() };
        // Written before anything is done: what is cut short is known to be there.
        self.write(&stored)?;
        self.say(&definition.name, "installing");
        if definition.needs_prov {
            self.provide_prov()?;
        }
        let packages = packages::install(self, &definition.packages, Duration::from_secs(definition.timeouts.install));
        packages.map_err(|source| HostError::Packages { taskserv: definition.name.clone(), source })?;
        self.script(placed, "install", &definition.install, definition.timeouts.install)?;
        self.check(placed)?;
        stored.record.complete = true;
        self.write(&stored)?;
        self.say(&definition.name, "works");
        Ok(self.done(&definition.name, &definition.version, Action::Install))
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

    /// Runs the service's uninstall script with the parameters that it was installed with.
    fn uninstall(&self, definition: &Definition, stored: &Stored) -> Result<(), HostError> {
        let placed = Placed { definition: definition.clone(), environment: stored.environment.clone() };
        self.script(&placed, "uninstall", &definition.uninstall, definition.timeouts.uninstall)
    }

    /// What [`Host::remove`] would remove.
    pub(super) fn plan_removal(&self, names: &[Name], removal: &Removal) -> Result<Vec<Done>, HostError> {
        let gone = |stored: &Stored| self.done(&stored.record.name, &stored.record.version, Action::Remove);
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
            if let Ok(definition) = library.find(&record.name) {
                self.uninstall(&definition, &stored)?;
            } else {
                self.say(&record.name, "has no definition any more: only its record is removed");
            }
            self.housekeep("remove a record", &["rm", "-f", &format!("{DIRECTORY}/{}.json", record.name)], b"")?;
            done.push(self.done(&record.name, &record.version, Action::Remove));
        }
        Ok(done)
    }

    /// What is installed, and whether it works.
    pub(super) fn list(&self, library: &Library) -> Result<Vec<Installed>, HostError> {
        let records = self.records()?;
        let state = |stored: Stored| {
            let Stored { record, environment } = stored;
            let placed = library.find(&record.name).ok().map(|definition| Placed { definition, environment });
            let healthy = record.complete && placed.is_some_and(|placed| self.check(&placed).is_ok());
            Installed { server: self.name().clone(), record, healthy }
        };
        Ok(records.into_iter().map(state).collect())
    }

    fn done(&self, taskserv: &Name, version: &str, action: Action) -> Done {
        Done { server: self.name().clone(), taskserv: taskserv.clone(), version: version.to_owned(), action }
    }

    fn is_as_wanted(&self, placed: &Placed, records: &[Stored]) -> bool {
        let wanted = digest(placed, self.peers);
        let mut records = records.iter().map(|stored| &stored.record);
        records.any(|record| record.name == placed.definition.name && record.complete && record.digest == wanted)
    }

    fn check(&self, placed: &Placed) -> Result<(), HostError> {
        self.script(placed, "check", &placed.definition.check, placed.definition.timeouts.check)
    }

    /// Runs a script with the service's parameters in its environment and its text on standard input.
    fn script(&self, placed: &Placed, what: &'static str, text: &str, limit_s: u64) -> Result<(), HostError> {
        let taskserv = &placed.definition.name;
        let mut env = placed.environment.clone();
        env.extend([
            ("PROV_SERVER_NAME".to_owned(), self.name().to_string()),
            ("PROV_SERVER_ADDRESS".to_owned(), self.server.address.clone().unwrap_or_else(|| "127.0.0.1".to_owned())),
            ("PROV_INFRA".to_owned(), self.server.spec.infra.to_string()),
            ("PROV_PEERS".to_owned(), self.peers.to_owned()),
            ("DEBIAN_FRONTEND".to_owned(), "noninteractive".to_owned()),
        ]);
        let argv = ["bash", "-eu", "-o", "pipefail", "-s"].map(str::to_owned).to_vec();
        let result = self.exec(argv, env, text.as_bytes(), Duration::from_secs(limit_s))?;
        self.pass_on(taskserv, &result);
        if result.timed_out {
            return Err(HostError::TimedOut { taskserv: taskserv.clone(), what, limit_s });
        }
        if result.status != 0 {
            let last_words = last_words(&result);
            return Err(HostError::Script { taskserv: taskserv.clone(), what, status: result.status, last_words });
        }
        Ok(())
    }

    fn records(&self) -> Result<Vec<Stored>, HostError> {
        let all = r#"for file in "$1"/*.json; do [ -f "$file" ] && cat "$file" && echo; done; true"#;
        let result = self.housekeep("read what is installed", &["sh", "-c", all, "sh", DIRECTORY], b"")?;
        let text = String::from_utf8_lossy(&result.stdout).into_owned();
        let read = |line: &str| serde_json::from_str(line).map_err(HostError::Record);
        text.lines().filter(|line| !line.is_empty()).map(read).collect()
    }

    fn write(&self, stored: &Stored) -> Result<(), HostError> {
        // Parameters may hold secrets: the file is its owner's alone.
        let script = r#"mkdir -p "$1" && umask 077 && cat > "$1/.$2.partial" && mv "$1/.$2.partial" "$1/$2.json""#;
        let json = serde_json::to_vec(stored).map_err(HostError::Record)?;
        self.housekeep("write a record", &["sh", "-c", script, "sh", DIRECTORY, stored.record.name.as_str()], &json)?;
        Ok(())
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

    fn run(&self, argv: &[&str], stdin: &[u8]) -> Result<ExecResult, HostError> {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        self.exec(argv, Vec::new(), stdin, HOUSEKEEPING)
    }

    pub(super) fn housekeep(&self, what: &'static str, argv: &[&str], stdin: &[u8]) -> Result<ExecResult, HostError> {
        let result = self.run(argv, stdin)?;
        if result.status == 0 {
            return Ok(result);
        }
        Err(HostError::Housekeeping { what, status: result.status, last_words: last_words(&result) })
    }

    pub(super) fn exec(
        &self,
        argv: Vec<String>,
        env: Vec<(String, String)>,
        stdin: &[u8],
        limit: Duration,
    ) -> Result<ExecResult, HostError> {
        let exec = Exec { argv, env, stdin, deadline: Some(Instant::now() + limit) };
        Ok(self.provider.exec(&self.server.spec.infra, self.name(), &exec)?)
    }

    fn say(&self, taskserv: &Name, what: &str) {
        self.reporter.step(&format!("{} {taskserv}: {what}", self.name()));
    }

    /// What a script printed, marked with whose it is.
    fn pass_on(&self, taskserv: &Name, result: &ExecResult) {
        for stream in [&result.stdout, &result.stderr] {
            let text = String::from_utf8_lossy(stream);
            let lines: Vec<&str> = text.lines().collect();
            for line in &lines[lines.len().saturating_sub(MOST_LINES)..] {
                self.reporter.say(&format!("{} {taskserv}: {}", self.name(), shortened(line)));
            }
        }
    }
}

/// The end of what a script said, for its error.
pub(super) fn last_words(result: &ExecResult) -> String {
    let stream = if result.stderr.is_empty() { &result.stdout } else { &result.stderr };
    let text = String::from_utf8_lossy(stream);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    match &lines[lines.len().saturating_sub(LAST_LINES)..] {
        [] => String::new(),
        lines => format!(": {}", lines.iter().map(|line| shortened(line)).collect::<Vec<_>>().join("\n")),
    }
}

fn shortened(line: &str) -> &str {
    line.char_indices().nth(MOST_CHARS).map_or(line, |(end, _)| &line[..end])
}

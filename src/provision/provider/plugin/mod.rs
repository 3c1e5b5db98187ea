#![doc = include_str!("PROTOCOL.md")]
//!
//! # Here
//!
//! [`find`] knows where plugins are, [`wire`] what is said, [`process`] how one is run; [`Plugin`] makes an
//! [`Api`] of it.

mod process;
pub mod wire;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::json;

use self::process::Program;
use self::wire::{Call, Described, Found, Gone, Made, PROTOCOL};
use super::cloud::{Api, CallError, Catalogue, Deletion, Labels, Machine, Order};
use super::pace::{Pace, Rate};
use super::{ProviderError, ServerSpec};
use crate::model::name::Name;
use crate::model::nearest::unknown;
use crate::model::plugin;
use crate::provision::workspace::Workspace;

/// The page above, for people who have no source.
pub const PAGE: &str = include_str!("PROTOCOL.md");
/// How long a plugin may take to say what it is.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(10);
/// How long any other call may take.
const ANSWERED_WITHIN: Duration = Duration::from_mins(2);
/// Who logs in where the plugin doesn't say.
const DEFAULT_LOGIN: &str = "root";

/// The program that is the provider `name`, if there is one: the workspace's own, then that on `PATH`.
#[must_use]
pub fn find(workspace: &Workspace, name: &str) -> Option<PathBuf> {
    let name = Name::new(name).ok()?;
    let search = std::env::var_os("PATH");
    plugin::paths(workspace.root(), search.as_deref(), &name).into_iter().find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// A provider that a program is.
#[derive(Debug)]
pub struct Plugin {
    name: String,
    program: Program,
    described: Described,
    pace: Option<Pace>,
}

impl Plugin {
    /// Asks the program what it is.
    ///
    /// # Errors
    /// When it doesn't say, or speaks another version of the protocol.
    pub fn open(workspace: &Workspace, name: &str, path: &Path) -> Result<Self, ProviderError> {
        let program = Program::at(path, workspace.root());
        let call = Call { protocol: PROTOCOL, provider: name, call: "describe", fields: json!({}) };
        let unusable = |error: &CallError| ProviderError::Unavailable {
            what: format!("the plugin {} can't be used: {error}", path.display()),
            hint: hint_of(error).or_else(|| Some("its protocol is described with `prov help plugins`".to_owned())),
        };
        let described: Described = program.call(&call, DESCRIBED_WITHIN).map_err(|error| unusable(&error))?;
        if let Some(wrong) = described.fault() {
            return Err(unusable(&CallError::Refused { what: wrong, hint: None }));
        }
        let rate = described.calls_per_second.map(|per_second| Rate { per_second, burst: per_second.max(1.0) });
        let pace = rate.map(|rate| Pace::of(&workspace.state_dir(), name, &path.to_string_lossy(), rate));
        Ok(Self { name: name.to_owned(), program, described, pace })
    }

    fn call<T: DeserializeOwned>(&self, call: &str, fields: serde_json::Value) -> Result<T, CallError> {
        if let Some(pace) = &self.pace {
            pace.take().map_err(CallError::left_alone)?;
        }
        let call = Call { protocol: PROTOCOL, provider: &self.name, call, fields };
        let answer = self.program.call(&call, ANSWERED_WITHIN);
        match (&self.pace, &answer) {
            (Some(pace), Ok(_)) => pace.speed_up(),
            (Some(pace), Err(CallError::Later { after, throttled: true, .. })) => pace.slow_down(*after),
            _ => {}
        }
        answer
    }

    /// A machine that can't be one is no answer.
    fn checked(&self, machine: Machine) -> Result<Machine, CallError> {
        match wire::fault_of(&machine) {
            None => Ok(machine),
            Some(fault) => Err(self.wrong(&format!("speaks of a machine that is none: {fault}"))),
        }
    }

    fn wrong(&self, what: &str) -> CallError {
        CallError::Unknown(format!("{} {what}", self.program))
    }
}

fn hint_of(error: &CallError) -> Option<String> {
    if let CallError::Refused { hint, .. } = error { hint.clone() } else { None }
}

impl Api for Plugin {
    fn name(&self) -> &str {
        &self.name
    }

    fn validate(&self, spec: &ServerSpec) -> Result<(), ProviderError> {
        let known: Vec<&str> = self.described.fields.iter().map(String::as_str).collect();
        match spec.extra.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(ProviderError::Invalid {
                what: format!("server {}: {}", spec.name, unknown("field", key, &known)),
                hint: known.is_empty().then(|| format!("the provider {} knows no fields of its own", self.name)),
            }),
            None => Ok(()),
        }
    }

    fn catalogue(&self) -> Result<Catalogue, CallError> {
        self.call::<wire::Sold>("catalogue", json!({})).map(Into::into)
    }

    fn find(&self, labels: &Labels) -> Result<Vec<Machine>, CallError> {
        let found: Found = self.call("find", json!({ "labels": labels }))?;
        let mut machines =
            found.machines.into_iter().map(|machine| self.checked(machine)).collect::<Result<Vec<_>, _>>()?;
        let carries = |machine: &Machine| labels.iter().all(|(name, value)| machine.labels.get(name) == Some(value));
        if let Some(other) = machines.iter().find(|machine| !carries(machine)) {
            return Err(self.wrong(&format!("found {}, which lacks the labels that were asked for", other.id)));
        }
        machines.sort_by(|a, b| a.id.cmp(&b.id));
        match machines.windows(2).find(|pair| pair[0].id == pair[1].id) {
            Some(pair) => Err(self.wrong(&format!("found {} twice", pair[0].id))),
            None => Ok(machines),
        }
    }

    fn create(&self, order: &Order<'_>) -> Result<Machine, CallError> {
        let Order { spec, token, labels, public_key } = order;
        let fields = json!({ "spec": spec, "token": token, "labels": labels, "public_key": public_key });
        let machine = self.checked(self.call::<Made>("create", fields)?.machine)?;
        if machine.labels != **labels {
            return Err(self.wrong(&format!("made {} without the labels that it was to carry", machine.id)));
        }
        Ok(machine)
    }

    fn start(&self, machine: &Machine) -> Result<(), CallError> {
        self.call::<wire::Nothing>("start", json!({ "machine": machine })).map(drop)
    }

    fn delete(&self, machine: &Machine) -> Result<Deletion, CallError> {
        let gone: Gone = self.call("delete", json!({ "machine": machine }))?;
        Ok(if gone.gone { Deletion::Gone } else { Deletion::Going })
    }

    fn relabel(&self, machine: &Machine, labels: &Labels) -> Result<(), CallError> {
        self.call::<wire::Nothing>("relabel", json!({ "machine": machine, "labels": labels })).map(drop)
    }

    fn login(&self, _spec: &ServerSpec) -> String {
        self.described.login.clone().unwrap_or_else(|| DEFAULT_LOGIN.to_owned())
    }

    fn knows_tokens(&self) -> bool {
        self.described.knows_tokens
    }

    fn settles_within(&self) -> Duration {
        Duration::from_secs(self.described.settles_within_seconds)
    }

    fn poll_every(&self) -> Duration {
        self.described.poll_every_seconds.map_or(Duration::from_secs(2), Duration::from_secs_f64)
    }
}

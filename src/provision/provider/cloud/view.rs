//! Machines and journal entries as servers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::api::{INFRA, Labels, Machine, MachineState, OPERATION, OWN, SERVER, WORKSPACE};
use super::journal::{Damage, Entry, Stage};
use super::moment::Moment;
use crate::model::name::Name;
use crate::model::plan::Plan;
use crate::provision::provider::{ProviderError, Server, ServerSpec, ServerState, of_another_workspace};

/// What a provider listed.
pub(super) struct Listing {
    pub(super) machines: Vec<Machine>,
    /// When it was asked for.
    pub(super) asked: Moment,
    /// How long before that something must have been made to be in it for certain.
    pub(super) settles_within: Duration,
}

impl Listing {
    /// The machine of the entry.
    pub(super) fn of(&self, entry: &Entry) -> Option<&Machine> {
        self.machines.iter().find(|machine| entry.owns(machine))
    }

    /// Whether the machine of the entry is in it, if there is one.
    pub(super) fn is_sure_of(&self, entry: &Entry) -> bool {
        self.asked.since(&entry.heard) > self.settles_within
    }
}

/// The server of an entry whose machine isn't listed and may yet be; none where somebody else deleted it.
pub(super) fn unlisted(provider: &str, entry: &Entry, listing: &Listing) -> Option<Server> {
    let note = match &entry.stage {
        Stage::Ordered => "it was ordered, and what came of that isn't known yet",
        _ if listing.is_sure_of(entry) => return None,
        Stage::Made { .. } => "the provider doesn't list it yet",
        Stage::Deleting { .. } => "its deletion was cut short",
    };
    let id = entry.id().unwrap_or_default().to_owned();
    Some(server(provider, entry.spec.clone(), id, ServerState::Incomplete, None, vec![note.to_owned()]))
}

/// The server that a machine is.
pub(super) fn of_machine(provider: &str, entry: &Entry, machine: &Machine) -> Server {
    let mut notes = machine.notes.clone();
    let state = match (&entry.stage, machine.state) {
        // One that was ordered is ours, and nobody has waited for it: creating it again does.
        (Stage::Ordered | Stage::Deleting { .. }, _) | (Stage::Made { .. }, MachineState::Changing) => {
            ServerState::Incomplete
        }
        (Stage::Made { .. }, MachineState::Running) => ServerState::Running,
        (Stage::Made { .. }, MachineState::Stopped) => ServerState::Stopped,
        // It may come back by itself, with its disks: nothing is replaced because of a provider's word.
        (Stage::Made { .. }, MachineState::Failed) => {
            notes.push("the provider says that it failed".to_owned());
            ServerState::Incomplete
        }
    };
    let server = server(provider, entry.spec.clone(), machine.id.clone(), state, machine.address.clone(), notes);
    Server { changed: changed(&entry.spec, machine), ..server }
}

/// In what somebody else changed a machine since it was made.
fn changed(spec: &ServerSpec, machine: &Machine) -> Vec<String> {
    let plan = machine.plan.filter(|plan| *plan != spec.plan);
    let plan = plan.map(|plan| format!("plan: {} → {plan}", spec.plan));
    let own = |key: &&String| !key.starts_with(OWN);
    let keys: BTreeSet<&String> = spec.labels.keys().chain(machine.labels.keys().filter(own)).collect();
    let labels = keys.into_iter().filter(|key| spec.labels.get(*key) != machine.labels.get(*key)).map(|key| {
        let shown = |labels: &Labels| labels.get(key).cloned().unwrap_or_else(|| "none".to_owned());
        format!("labels.{key}: {} → {}", shown(&spec.labels), shown(&machine.labels))
    });
    plan.into_iter().chain(labels).collect()
}

/// A server whose entry can't be read, with its machine, if one is listed.
pub(super) fn of_damage(provider: &str, infra: &Name, damage: &Damage, listing: &Listing) -> Server {
    let machine = listing.machines.iter().find(|machine| damage.is_about(machine));
    let note = format!(
        "its record {} can't be read ({}): put a copy of it back; or remove it, and take the machine on record again by \
         `prov infra reconcile {infra} --adopt`; or delete the server",
        damage.path.display(),
        damage.why
    );
    let nothing = || Machine {
        id: String::new(),
        labels: [(SERVER.to_owned(), damage.name.to_string())].into(),
        state: MachineState::Changing,
        plan: None,
        zone: String::new(),
        address: None,
        notes: Vec::new(),
    };
    let stray = of_stray(provider, infra, &machine.cloned().unwrap_or_else(nothing));
    Server { state: ServerState::Damaged, notes: vec![note], stray: false, workspace: None, ..stray }
}

/// A machine of this infra that no entry owns.
pub(super) fn of_stray(provider: &str, infra: &Name, machine: &Machine) -> Server {
    let unnamed = || Name::new("unnamed").expect("letters are a name");
    let named = |text: &String| Name::new(text.clone()).ok();
    let label = |key: &str| machine.labels.get(key);
    let own = |key: &String| key.starts_with(OWN);
    let spec = ServerSpec {
        infra: label(INFRA).and_then(named).unwrap_or_else(|| infra.clone()),
        name: label(SERVER).and_then(named).unwrap_or_else(unnamed),
        plan: machine.plan.unwrap_or(Plan { cpus: 0, memory_mib: 0 }),
        zone: Name::new(machine.zone.clone()).unwrap_or_else(|_| unnamed()),
        operation: label(OPERATION).cloned().unwrap_or_default(),
        labels: machine.labels.iter().filter(|(key, _)| !own(key)).map(|(k, v)| (k.clone(), v.clone())).collect(),
        extra: serde_json::Map::new(),
    };
    let state = match machine.state {
        MachineState::Running => ServerState::Running,
        MachineState::Stopped => ServerState::Stopped,
        MachineState::Changing | MachineState::Failed => ServerState::Incomplete,
    };
    let note = "a stray: it carries the labels of this infra, and this workspace has no record of making it";
    let notes = vec![note.to_owned()];
    let server = server(provider, spec, machine.id.clone(), state, machine.address.clone(), notes);
    Server { stray: true, workspace: label(WORKSPACE).cloned(), ..server }
}

fn server(
    provider: &str,
    spec: ServerSpec,
    id: String,
    state: ServerState,
    address: Option<String>,
    notes: Vec<String>,
) -> Server {
    let limits = format!("enforced by {provider}");
    Server { address, limits, notes, ..Server::of(spec, provider, id, state) }
}

/// The first thing in which what is there differs from what is wanted, as the error for it. Labels can be changed, and whose
/// work it was is no difference.
pub(super) fn difference(there: &ServerSpec, wanted: &ServerSpec) -> Option<ProviderError> {
    let conflict = |field, actual, wanted_value| ProviderError::Conflict {
        name: wanted.name.clone(),
        field,
        actual,
        wanted: wanted_value,
    };
    if there.plan != wanted.plan {
        return Some(conflict("plan", there.plan.to_string(), wanted.plan.to_string()));
    }
    if there.zone != wanted.zone {
        return Some(conflict("zone", there.zone.to_string(), wanted.zone.to_string()));
    }
    // Their values may be secret: only the fields are named.
    let fields =
        |spec: &ServerSpec| -> BTreeMap<String, serde_json::Value> { spec.extra.clone().into_iter().collect() };
    let (old, new) = (fields(there), fields(wanted));
    let mut keys = old.keys().chain(new.keys());
    let differing = keys.find(|key| old.get(*key) != new.get(*key))?;
    Some(conflict("field of the provider", format!("another {differing}"), format!("this {differing}")))
}

/// The error for a machine that its provider says has failed, and goes on to say so.
pub(super) fn failed(provider: &str, spec: &ServerSpec, machine: &Machine) -> ProviderError {
    let (name, id, infra) = (&spec.name, &machine.id, &spec.infra);
    let said: String = machine.notes.iter().map(|note| format!("; {note}")).collect();
    ProviderError::Unavailable {
        what: format!("server {name}: {provider} says that its machine {id} has failed{said}; the machine is kept"),
        hint: Some(format!(
            "where it doesn't come back, delete it (prov servers delete {name} --infra {infra}) and create it again"
        )),
    }
}

/// The error for a name that a stray has, in the workspace `own`.
pub(super) fn stray_has_the_name(
    provider: &str,
    spec: &ServerSpec,
    stray: &Machine,
    own: Option<&String>,
) -> ProviderError {
    let (name, id, infra) = (&spec.name, &stray.id, &spec.infra);
    let what = format!("{provider} has a machine for {name} already ({id})");
    match stray.labels.get(WORKSPACE).filter(|of| Some(*of) != own) {
        Some(other) => ProviderError::Unavailable {
            what: format!("{what}, and the workspace {other} made it"),
            hint: Some(of_another_workspace(infra, other)),
        },
        None => ProviderError::Unavailable {
            what: format!("{what}, and this workspace has no record of it"),
            hint: Some(format!("adopt or delete it: prov infra reconcile {infra}")),
        },
    }
}

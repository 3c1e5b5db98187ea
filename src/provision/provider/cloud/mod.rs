//! Providers whose machines are made by calls over a network: one [`Provider`] over any [`Api`].
//!
//! Never loses a machine: the [`journal`] knows what may have been ordered before the provider does, [`order`] makes it once
//! whatever is lost on the way, and what carries our labels without being in the journal is a stray. [`ask`] has the patience.
//! Knows no particular provider; callers hold the lock on a server while they change it.

mod api;
mod ask;
mod backoff;
mod journal;
mod moment;
mod optional;
mod order;
mod reach;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use self::api::{
    Api, CallError, Catalogue, Deletion, INFRA, Labels, Machine, MachineState, OPERATION, OWN, Offer, Order, SERVER,
    TOKEN, WORKSPACE,
};
use self::journal::{Entries, Entry, Journal, Stage};
pub use self::journal::{is_on_record, recorded, used};
use self::moment::Moment;
pub use self::optional::MachineConsole;
pub use self::reach::Reach;
use self::view::Listing;
use super::optional::{Console, Images, Prices};
use super::{Provider, ProviderError, Server, ServerSpec};
use crate::model::name::Name;
use crate::provision::error::chain;
use crate::provision::identity;
use crate::provision::report::Reporter;
use crate::provision::transport::{Exec, Transport};
use crate::provision::workspace::Workspace;

/// How long a machine may take to answer `true`.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// Looks in a row that must find a machine failed: clouds call one that for a moment, and it comes back by itself.
const FAILED_LOOKS: u32 = 10;

/// The machines of one provider.
pub struct Cloud {
    api: Box<dyn Api>,
    reach: Box<dyn Reach>,
    journal: Journal,
    workspace: Workspace,
    reporter: Reporter,
    /// When somebody was told last what is waited for.
    told: Mutex<Option<Instant>>,
    /// The machines of an infra as they were seen last: many who wait look once.
    seen: Mutex<Option<(Instant, Name, Arc<Listing>)>>,
}

impl Cloud {
    /// Those that `api` makes for a workspace, reached by `reach`. What keeps them waiting goes to `reporter`.
    #[must_use]
    pub fn new(workspace: &Workspace, api: Box<dyn Api>, reach: Box<dyn Reach>, reporter: Reporter) -> Self {
        let journal = Journal::of(workspace, api.name());
        let (workspace, told, seen) = (workspace.clone(), Mutex::new(None), Mutex::new(None));
        Self { api, reach, journal, workspace, reporter, told, seen }
    }

    /// How long one thing is tried again.
    fn patience(&self) -> Duration {
        self.api.poll_every() * 300
    }

    /// The machines of an infra, as they were listed at most one poll ago.
    fn seen(&self, infra: &Name) -> Result<Arc<Listing>, ProviderError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.as_ref() {
            Some((at, of, listing)) if of == infra && at.elapsed() < self.api.poll_every() => Ok(Arc::clone(listing)),
            _ => {
                let (asked, settles_within) = (Moment::now(), self.api.settles_within());
                let machines = self.find(&of_infra(infra))?;
                let listing = Arc::new(Listing { machines, asked, settles_within });
                *seen = Some((Instant::now(), infra.clone(), Arc::clone(&listing)));
                Ok(listing)
            }
        }
    }

    /// The machines of an infra, as they are listed now.
    fn all(&self, infra: &Name) -> Result<Arc<Listing>, ProviderError> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.seen(infra)
    }

    /// The server's entry and its machine, if it is listed yet.
    fn own(&self, infra: &Name, name: &Name) -> Result<(Entry, Option<Machine>), ProviderError> {
        let entry = self.journal.read(infra, name)?.ok_or_else(|| ProviderError::NotFound(name.clone()))?;
        let listing = self.seen(infra)?;
        match listing.of(&entry) {
            None if listing.is_sure_of(&entry) => Err(ProviderError::NotFound(name.clone())),
            machine => Ok((entry.clone(), machine.cloned())),
        }
    }

    /// The server that is to be there as `spec` says; what an earlier process left undone is brought to its end.
    fn have(&self, spec: &ServerSpec) -> Result<(Entry, Machine), ProviderError> {
        let (infra, name) = (&spec.infra, &spec.name);
        let Some(entry) = self.journal.read(infra, name)? else {
            self.refuse_stray(spec)?;
            return self.order(spec);
        };
        if matches!(entry.stage, Stage::Deleting { .. }) {
            self.delete(infra, name)?;
            return self.order(spec);
        }
        match self.look_for(&entry)? {
            Some(machine) => match view::difference(&entry.spec, spec) {
                None => self.made(entry, machine),
                Some(conflict) => Err(conflict),
            },
            // The order that was begun is the one that is wanted: it goes on under its own token. Somebody else's doesn't,
            // or the machine would carry the labels of work that didn't make it, and be missed by who undoes this one.
            None if entry.id().is_none() && entry.spec == *spec => self.order_as(entry),
            // Somebody else deleted it, or nothing came of an order of something else.
            None => self.order(spec),
        }
    }

    /// The id of the workspace, which its machines carry.
    fn identity(&self) -> Result<String, ProviderError> {
        identity::made(&self.workspace).map_err(unidentified)
    }

    /// Refuses a name that a machine has which isn't in the journal.
    fn refuse_stray(&self, spec: &ServerSpec) -> Result<(), ProviderError> {
        match self.find(&order::where_it_is(&spec.infra, &spec.name))?.first() {
            Some(stray) => {
                let own = identity::of(&self.workspace).map_err(unidentified)?;
                Err(view::stray_has_the_name(self.api.name(), spec, stray, own.as_ref()))
            }
            None => Ok(()),
        }
    }
}

impl Provider for Cloud {
    fn name(&self) -> &str {
        self.api.name()
    }

    fn validate(&self, spec: &ServerSpec) -> Result<(), ProviderError> {
        if let Some(label) = spec.labels.keys().find(|label| label.starts_with(OWN)) {
            let what = format!("server {}: the label {label:?} is prov's own", spec.name);
            return Err(ProviderError::Invalid { what, hint: Some(format!("labels must not begin with {OWN:?}")) });
        }
        self.api.validate(spec)
    }

    fn warnings(&self, spec: &ServerSpec) -> Vec<String> {
        self.api.warnings(spec)
    }

    fn catalogue(&self) -> Result<Catalogue, ProviderError> {
        self.ask("list its plans and zones", || self.api.catalogue())
    }

    fn images(&self) -> Option<&dyn Images<ProviderError>> {
        self.api.images().map(|_| self as _)
    }

    fn prices(&self) -> Option<&dyn Prices<ProviderError>> {
        self.api.prices().map(|_| self as _)
    }

    fn console(&self) -> Option<&dyn Console> {
        self.api.console().map(|_| self as _)
    }

    fn zones(&self) -> Vec<String> {
        // Once, without patience: it is for a hint.
        self.api.catalogue().map_or_else(|_| Vec::new(), |catalogue| catalogue.zones)
    }

    fn list(&self, infra: &Name) -> Result<Vec<Server>, ProviderError> {
        // First what was ordered, then what there is: what comes in between is somebody's work under way, no stray.
        let Entries { entries, damaged } = self.journal.all(infra)?;
        let listing = self.all(infra)?;
        let provider = self.api.name();
        let server = |entry: &Entry| match listing.of(entry) {
            Some(machine) => Some(self.server(entry, machine)),
            None => view::unlisted(provider, entry, &listing),
        };
        let whole = entries.iter().filter_map(server);
        // One that can't be read must not keep the others from being used.
        let damaged = damaged.iter().map(|damage| view::of_damage(provider, infra, damage, &listing));
        let mut servers: Vec<Server> = whole.chain(damaged).collect();
        servers.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        Ok(servers)
    }

    fn recorded(&self, infra: &Name) -> Option<Vec<Name>> {
        Some(self.journal.names(infra).unwrap_or_default())
    }

    fn is_untouched(&self, infra: &Name) -> bool {
        self.journal.is_untouched(infra)
    }

    fn strays(&self, infra: &Name) -> Result<Vec<Server>, ProviderError> {
        let listing = self.seen(infra)?;
        let Entries { entries, damaged } = self.journal.all(infra)?;
        let own = |machine: &Machine| {
            entries.iter().any(|entry| entry.owns(machine)) || damaged.iter().any(|damage| damage.is_about(machine))
        };
        Ok(listing
            .machines
            .iter()
            .filter(|machine| !own(machine))
            .map(|it| view::of_stray(self.api.name(), infra, it))
            .collect())
    }

    fn gone(&self, infra: &Name) -> Result<Vec<ServerSpec>, ProviderError> {
        let listing = self.seen(infra)?;
        let mut entries = self.journal.all(infra)?.entries;
        entries
            .retain(|entry| listing.of(entry).is_none() && view::unlisted(self.api.name(), entry, &listing).is_none());
        Ok(entries.into_iter().map(|entry| entry.spec).collect())
    }

    fn create(&self, spec: &ServerSpec) -> Result<Server, ProviderError> {
        self.validate(spec)?;
        let (entry, machine) = self.have(spec)?;
        if machine.state == MachineState::Stopped {
            self.ask(&format!("start the server {}", spec.name), || self.api.start(&machine))?;
        }
        Ok(self.server(&entry, &machine))
    }

    fn wait_ready(&self, infra: &Name, name: &Name, limit: Duration) -> Result<Server, ProviderError> {
        let until = Instant::now() + limit;
        let mut last = "it isn't running yet".to_owned();
        let (mut failed, mut place) = (0, None);
        loop {
            let (entry, machine) = self.own(infra, name)?;
            failed = if machine.as_ref().is_some_and(|it| it.state == MachineState::Failed) { failed + 1 } else { 0 };
            match machine.as_ref().map(|machine| (machine.state, machine)) {
                Some((MachineState::Running, machine)) => {
                    // Asked once: that it doesn't answer yet isn't for another address.
                    let machine = match machine.address.clone().or_else(|| place.clone()) {
                        None => self.located(machine)?,
                        address => Machine { address, ..machine.clone() },
                    };
                    place.clone_from(&machine.address);
                    match self.answers(&machine, &entry.spec) {
                        Ok(()) => return self.ready(entry, &machine),
                        Err(why) => last = why,
                    }
                }
                Some((MachineState::Failed, machine)) if failed >= FAILED_LOOKS => {
                    return Err(view::failed(self.api.name(), &entry.spec, machine));
                }
                Some((MachineState::Failed, _)) => "the provider says that it failed".clone_into(&mut last),
                Some((MachineState::Stopped, _)) => "it is stopped".clone_into(&mut last),
                Some((MachineState::Changing, _)) => {}
                None => "the provider doesn't list it yet".clone_into(&mut last),
            }
            if Instant::now() >= until {
                let what = format!("server {name} was not ready within {} s: {last}", limit.as_secs());
                return Err(ProviderError::Unavailable {
                    what,
                    hint: Some("create it again to go on waiting".to_owned()),
                });
            }
            std::thread::sleep(self.api.poll_every());
        }
    }

    fn delete(&self, infra: &Name, name: &Name) -> Result<(), ProviderError> {
        if self.journal.is_damaged(infra, name) {
            return self.delete_damaged(infra, name);
        }
        let Some(mut entry) = self.journal.read(infra, name)? else { return Ok(()) };
        if !matches!(entry.stage, Stage::Deleting { .. }) {
            entry.stage = Stage::Deleting { id: entry.id().map(str::to_owned) };
            self.journal.write(&entry)?;
        }
        if let Some(machine) = self.look_for(&entry)? {
            self.end(&machine)?;
            self.reach.forget(self.api.name(), &machine.id);
        }
        self.journal.remove(infra, name)
    }

    fn delete_stray(&self, stray: &Server) -> Result<(), ProviderError> {
        let mut found = self.find(&of_infra(&stray.spec.infra))?;
        found.retain(|machine| machine.id == stray.id);
        found.iter().try_for_each(|machine| self.end(machine))
    }

    fn adopt(&self, stray: &Server) -> Result<Server, ProviderError> {
        let spec = &stray.spec;
        if self.journal.read(&spec.infra, &spec.name)?.is_some() {
            let what = format!("server {}: the workspace has another machine of that name", spec.name);
            return Err(ProviderError::Invalid { what, hint: Some("delete one of the two".to_owned()) });
        }
        let found = self.find(&of_infra(&spec.infra))?.into_iter().find(|machine| machine.id == stray.id);
        let machine = found.ok_or_else(|| ProviderError::NotFound(spec.name.clone()))?;
        let own = self.identity()?;
        if machine.labels.get(WORKSPACE) != Some(&own) {
            let mut labels = machine.labels.clone();
            labels.insert(WORKSPACE.to_owned(), own);
            self.ask(&format!("label the server {}", spec.name), || self.api.relabel(&machine, &labels))?;
        }
        let token = machine.labels.get(TOKEN).cloned().unwrap_or_default();
        let stage = Stage::Made { id: machine.id.clone() };
        let machine = self.located(&machine)?;
        let (heard, address) = (Moment::now(), machine.address.clone());
        let entry = Entry { spec: spec.clone(), token, stage, heard, address };
        self.journal.write(&entry)?;
        Ok(view::of_machine(self.api.name(), &entry, &machine))
    }

    fn relabel(&self, infra: &Name, name: &Name, labels: &BTreeMap<String, String>) -> Result<Server, ProviderError> {
        let entry = self.journal.read(infra, name)?.ok_or_else(|| ProviderError::NotFound(name.clone()))?;
        let machine = self.look_for(&entry)?.ok_or_else(|| ProviderError::NotFound(name.clone()))?;
        let spec = ServerSpec { labels: labels.clone(), ..entry.spec.clone() };
        let entry = Entry { spec, ..entry };
        let all = order::labels(&entry, self.identity()?);
        self.ask(&format!("label the server {name}"), || self.api.relabel(&machine, &all))?;
        self.journal.write(&entry)?;
        Ok(self.server(&entry, &machine))
    }

    fn transport(&self, infra: &Name, name: &Name) -> Result<Box<dyn Transport + '_>, ProviderError> {
        let (entry, machine) = self.own(infra, name)?;
        let machine = machine.ok_or_else(|| ProviderError::NotFound(name.clone()))?;
        self.reach.transport(self.api.name(), &self.located(&machine)?, &self.api.login(&entry.spec))
    }
}

impl Cloud {
    /// The server of a machine that answers, which is remembered where it does.
    fn ready(&self, mut entry: Entry, machine: &Machine) -> Result<Server, ProviderError> {
        if entry.address != machine.address {
            entry.address.clone_from(&machine.address);
            self.journal.write(&entry)?;
        }
        Ok(self.server(&entry, machine))
    }

    /// Whether commands run in the machine.
    fn answers(&self, machine: &Machine, spec: &ServerSpec) -> Result<(), String> {
        let way = self.reach.transport(self.api.name(), machine, &self.api.login(spec));
        let deadline = Instant::now().checked_add(ANSWERS_WITHIN);
        let exec = Exec { argv: vec!["true".to_owned()], deadline, ..Exec::default() };
        match way.and_then(|way| way.exec(&exec)) {
            Ok(result) if result.status == 0 && !result.timed_out => Ok(()),
            Ok(result) => Err(format!("`true` ended with status {}", result.status)),
            Err(error) => Err(chain(&error)),
        }
    }
}

impl Cloud {
    /// Deletes a server whose entry can't be read: whatever carries its name and isn't another workspace's, looked for until
    /// it would be in every list.
    fn delete_damaged(&self, infra: &Name, name: &Name) -> Result<(), ProviderError> {
        let own = identity::of(&self.workspace).map_err(unidentified)?;
        let is_other = |machine: &Machine| machine.labels.get(WORKSPACE).is_some_and(|of| Some(of) != own.as_ref());
        let until = Instant::now() + self.api.settles_within();
        loop {
            let is_last = Instant::now() >= until;
            let mut found = self.find(&order::where_it_is(infra, name))?;
            found.retain(|machine| !is_other(machine));
            found.iter().try_for_each(|machine| self.end(machine))?;
            if is_last || !found.is_empty() {
                return self.journal.remove(infra, name);
            }
            std::thread::sleep(self.api.poll_every().min(until.saturating_duration_since(Instant::now())));
        }
    }
}

fn unidentified(source: std::io::Error) -> ProviderError {
    ProviderError::Failed { attempt: "the workspace's id can't be had".to_owned(), source: Box::new(source) }
}

/// The label by which all machines of an infra are found.
fn of_infra(infra: &Name) -> Labels {
    [(INFRA.to_owned(), infra.to_string())].into()
}

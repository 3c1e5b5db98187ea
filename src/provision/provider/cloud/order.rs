//! Making a machine once, whatever is lost on the way.
//!
//! Before each call the order is on disk. A call whose answer was lost is followed by a look for what it made; only when the
//! provider has shown for long enough that there is nothing, or knows the token of a repeated call, is it made again. An
//! order is given up only when it is known that it left nothing.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Cloud;
use super::api::{CallError, INFRA, Labels, Machine, OPERATION, Order, SERVER, TOKEN, WORKSPACE};
use super::ask::refused;
use super::journal::{Entry, Stage};
use super::moment::Moment;
use crate::model::name::Name;
use crate::provision::provider::{ProviderError, ServerSpec};

impl Cloud {
    /// Has the machine of a new entry made.
    pub(super) fn order(&self, spec: &ServerSpec) -> Result<(Entry, Machine), ProviderError> {
        let entry = Entry {
            spec: spec.clone(),
            token: Uuid::now_v7().to_string(),
            stage: Stage::Ordered,
            heard: Moment::now(),
            address: None,
        };
        self.order_as(entry)
    }

    /// Makes calls until the machine is there, or it is known that it won't be.
    pub(super) fn order_as(&self, mut entry: Entry) -> Result<(Entry, Machine), ProviderError> {
        let labels = labels(&entry, self.identity()?);
        let public_key = self.reach.public_key()?;
        let begun = Instant::now();
        let until = begun + self.patience();
        let mut backoff = self.backoff();
        // Whether an earlier call may have made something that no list shows yet.
        let mut open = false;
        loop {
            entry.heard = Moment::now();
            self.journal.write(&entry)?;
            let order = Order { spec: &entry.spec, token: &entry.token, labels: &labels, public_key: &public_key };
            let error = match self.api.create(&order) {
                Ok(machine) => return self.made(entry, machine),
                Err(error) => error,
            };
            let wait = backoff.next(error.after());
            let is_unknown = matches!(error, CallError::Unknown(_));
            let is_refused = matches!(error, CallError::Refused { .. });
            let is_last = is_refused || wait >= until.saturating_duration_since(Instant::now());
            if is_unknown || (open && is_last) {
                // With a token that the provider knows, a repeated call makes no second machine: one look is enough.
                let found =
                    if self.api.knows_tokens() && !is_last { self.look(&entry)? } else { self.look_for(&entry)? };
                if let Some(machine) = found {
                    return self.made(entry, machine);
                }
                open = self.api.knows_tokens() && !is_last;
            }
            let what = format!("make the server {}", entry.spec.name);
            if is_last {
                self.journal.remove(&entry.spec.infra, &entry.spec.name)?;
                return Err(match error {
                    CallError::Refused { what: said, hint } => {
                        refused(&format!("{} can't {what}", self.api.name()), &said, hint)
                    }
                    other => self.out_of_patience(&what, &other),
                });
            }
            self.tell(&what, &error, begun);
            std::thread::sleep(wait);
        }
    }

    /// Records that the provider has the machine.
    pub(super) fn made(&self, mut entry: Entry, machine: Machine) -> Result<(Entry, Machine), ProviderError> {
        if entry.id() != Some(&machine.id) {
            entry.stage = Stage::Made { id: machine.id.clone() };
            entry.heard = Moment::now();
            // Some lists tell no address: it is asked for once, and lists tell what is on record.
            entry.address = machine.address.clone().or_else(|| self.api.address(&machine.id).ok().flatten());
            self.journal.write(&entry)?;
        }
        Ok((entry, machine))
    }

    /// The machine of the entry, if a list shows it now. What the same order made more than once is deleted but for one.
    pub(super) fn look(&self, entry: &Entry) -> Result<Option<Machine>, ProviderError> {
        let mut found = self.find(&where_it_is(&entry.spec.infra, &entry.spec.name))?;
        found.retain(|machine| entry.owns(machine));
        found.sort_by(|a, b| (entry.id() != Some(&a.id), &a.id).cmp(&(entry.id() != Some(&b.id), &b.id)));
        let mut found = found.into_iter();
        let machine = found.next();
        found.try_for_each(|surplus| self.end(&surplus))?;
        Ok(machine)
    }

    /// The same, looked for until it would be in every list. An order whose answer nobody has may reach the provider as late
    /// as now, whoever made it and whenever.
    pub(super) fn look_for(&self, entry: &Entry) -> Result<Option<Machine>, ProviderError> {
        let known_for = entry.id().map_or(Duration::ZERO, |_| Moment::now().since(&entry.heard));
        let until = Instant::now() + self.api.settles_within().saturating_sub(known_for);
        loop {
            let is_last = Instant::now() >= until;
            let found = self.look(entry)?;
            if found.is_some() || is_last {
                return Ok(found);
            }
            std::thread::sleep(self.api.poll_every().min(until.saturating_duration_since(Instant::now())));
        }
    }
}

/// Labels by which all machines of a server's name are found.
pub(super) fn where_it_is(infra: &Name, name: &Name) -> Labels {
    [(INFRA, infra), (SERVER, name)].map(|(key, name)| (key.to_owned(), name.to_string())).into()
}

/// Everything that the machine of an entry of the workspace carries.
pub(super) fn labels(entry: &Entry, workspace: String) -> Labels {
    let spec = &entry.spec;
    let mut labels = spec.labels.clone();
    labels.extend(where_it_is(&spec.infra, &spec.name));
    labels.insert(TOKEN.to_owned(), entry.token.clone());
    labels.insert(WORKSPACE.to_owned(), workspace);
    if !spec.operation.is_empty() {
        labels.insert(OPERATION.to_owned(), spec.operation.clone());
    }
    labels
}

//! UpCloud, over its REST API 1.3.
//!
//! Translates [`Api`] into calls and their answers back; decides nothing but what can be bought for a wanted size. [`fields`]
//! are what only UpCloud understands of a server's settings; [`session`] makes calls; [`problem`] says how far one is that
//! failed; [`optional`] has what can be told besides; [`size`] and [`template`] choose from what is sold; [`wire`] has the shapes of bodies. UpCloud knows no token of
//! a request: whoever looks for what a lost reply leaves open looks for labels.

mod fields;
mod optional;
mod order;
mod problem;
mod session;
mod size;
mod template;
mod wire;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::json;

use self::fields::Fields;
use self::problem::Failure;
use self::session::{Call, Session};
use self::wire::{Details, Plans, Row, Rows, Zones};
use super::cloud::{Api, CallError, Catalogue, Deletion, Labels, Machine, MachineState, Offer, Order};
use super::optional::{Images, Prices};
use super::{ProviderError, ServerSpec};
use crate::provision::secret::Secret;
use crate::provision::workspace::Workspace;

/// Servers of a page.
const PAGE: usize = 100;
/// How long after an order its server is in every list.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// UpCloud, with the credentials of this process.
#[derive(Debug)]
pub struct UpCloud {
    workspace: Workspace,
    /// Opened with the first call: what makes none needs no credentials.
    session: OnceLock<Session>,
    plans: OnceLock<Plans>,
}

impl UpCloud {
    /// UpCloud for the servers of a workspace. Makes no call.
    ///
    /// # Errors
    /// None so far.
    pub fn open(workspace: &Workspace) -> Result<Self, ProviderError> {
        Ok(Self { workspace: workspace.clone(), session: OnceLock::new(), plans: OnceLock::new() })
    }

    /// The same with credentials of the caller's, at another address.
    ///
    /// # Errors
    /// [`CallError::Refused`] where the address is none.
    pub fn with_token(workspace: &Workspace, base_url: &str, token: Secret) -> Result<Self, CallError> {
        let session = Session::with_token(workspace, base_url, token)?;
        Ok(Self { workspace: workspace.clone(), session: session.into(), plans: OnceLock::new() })
    }

    fn session(&self) -> Result<&Session, CallError> {
        if let Some(session) = self.session.get() {
            return Ok(session);
        }
        let session = Session::open(&self.workspace)?;
        Ok(self.session.get_or_init(|| session))
    }

    /// What is sold, asked once.
    fn plans(&self) -> Result<&Plans, CallError> {
        if let Some(plans) = self.plans.get() {
            return Ok(plans);
        }
        let plans: Plans = self.session()?.get("/plan", &[])?;
        Ok(self.plans.get_or_init(|| plans))
    }

    /// A server with all that is known of it; `None` where it is gone.
    fn details(&self, id: &str) -> Result<Option<Row>, CallError> {
        let call = Call::get(path(id)?);
        match self.session()?.make::<Details>(&call) {
            Ok(details) => Ok(Some(details.server)),
            Err(Failure::Said(problem)) if problem.is_gone() => Ok(None),
            Err(failure) => Err(failure.into_read()),
        }
    }

    /// Every server in the lists that carries these labels, as far as the lists tell of it.
    fn rows(&self, labels: &Labels) -> Result<BTreeMap<String, Row>, CallError> {
        let filters: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut found = BTreeMap::new();
        loop {
            let (limit, offset) = (PAGE.to_string(), found.len().to_string());
            let mut query = vec![("limit", limit.as_str()), ("offset", offset.as_str())];
            query.extend(filters.iter().map(|filter| ("label", filter.as_str())));
            let page: Rows = self.session()?.get("/server", &query)?;
            let (count, before) = (page.rows().len(), found.len());
            found.extend(page.into_rows().map(|row| (row.uuid.clone(), row)));
            // A page that brings nothing new is the last one, whatever its length says.
            if count < PAGE || found.len() == before {
                break;
            }
        }
        // That the filter means what is meant here is not taken on trust: what is found may be deleted.
        found.retain(|_, row| labels.iter().all(|(key, value)| row.labels().get(key) == Some(value)));
        Ok(found)
    }

    /// Makes a call that changes a server; `None` where there is none.
    fn change(&self, call: &Call<'_>) -> Result<Option<()>, CallError> {
        match self.session()?.send(call) {
            Ok(_) => Ok(Some(())),
            Err(Failure::Said(problem)) if problem.is_gone() => Ok(None),
            Err(failure) => Err(failure.into_change()),
        }
    }
}

impl Api for UpCloud {
    fn name(&self) -> &'static str {
        "upcloud"
    }

    fn validate(&self, spec: &ServerSpec) -> Result<(), ProviderError> {
        Fields::of(spec).map(drop)
    }

    fn catalogue(&self) -> Result<Catalogue, CallError> {
        let offers =
            self.plans()?.rows().iter().filter_map(|row| Some(Offer { name: row.name.clone(), plan: row.size()? }));
        let plans = offers.collect();
        let zones: Zones = self.session()?.get("/zone", &[])?;
        Ok(Catalogue { plans, zones: zones.public() })
    }

    fn images(&self) -> Option<&dyn Images<CallError>> {
        Some(self)
    }

    fn prices(&self) -> Option<&dyn Prices<CallError>> {
        Some(self)
    }

    fn find(&self, labels: &Labels) -> Result<Vec<Machine>, CallError> {
        Ok(self.rows(labels)?.into_values().map(Row::into_machine).collect())
    }

    // Lists tell no addresses.
    fn address(&self, id: &str) -> Result<Option<String>, CallError> {
        Ok(self.details(id)?.and_then(|row| row.into_machine().address))
    }

    fn create(&self, order: &Order<'_>) -> Result<Machine, CallError> {
        self.ordered(order)
    }

    fn start(&self, machine: &Machine) -> Result<(), CallError> {
        let gone = || CallError::Refused { what: format!("the server {} is gone", machine.id), hint: None };
        let state = self.details(&machine.id)?.ok_or_else(gone)?.state();
        let later = |what: &str| CallError::Later { what: what.to_owned(), after: None, throttled: false };
        match state {
            MachineState::Running => Ok(()),
            MachineState::Changing => Err(later("the server is between states (maintenance)")),
            MachineState::Failed => Err(later("the server is in the state error, which UpCloud's staff looks after")),
            MachineState::Stopped => {
                let body = json!({ "server": {} });
                self.change(&Call::post(format!("{}/start", path(&machine.id)?), &body))?.ok_or_else(gone)
            }
        }
    }

    fn delete(&self, machine: &Machine) -> Result<Deletion, CallError> {
        let Some(row) = self.details(&machine.id)? else { return Ok(Deletion::Gone) };
        let path = path(&machine.id)?;
        let done = match row.state() {
            MachineState::Changing | MachineState::Failed => return Ok(Deletion::Going),
            MachineState::Running => {
                // What it holds is deleted next: there is nothing to be saved by asking it to shut down.
                let body = json!({ "stop_server": { "stop_type": "hard" } });
                self.change(&Call::post(format!("{path}/stop"), &body))?.map(|()| Deletion::Going)
            }
            MachineState::Stopped => {
                let query = [("storages", "1"), ("backups", "delete")];
                let call = Call { query: &query, ..Call::delete(format!("{path}/")) };
                self.change(&call)?.map(|()| Deletion::Gone)
            }
        };
        Ok(done.unwrap_or(Deletion::Gone))
    }

    fn relabel(&self, machine: &Machine, labels: &Labels) -> Result<(), CallError> {
        let body = json!({ "server": { "labels": wire::labels(labels) } });
        let gone = || CallError::Refused { what: format!("the server {} is gone", machine.id), hint: None };
        self.change(&Call::put(path(&machine.id)?, &body))?.ok_or_else(gone)
    }

    fn login(&self, spec: &ServerSpec) -> String {
        Fields::of(spec).map_or_else(|_| fields::LOGIN.to_owned(), |fields| fields.login)
    }

    fn knows_tokens(&self) -> bool {
        false
    }

    fn settles_within(&self) -> Duration {
        SETTLES_WITHIN
    }
}

/// The path of a server. Ids come from records and answers: one that is none must not become another path.
fn path(id: &str) -> Result<String, CallError> {
    let wrong = |_| CallError::Refused { what: format!("{id:?} is no id of a server at UpCloud"), hint: None };
    id.parse::<uuid::Uuid>().map(|id| format!("/server/{id}")).map_err(wrong)
}

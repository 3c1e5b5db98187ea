//! A container as its user sees it: what is on record, and what the engine shows of it now.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde_json::Value;

use super::calls::{Stuck, inspect};
use super::engine::{ANSWERS_WITHIN, Engine};
use super::{Containers, ROOTLESS_NOTE, address, name_of, runs};
use crate::model::name::Name;
use crate::provision::provider::local::state::{Record, ServerDir};
use crate::provision::provider::{ProviderError, Server, ServerSpec, ServerState};

/// The engines that were asked already, or why not, by what is on record of them.
pub type Engines = BTreeMap<Option<PathBuf>, Result<Engine, String>>;

/// What there is of a server.
#[derive(Debug)]
pub enum Look {
    /// Nothing.
    Nothing,
    /// It, in some state.
    Server(Box<Server>),
    /// Its record: somebody else removed its container.
    Gone(Box<ServerSpec>),
}

impl Containers<'_> {
    /// The server in `dir` as its engine shows it now. An engine that doesn't answer hides it from nobody.
    ///
    /// # Errors
    /// When the record can't be read.
    pub fn look(&self, dir: &ServerDir, engines: &mut Engines) -> io::Result<Look> {
        let (record, is_deleting) = match dir.record()? {
            Some(record) => (record, false),
            None => match dir.deleting()? {
                Some(record) => (record, true),
                None => return Ok(Look::Nothing),
            },
        };
        if dir.is_copy(&record) {
            let home = record.home.as_deref().and_then(|home| home.ancestors().nth(4)).unwrap_or(dir.path());
            let why = format!("this workspace is a copy: the container belongs to {}", home.display());
            // Not the id of the original's.
            let id = self.id(&record.spec.infra, &record.spec.name);
            let record = Record { id, ..record };
            return Ok(Look::Server(Box::new(server(record, ServerState::Incomplete, None, Some(why)))));
        }
        let engine = engines
            .entry(dir.engine().ok().flatten())
            .or_insert_with(|| self.engine_of(dir).map_err(|error| error.to_string()));
        let is_made = dir.is_made() && !is_deleting;
        let seen = match &*engine {
            Ok(engine) => inspect(engine, &record, ANSWERS_WITHIN),
            Err(why) => return Ok(unseen(record, is_made, why)),
        };
        Ok(match seen {
            Err(Stuck::Refused(error)) => {
                Look::Server(Box::new(server(record, ServerState::Incomplete, None, Some(error.to_string()))))
            }
            Err(Stuck::Silent(error)) => {
                let why = error.to_string();
                let look = unseen(record, is_made, &why);
                // The next one would only wait for it as long again.
                *engine = Err(why);
                look
            }
            Ok(there) => match state(there.as_ref(), is_made, is_deleting) {
                Some(state) => Look::Server(Box::new(server(record, state, there.as_ref(), None))),
                None => Look::Gone(Box::new(record.spec)),
            },
        })
    }

    /// The server in `dir`.
    ///
    /// # Errors
    /// When the engine doesn't answer, or there is none.
    pub fn find(&self, dir: &ServerDir, name: &Name) -> Result<Server, ProviderError> {
        // Who acts on a server is told why that is no use.
        let engine = self.engine_of(dir)?;
        let mut engines = Engines::from([(dir.engine().ok().flatten(), Ok(engine))]);
        match self.look(dir, &mut engines).map_err(|error| super::unreadable(name, error))? {
            Look::Server(server) => Ok(*server),
            Look::Nothing | Look::Gone(_) => Err(ProviderError::NotFound(name.clone())),
        }
    }
}

/// The state of a server whose container the engine shows so; `None` where it was removed by somebody else.
fn state(there: Option<&Value>, is_made: bool, is_deleting: bool) -> Option<ServerState> {
    match there {
        _ if is_deleting => Some(ServerState::Incomplete),
        None if is_made => None,
        Some(there) if is_made && runs(there) => Some(ServerState::Running),
        Some(_) if is_made => Some(ServerState::Stopped),
        _ => Some(ServerState::Incomplete),
    }
}

/// A server whose engine doesn't answer: only that could say whether it runs.
fn unseen(record: Record, is_made: bool, why: &str) -> Look {
    let state = if is_made { ServerState::Stopped } else { ServerState::Incomplete };
    let silent = Some(why.to_owned());
    Look::Server(Box::new(Server { silent, ..server(record, state, None, Some(why.to_owned())) }))
}

fn server(record: Record, state: ServerState, there: Option<&Value>, trouble: Option<String>) -> Server {
    let id = name_of(&record.id);
    let Record { spec, limits, mut notes, .. } = record;
    let is_reached = !notes.iter().any(|note| note == ROOTLESS_NOTE);
    notes.extend(trouble);
    let address = there.filter(|_| is_reached).and_then(address).map(|address| address.to_string());
    Server { address, limits, notes, ..Server::of(spec, "local", id, state) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_runs_only_where_record_and_engine_agree() {
        let there = |status: &str| json!({"State": {"Status": status}});
        let (running, exited, paused) = (there("running"), there("exited"), there("paused"));
        assert_eq!(state(Some(&running), true, false), Some(ServerState::Running));
        assert_eq!(state(Some(&exited), true, false), Some(ServerState::Stopped));
        assert_eq!(state(Some(&paused), true, false), Some(ServerState::Stopped));
        assert_eq!(state(Some(&running), false, false), Some(ServerState::Incomplete), "the making was cut short");
        assert_eq!(state(Some(&running), true, true), Some(ServerState::Incomplete), "the deletion was cut short");
        assert_eq!(state(None, false, false), Some(ServerState::Incomplete));
        assert_eq!(state(None, true, false), None);
    }
}

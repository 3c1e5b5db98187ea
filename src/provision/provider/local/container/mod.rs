//! Servers as containers of Docker or Podman, for whom the settings say `driver: "container"` with an `image`.
//!
//! The record on disk decides which there are, so that nobody who has none needs an engine; it is written before the
//! container is ordered, which is found again by its name and told from others' by the record's token ([`order`]).
//! [`engine`] speaks with Docker or Podman, [`calls`] are what it is asked for; [`inside`] runs commands by way of
//! [`stream`]. A server stays with the engine that it was made by. Knows nothing of task services; fetches no image that
//! needs an account at a registry.

mod calls;
mod engine;
mod inside;
mod order;
mod stream;
mod view;

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use self::calls::{Stuck, bring, fetch, inspect, is_there, remove, start};
use self::engine::{Engine, LIMIT, refused};
use self::inside::Inside;
pub use self::order::{NAMESPACE, image};
pub use self::view::{Engines, Look};
use super::lifecycle::clear;
use super::state::{Record, ServerDir};
use super::{failed, hash, names_in, not_running};
use crate::model::name::Name;
use crate::provision::provider::{ProviderError, ServerSpec};

/// How long a registry may take to say whether it has an image.
const REGISTRY_WITHIN: Duration = Duration::from_secs(30);
/// What the user of a server should know whose engine is an ordinary user's.
const ROOTLESS_NOTE: &str =
    "its engine is an ordinary user's, so it has no address: its services are reached by commands in it";
/// How what the user should know begins where names may be missing.
const UNKNOWN_NOTE: &str = "the servers of its infra may not know each other by name";

/// The containers of one workspace.
#[derive(Clone, Copy, Debug)]
pub struct Containers<'p> {
    /// Where the state of all servers is.
    pub root: &'p Path,
    /// The hash of the workspace.
    pub workspace: &'p str,
    /// The engine's socket, where the usual places are not asked.
    pub socket: Option<&'p Path>,
}

impl Containers<'_> {
    /// Makes the server, or starts the one that is `there`. The caller holds its lock, and has cleared away what a deletion or
    /// a creation that was cut short has left.
    pub fn make(
        &self,
        dir: &ServerDir,
        spec: &ServerSpec,
        image: &str,
        there: Option<Record>,
    ) -> Result<(), ProviderError> {
        let unwritten = |error| failed(format!("can't record server {}", spec.name), error);
        let known = there.filter(|there| !dir.is_copy(there));
        let is_first = known.is_none() || !dir.is_made();
        let engine = if known.is_some() { self.engine_of(dir)? } else { self.engine()? };
        let mut record = self.record(dir, spec, known);
        let id = name_of(&record.id);
        let there = inspect(&engine, &record, LIMIT)?;
        if there.is_none() {
            // Before anything is recorded: an image that can't be had leaves nothing.
            fetch(&engine, &spec.name, image)?;
        }
        dir.write_engine(engine.socket()).and_then(|()| dir.write_record(&record)).map_err(unwritten)?;
        let begun = match there {
            Some(there) => start(&engine, &record, &there).map(|()| None),
            None => bring(&engine, &record, image).map(Some),
        };
        match begun {
            Ok(None) => {}
            Ok(Some(notes)) => record.notes = notes,
            Err(stuck) => {
                // Whoever may have obeyed all the same could show it later, so its record stays.
                if is_first && matches!(stuck, Stuck::Refused(_)) && remove(&engine, &record).is_ok() {
                    clear(dir).map_err(unwritten)?;
                }
                return Err(stuck.into());
            }
        }
        record.limits = Inside::new(engine.clone(), id, spec.name.clone()).limits(&spec.plan)?;
        record.notes.retain(|note| note != ROOTLESS_NOTE && !note.starts_with(UNKNOWN_NOTE));
        if is_rootless(&engine)? {
            record.notes.push(ROOTLESS_NOTE.to_owned());
        } else if let Err(error) = self.introduce(&engine, &spec.infra) {
            record.notes.push(format!("{UNKNOWN_NOTE}: {error}"));
        }
        dir.write_record(&record).and_then(|()| dir.mark_made()).map_err(unwritten)
    }

    /// The record of a server that is made now. One that is `known` is still known to the engine by its old id.
    fn record(&self, dir: &ServerDir, wanted: &ServerSpec, known: Option<Record>) -> Record {
        let home = Some(dir.path().to_owned());
        match known {
            Some(known) => Record { home, ..known },
            None => Record {
                spec: wanted.clone(),
                id: self.id(&wanted.infra, &wanted.name),
                token: Some(uuid::Uuid::now_v7().simple().to_string()),
                home,
                address: None,
                cgroups: Vec::new(),
                limits: "unknown".to_owned(),
                notes: Vec::new(),
            },
        }
    }

    fn id(&self, infra: &Name, name: &Name) -> String {
        format!("{}:{infra}:{name}", self.workspace)
    }

    /// Deletes the server's container and its record. The caller holds its lock.
    pub fn unmake(&self, dir: &ServerDir, infra: &Name, name: &Name) -> Result<(), ProviderError> {
        let left =
            |error| failed(format!("can't delete the server in {}: its record is left", dir.path().display()), error);
        let known = dir.known();
        let engine = self.engine_of(dir).map_err(|error| hinted(error, dir))?;
        if known.is_none() && (dir.record().is_err() || dir.deleting().is_err()) {
            let id = self.id(infra, name);
            if is_there(&engine, &id, name)? {
                return Err(ProviderError::Unavailable {
                    what: format!(
                        "server {name}: its record is damaged, so nothing says whether the container {} is its own",
                        name_of(&id)
                    ),
                    hint: Some("remove the container, and its data with it, then delete the server again".to_owned()),
                });
            }
        }
        dir.begin_deletion().map_err(left)?;
        if let Some(record) = known.filter(|record| !dir.is_copy(record)) {
            remove(&engine, &record)?;
        }
        clear(dir).map_err(left)?;
        // They may know a name too many; the next one that is made tells them.
        let _ = self.introduce(&engine, infra);
        Ok(())
    }

    /// The way into a server that runs.
    pub fn transport(&self, dir: &ServerDir, name: &Name) -> Result<Inside, ProviderError> {
        let record = dir.record().map_err(|error| unreadable(name, error))?;
        let record = record.filter(|record| !dir.is_copy(record)).ok_or_else(|| not_running(name))?;
        let engine = self.engine_of(dir)?;
        match inspect(&engine, &record, LIMIT)? {
            Some(there) if runs(&there) => Ok(Inside::new(engine, name_of(&record.id), name.clone())),
            _ => Err(not_running(name)),
        }
    }

    /// What somebody should know before a container of `image` is made.
    pub fn warnings(&self, image: &str) -> Vec<String> {
        let wanting = self.engine().and_then(|engine| {
            if engine.ask(&Method::GET, &format!("/images/{image}/json"), None, LIMIT)?.0 == 200 {
                return Ok(None);
            }
            if engine.is_podman() {
                return Ok(Some(format!(
                    "the image {image} is not here: whether it can be had is known once it is fetched"
                )));
            }
            let path = format!("/distribution/{image}/json");
            match engine.ask(&Method::GET, &path, None, REGISTRY_WITHIN)? {
                (200, _) => Ok(None),
                (_, said) => Err(refused(&format!("the image {image} can't be had"), &said)),
            }
        });
        wanting
            .map_err(|error| format!("as it is, it can't be made: {error}"))
            .unwrap_or_else(Some)
            .into_iter()
            .collect()
    }

    /// What makes containers on this host.
    pub fn describe(&self) -> Result<String, ProviderError> {
        let engine = self.engine()?;
        let name = if engine.is_podman() { "Podman" } else { "Docker" };
        Ok(format!("{name} at {}", engine.socket().display()))
    }

    fn engine(&self) -> Result<Engine, ProviderError> {
        self.socket.map_or_else(Engine::find, Engine::at)
    }

    /// The engine that has the server in `dir`.
    fn engine_of(&self, dir: &ServerDir) -> Result<Engine, ProviderError> {
        // One that can't be read is a damaged record: the usual one will be it.
        dir.engine().ok().flatten().map_or_else(|| self.engine(), |socket| Engine::at(&socket))
    }

    /// Tells the containers of `infra` that `engine` runs each other's names.
    fn introduce(&self, engine: &Engine, infra: &Name) -> Result<(), ProviderError> {
        let unreadable = |error| failed(format!("can't read the servers of {infra}"), error);
        let above = self.root.join(infra.as_str());
        let held = match File::open(&above) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(unreadable)?,
        };
        // Or one who saw fewer of them could be the last to tell.
        flock(&held, FlockOperation::LockExclusive).map_err(|error| unreadable(error.into()))?;
        let mut running = Vec::new();
        for name in names_in(&above).map_err(unreadable)? {
            let dir = ServerDir::at(above.join(name.as_str()));
            let is_here = dir.engine().ok().flatten().is_some_and(|socket| socket == engine.socket());
            let Some(record) = dir.record().ok().flatten().filter(|record| is_here && !dir.is_copy(record)) else {
                continue;
            };
            let there = inspect(engine, &record, LIMIT).ok().flatten().filter(runs);
            running.extend(there.map(|there| (name, name_of(&record.id), address(&there))));
        }
        let known: Vec<(String, Ipv4Addr)> =
            running.iter().filter_map(|(name, _, address)| Some((name.to_string(), (*address)?))).collect();
        let fellows = if known.len() > 1 { known.as_slice() } else { &[] };
        let told: Vec<_> =
            running.into_iter().map(|(name, id, _)| Inside::new(engine.clone(), id, name).introduce(fellows)).collect();
        told.into_iter().collect()
    }
}

/// The container's name: names may hold dashes, so only the hash tells `a-b c` from `a b-c`.
fn name_of(id: &str) -> String {
    let (workspace, rest) = id.split_once(':').unwrap_or_default();
    format!("prov-{workspace}-{:08x}-{}", hash(id.as_bytes()) >> 32, rest.replace(':', "-"))
}

fn is_rootless(engine: &Engine) -> Result<bool, ProviderError> {
    let said = engine.must("can't ask the container engine what it is", &Method::GET, "/info", None)?;
    let options = said["SecurityOptions"].as_array();
    Ok(options.into_iter().flatten().any(|option| option.as_str().is_some_and(|text| text.contains("rootless"))))
}

fn runs(there: &Value) -> bool {
    there["State"]["Status"] == "running"
}

/// The container's address in its engine's network.
fn address(there: &Value) -> Option<Ipv4Addr> {
    let networks = there["NetworkSettings"]["Networks"].as_object()?;
    networks.values().find_map(|one| one["IPAddress"].as_str()?.parse().ok())
}

fn unreadable(name: &Name, error: io::Error) -> ProviderError {
    failed(format!("can't read the state of server {name}"), error)
}

/// Without its engine a container can't be deleted, and nobody but its user knows that there is none any more.
fn hinted(error: ProviderError, dir: &ServerDir) -> ProviderError {
    match error {
        ProviderError::Unavailable { what, hint } => {
            let forget = format!("if the engine is gone for good, remove {}", dir.path().display());
            let hint = hint.map_or_else(|| forget.clone(), |hint| format!("{hint} {forget}"));
            ProviderError::Unavailable { what, hint: Some(hint) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_two_servers_have_one_name() {
        let name = |infra: &str, server: &str| name_of(&format!("cafe0123:{infra}:{server}"));
        assert!(name("a", "b").starts_with("prov-cafe0123-") && name("a", "b").ends_with("-a-b"));
        assert_ne!(name("a-b", "c"), name("a", "b-c"));
        assert_ne!(name_of("cafe0124:a:b"), name("a", "b"));
    }

    #[test]
    fn only_an_address_is_one() {
        let there = |text: &str| json!({"NetworkSettings": {"Networks": {"bridge": {"IPAddress": text}}}});
        assert_eq!(address(&there("10.88.0.4")), Some(Ipv4Addr::new(10, 88, 0, 4)));
        assert_eq!((address(&there("")), address(&json!({}))), (None, None));
    }
}

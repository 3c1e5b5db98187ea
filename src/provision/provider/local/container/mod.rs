//! Servers as containers of Docker or Podman, for whom the settings say `driver: "container"` with an `image`.
//!
//! The record on disk decides which there are, so that nobody who has none needs an engine; it is written before the
//! container is made, which is found again by its name and told from others' by its labels ([`order`]). [`engine`] speaks
//! with Docker or Podman; [`inside`] runs commands by way of [`stream`]. A server stays with the engine that it was made
//! by. Knows nothing of task services; fetches no image that needs an account at a registry.

mod engine;
mod inside;
mod order;
mod stream;
mod view;

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use self::engine::{Engine, LIMIT, refused};
use self::inside::Inside;
pub use self::order::{NAMESPACE, image};
use self::order::{digest, digest_of, order};
pub use self::view::{Engines, Look};
use super::lifecycle::clear;
use super::state::{Record, ServerDir};
use super::{failed, hash, names_in, not_running};
use crate::model::name::Name;
use crate::provision::provider::{ProviderError, ServerSpec};

/// How long an image may take to come.
const PULL_WITHIN: Duration = Duration::from_mins(15);
/// How long a registry may take to say whether it has an image.
const REGISTRY_WITHIN: Duration = Duration::from_secs(30);
/// How long a container may take to be gone that another process deletes too.
const GONE_WITHIN: Duration = Duration::from_mins(1);
/// How often that is looked at.
const INTERVAL: Duration = Duration::from_millis(100);
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
        let engine = if there.is_some() { self.engine_of(dir)? } else { self.engine()? };
        let mut record = self.record(dir, spec, there);
        dir.write_engine(engine.socket()).and_then(|()| dir.write_record(&record)).map_err(unwritten)?;
        let id = name_of(&record.id);
        match inspect(&engine, &record)? {
            Some(there) => start(&engine, &id, spec, &there)?,
            None => {
                record.notes = bring(&engine, &id, spec, image, record.workspace())?;
                start(&engine, &id, spec, &Value::Null)?;
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

    /// The record of a server that is made now. One that was `there` is still known to the engine by its old id.
    fn record(&self, dir: &ServerDir, wanted: &ServerSpec, there: Option<Record>) -> Record {
        let (home, known) = (Some(dir.path().to_owned()), there.filter(|there| !dir.is_copy(there)));
        match known {
            Some(known) => Record { home, ..known },
            None => Record {
                spec: wanted.clone(),
                id: format!("{}:{}:{}", self.workspace, wanted.infra, wanted.name),
                home,
                address: None,
                cgroups: Vec::new(),
                limits: "unknown".to_owned(),
                notes: Vec::new(),
            },
        }
    }

    /// Deletes the server's container and its record. The caller holds its lock.
    pub fn unmake(&self, dir: &ServerDir, infra: &Name, name: &Name) -> Result<(), ProviderError> {
        let left =
            |error| failed(format!("can't delete the server in {}: its record is left", dir.path().display()), error);
        let known = dir.known().filter(|record| !dir.is_copy(record));
        let id = known.map_or_else(|| format!("{}:{infra}:{name}", self.workspace), |record| record.id);
        let engine = self.engine_of(dir).map_err(|error| hinted(error, dir))?;
        dir.begin_deletion().map_err(left)?;
        remove(&engine, &id, infra, name)?;
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
        match inspect(&engine, &record)? {
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
            let there = inspect(engine, &record).ok().flatten().filter(runs);
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

/// What the engine says of the server's container, if there is one.
fn inspect(engine: &Engine, record: &Record) -> Result<Option<Value>, ProviderError> {
    let name = &record.spec.name;
    let there = look_at(engine, &record.id, &record.spec.infra, name)?;
    match there.as_ref().map(|there| digest_of(there, record.workspace(), &record.spec.infra, name)) {
        Some(Some(actual)) if actual != digest(&record.spec) => Err(ProviderError::Unavailable {
            what: format!(
                "server {name}: there is a container {} already, made for another plan, zone or image",
                name_of(&record.id)
            ),
            hint: Some("this workspace's record of it was lost: remove the container".to_owned()),
        }),
        Some(Some(_)) | None => Ok(there),
        Some(None) => Err(ProviderError::Unavailable {
            what: format!(
                "server {name}: the container {} is somebody else's: it has other labels",
                name_of(&record.id)
            ),
            hint: Some("remove or rename the container".to_owned()),
        }),
    }
}

/// What the engine says of whatever has the name of the server's container.
fn look_at(engine: &Engine, id: &str, infra: &Name, name: &Name) -> Result<Option<Value>, ProviderError> {
    match engine.ask(&Method::GET, &format!("/containers/{}/json", name_of(id)), None, LIMIT)? {
        (404, _) => Ok(None),
        (200, said) => Ok(Some(said)),
        (_, said) => Err(refused(&format!("can't look at server {name} of {infra}"), &said)),
    }
}

/// Removes the server's container with its volumes, and nobody else's.
fn remove(engine: &Engine, id: &str, infra: &Name, name: &Name) -> Result<(), ProviderError> {
    let workspace = id.split(':').next().unwrap_or_default();
    let begun = Instant::now();
    loop {
        let Some(there) = look_at(engine, id, infra, name)? else { return Ok(()) };
        if digest_of(&there, workspace, infra, name).is_none() {
            return Ok(());
        }
        let path = format!("/containers/{}?force=true&v=true", name_of(id));
        let (status, said) = engine.ask(&Method::DELETE, &path, None, LIMIT)?;
        // Somebody else deletes it already.
        let is_going = status == 409;
        if status >= 400 && status != 404 && !(is_going && begun.elapsed() < GONE_WITHIN) {
            return Err(refused(&format!("can't delete server {name}"), &said));
        }
        if is_going {
            std::thread::sleep(INTERVAL);
        }
    }
}

/// Makes the container; answers what its user should know of it.
fn bring(
    engine: &Engine,
    id: &str,
    spec: &ServerSpec,
    image: &str,
    workspace: &str,
) -> Result<Vec<String>, ProviderError> {
    let attempt = format!("can't make server {}", spec.name);
    let here = format!("/images/{image}/json");
    if engine.ask(&Method::GET, &here, None, LIMIT)?.0 == 404 {
        let last = image.rsplit('/').next().unwrap_or_default();
        // Without a tag all of them would come.
        let tag = if last.contains([':', '@']) { "" } else { "&tag=latest" };
        let path = format!("/images/create?fromImage={image}{tag}");
        let (_, said) = engine.ask(&Method::POST, &path, None, PULL_WITHIN)?;
        // What fails while it comes is said in an answer of status 200.
        if engine.ask(&Method::GET, &here, None, LIMIT)?.0 == 404 {
            return Err(ProviderError::Unavailable {
                what: format!("{attempt}: the image {image} can't be had: {}", said_of_pull(&said)),
                hint: Some("load it (`docker load`, `podman load`), or write another `image`".to_owned()),
            });
        }
    }
    let body = order(spec, image, workspace, engine.is_podman());
    let path = format!("/containers/create?name={id}");
    let (status, said) = engine.ask(&Method::POST, &path, Some(&body), LIMIT)?;
    if status >= 400 {
        return Err(refused(&attempt, &said));
    }
    let warnings = said["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(warnings.map(|warning| format!("its engine warns: {warning}")).collect())
}

/// Starts the container, `there` as it was seen.
fn start(engine: &Engine, id: &str, spec: &ServerSpec, there: &Value) -> Result<(), ProviderError> {
    let word = match there["State"]["Status"].as_str() {
        Some("paused") => "unpause",
        // One that runs already is no error: 304.
        _ => "start",
    };
    let (status, said) = engine.ask(&Method::POST, &format!("/containers/{id}/{word}"), None, LIMIT)?;
    match refused(&format!("can't start server {}", spec.name), &said) {
        _ if status < 400 => Ok(()),
        ProviderError::Unavailable { what, .. } if what.contains("/bin/sh") => {
            Err(ProviderError::Unavailable { what, hint: Some("its image must have a POSIX shell".to_owned()) })
        }
        other => Err(other),
    }
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

/// The last error among the lines that tell how an image comes.
fn said_of_pull(said: &Value) -> String {
    let lines = said.as_str().unwrap_or_default().lines().rev();
    let told = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()).chain([said.clone()]);
    let error = |one: Value| one["error"].as_str().or(one["message"].as_str()).map(str::to_owned);
    told.into_iter().find_map(error).unwrap_or_else(|| "the engine could not fetch it".to_owned())
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
    fn why_an_image_did_not_come_is_the_last_error() {
        let lines = "{\"status\":\"Pulling\"}\n{\"error\":\"no route\",\"errorDetail\":{}}\n";
        assert_eq!(said_of_pull(&json!(lines)), "no route");
        assert_eq!(said_of_pull(&json!({"error": "denied"})), "denied");
        assert_eq!(said_of_pull(&json!({"message": "not found"})), "not found");
        assert_eq!(said_of_pull(&json!("")), "the engine could not fetch it");
    }

    #[test]
    fn only_an_address_is_one() {
        let there = |text: &str| json!({"NetworkSettings": {"Networks": {"bridge": {"IPAddress": text}}}});
        assert_eq!(address(&there("10.88.0.4")), Some(Ipv4Addr::new(10, 88, 0, 4)));
        assert_eq!((address(&there("")), address(&json!({}))), (None, None));
    }
}

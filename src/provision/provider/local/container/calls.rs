//! What an engine is asked for about the container of one server: to show it, to fetch its image, to make, start and remove
//! it. A container that doesn't carry the record's token is somebody else's and never touched. Writes no records.

use std::thread::sleep;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::engine::{Engine, LIMIT, refused};
use super::name_of;
use super::order::{is_of, order};
use crate::model::name::Name;
use crate::provision::provider::ProviderError;
use crate::provision::provider::local::state::Record;

/// How long an image may take to come.
const PULL_WITHIN: Duration = Duration::from_mins(15);
/// How long a container may take to be gone whose removal was asked for.
const GONE_WITHIN: Duration = Duration::from_mins(1);
/// How often that is looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// Why a call came to nothing.
#[derive(Debug)]
pub enum Stuck {
    /// The engine said no.
    Refused(ProviderError),
    /// It said nothing, and may do it all the same.
    Silent(ProviderError),
}

impl From<ProviderError> for Stuck {
    fn from(unanswered: ProviderError) -> Self {
        Self::Silent(unanswered)
    }
}

impl From<Stuck> for ProviderError {
    fn from(stuck: Stuck) -> Self {
        let (Stuck::Refused(error) | Stuck::Silent(error)) = stuck;
        error
    }
}

/// What the engine says of the server's container, if there is one, within `limit`.
pub fn inspect(engine: &Engine, record: &Record, limit: Duration) -> Result<Option<Value>, Stuck> {
    let name = &record.spec.name;
    let there = look_at(engine, &record.id, name, limit)?;
    if there.as_ref().is_none_or(|there| is_of(there, record)) {
        return Ok(there);
    }
    Err(Stuck::Refused(ProviderError::Unavailable {
        what: format!(
            "server {name}: the container {} is somebody else's, which is never touched: it doesn't carry what is on this \
             workspace's record",
            name_of(&record.id)
        ),
        hint: Some(
            "give the server another name; or, if that container's record was lost, remove it with all the data it holds"
                .to_owned(),
        ),
    }))
}

/// Whether anything has the name of the container of the server with this `id`.
pub fn is_there(engine: &Engine, id: &str, name: &Name) -> Result<bool, Stuck> {
    Ok(look_at(engine, id, name, LIMIT)?.is_some())
}

/// What the engine says of whatever has the name of the server's container.
fn look_at(engine: &Engine, id: &str, name: &Name, limit: Duration) -> Result<Option<Value>, Stuck> {
    match engine.ask(&Method::GET, &format!("/containers/{}/json", name_of(id)), None, limit)? {
        (404, _) => Ok(None),
        (200, said) => Ok(Some(said)),
        (_, said) => Err(Stuck::Refused(refused(&format!("can't look at server {name}"), &said))),
    }
}

/// Removes the server's container with its volumes, and nobody else's.
pub fn remove(engine: &Engine, record: &Record) -> Result<(), Stuck> {
    let (name, begun) = (&record.spec.name, Instant::now());
    let mut last: Option<Value> = None;
    while let Some(there) = look_at(engine, &record.id, name, LIMIT)?.filter(|there| is_of(there, record)) {
        if let Some(said) = &last {
            if begun.elapsed() >= GONE_WITHIN {
                let attempt = format!("can't delete server {name}: its container is still there");
                return Err(Stuck::Refused(refused(&attempt, said)));
            }
            sleep(INTERVAL);
        }
        // By its id: the name may be another container's by now.
        let id = there["Id"].as_str().map_or_else(|| name_of(&record.id), str::to_owned);
        let path = format!("/containers/{id}?force=true&v=true");
        let (status, said) = engine.ask(&Method::DELETE, &path, None, LIMIT)?;
        // 409: somebody else deletes it already.
        if status >= 400 && ![404, 409].contains(&status) {
            return Err(Stuck::Refused(refused(&format!("can't delete server {name}"), &said)));
        }
        last = Some(said);
    }
    Ok(())
}

/// Has the engine fetch `image` for the server `name` where it hasn't got it.
pub fn fetch(engine: &Engine, name: &Name, image: &str) -> Result<(), ProviderError> {
    let here = format!("/images/{image}/json");
    let is_missing = || Ok::<_, ProviderError>(engine.ask(&Method::GET, &here, None, LIMIT)?.0 == 404);
    if !is_missing()? {
        return Ok(());
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    // Without a tag all of them would come.
    let tag = if last.contains([':', '@']) { "" } else { "&tag=latest" };
    let path = format!("/images/create?fromImage={image}{tag}");
    let (_, said) = engine.ask(&Method::POST, &path, None, PULL_WITHIN)?;
    // What fails while it comes is said in an answer of status 200.
    if is_missing()? {
        return Err(ProviderError::Unavailable {
            what: format!("can't make server {name}: the image {image} can't be had: {}", said_of_pull(&said)),
            hint: Some("load it (`docker load`, `podman load`), or write another `image`".to_owned()),
        });
    }
    Ok(())
}

/// Makes the container and starts it; answers what its user should know of it.
pub fn bring(engine: &Engine, record: &Record, image: &str) -> Result<Vec<String>, Stuck> {
    let body = order(record, image, engine.is_podman());
    let path = format!("/containers/create?name={}", name_of(&record.id));
    let (status, said) = engine.ask(&Method::POST, &path, Some(&body), LIMIT)?;
    if status >= 400 {
        return Err(Stuck::Refused(refused(&format!("can't make server {}", record.spec.name), &said)));
    }
    let warnings = said["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let notes = warnings.map(|warning| format!("its engine warns: {warning}")).collect();
    start(engine, record, &Value::Null)?;
    Ok(notes)
}

/// Starts the container, `there` as it was seen.
pub fn start(engine: &Engine, record: &Record, there: &Value) -> Result<(), Stuck> {
    let word = match there["State"]["Status"].as_str() {
        Some("paused") => "unpause",
        // One that runs already is no error: 304.
        _ => "start",
    };
    let path = format!("/containers/{}/{word}", name_of(&record.id));
    let (status, said) = engine.ask(&Method::POST, &path, None, LIMIT)?;
    match refused(&format!("can't start server {}", record.spec.name), &said) {
        _ if status < 400 => Ok(()),
        ProviderError::Unavailable { what, .. } if what.contains("/bin/sh") => {
            Err(Stuck::Refused(ProviderError::Unavailable {
                what,
                hint: Some("its image must have a POSIX shell".to_owned()),
            }))
        }
        other => Err(Stuck::Refused(other)),
    }
}

/// The last error among the lines that tell how an image comes.
fn said_of_pull(said: &Value) -> String {
    let lines = said.as_str().unwrap_or_default().lines().rev();
    let told = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()).chain([said.clone()]);
    let error = |one: Value| one["error"].as_str().or(one["message"].as_str()).map(str::to_owned);
    told.into_iter().find_map(error).unwrap_or_else(|| "the engine could not fetch it".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn why_an_image_did_not_come_is_the_last_error() {
        let lines = "{\"status\":\"Pulling\"}\n{\"error\":\"no route\",\"errorDetail\":{}}\n";
        assert_eq!(said_of_pull(&json!(lines)), "no route");
        assert_eq!(said_of_pull(&json!({"error": "denied"})), "denied");
        assert_eq!(said_of_pull(&json!({"message": "not found"})), "not found");
        assert_eq!(said_of_pull(&json!("")), "the engine could not fetch it");
    }
}

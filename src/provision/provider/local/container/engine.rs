//! Docker or Podman by its socket: where it is, which version of its API is spoken, and what a refusal means.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::http;
use crate::provision::provider::ProviderError;

/// The version of the API that is spoken where the engine speaks it.
const WANTED: (u32, u32) = (1, 44);
/// The oldest that has all that is needed.
const OLDEST: (u32, u32) = (1, 40);
/// How long an engine may keep a call waiting.
pub const LIMIT: Duration = Duration::from_mins(2);

/// An engine that answers.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Its socket.
    pub socket: PathBuf,
    version: String,
    /// Whether it is Podman.
    pub is_podman: bool,
}

impl Engine {
    /// The engine of this host.
    pub fn find() -> Result<Self, ProviderError> {
        let places = places(std::env::var("DOCKER_HOST").ok(), std::env::var("XDG_RUNTIME_DIR").ok())?;
        let Some(socket) = places.iter().find(|place| place.exists()) else {
            let looked: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
            return Err(unavailable(
                format!("there is no container engine: no socket at {}", looked.join(", ")),
                "start Docker, or `podman system service`; DOCKER_HOST=unix:///PATH says where else its socket is",
            ));
        };
        let answer = http::call(socket, "GET /version", None, LIMIT).map_err(|error| {
            let what = format!("can't reach the container engine at {}: {error}", socket.display());
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => "your account must be in the socket's group (docker), or be root",
                _ => "is it running?",
            };
            unavailable(what, hint)
        })?;
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let number = |field: &str| said[field].as_str().and_then(parse);
        let version = choose(number("ApiVersion"), number("MinAPIVersion")).ok_or_else(|| {
            unavailable(
                format!("the container engine at {} speaks no version of the API that prov knows", socket.display()),
                "Docker 19.03 or Podman 3 and later do",
            )
        })?;
        let is_podman = said["Components"][0]["Name"].as_str().is_some_and(|name| name.contains("Podman"));
        Ok(Self { socket: socket.clone(), version: format!("v{}.{}", version.0, version.1), is_podman })
    }

    /// A call that may be refused: status and what was said.
    pub fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<(u16, Value), ProviderError> {
        let answer =
            http::call(&self.socket, &self.line(method, path), body, limit).map_err(|error| ProviderError::Failed {
                attempt: "the container engine broke a call off".to_owned(),
                source: Box::new(error),
            })?;
        let said = serde_json::from_slice(&answer.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&answer.body).trim().to_owned()));
        Ok((answer.status, said))
    }

    /// A call that must succeed.
    pub fn must(&self, attempt: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Value, ProviderError> {
        match self.ask(method, path, body, LIMIT)? {
            (status, said) if status < 400 => Ok(said),
            (_, said) => Err(refused(attempt, &said)),
        }
    }

    /// The first line of a call.
    pub fn line(&self, method: &str, path: &str) -> String {
        format!("{method} /{}{path}", self.version)
    }
}

/// What the engine said, as an error.
pub fn refused(attempt: &str, said: &Value) -> ProviderError {
    let why = said["message"].as_str().or(said.as_str()).unwrap_or("it doesn't say why");
    ProviderError::Unavailable { what: format!("{attempt}: the container engine says: {why}"), hint: None }
}

fn unavailable(what: String, hint: &str) -> ProviderError {
    ProviderError::Unavailable { what, hint: Some(hint.to_owned()) }
}

fn places(host: Option<String>, runtime: Option<String>) -> Result<Vec<PathBuf>, ProviderError> {
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        return match host.strip_prefix("unix://") {
            Some(path) => Ok(vec![PathBuf::from(path)]),
            None => Err(unavailable(
                "DOCKER_HOST names an engine that is not on this machine".to_owned(),
                "the provider local uses unix:///PATH only",
            )),
        };
    }
    let mut places = vec![PathBuf::from("/run/docker.sock"), PathBuf::from("/run/podman/podman.sock")];
    places.extend(runtime.map(|dir| PathBuf::from(dir).join("podman/podman.sock")));
    Ok(places)
}

fn parse(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The wanted version, or the nearest that the engine speaks.
fn choose(newest: Option<(u32, u32)>, oldest: Option<(u32, u32)>) -> Option<(u32, u32)> {
    let newest = newest.filter(|newest| *newest >= OLDEST)?;
    Some(WANTED.max(oldest.unwrap_or(OLDEST)).min(newest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_one_that_both_speak() {
        assert_eq!(choose(parse("1.41"), parse("1.12")), Some((1, 41)));
        assert_eq!(choose(parse("1.50"), parse("1.24")), Some((1, 44)));
        assert_eq!(choose(parse("1.99"), parse("1.60")), Some((1, 60)));
        assert_eq!(choose(parse("1.24"), None), None);
        assert_eq!(choose(parse("x"), None), None);
    }

    #[test]
    fn only_sockets_of_this_machine_are_used() {
        assert_eq!(places(Some("unix:///a".into()), None).unwrap(), [PathBuf::from("/a")]);
        assert!(places(Some("tcp://a:1".into()), None).is_err());
        assert_eq!(places(None, Some("/run/user/1".into())).unwrap().len(), 3);
    }
}

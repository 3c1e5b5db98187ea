//! Docker or Podman by its socket: where it is, which version of its API is spoken, and what a refusal means.

use std::error::Error;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::blocking::Client;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use crate::provision::provider::ProviderError;

/// The version of the API that is spoken where the engine speaks it.
const WANTED: (u32, u32) = (1, 44);
/// The oldest that has all that is needed.
const OLDEST: (u32, u32) = (1, 40);
/// How long an engine may take for a call.
pub const LIMIT: Duration = Duration::from_mins(2);
/// How long it may take to say what it is, and to show one container among others.
pub const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read.
const MOST_BYTES: u64 = 32 << 20;

/// An engine that answers.
#[derive(Clone, Debug)]
pub struct Engine {
    client: Client,
    socket: PathBuf,
    version: String,
    is_podman: bool,
}

impl Engine {
    /// The engine of this host: the first that answers where one may be.
    pub fn find() -> Result<Self, ProviderError> {
        let places = places(std::env::var("DOCKER_HOST").ok(), std::env::var("XDG_RUNTIME_DIR").ok())?;
        let mut first = None;
        for place in places.iter().filter(|place| place.exists()) {
            match Self::at(place) {
                Ok(engine) => return Ok(engine),
                Err(error) => first = first.or(Some(error)),
            }
        }
        let looked: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        Err(first.unwrap_or_else(|| {
            unavailable(
                format!("there is no container engine: no socket at {}", looked.join(", ")),
                "start Docker, or Podman by `podman system service`; DOCKER_HOST=unix:///PATH says where else its socket is",
            )
        }))
    }

    /// The engine behind `socket`.
    pub fn at(socket: &Path) -> Result<Self, ProviderError> {
        let client = client(socket).map_err(|error| ProviderError::Failed {
            attempt: "can't make an HTTP client for the container engine".to_owned(),
            source: error,
        })?;
        let asked = Self { client, socket: socket.to_owned(), version: String::new(), is_podman: false };
        let (status, said) = asked.call(&Method::GET, "/version", None, ANSWERS_WITHIN).map_err(|error| {
            let what = format!("can't reach the container engine at {}: {}", socket.display(), cause(&error));
            let hint = match kind(&error) {
                Some(io::ErrorKind::PermissionDenied) => {
                    "your account must be root or in the group that the socket belongs to, as `docker`"
                }
                _ => "is it running?",
            };
            unavailable(what, hint)
        })?;
        let number = |field: &str| said[field].as_str().and_then(parse);
        let Some(newest) = number("ApiVersion").filter(|_| status == 200) else {
            let what = format!("what answers at {} is neither Docker nor Podman", socket.display());
            return Err(unavailable(what, "DOCKER_HOST=unix:///PATH says where the engine's socket is"));
        };
        let version = choose(newest, number("MinAPIVersion")).ok_or_else(|| {
            let what = format!("the container engine at {} speaks the API {}.{}", socket.display(), newest.0, newest.1);
            unavailable(format!("{what} only, which is too old"), "Docker 19.03 and Podman 3 or later will do")
        })?;
        let is_podman = said["Components"][0]["Name"].as_str().is_some_and(|name| name.contains("Podman"));
        Ok(Self { version: format!("/v{}.{}", version.0, version.1), is_podman, ..asked })
    }

    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether it is Podman.
    pub const fn is_podman(&self) -> bool {
        self.is_podman
    }

    /// A path of its API.
    pub fn path(&self, below: &str) -> String {
        format!("{}{below}", self.version)
    }

    /// A call that may be refused: status and what was said.
    pub fn ask(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<(u16, Value), ProviderError> {
        self.call(method, &self.path(path), body, limit).map_err(|error| {
            let what = format!("the container engine at {} doesn't answer: {}", self.socket.display(), cause(&error));
            unavailable(what, "is it running?")
        })
    }

    /// A call that must succeed.
    pub fn must(
        &self,
        attempt: &str,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ProviderError> {
        match self.ask(method, path, body, LIMIT)? {
            (status, said) if status < 400 => Ok(said),
            (_, said) => Err(refused(attempt, &said)),
        }
    }

    fn call(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> reqwest::Result<(u16, Value)> {
        let mut request = self.client.request(method.clone(), format!("http://localhost{path}")).timeout(limit);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send()?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        // One that is cut short is no JSON, and its status is known.
        let _ = response.take(MOST_BYTES).read_to_end(&mut bytes);
        let said = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).trim().to_owned()));
        Ok((status, said))
    }
}

/// A client whose connections all go to `socket`, so that it needs to trust nobody.
fn client(socket: &Path) -> Result<Client, Box<dyn Error + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    // A socket of this machine is opened quickly, and a connection that was kept may be over when it is needed.
    let client = Client::builder().tls_backend_preconfigured(config).unix_socket(socket).pool_max_idle_per_host(0);
    Ok(client.redirect(reqwest::redirect::Policy::none()).build()?)
}

/// What the engine said, as an error.
pub fn refused(attempt: &str, said: &Value) -> ProviderError {
    let why = said["message"].as_str().or(said.as_str()).filter(|why| !why.is_empty()).unwrap_or("it doesn't say why");
    ProviderError::Unavailable { what: format!("{attempt}: the container engine says: {why}"), hint: None }
}

fn unavailable(what: String, hint: &str) -> ProviderError {
    ProviderError::Unavailable { what, hint: Some(hint.to_owned()) }
}

/// The innermost cause: those around it say no more than that a call failed.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut inner: &dyn Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut inner: Option<&dyn Error> = Some(error);
    while let Some(some) = inner {
        if let Some(io) = some.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        inner = some.source();
    }
    None
}

fn places(host: Option<String>, runtime: Option<String>) -> Result<Vec<PathBuf>, ProviderError> {
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        return match host.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(vec![PathBuf::from(path)]),
            _ => Err(unavailable(
                "DOCKER_HOST names no socket of this machine".to_owned(),
                "servers of the provider local are on this machine: DOCKER_HOST=unix:///PATH",
            )),
        };
    }
    let own = runtime.filter(|dir| dir.starts_with('/')).map(PathBuf::from);
    let of_root = ["/var/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from);
    let of_user = own.iter().flat_map(|dir| ["docker.sock", "podman/podman.sock"].map(|socket| dir.join(socket)));
    Ok(of_root.into_iter().chain(of_user).collect())
}

fn parse(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The wanted version, or the nearest that the engine speaks.
fn choose(newest: (u32, u32), oldest: Option<(u32, u32)>) -> Option<(u32, u32)> {
    (newest >= OLDEST).then(|| WANTED.max(oldest.unwrap_or(OLDEST)).min(newest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_one_that_both_speak() {
        assert_eq!(choose((1, 41), parse("1.12")), Some((1, 41)));
        assert_eq!(choose((1, 50), parse("1.24")), Some((1, 44)));
        assert_eq!(choose((1, 99), parse("1.60")), Some((1, 60)));
        assert_eq!(choose((1, 24), None), None);
        assert_eq!((parse("x"), parse("1.x")), (None, None));
    }

    #[test]
    fn only_sockets_of_this_machine_are_used() {
        assert_eq!(places(Some("unix:///a".into()), None).unwrap(), [PathBuf::from("/a")]);
        for elsewhere in ["tcp://a:1", "ssh://a", "unix://a", "/a"] {
            assert!(places(Some(elsewhere.into()), None).is_err(), "{elsewhere}");
        }
        assert_eq!(places(Some(String::new()), Some("/run/user/1".into())).unwrap().len(), 4);
        assert_eq!(places(None, Some("relative".into())).unwrap().len(), 2);
    }
}

//! What the settings say of a host of the user's own.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::model::nearest::unknown;
use crate::provision::provider::{ProviderError, ServerSpec};
use crate::provision::transport::ssh::{DEFAULT_PORT, Destination, HostKey};
use crate::provision::workspace::Workspace;

/// Every field there is.
const KNOWN: &[&str] = &["address", "user", "key", "port", "jump", "host_key", "sudo"];
/// Who logs in where the settings don't say.
const DEFAULT_USER: &str = "root";

/// The host key that the settings pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// The key itself.
    Key(HostKey),
    /// Its fingerprint, `SHA256:…`.
    Fingerprint(String),
}

/// The fields of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Where it is.
    pub to: Destination,
    /// The private key as written: absolute, `~/…` or relative to the workspace.
    pub key: Option<String>,
    /// The host in between.
    pub jump: Option<Destination>,
    /// The host key.
    pub pinned: Option<Pinned>,
    /// Whether a user other than root becomes root by `sudo`.
    pub sudo: bool,
}

impl Fields {
    /// Reads them.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] names the field.
    pub fn of(spec: &ServerSpec) -> Result<Self, ProviderError> {
        read(&spec.extra).map_err(|(what, hint)| ProviderError::Invalid {
            what: format!("server {}: {what}", spec.name),
            hint: hint.map(str::to_owned),
        })
    }

    /// The private key's file.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`] where it isn't there.
    pub fn identity(&self, workspace: &Workspace) -> Result<Option<PathBuf>, ProviderError> {
        let Some(text) = &self.key else { return Ok(None) };
        let path = match text.strip_prefix("~/").zip(std::env::var_os("HOME")) {
            Some((below, home)) => Path::new(&home).join(below),
            None if Path::new(text).is_absolute() => PathBuf::from(text),
            None => workspace.resolve_inside(text).unwrap_or_else(|_| workspace.root().join(text)),
        };
        if path.is_file() {
            return Ok(Some(path));
        }
        let what = format!("the key {text:?} for {} is not there", self.to);
        Err(ProviderError::Unavailable { what, hint: Some("write the path of a private key".to_owned()) })
    }
}

type Wrong = (String, Option<&'static str>);

fn read(fields: &Map<String, Value>) -> Result<Fields, Wrong> {
    if let Some(other) = fields.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err((unknown("field", other, KNOWN), None));
    }
    let address = text(fields, "address")?;
    let address =
        address.ok_or(("the field `address` is missing".to_owned(), Some("write the host's name or IP address")))?;
    let wrong = |error: &dyn std::fmt::Display| (error.to_string(), None);
    let to = Destination::new(address, text(fields, "user")?.unwrap_or(DEFAULT_USER), port(fields)?);
    let jump = text(fields, "jump")?.map(|jump| Destination::parse(jump, DEFAULT_USER)).transpose();
    let key = text(fields, "key")?.map(str::to_owned);
    if key.as_ref().is_some_and(|key| key.contains("PRIVATE KEY")) {
        return Err(("`key` is the path of a private key, not the key".to_owned(), Some("keep keys out of settings")));
    }
    Ok(Fields {
        to: to.map_err(|error| wrong(&error))?,
        key,
        jump: jump.map_err(|error| (format!("jump: {error}"), Some("write it as in `user@host:port`")))?,
        pinned: text(fields, "host_key")?.map(pinned).transpose()?,
        sudo: match fields.get("sudo") {
            None | Some(Value::Null) => true,
            Some(Value::Bool(sudo)) => *sudo,
            Some(_) => return Err(("`sudo` must be true or false".to_owned(), None)),
        },
    })
}

fn text<'f>(fields: &'f Map<String, Value>, name: &str) -> Result<Option<&'f str>, Wrong> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err((format!("`{name}` must be text"), None)),
    }
}

fn port(fields: &Map<String, Value>) -> Result<u16, Wrong> {
    match fields.get("port") {
        None | Some(Value::Null) => Ok(DEFAULT_PORT),
        Some(port) => {
            let number = port.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
            number.ok_or_else(|| ("`port` must be a number from 1 to 65535".to_owned(), None))
        }
    }
}

fn pinned(text: &str) -> Result<Pinned, Wrong> {
    if text.starts_with("SHA256:") {
        return Ok(Pinned::Fingerprint(text.trim_end_matches('=').to_owned()));
    }
    let key = text.parse().map_err(|error| (format!("host_key: {error}"), Some("or its fingerprint, `SHA256:…`")))?;
    Ok(Pinned::Key(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(fields: &Value) -> String {
        match read(fields.as_object().unwrap()) {
            Ok(fields) => format!("{} by {:?}", fields.to, fields.jump.map(|jump| jump.to_string())),
            Err((what, hint)) => format!("{what} ({})", hint.unwrap_or_default()),
        }
    }

    #[test]
    fn fields_are_read_and_wrong_ones_named() {
        assert_eq!(said(&json!({"address": "db"})), "root@db by None");
        let all =
            json!({"address": "10.0.0.1", "user": "me", "port": 2222, "jump": "gate:22", "key": "~/k", "sudo": false});
        assert_eq!(said(&all), "me@[10.0.0.1]:2222 by Some(\"root@gate\")");
        assert_eq!(said(&json!({})), "the field `address` is missing (write the host's name or IP address)");
        assert_eq!(said(&json!({"address": "a", "usr": "x"})), "unknown field `usr`; did you mean `user`? ()");
        assert_eq!(said(&json!({"address": "a", "port": 0})), "`port` must be a number from 1 to 65535 ()");
        assert_eq!(said(&json!({"address": 7})), "`address` must be text ()");
        assert!(said(&json!({"address": "-oX"})).contains("is no address of a host"));
        assert!(said(&json!({"address": "a", "jump": "x y"})).starts_with("jump: \"x y\" is no address"));
        assert!(said(&json!({"address": "a", "host_key": "ssh-rsa x"})).contains("is no host key"));
        assert!(said(&json!({"address": "a", "key": "-----BEGIN PRIVATE KEY-----"})).contains("not the key"));
    }
}

//! The daemon's configuration: flags > environment > the workspace's `prov.toml` > the user's file > `/etc` > default.
//!
//! Owns the keys, their defaults and where each value came from. Knows nothing of clap: the command line hands over what
//! was given as [`Layer`].
//!
//! Every file has the same layout, one table:
//!
//! ```toml
//! [daemon]
//! max_parallel = 8
//! ```
//!
//! Anything else in it is refused: a setting that nobody reads must not look like one that holds.

mod encryption;
#[cfg(test)]
mod tests;
mod webhooks;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use etcetera::BaseStrategy;

use crate::model::nearest::unknown;
use crate::model::rehearsal::ProviderMode;
use crate::model::user::Role;
pub use encryption::{Certificate, Encryption};
pub use webhooks::Webhooks;

/// What the daemon needs to know.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// The workspace that work runs in.
    pub workspace: PathBuf,
    /// Store, keys, logs.
    pub data_dir: PathBuf,
    /// Where the orchestrator listens.
    pub listen: SocketAddr,
    /// Where the control center listens.
    pub control_listen: SocketAddr,
    /// Tasks at once; 0 accepts and queues but runs nothing.
    pub max_parallel: usize,
    /// What runs the work; prov itself when absent.
    pub command: Option<PathBuf>,
    /// How that reaches providers.
    pub provider_mode: ProviderMode,
    /// Whether the log is for people or for programs.
    pub log_format: LogFormat,
    /// Where the addresses are written once both APIs answer.
    pub ready_file: Option<PathBuf>,
    /// How long running tasks may go on when the daemon is told to end.
    pub drain_seconds: u64,
    /// What is done with tasks that still run then.
    pub drain_action: DrainAction,
    /// How long a process may take to end by itself when asked to.
    pub grace_seconds: u64,
    /// After how many completed operations of a batch a checkpoint is made; 0 makes none.
    pub checkpoint_every: u32,
    /// Bytes that each stream of a task keeps.
    pub max_log_bytes: u64,
    /// Failed logins a minute, for an address and for a user name.
    pub login_failures_per_minute: u32,
    /// Requests a minute for a principal.
    pub requests_per_minute: u32,
    /// Bytes of a request's body.
    pub max_body_bytes: usize,
    /// Bytes of a batch.
    pub max_batch_bytes: usize,
    /// WebSockets that a user may have open.
    pub websockets_per_user: u32,
    /// Events and logs that a user may follow at once.
    pub streams_per_user: u32,
    /// How long what is followed is silent at most.
    pub heartbeat_seconds: NonZeroU32,
    /// How far behind a WebSocket may be whose client takes nothing, in sequence numbers.
    pub lag_sequences: u64,
    /// After how many days another key signs tokens; 0 is never.
    pub key_rotation_days: u32,
    /// How many days audit entries are kept; 0 is for ever.
    pub audit_retention_days: u32,
    /// Roles that take a second factor.
    pub require_mfa: Roles,
    /// Whether it may listen beyond this machine without encryption.
    pub insecure: bool,
    /// What connections are encrypted with, where they are.
    pub encryption: Option<Encryption>,
    /// Where webhooks may go, and for how long they are tried.
    pub webhooks: Webhooks,
}

/// Roles, parted by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(pub Vec<Role>);

/// A number that isn't 0: none at all would let nobody in.
struct AtLeastOne(u32);

/// How the daemon's log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is done with tasks that outlast the drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainAction {
    /// They go on under the supervisor; the next daemon takes them up.
    Leave,
    /// They are cancelled.
    Cancel,
}

/// Values of one source, as text.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    /// Where they come from, for people.
    pub origin: String,
    /// By key.
    pub values: BTreeMap<String, String>,
}

/// A value with where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The key.
    pub key: &'static str,
    /// The value, as text.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("can't read {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is no TOML.
    #[error("{path} is not valid TOML: {why}")]
    Syntax {
        /// The file.
        path: String,
        /// What the parser says.
        why: String,
    },
    /// A key or a table is unknown, or one stands where the other should.
    #[error("{origin}: {what}")]
    Layout {
        /// Where it stands.
        origin: String,
        /// Which, and the nearest known one.
        what: String,
    },
    /// A value is not what its key takes.
    #[error("{origin}: {key} can't be {value:?}: {why}")]
    Value {
        /// Where it stands.
        origin: String,
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What would be right.
        why: String,
    },
    /// A key doesn't go with another one, or without it.
    #[error("{origin}: {key} {why}")]
    Unfit {
        /// Where it stands.
        origin: String,
        /// The key.
        key: &'static str,
        /// What is wrong.
        why: &'static str,
    },
}

/// The keys with their defaults; an empty default is worked out.
const KEYS: &[(&str, &str)] = &[
    ("data_dir", ""),
    ("listen", "127.0.0.1:9090"),
    ("control_listen", "127.0.0.1:9080"),
    ("max_parallel", ""),
    ("command", ""),
    ("provider_mode", "live"),
    ("log_format", ""),
    ("ready_file", ""),
    ("drain_seconds", "30"),
    ("drain_action", "leave"),
    ("grace_seconds", "10"),
    ("checkpoint_every", "5"),
    ("max_log_bytes", "67108864"),
    ("login_failures_per_minute", "5"),
    ("requests_per_minute", "6000"),
    ("max_body_bytes", "1048576"),
    ("max_batch_bytes", "16777216"),
    ("websockets_per_user", "5"),
    ("streams_per_user", "100"),
    ("heartbeat_seconds", "15"),
    ("lag_sequences", "10000"),
    ("key_rotation_days", "90"),
    ("audit_retention_days", "0"),
    ("require_mfa", ""),
    ("insecure", "false"),
    ("tls_certificate", ""),
    ("tls_key", ""),
    ("tls_client_authorities", ""),
    ("tls_self_signed", "false"),
    ("webhook_allow", ""),
    ("webhook_retry_initial_ms", "5000"),
    ("webhook_retry_max_seconds", "3600"),
    ("webhook_retry_for_seconds", "86400"),
];

/// The keys that a file may give a list.
const LISTS: &[&str] = &["require_mfa", "webhook_allow"];

/// The table of a file.
const TABLE: &str = "daemon";

/// Every key of the configuration.
pub fn keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(key, _)| *key)
}

/// The environment variable of a key.
#[must_use]
pub fn variable(key: &str) -> String {
    format!("PROV_{}", key.to_ascii_uppercase())
}

/// The configuration and where each value of it came from.
///
/// # Errors
/// When a file is damaged, a key or table unknown or a value wrong.
pub fn daemon(workspace: &Path, flags: Layer, file: Option<&Path>) -> Result<(Daemon, Vec<Origin>), ConfigError> {
    let mut layers = vec![flags, environment(|variable| std::env::var(variable).ok())];
    if let Some(file) = file {
        layers.push(read(file, true)?);
    } else {
        layers.push(read(&workspace.join("prov.toml"), false)?);
        if let Ok(base) = etcetera::choose_base_strategy() {
            layers.push(read(&base.config_dir().join("prov/config.toml"), false)?);
        }
        layers.push(read(Path::new("/etc/prov/config.toml"), false)?);
    }
    let origins: Vec<Origin> = KEYS.iter().map(|(key, default)| origin(key, default, &layers)).collect();
    let config = Daemon {
        workspace: workspace.to_owned(),
        data_dir: value(&origins, "data_dir")?,
        listen: value(&origins, "listen")?,
        control_listen: value(&origins, "control_listen")?,
        max_parallel: value(&origins, "max_parallel")?,
        command: optional(&origins, "command"),
        provider_mode: value(&origins, "provider_mode")?,
        log_format: value(&origins, "log_format")?,
        ready_file: optional(&origins, "ready_file"),
        drain_seconds: value(&origins, "drain_seconds")?,
        drain_action: value(&origins, "drain_action")?,
        grace_seconds: value(&origins, "grace_seconds")?,
        checkpoint_every: value(&origins, "checkpoint_every")?,
        max_log_bytes: value(&origins, "max_log_bytes")?,
        login_failures_per_minute: value::<AtLeastOne>(&origins, "login_failures_per_minute")?.0,
        requests_per_minute: value::<AtLeastOne>(&origins, "requests_per_minute")?.0,
        max_body_bytes: value(&origins, "max_body_bytes")?,
        max_batch_bytes: value(&origins, "max_batch_bytes")?,
        websockets_per_user: value::<AtLeastOne>(&origins, "websockets_per_user")?.0,
        streams_per_user: value::<AtLeastOne>(&origins, "streams_per_user")?.0,
        heartbeat_seconds: value(&origins, "heartbeat_seconds")?,
        lag_sequences: value(&origins, "lag_sequences")?,
        key_rotation_days: value(&origins, "key_rotation_days")?,
        audit_retention_days: value(&origins, "audit_retention_days")?,
        require_mfa: value(&origins, "require_mfa")?,
        insecure: value(&origins, "insecure")?,
        encryption: encryption::of(&origins)?,
        webhooks: webhooks::of(&origins)?,
    };
    Ok((config, origins))
}

fn origin(key: &'static str, default: &str, layers: &[Layer]) -> Origin {
    for layer in layers {
        if let Some(value) = layer.values.get(key) {
            return Origin { key, value: value.clone(), origin: layer.origin.clone() };
        }
    }
    let value = match key {
        "data_dir" => data_dir().display().to_string(),
        "log_format" => (if std::io::stderr().is_terminal() { "text" } else { "json" }).to_owned(),
        "max_parallel" => (4 * std::thread::available_parallelism().map_or(1, usize::from)).to_string(),
        _ => default.to_owned(),
    };
    Origin { key, value, origin: "default".to_owned() }
}

/// A service's own directory where systemd gives one, else the user's state directory.
fn data_dir() -> PathBuf {
    if let Some(directory) = std::env::var_os("STATE_DIRECTORY").filter(|directory| !directory.is_empty()) {
        return PathBuf::from(directory);
    }
    let base = etcetera::choose_base_strategy().ok().and_then(|base| base.state_dir());
    base.map_or_else(|| PathBuf::from("/var/lib/prov"), |base| base.join("prov"))
}

/// What the environment sets; a variable that is empty sets nothing.
fn environment(get: impl Fn(&str) -> Option<String>) -> Layer {
    let value = |(key, _): &(&str, &str)| {
        let value = get(&variable(key)).filter(|value| !value.is_empty())?;
        Some(((*key).to_owned(), value))
    };
    Layer { origin: "environment".to_owned(), values: KEYS.iter().filter_map(value).collect() }
}

/// The `[daemon]` table of a file; one that isn't there is empty unless it was asked for.
fn read(path: &Path, required: bool) -> Result<Layer, ConfigError> {
    let origin = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return Ok(Layer::default()),
        Err(source) => return Err(ConfigError::Unreadable { path: origin, source }),
    };
    let syntax = |error: toml::de::Error| ConfigError::Syntax { path: origin.clone(), why: error.to_string() };
    let table: toml::Table = text.parse().map_err(syntax)?;
    let values = values(&table).map_err(|what| ConfigError::Layout { origin: origin.clone(), what })?;
    Ok(Layer { origin, values })
}

/// The values of a file, as text; what is wrong with its layout otherwise.
fn values(file: &toml::Table) -> Result<BTreeMap<String, String>, String> {
    let known: Vec<&str> = keys().collect();
    for (key, value) in file {
        match value {
            toml::Value::Table(_) if key == TABLE => {}
            _ if key == TABLE => return Err(format!("`{TABLE}` must be a table: [{TABLE}]")),
            toml::Value::Table(_) => return Err(unknown("table", key, &[TABLE])),
            _ if known.contains(&key.as_str()) => return Err(format!("`{key}` stands outside its table [{TABLE}]")),
            _ => return Err(unknown("key", key, &known)),
        }
    }
    let given = file.get(TABLE).and_then(toml::Value::as_table).into_iter().flatten();
    let text = |(key, value): (&String, &toml::Value)| match value {
        _ if !known.contains(&key.as_str()) => Err(unknown("key", key, &known)),
        toml::Value::Array(items) if LISTS.contains(&key.as_str()) => {
            let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            let items = items.ok_or_else(|| format!("`{key}` takes a list of texts"))?;
            Ok((key.clone(), items.join(",")))
        }
        toml::Value::Table(_) | toml::Value::Array(_) => Err(format!("`{key}` takes one value")),
        toml::Value::String(text) => Ok((key.clone(), text.clone())),
        other => Ok((key.clone(), other.to_string())),
    };
    given.map(text).collect()
}

fn find<'o>(origins: &'o [Origin], key: &str) -> Option<&'o Origin> {
    origins.iter().find(|origin| origin.key == key)
}

fn optional(origins: &[Origin], key: &str) -> Option<PathBuf> {
    find(origins, key).filter(|origin| !origin.value.is_empty()).map(|origin| PathBuf::from(&origin.value))
}

fn value<T>(origins: &[Origin], key: &'static str) -> Result<T, ConfigError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let found = find(origins, key);
    let (value, origin) = found.map_or(("", ""), |found| (found.value.as_str(), found.origin.as_str()));
    value.parse().map_err(|error: T::Err| ConfigError::Value {
        origin: origin.to_owned(),
        key,
        value: value.to_owned(),
        why: error.to_string(),
    })
}

impl FromStr for Roles {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let known: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        let role = |word: &str| word.parse().map_err(|_| unknown("role", word, &known));
        let mut roles = words.map(role).collect::<Result<Vec<Role>, String>>()?;
        roles.sort_unstable();
        roles.dedup();
        Ok(Self(roles))
    }
}

impl FromStr for AtLeastOne {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse().map_err(|error: std::num::ParseIntError| error.to_string())? {
            0 => Err("must be 1 or more: 0 would let nobody in".to_owned()),
            number => Ok(Self(number)),
        }
    }
}

impl FromStr for LogFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(unknown("format", other, &["text", "json"])),
        }
    }
}

impl FromStr for DrainAction {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "leave" => Ok(Self::Leave),
            "cancel" => Ok(Self::Cancel),
            other => Err(unknown("action", other, &["leave", "cancel"])),
        }
    }
}

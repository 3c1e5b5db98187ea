//! Fields of a server that only UpCloud understands. A misspelt one is refused with the nearest name.

use serde_json::Value;

use crate::model::nearest::unknown;
use crate::provision::provider::cloud::OWN;
use crate::provision::provider::{ProviderError, ServerSpec};
use crate::provision::secret;

/// Who logs in where the settings don't say.
pub(super) const LOGIN: &str = "root";
/// What a server's disk is a clone of where the settings don't say.
const TEMPLATE: &str = "Debian 12";
const KNOWN: &[&str] = &[
    "template",
    "storage_size",
    "storage_tier",
    "ssh_keys",
    "user_data",
    "hostname",
    "title",
    "login",
    "networking",
    "plan_name",
];
const TIERS: [&str; 3] = ["maxiops", "standard", "hdd"];
const NETWORKS: [&str; 3] = ["public", "utility", "private"];
const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

/// What the settings say, with defaults for the rest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fields {
    /// UUID of a storage, or the title of a public template.
    pub(super) template: String,
    /// Of the disk, in GB.
    pub(super) storage_size: Option<u64>,
    pub(super) storage_tier: Option<String>,
    /// Lines of `authorized_keys`, besides prov's own.
    pub(super) ssh_keys: Vec<String>,
    /// A script or its URL, which runs at the first start.
    pub(super) user_data: Option<String>,
    pub(super) hostname: String,
    pub(super) title: String,
    /// The user that prov and the keys' owners log in as.
    pub(super) login: String,
    pub(super) networking: Vec<Network>,
    /// A plan by UpCloud's name, where the size alone doesn't say which one is meant.
    pub(super) plan_name: Option<String>,
}

/// An interface of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) kind: String,
    pub(super) family: String,
    /// The UUID of the network that a private one is.
    pub(super) id: Option<String>,
}

/// What is wrong with a field, said of the field.
type Fault = String;

impl Fields {
    /// Those of a server. A field that holds a reference to a secret is taken as it comes: what it holds is known later.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] names the field.
    pub(super) fn of(spec: &ServerSpec) -> Result<Self, ProviderError> {
        let wrong = |what: Fault| ProviderError::Invalid { what: format!("server {}: {what}", spec.name), hint: None };
        if let Some(key) = spec.extra.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(wrong(format!("the field {key:?}: {}", unknown("field of upcloud", key, KNOWN))));
        }
        labels(spec).map_err(wrong)?;
        Self::read(spec).map_err(wrong)
    }

    fn read(spec: &ServerSpec) -> Result<Self, Fault> {
        let field = |name: &str| spec.extra.get(name).filter(|value| !value.is_null() && !secret::in_value(value));
        let text = |name: &str| field(name).map(|value| text(name, value)).transpose();
        let chosen = |name: &str, known: &[&str]| text(name)?.map(|text| one_of(name, text, known)).transpose();
        let size = |value: &Value| value.as_u64().filter(|size| (10..=4096).contains(size));
        let size = |value| size(value).ok_or_else(|| fault("storage_size", "must be a number of GB from 10 to 4096"));
        let named = spec.name.as_str().replace('_', "-");
        let hostname = text("hostname")?.unwrap_or(named);
        if !is_hostname(&hostname) {
            return Err(fault("hostname", &format!("{hostname:?} is no name of a host; name one that is")));
        }
        let login = text("login")?.unwrap_or_else(|| LOGIN.to_owned());
        if !is_user(&login) {
            return Err(fault("login", "must be the name of a user: small letters, digits, `-` and `_`"));
        }
        let title = text("title")?.unwrap_or_else(|| format!("{}-{}", spec.infra, spec.name));
        if title.chars().count() > 255 {
            return Err(fault("title", "is longer than 255 characters"));
        }
        Ok(Self {
            template: text("template")?.unwrap_or_else(|| TEMPLATE.to_owned()),
            storage_size: field("storage_size").map(size).transpose()?,
            storage_tier: chosen("storage_tier", &TIERS)?,
            ssh_keys: field("ssh_keys").map_or_else(|| Ok(Vec::new()), keys)?,
            user_data: text("user_data")?,
            hostname,
            title,
            login,
            networking: field("networking").map_or_else(|| Ok(usual()), networks)?,
            plan_name: text("plan_name")?,
        })
    }
}

fn fault(field: &str, what: &str) -> Fault {
    format!("the field {field:?} {what}")
}

fn text(name: &str, value: &Value) -> Result<String, Fault> {
    let given = value.as_str().filter(|text| !text.trim().is_empty() && !text.contains('\0'));
    given.map(str::to_owned).ok_or_else(|| fault(name, "must be a text"))
}

fn one_of(name: &str, text: String, known: &[&str]) -> Result<String, Fault> {
    if known.contains(&text.as_str()) { Ok(text) } else { Err(fault(name, &unknown("word", &text, known))) }
}

fn is_hostname(text: &str) -> bool {
    let is_label = |label: &str| {
        let fits = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        fits && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 128 && text.split('.').all(is_label)
}

fn is_user(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    text.len() <= 32 && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') && text.chars().all(fits)
}

fn keys(value: &Value) -> Result<Vec<String>, Fault> {
    let wrong = || fault("ssh_keys", "must be an array of public keys, each a line as in authorized_keys");
    let is_key = |line: &&str| {
        let known = ["ssh-", "ecdsa-", "sk-"].iter().any(|kind| line.starts_with(kind));
        known && line.split_whitespace().count() >= 2 && !line.chars().any(char::is_control)
    };
    let key = |value: &Value| value.as_str().map(str::trim).filter(is_key).map(str::to_owned).ok_or_else(wrong);
    value.as_array().ok_or_else(wrong)?.iter().map(key).collect()
}

/// A public address, and one of UpCloud's own network.
fn usual() -> Vec<Network> {
    let of = |kind: &str| Network { kind: kind.to_owned(), family: FAMILIES[0].to_owned(), id: None };
    vec![of("public"), of("utility")]
}

fn networks(value: &Value) -> Result<Vec<Network>, Fault> {
    const FORM: &str =
        "must be an array of interfaces: \"public\", \"utility\", or records with `type`, `family`, `network`";
    let wrong = || fault("networking", FORM);
    let elements = value.as_array().filter(|elements| !elements.is_empty()).ok_or_else(wrong)?;
    elements.iter().map(network).collect()
}

fn network(value: &Value) -> Result<Network, Fault> {
    let wrong = |what: String| fault("networking", &what);
    let (kind, family, network) = match value {
        Value::String(kind) => (Some(kind.as_str()), None, None),
        Value::Object(fields) => {
            if let Some(key) = fields.keys().find(|key| !["type", "family", "network"].contains(&key.as_str())) {
                return Err(wrong(unknown("field", key, &["type", "family", "network"])));
            }
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            (text("type"), text("family"), text("network"))
        }
        _ => (None, None, None),
    };
    let kind = kind.ok_or_else(|| wrong("has an interface without a type: public, utility or private".to_owned()))?;
    let kind = one_of("networking", kind.to_owned(), &NETWORKS)?;
    let family = one_of("networking", family.unwrap_or(FAMILIES[0]).to_owned(), &FAMILIES)?;
    let is_id = network.is_some_and(|network| network.parse::<uuid::Uuid>().is_ok());
    if (kind == "private") != network.is_some() || (network.is_some() && !is_id) {
        return Err(wrong(
            "an interface has a `network`, the UUID of one, where its type is private, and else none".to_owned(),
        ));
    }
    Ok(Network { kind, family, id: network.map(str::to_owned) })
}

/// UpCloud's rules for labels.
fn labels(spec: &ServerSpec) -> Result<(), Fault> {
    for (key, value) in &spec.labels {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let is_key = key.starts_with(|c: char| c.is_ascii_alphanumeric()) && key.chars().all(fits);
        if !is_key || !(2..=32).contains(&key.len()) {
            let form = "UpCloud takes 2 to 32 letters, digits, `-` and `_`, the first a letter or a digit";
            return Err(format!("the label {key:?} has a name that is none: {form}"));
        }
        if key.starts_with(OWN) {
            return Err(format!("the label {key:?} is one of prov's own"));
        }
        if value.chars().count() > 255 || value.chars().any(char::is_control) {
            return Err(format!("the label {key:?} has a value that UpCloud doesn't take: 255 characters at most"));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::name::Name;

    pub(in super::super) fn spec(extra: &Value) -> ServerSpec {
        let name = |text: &str| Name::new(text).unwrap();
        ServerSpec {
            infra: name("i"),
            name: name("web_1"),
            plan: "1xCPU-2 GB".parse().unwrap(),
            zone: name("de-fra1"),
            operation: String::new(),
            labels: [].into(),
            extra: extra.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let fields = Fields::of(&spec(&json!({}))).unwrap();
        assert_eq!(
            (fields.hostname.as_str(), fields.title.as_str(), fields.login.as_str()),
            ("web-1", "i-web_1", "root")
        );
        assert_eq!(fields.networking, usual());
        let given = json!({
            "template": "Ubuntu 24.04", "storage_size": 30, "storage_tier": "hdd", "ssh_keys": ["ssh-ed25519 AAAA me"],
            "networking": ["public", {"type": "public", "family": "IPv6"},
                {"type": "private", "network": "03000000-0000-4000-8000-000000000001"}],
            "user_data": {"secret": {"env": "CLOUD_INIT"}},
        });
        let fields = Fields::of(&spec(&given)).unwrap();
        assert_eq!((fields.storage_size, fields.ssh_keys.len(), fields.networking.len()), (Some(30), 1, 3));
        assert_eq!(fields.user_data, None, "what a reference holds isn't known yet");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        for (extra, expected) in [
            (
                json!({"storage_sise": 10}),
                "the field \"storage_sise\": unknown field of upcloud `storage_sise`; did you mean `storage_size`?",
            ),
            (json!({"storage_size": 5}), "\"storage_size\" must be a number of GB from 10 to 4096"),
            (json!({"storage_tier": "maxips"}), "did you mean `maxiops`?"),
            (json!({"ssh_keys": ["AAAA"]}), "\"ssh_keys\" must be an array of public keys"),
            (json!({"ssh_keys": ["ssh-rsa AAAA\nssh-rsa B"]}), "\"ssh_keys\""),
            (json!({"login": "Root;"}), "\"login\" must be the name of a user"),
            (json!({"hostname": "-x"}), "is no name of a host"),
            (json!({"networking": ["privat"]}), "did you mean `private`?"),
            (json!({"networking": [{"type": "private"}]}), "the UUID of one"),
            (json!({"user_data": 7}), "\"user_data\" must be a text"),
        ] {
            let error = Fields::of(&spec(&extra)).unwrap_err().to_string();
            assert!(error.starts_with("server web_1: ") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn labels_follow_upclouds_rules() {
        for (key, value, good) in [
            ("team", "web", true),
            ("t", "web", false),
            ("_team", "web", false),
            ("team.web", "web", false),
            ("prov-infra", "web", false),
            ("team", &"x".repeat(256), false),
        ] {
            let mut spec = spec(&json!({}));
            spec.labels.insert(key.to_owned(), value.to_owned());
            assert_eq!(Fields::of(&spec).is_ok(), good, "{key}");
        }
    }
}

//! What stands in settings instead of a secret: `{"secret": {"env": "NAME"}}`, `{"secret": {"file": "path"}}` or
//! `{"secret": {"keyring": "name"}}`.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Secret;
use super::file::{self, FileError};
use super::kept;
use crate::model::name::{Name, relative_path};
use crate::model::nearest::unknown;
use crate::provision::value_path::ValuePath;
use crate::provision::workspace::{Workspace, WorkspaceError};

/// The only field of a value that is a reference.
const MARK: &str = "secret";
/// Where secrets can be.
const KINDS: [&str; 3] = ["env", "file", "keyring"];
/// Names that no setting can refer to begin so.
const RESERVED: &[&str] = &["PROV_", "UPCLOUD_", "AWS_"];

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Reference {
    /// In a variable of the execution process's environment.
    Env(String),
    /// In a file: relative to the workspace, or absolute.
    File(String),
    /// In the keyring, where `prov credentials set NAME` puts it.
    Keyring(Name),
}

/// Why a secret can't be had. Nothing of it is in the message.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The reference is none.
    #[error("{0}")]
    Form(String),
    /// The variable isn't set.
    #[error("the variable {0} of the environment holds no secret: it is unset, empty or no text")]
    Unset(String),
    /// The keyring holds no such secret.
    #[error("there is no secret {0} in the keyring")]
    NotKept(Name),
    /// The keyring can't be read.
    #[error("can't read the secret {name} from the keyring")]
    Keyring {
        /// The secret.
        name: Name,
        /// Why.
        source: io::Error,
    },
    /// It opens an account, and settings could send it anywhere.
    #[error("{0} is a credential of prov's own or of a provider, which settings can't refer to")]
    Credential(String),
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The way to the file.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}

impl SecretError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unset(_) => Some("set it where the daemon is started, or where you run prov".to_owned()),
            Self::NotKept(name) => Some(format!("prov credentials set {name}")),
            Self::File(error) => error.hint(),
            Self::Workspace(error) => error.hint(),
            Self::Form(_) | Self::Keyring { .. } | Self::Credential(_) => None,
        }
    }
}

impl Reference {
    /// The reference that `value` is; `None` where it is no reference but a value of its own.
    ///
    /// # Errors
    /// What is wrong with it.
    #[must_use]
    pub fn of(value: &Value) -> Option<Result<Self, String>> {
        let fields = value.as_object()?;
        fields.contains_key(MARK).then(|| Self::parse(fields))
    }

    fn parse(fields: &Map<String, Value>) -> Result<Self, String> {
        const FORM: &str = r#"a secret is written {"secret": {"env": "NAME"}}, or with "file" or "keyring""#;
        let inner = match (fields.len(), fields[MARK].as_object()) {
            (1, Some(inner)) if inner.len() == 1 => inner,
            _ => return Err(FORM.to_owned()),
        };
        let Some((kind, Value::String(text))) = inner.iter().next() else { return Err(FORM.to_owned()) };
        match kind.as_str() {
            "env" if is_variable(text) => Ok(Self::Env(text.clone())),
            "env" => Err(format!("{text:?} is no name of a variable (letters, digits and `_`)")),
            "file" if Path::new(text).is_absolute() && !text.chars().any(char::is_control) => {
                Ok(Self::File(text.clone()))
            }
            "file" => relative_path(text).map(|_| Self::File(text.clone())).map_err(|error| error.to_string()),
            "keyring" => Name::new(text.clone()).map(Self::Keyring).map_err(|error| error.to_string()),
            other => Err(unknown("source of a secret", other, &KINDS)),
        }
    }

    /// The value that it stands as.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Env(name) => json!({ MARK: { "env": name } }),
            Self::File(path) => json!({ MARK: { "file": path } }),
            Self::Keyring(name) => json!({ MARK: { "keyring": name } }),
        }
    }

    /// The secret itself, now.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn resolve(&self, workspace: &Workspace) -> Result<Secret, SecretError> {
        match self {
            Self::Env(name) if is_reserved(name) => Err(SecretError::Credential(name.clone())),
            Self::Env(name) => {
                let text = std::env::var(name).ok().filter(|text| !text.is_empty());
                text.map(Secret::new).ok_or_else(|| SecretError::Unset(name.clone()))
            }
            Self::File(path) => Ok(file::read(&place(path, workspace)?)?),
            Self::Keyring(name) if is_reserved(name.as_str()) => Err(SecretError::Credential(name.to_string())),
            Self::Keyring(name) => {
                let kept = kept::find(name);
                let kept = kept.map_err(|source| SecretError::Keyring { name: name.clone(), source })?;
                kept.ok_or_else(|| SecretError::NotKept(name.clone()))
            }
        }
    }
}

impl TryFrom<Value> for Reference {
    type Error = String;
    fn try_from(value: Value) -> Result<Self, String> {
        Self::of(&value).unwrap_or_else(|| Err("is no reference to a secret".to_owned()))
    }
}

impl From<Reference> for Value {
    fn from(reference: Reference) -> Self {
        reference.to_value()
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.to_value())
    }
}

fn is_variable(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.len() <= 200 && text.chars().all(fits)
}

/// A path of the workspace must not lead out of it by a link.
fn place(path: &str, workspace: &Workspace) -> Result<PathBuf, SecretError> {
    if Path::new(path).is_absolute() { Ok(path.into()) } else { Ok(workspace.resolve_inside(path)?) }
}

/// References anywhere in the value at `path` that are wrong: the place of each, and what is wrong with it.
#[must_use]
pub fn faults(value: &Value, path: &ValuePath) -> Vec<(ValuePath, String)> {
    let mut found = Vec::new();
    each(value, path, &mut |path, reference| found.extend(reference.err().map(|why| (path.clone(), why))));
    found
}

/// Whether a value holds a reference anywhere.
#[must_use]
pub fn in_value(value: &Value) -> bool {
    let mut found = false;
    each(value, &ValuePath::default(), &mut |_, _| found = true);
    found
}

fn each(value: &Value, path: &ValuePath, seen: &mut impl FnMut(&ValuePath, Result<Reference, String>)) {
    if let Some(reference) = Reference::of(value) {
        return seen(path, reference);
    }
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| each(value, &path.key(key), seen)),
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(at, value)| each(value, &path.index(at), seen));
        }
        _ => {}
    }
}

/// `value` with every reference in it replaced by what it refers to, for the body of a call and nothing else; and the
/// secrets that are in it now.
///
/// # Errors
/// [`SecretError`] of the first that can't be had.
pub fn resolved(value: &Value, workspace: &Workspace) -> Result<(Value, Vec<Secret>), SecretError> {
    let mut secrets = Vec::new();
    let value = replace(value, workspace, &mut secrets)?;
    Ok((value, secrets))
}

fn replace(value: &Value, workspace: &Workspace, secrets: &mut Vec<Secret>) -> Result<Value, SecretError> {
    if let Some(reference) = Reference::of(value) {
        let secret = reference.map_err(SecretError::Form)?.resolve(workspace)?;
        let text = Value::from(secret.expose());
        secrets.push(secret);
        return Ok(text);
    }
    Ok(match value {
        Value::Object(fields) => {
            let replaced = fields.iter().map(|(key, value)| Ok((key.clone(), replace(value, workspace, secrets)?)));
            Value::Object(replaced.collect::<Result<_, SecretError>>()?)
        }
        Value::Array(elements) => {
            let replaced = elements.iter().map(|value| replace(value, workspace, secrets));
            Value::Array(replaced.collect::<Result<_, SecretError>>()?)
        }
        other => other.clone(),
    })
}

/// Whether settings can't refer to it: what opens an account must go nowhere but to its provider.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_reference_is_told_from_a_value_and_from_a_wrong_one() {
        for good in [json!({"env": "DB_PASSWORD"}), json!({"file": "secrets/db"}), json!({"file": "/run/secrets/db"})] {
            let value = json!({ "secret": good });
            assert_eq!(Reference::of(&value).unwrap().unwrap().to_value(), value);
        }
        assert!(Reference::of(&json!({"port": 80})).is_none() && Reference::of(&json!("secret")).is_none());
        for (bad, why) in [
            (json!({"secret": "swordfish"}), "a secret is written"),
            (json!({"secret": {"env": "A", "file": "b"}}), "a secret is written"),
            (json!({"secret": {"env": "A"}, "more": 1}), "a secret is written"),
            (json!({"secret": {"env": 7}}), "a secret is written"),
            (json!({"secret": {"fiel": "A"}}), "did you mean `file`?"),
            (json!({"secret": {"env": "A B"}}), "no name of a variable"),
            (json!({"secret": {"file": "../x"}}), "`..` is not allowed"),
            (json!({"secret": {"keyring": "a/b"}}), "is no name"),
        ] {
            let error = Reference::of(&bad).unwrap().unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("swordfish"), "it may be the secret itself");
            let nested = json!({"a": [{"b": bad}]});
            assert_eq!(faults(&nested, &ValuePath::default())[0].0.to_string(), "a[0].b");
        }
    }

    #[test]
    fn references_are_resolved_where_they_stand() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("db"), "s3cret\n").unwrap();
        fs::set_permissions(dir.path().join("db"), Permissions::from_mode(0o600)).unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        let value = json!({"a": [{"secret": {"file": "db"}}, 1], "b": "c"});
        assert!(in_value(&value) && !in_value(&json!({"a": "b"})));
        let (resolved, secrets) = resolved(&value, &workspace).unwrap();
        assert_eq!((resolved, secrets.len()), (json!({"a": ["s3cret", 1], "b": "c"}), 1));
        let missing = Reference::Env("PATH_OF_NOBODY".to_owned()).resolve(&workspace).unwrap_err();
        assert!(matches!(missing, SecretError::Unset(_)));
        for reserved in ["UPCLOUD_TOKEN", "AWS_SECRET_ACCESS_KEY", "PROV_TOKEN"] {
            let error = Reference::Env(reserved.to_owned()).resolve(&workspace).unwrap_err();
            assert!(matches!(error, SecretError::Credential(_)), "{reserved}");
        }
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("out")).unwrap();
        let error = Reference::File("out".to_owned()).resolve(&workspace).unwrap_err();
        assert!(matches!(error, SecretError::Workspace(WorkspaceError::Leaves { .. })), "{error}");
    }
}

//! What a task service is: its metadata, the defaults of its parameters, its scripts.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::packages::Spec;
use super::parameter::{Parameter, Parameters};
use super::software;
use crate::model::name::Name;
use crate::provision::artifact;
use crate::provision::secret::Reference;

/// A task service, read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its name, the same as its directory.
    pub name: Name,
    /// Its version; another one is installed anew.
    pub version: String,
    /// One sentence for people.
    pub description: String,
    /// What must be installed before it.
    pub dependencies: Vec<Name>,
    /// What may not be installed beside it.
    pub conflicts: Vec<Name>,
    /// Debian packages that its install script relies on: `NAME`, `NAME=VERSION` or `NAME={version}`.
    pub packages: Vec<String>,
    /// Those that are installed where they can be had.
    pub optional_packages: Vec<String>,
    /// What comes from elsewhere.
    pub artifacts: Vec<artifact::Definition>,
    /// Whether its scripts call `/usr/local/lib/prov/prov`, which is put there first.
    pub needs_prov: bool,
    /// How long each script may take.
    pub timeouts: Timeouts,
    /// Defaults of its parameters by profile.
    pub profiles: BTreeMap<String, Map<String, Value>>,
    /// Installs it, and starts it.
    pub install: String,
    /// Stops and removes it.
    pub uninstall: String,
    /// Asks the service itself whether it works.
    pub check: String,
    /// Prints the version that is there; without it the package system is asked.
    pub version_script: Option<String>,
}

/// How long scripts may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Seconds for installing.
    pub install: u64,
    /// Seconds for checking.
    pub check: u64,
    /// Seconds for removing.
    pub uninstall: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { install: 600, check: 60, uninstall: 120 }
    }
}

impl Timeouts {
    /// Seconds that a script may be given.
    pub const RANGE: RangeInclusive<u64> = 1..=24 * 60 * 60;

    /// What is wrong with them.
    fn fault(self) -> Option<String> {
        let all = [("install", self.install), ("check", self.check), ("uninstall", self.uninstall)];
        all.into_iter().find_map(|(name, seconds)| out_of_range(&format!("timeouts.{name}"), seconds))
    }
}

/// What is said of a time limit, called `name`, that no script may be given.
#[must_use]
pub fn out_of_range(name: &str, seconds: u64) -> Option<String> {
    let (least, most) = (Timeouts::RANGE.start(), Timeouts::RANGE.end());
    let wrong = || format!("{name} is {seconds}; it must be from {least} to {most} seconds");
    (!Timeouts::RANGE.contains(&seconds)).then(wrong)
}

/// `metadata.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: Name,
    version: String,
    description: String,
    #[serde(default)]
    dependencies: Vec<Name>,
    #[serde(default)]
    conflicts: Vec<Name>,
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    optional_packages: Vec<String>,
    #[serde(default)]
    artifacts: Vec<artifact::Definition>,
    #[serde(default)]
    needs_prov: bool,
    #[serde(default)]
    timeouts: Timeouts,
}

/// Why a definition can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// There is none of that name.
    #[error("there is no task service {name}")]
    Unknown {
        /// The name.
        name: String,
        /// What may have been meant, or what there is.
        hint: String,
    },
    /// A file of it is missing.
    #[error("the task service {name} lacks {file}")]
    Missing {
        /// The service.
        name: Name,
        /// The file, as it should be called.
        file: String,
    },
    /// A file of it is wrong.
    #[error("{file}: {why}")]
    Invalid {
        /// The file.
        file: String,
        /// What is wrong, with the line.
        why: String,
    },
    /// A file of it can't be read.
    #[error("can't read {file}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A parameter is unknown or can't be passed to a script.
    #[error("the task service {name}: {what}")]
    Parameter {
        /// The service.
        name: Name,
        /// What is wrong.
        what: String,
    },
}

impl DefinitionError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { hint, .. } => Some(hint.clone()),
            Self::Missing { file, .. } => Some(format!("add {file} to its directory")),
            _ => None,
        }
    }
}

impl Definition {
    /// A definition from the files of its directory, by their paths below it. `place` is the directory, for messages.
    ///
    /// # Errors
    /// Names the file that is missing or wrong.
    pub fn read(name: &Name, place: &str, files: &BTreeMap<String, String>) -> Result<Self, DefinitionError> {
        let file = |path: &str| {
            let missing = || DefinitionError::Missing { name: name.clone(), file: format!("{place}/{path}") };
            files.get(path).ok_or_else(missing)
        };
        let invalid = |path: &str, why: String| DefinitionError::Invalid { file: format!("{place}/{path}"), why };
        let metadata: Metadata =
            toml::from_str(file("metadata.toml")?).map_err(|error| invalid("metadata.toml", error.to_string()))?;
        if metadata.name != *name {
            return Err(invalid("metadata.toml", format!("its name is {}, its directory is {name}", metadata.name)));
        }
        for package in metadata.packages.iter().chain(&metadata.optional_packages) {
            Spec::parse(package, "").map_err(|why| invalid("metadata.toml", why))?;
        }
        if let Some(fault) = metadata.artifacts.iter().find_map(artifact::Definition::fault) {
            return Err(invalid("metadata.toml", fault));
        }
        if let Some(fault) = metadata.timeouts.fault() {
            return Err(invalid("metadata.toml", fault));
        }
        let mut profiles = BTreeMap::new();
        for (path, text) in files {
            let Some((profile, "defs.toml")) = path.split_once('/') else { continue };
            let params: Map<String, Value> = toml::from_str(text).map_err(|error| invalid(path, error.to_string()))?;
            for (param, value) in &params {
                variable(name, param, value)?;
            }
            profiles.insert(profile.to_owned(), params);
        }
        profiles.entry("default".to_owned()).or_default();
        let packages = [metadata.packages.as_slice(), &metadata.optional_packages].concat();
        for profile in profiles.values_mut() {
            software::parameters(&packages, &metadata.artifacts, profile);
        }
        Ok(Self {
            name: metadata.name,
            version: metadata.version,
            description: metadata.description,
            dependencies: metadata.dependencies,
            conflicts: metadata.conflicts,
            packages: metadata.packages,
            optional_packages: metadata.optional_packages,
            artifacts: metadata.artifacts,
            needs_prov: metadata.needs_prov,
            timeouts: metadata.timeouts,
            profiles,
            install: file(&format!("install-{name}.sh"))?.clone(),
            uninstall: file(&format!("uninstall-{name}.sh"))?.clone(),
            check: file(&format!("check-{name}.sh"))?.clone(),
            version_script: files.get(&format!("version-{name}.sh")).cloned(),
        })
    }

    /// The environment that carries the parameters: the profile's defaults, overridden by what is given.
    ///
    /// # Errors
    /// When the profile is unknown, or a parameter has no default and so means nothing to the scripts.
    pub fn environment(
        &self,
        profile: Option<&Name>,
        given: &Map<String, Value>,
    ) -> Result<Parameters, DefinitionError> {
        let wrong = |what| DefinitionError::Parameter { name: self.name.clone(), what };
        let profile = profile.map_or("default", Name::as_str);
        let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
        let unknown = |what, given: &str, known: &[&str]| wrong(crate::model::nearest::unknown(what, given, known));
        let defaults = self.profiles.get(profile).ok_or_else(|| unknown("profile", profile, &known))?;
        let known: Vec<&str> = defaults.keys().map(String::as_str).collect();
        if let Some(param) = given.keys().find(|param| !defaults.contains_key(*param)) {
            return Err(unknown("parameter", param, &known));
        }
        let value = |(param, default)| (param, given.get(param).unwrap_or(default));
        defaults.iter().map(value).map(|(param, value)| variable(&self.name, param, value)).collect()
    }
}

/// A parameter as an environment variable: `port = 80` is `PROV_PARAM_PORT=80`.
fn variable(name: &Name, param: &str, value: &Value) -> Result<(String, Parameter), DefinitionError> {
    let wrong = |what: String| DefinitionError::Parameter { name: name.clone(), what };
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !param.starts_with(|c: char| c.is_ascii_alphabetic()) || !param.chars().all(fits) {
        return Err(wrong(format!("{param:?} is no name of a parameter (letters, digits and `_`)")));
    }
    let variable = format!("PROV_PARAM_{}", param.to_ascii_uppercase());
    if let Some(reference) = Reference::of(value) {
        let reference = reference.map_err(|why| wrong(format!("`{param}`: {why}")))?;
        return Ok((variable, Parameter::Secret(reference)));
    }
    let text = match value {
        Value::String(text) if text.contains('\0') => return Err(wrong(format!("{param} holds a NUL character"))),
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(wrong(format!("{param} must be a text, a number, a boolean or a secret"))),
    };
    Ok((variable, Parameter::Text(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn files(defs: &str) -> BTreeMap<String, String> {
        let metadata = "name = \"x\"\nversion = \"1\"\ndescription = \"A thing.\"\n";
        let script = |kind: &str| (format!("{kind}-x.sh"), "true\n".to_owned());
        let files =
            [("metadata.toml".to_owned(), metadata.to_owned()), ("default/defs.toml".to_owned(), defs.to_owned())];
        files.into_iter().chain([script("install"), script("uninstall"), script("check")]).collect()
    }

    #[test]
    fn parameters_become_environment_and_unknown_ones_are_refused() {
        let name = Name::new("x").unwrap();
        let definition = Definition::read(&name, "x", &files("port = 80\ntext = \"a; rm -rf /\"\n")).unwrap();
        let given = json!({ "port": 8080 });
        let environment = definition.environment(None, given.as_object().unwrap()).unwrap();
        let text = |name: &str, text: &str| (name.to_owned(), Parameter::Text(text.to_owned()));
        assert!(environment.contains(&text("PROV_PARAM_PORT", "8080")));
        assert!(environment.contains(&text("PROV_PARAM_TEXT", "a; rm -rf /")));
        let given = json!({ "text": {"secret": {"env": "DB_PASSWORD"}} });
        let environment = definition.environment(None, given.as_object().unwrap()).unwrap();
        assert!(matches!(&environment[1].1, Parameter::Secret(Reference::Env(name)) if name == "DB_PASSWORD"));
        let error = definition.environment(None, json!({ "text": {"secret": "s"} }).as_object().unwrap()).unwrap_err();
        assert!(error.to_string().contains("`text`: a secret is written"), "{error}");
        let error = definition.environment(None, json!({ "prot": 1 }).as_object().unwrap()).unwrap_err();
        assert!(error.to_string().contains("did you mean `port`?"), "{error}");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let name = Name::new("x").unwrap();
        let mut without = files("");
        without.remove("check-x.sh");
        let error = Definition::read(&name, "ext/x", &without).unwrap_err();
        assert_eq!(error.to_string(), "the task service x lacks ext/x/check-x.sh");
        for absurd in [0, u64::MAX / 2, 86_401] {
            let mut files = files("");
            files.get_mut("metadata.toml").unwrap().push_str(&format!("[timeouts]\ncheck = {absurd}\n"));
            let error = Definition::read(&name, "ext/x", &files).unwrap_err().to_string();
            assert!(error.contains("timeouts.check is") && error.contains("from 1 to 86400 seconds"), "{error}");
        }
        let error = Definition::read(&name, "ext/x", &files("port = [1]")).unwrap_err();
        assert!(error.to_string().contains("must be a text"), "{error}");
        let error = Definition::read(&name, "ext/x", &files("port = ")).unwrap_err();
        assert!(error.to_string().starts_with("ext/x/default/defs.toml: TOML parse error at line 1"), "{error}");
    }
}

//! What a service is made of on a server: packages and artifacts, in the version that is wanted. Pure.
//!
//! Every service that says `{version}` takes a parameter `version`; for each artifact there are `sha256_NAME` and
//! `url_NAME` besides.

use serde_json::{Map, Value};

use super::definition::{Definition, DefinitionError};
use super::packages::{self, Spec};
use super::parameter::{Parameter, Parameters};
use crate::provision::artifact::{self, Given, underscored};
use crate::provision::secret::{Reference, SecretError};
use crate::provision::workspace::Workspace;

/// What a service is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Software {
    /// The version that was asked for; empty for what there is.
    pub(super) version: String,
    pub(super) packages: packages::Wanted,
    pub(super) artifacts: Vec<Asked>,
}

/// An artifact with what was said of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What it is.
    pub definition: artifact::Definition,
    given: Given,
    /// Where the address is, if that is a secret.
    url: Option<Reference>,
}

impl Asked {
    /// What was said of it, with its secret.
    ///
    /// # Errors
    /// When the secret can't be had.
    pub fn given(&self, workspace: &Workspace) -> Result<Given, SecretError> {
        let Some(reference) = &self.url else { return Ok(self.given.clone()) };
        Ok(Given { url: reference.resolve(workspace)?.expose().to_owned(), ..self.given.clone() })
    }
}

impl Software {
    /// That of a service with these parameters. Addresses go out of the parameters: scripts need none, and they may hold
    /// credentials.
    ///
    /// # Errors
    /// [`DefinitionError::Parameter`].
    pub(super) fn of(definition: &Definition, environment: &mut Parameters) -> Result<Self, DefinitionError> {
        let wrong = |what: String| DefinitionError::Parameter { name: definition.name.clone(), what };
        let find = |environment: &Parameters, name: &str| {
            let variable = variable(name);
            environment.iter().find(|(known, _)| *known == variable).map(|(_, value)| value.clone())
        };
        let text = |environment: &Parameters, name: &str| match find(environment, name) {
            Some(Parameter::Text(text)) => Ok(text),
            Some(Parameter::Secret(_)) => Err(wrong(format!("`{name}` can't be a secret"))),
            None => Ok(String::new()),
        };
        let version = text(environment, "version")?;
        let parse = |all: &[String]| -> Result<Vec<Spec>, DefinitionError> {
            all.iter().map(|text| Spec::parse(text, &version).map_err(&wrong)).collect()
        };
        let packages =
            packages::Wanted { needed: parse(&definition.packages)?, optional: parse(&definition.optional_packages)? };
        let mut artifacts = Vec::new();
        for artifact in &definition.artifacts {
            let name = underscored(&artifact.name);
            let wanted = if version.is_empty() { definition.version.clone() } else { version.clone() };
            let sha256 = text(environment, &format!("sha256_{name}"))?;
            let (url, secret) = match find(environment, &format!("url_{name}")) {
                Some(Parameter::Text(url)) => (url, None),
                Some(Parameter::Secret(reference)) => (String::new(), Some(reference)),
                None => (String::new(), None),
            };
            environment.retain(|(known, _)| *known != variable(&format!("url_{name}")));
            let given = Given { version: wanted, url, sha256 };
            artifacts.push(Asked { definition: artifact.clone(), given, url: secret });
        }
        Ok(Self { version, packages, artifacts })
    }
}

fn variable(parameter: &str) -> String {
    format!("PROV_PARAM_{}", parameter.to_ascii_uppercase())
}

/// Gives a profile the parameters that its service has by what it is made of.
pub(super) fn parameters(packages: &[String], artifacts: &[artifact::Definition], profile: &mut Map<String, Value>) {
    let is_versioned =
        packages.iter().any(|text| text.contains("{version}")) || artifacts.iter().any(|one| one.version.is_none());
    let version = is_versioned.then(|| "version".to_owned());
    let of = |artifact: &artifact::Definition| {
        ["sha256", "url"].map(|what| format!("{what}_{}", underscored(&artifact.name)))
    };
    for name in version.into_iter().chain(artifacts.iter().flat_map(of)) {
        profile.entry(name).or_insert_with(|| Value::String(String::new()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::model::name::Name;

    fn definition() -> Definition {
        let metadata = "name = \"x\"\nversion = \"1\"\ndescription = \"A thing.\"\npackages = [\"y={version}\", \"z\"]\n\
            [[artifacts]]\nname = \"a-b\"\nurls = [\"https://h/{version}\"]\ndestination = \"/usr/local/bin/a\"\n";
        let mut files: BTreeMap<String, String> = [("metadata.toml".to_owned(), metadata.to_owned())].into();
        for kind in ["install", "uninstall", "check"] {
            files.insert(format!("{kind}-x.sh"), "true\n".to_owned());
        }
        Definition::read(&Name::new("x").unwrap(), "x", &files).unwrap()
    }

    #[test]
    fn version_checksum_and_address_are_parameters_and_the_address_goes_no_further() {
        let definition = definition();
        let given = json!({"version": "2", "url_a_b": "https://me:s3cret@h/", "sha256_a_b": "00"});
        let mut environment = definition.environment(None, given.as_object().unwrap()).unwrap();
        let software = Software::of(&definition, &mut environment).unwrap();
        assert!(!format!("{environment:?}").contains("s3cret"), "{environment:?}");
        assert_eq!(software.packages.needed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["y=2", "z"]);
        let given = &software.artifacts[0].given;
        assert_eq!((given.version.as_str(), given.sha256.as_str()), ("2", "00"));
    }

    #[test]
    fn without_a_version_packages_are_what_there_is_and_artifacts_the_definitions() {
        let definition = definition();
        let mut environment = definition.environment(None, &Map::new()).unwrap();
        let software = Software::of(&definition, &mut environment).unwrap();
        assert_eq!(
            (software.packages.needed[0].pin.clone(), software.artifacts[0].given.version.as_str()),
            (None, "1")
        );
    }
}

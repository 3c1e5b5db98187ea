//! What AWS's variables and shared files say: regions, endpoints, profiles.
//!
//! The names and their order are those of AWS's own tools ("AWS SDKs and Tools Reference Guide"), so that whoever uses
//! these needs nothing else for prov.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::place::Region;
use crate::provision::credentials::{self, CredentialError};
use crate::provision::error::chain;
use crate::provision::provider::cloud::CallError;
use crate::provision::provider::http;
use crate::provision::secret::Secret;

/// Looks a variable up.
type Lookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Looks up what prov itself keeps.
type Own = Box<dyn Fn(&str) -> Result<Option<Secret>, CredentialError> + Send + Sync>;

/// The variables of a process, and what prov keeps for its user. There is no way to see them all: some are secret.
pub struct Environment {
    variables: Lookup,
    own: Own,
}

/// The settings of a profile, or of a part of one.
pub type Settings = BTreeMap<String, String>;

impl Environment {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(|name| std::env::var(name).ok()).with_own(credentials::resolve)
    }

    /// The variables that `lookup` knows; nothing is kept.
    #[must_use]
    pub fn new(lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { variables: Box::new(lookup), own: Box::new(|_| Ok(None)) }
    }

    /// The same with what `own` keeps.
    #[must_use]
    pub fn with_own(
        self,
        own: impl Fn(&str) -> Result<Option<Secret>, CredentialError> + Send + Sync + 'static,
    ) -> Self {
        Self { own: Box::new(own), ..self }
    }

    /// What prov keeps under this name.
    ///
    /// # Errors
    /// [`CallError::Refused`] where that can't be said.
    pub fn own(&self, name: &str) -> Result<Option<Secret>, CallError> {
        (self.own)(name).map_err(|error| CallError::Refused { what: chain(&error), hint: error.hint() })
    }

    /// A variable; an empty one counts as unset.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.is_empty())
    }

    /// The region that is configured.
    #[must_use]
    pub fn region(&self) -> Option<Region> {
        let variable = self.get("AWS_REGION").or_else(|| self.get("AWS_DEFAULT_REGION"));
        let region = variable.or_else(|| self.profile(&self.config_file()?, true)?.remove("region"))?;
        Region::new(region.trim())
    }

    /// Where calls of EC2 in a region go.
    ///
    /// # Errors
    /// [`CallError::Refused`] for an address where they would go in clear.
    pub fn ec2_endpoint(&self, region: &Region) -> Result<String, CallError> {
        let given =
            ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"].into_iter().find_map(|name| Some((name, self.get(name)?)));
        if let Some((name, url)) = given {
            return Ok(format!("{}/", http::endpoint(name, &url)?));
        }
        let ending = if region.as_str().starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        Ok(format!("https://ec2.{region}.{ending}/"))
    }

    /// The profile in use.
    #[must_use]
    pub fn profile_name(&self) -> String {
        self.get("AWS_PROFILE").unwrap_or_else(|| "default".to_owned())
    }

    /// `~/.aws/config`, or what stands in its place.
    #[must_use]
    pub fn config_file(&self) -> Option<PathBuf> {
        self.file("AWS_CONFIG_FILE", "config")
    }

    /// `~/.aws/credentials`, or what stands in its place.
    #[must_use]
    pub fn credentials_file(&self) -> Option<PathBuf> {
        self.file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
    }

    fn file(&self, variable: &str, name: &str) -> Option<PathBuf> {
        let below_home = || self.get("HOME").map(|home| PathBuf::from(home).join(".aws").join(name));
        self.get(variable).map(PathBuf::from).or_else(below_home)
    }

    /// The profile in use as a file describes it; `None` where there is no such file or the file has no such profile. In the
    /// configuration others than `default` are called `profile NAME`.
    #[must_use]
    pub fn profile(&self, file: &std::path::Path, is_config: bool) -> Option<Settings> {
        let name = self.profile_name();
        let section = if is_config && name != "default" { format!("profile {name}") } else { name };
        section_of(&std::fs::read_to_string(file).ok()?, &section)
    }
}

/// The settings of a section of an INI file. Indented lines belong to the setting above them and count for nothing here.
fn section_of(text: &str, section: &str) -> Option<Settings> {
    let mut found: Option<Settings> = None;
    let mut is_inside = false;
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        if let Some(header) = line.trim().strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let header = header.split_whitespace().collect::<Vec<_>>().join(" ");
            is_inside = header == section || header.strip_prefix("profile ") == Some("default") && section == "default";
            if is_inside {
                found.get_or_insert_default();
            }
        } else if is_inside
            && !line.starts_with(char::is_whitespace)
            && let (Some(settings), Some((key, value))) = (found.as_mut(), line.split_once('='))
        {
            settings.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &'static [(&'static str, &'static str)]) -> Environment {
        Environment::new(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn sections_are_read_as_the_tools_do() {
        let text = "# c\n[default]\nregion = eu-west-1\ns3 =\n  region = no\n\n[profile  x]\nRegion=us-east-1\n;region = no\n[y]\na=b=c\n";
        assert_eq!(section_of(text, "default").unwrap()["region"], "eu-west-1");
        assert_eq!(section_of(text, "profile x").unwrap()["region"], "us-east-1");
        assert_eq!(section_of(text, "y").unwrap()["a"], "b=c");
        assert_eq!(section_of(text, "z"), None);
    }

    #[test]
    fn the_narrower_endpoint_wins_and_every_region_has_its_own() {
        let region = Region::new("eu-west-1").unwrap();
        let both = environment(&[("AWS_ENDPOINT_URL", "https://a"), ("AWS_ENDPOINT_URL_EC2", "https://b/")]);
        assert_eq!(both.ec2_endpoint(&region).unwrap(), "https://b/");
        let here = environment(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")]);
        assert_eq!(here.ec2_endpoint(&region).unwrap(), "http://127.0.0.1:5000/");
        let in_clear =
            environment(&[("AWS_ENDPOINT_URL", "http://ec2.example.org")]).ec2_endpoint(&region).unwrap_err();
        assert!(in_clear.to_string().starts_with("AWS_ENDPOINT_URL is no address of an interface"), "{in_clear}");
        let none = environment(&[("AWS_ENDPOINT_URL", "")]);
        assert_eq!(none.ec2_endpoint(&region).unwrap(), "https://ec2.eu-west-1.amazonaws.com/");
        let china = Region::new("cn-north-1").unwrap();
        assert_eq!(none.ec2_endpoint(&china).unwrap(), "https://ec2.cn-north-1.amazonaws.com.cn/");
    }

    #[test]
    fn the_region_comes_from_the_variable_before_the_profile() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".aws")).unwrap();
        std::fs::write(dir.path().join(".aws/config"), "[profile dev]\nregion = eu-north-1\n").unwrap();
        let home = dir.path().display().to_string();
        let with = |region: &'static str| {
            let home = home.clone();
            Environment::new(move |name| match name {
                "HOME" => Some(home.clone()),
                "AWS_PROFILE" => Some("dev".to_owned()),
                "AWS_REGION" => Some(region.to_owned()),
                _ => None,
            })
        };
        assert_eq!(with("").region(), Region::new("eu-north-1"));
        assert_eq!(with("eu-west-3").region(), Region::new("eu-west-3"));
        assert_eq!(with("eu-west-3a").region(), None);
    }
}

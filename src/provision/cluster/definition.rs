//! What a cluster is: `cluster.toml` with its roles, `health.sh`, and both with somebody's parameters filled in.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::ClusterError;
use crate::model::batch::TaskservRef;
use crate::model::name::Name;
use crate::model::nearest::unknown;
use crate::model::plan::Plan;
use crate::provision::provider;
use crate::provision::report::Reporter;
use crate::provision::secret;
use crate::provision::settings::ClusterSettings;
use crate::provision::taskserv::definition::{DefinitionError, out_of_range};
use crate::provision::taskserv::library::Library;
use crate::provision::value_path::ValuePath;
use crate::provision::workspace::Workspace;

/// The most servers of a role.
const MOST: u32 = 100;
/// Parameters that every cluster has, whatever its definition says: what its servers are like. Beside them stand
/// `ROLE_count`, one for each role.
const OF_SERVERS: [&str; 2] = ["zone", "plan"];

/// A cluster's definition: `cluster.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name, the same as its directory.
    pub name: Name,
    /// Its version.
    pub version: String,
    /// One sentence for people.
    pub description: String,
    /// Parameters with their defaults.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// Servers by role.
    pub roles: Vec<Role>,
    pub(super) health: Health,
}

/// Servers that do the same.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its name.
    pub name: Name,
    /// How many servers, unless a parameter `ROLE_count` says otherwise.
    pub count: u32,
    /// Their size, unless a parameter `plan` says otherwise.
    pub plan: Plan,
    /// What is installed on them.
    pub taskservs: Vec<Name>,
    /// The cluster's parameters that are passed on to those.
    #[serde(default)]
    pub pass: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Health {
    pub(super) role: Name,
    pub(super) timeout_seconds: u64,
}

/// A cluster that somebody wants: a definition with parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// What its servers are named after.
    pub name: Name,
    /// The definition; counts and sizes of its roles are those that the parameters say.
    pub definition: Definition,
    /// The check whether all work as one.
    pub(super) health: String,
    /// The definition's parameters: the defaults, overridden by what was given.
    pub params: Map<String, Value>,
    /// Where its servers are to be, if somebody says so.
    pub zone: Option<Name>,
}

impl Wish {
    /// What `cluster` stands for.
    ///
    /// # Errors
    /// Where its definition can't be used, or a parameter is unknown or wrong.
    pub fn of(library: &Library, cluster: &ClusterSettings) -> Result<Self, ClusterError> {
        let (mut definition, health) = read(library, &cluster.cluster_type)?;
        let wrong = |param: &str, what: String| ClusterError::Parameter {
            name: cluster.name.clone(),
            param: Some(param.to_owned()),
            what,
        };
        let mut params = definition.params.clone();
        let counts: Vec<String> = definition.roles.iter().map(|role| format!("{}_count", role.name)).collect();
        let own: Vec<&str> = params.keys().map(String::as_str).collect();
        let known: Vec<&str> = own.into_iter().chain(OF_SERVERS).chain(counts.iter().map(String::as_str)).collect();
        if let Some(name) = cluster.params.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(wrong(name, unknown("parameter", name, &known)));
        }
        for (name, value) in &cluster.params {
            if let Some((path, why)) = secret::faults(value, &ValuePath::default().key(name)).pop() {
                return Err(wrong(name, format!("{path}: {why}")));
            }
        }
        let given = |name: &str| cluster.params.get(name);
        for (role, count) in definition.roles.iter_mut().zip(&counts) {
            let number = given(count).map_or(Ok(role.count), |value| number(count, value));
            role.count = number.map_err(|what| wrong(count, what))?;
            let plan = given("plan").map_or(Ok(role.plan), |value| text("plan", value));
            role.plan = plan.map_err(|what| wrong("plan", what))?;
        }
        let zone = given("zone").map(|value| text("zone", value)).transpose().map_err(|what| wrong("zone", what))?;
        for (name, value) in &cluster.params {
            if definition.params.contains_key(name) {
                params.insert(name.clone(), value.clone());
            }
        }
        Ok(Self { name: cluster.name.clone(), definition, health, params, zone })
    }

    /// Where its servers are at `provider`: where somebody says, else at the only place that there is.
    ///
    /// # Errors
    /// [`ClusterError::NoZone`] with the zones that there are.
    pub fn zone_at(&self, provider: &str, workspace: &Workspace) -> Result<Name, ClusterError> {
        let zone = self.zone.clone().or_else(|| provider::only_zone(provider));
        zone.ok_or_else(|| ClusterError::NoZone {
            name: self.name.clone(),
            provider: provider.to_owned(),
            zones: provider::open_or_why(provider, workspace, &Reporter::silent()).zones(),
        })
    }

    /// The servers of a role by name.
    pub fn servers<'w>(&'w self, role: &'w Role) -> impl Iterator<Item = Result<Name, ClusterError>> + 'w {
        let wrong = |what: String| ClusterError::Parameter { name: self.name.clone(), param: None, what };
        (1..=role.count).map(move |number| {
            Name::new(format!("{}-{}-{number}", self.name, role.name)).map_err(|error| wrong(error.to_string()))
        })
    }

    /// All its servers by name, as far as those are names.
    #[must_use]
    pub fn members(&self) -> Vec<Name> {
        self.definition.roles.iter().flat_map(|role| self.servers(role)).flatten().collect()
    }

    /// Each role's services on its servers, with the parameters that are passed on.
    ///
    /// # Errors
    /// Where the name of a server is none.
    pub fn placed(&self) -> Result<Vec<TaskservRef>, ClusterError> {
        let mut placed = Vec::new();
        for role in &self.definition.roles {
            let servers: Vec<Name> = self.servers(role).collect::<Result<_, _>>()?;
            let passed = self.params.iter().filter(|(name, _)| role.pass.contains(name));
            let params: Map<String, Value> = passed.map(|(name, value)| (name.clone(), value.clone())).collect();
            placed.extend(role.taskservs.iter().map(|name| TaskservRef {
                name: name.clone(),
                servers: servers.clone(),
                profile: None,
                params: params.clone(),
            }));
        }
        Ok(placed)
    }
}

/// The definition called `name`, and its check.
fn read(library: &Library, name: &Name) -> Result<(Definition, String), ClusterError> {
    let Some((place, files)) = library.files("clusters", name)? else {
        return Err(ClusterError::Unknown { name: name.clone(), hint: library.suggestion("clusters", name) });
    };
    let file = |file: &str| {
        let missing = || DefinitionError::Missing { name: name.clone(), file: format!("{place}/{file}") };
        files.get(file).cloned().ok_or_else(missing)
    };
    let invalid = |why: String| DefinitionError::Invalid { file: format!("{place}/cluster.toml"), why };
    let definition: Definition = toml::from_str(&file("cluster.toml")?).map_err(|error| invalid(error.to_string()))?;
    let fault = if definition.name == *name {
        definition.fault()
    } else {
        Some(format!("its name is {}, its directory is {name}", definition.name))
    };
    match fault {
        Some(fault) => Err(invalid(fault).into()),
        None => Ok((definition, file("health.sh")?)),
    }
}

impl Definition {
    /// What its form lets through and is wrong all the same.
    fn fault(&self) -> Option<String> {
        let excessive = |role: &Role| {
            let wrong = || format!("the role {} has {} servers; it must have from 1 to {MOST}", role.name, role.count);
            (!(1..=MOST).contains(&role.count)).then(wrong)
        };
        out_of_range("health.timeout_seconds", self.health.timeout_seconds)
            .or_else(|| self.roles.iter().find_map(excessive))
    }
}

fn number(name: &str, value: &Value) -> Result<u32, String> {
    let number =
        value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| (1..=MOST).contains(number));
    number.ok_or_else(|| format!("{name} must be a number from 1 to {MOST}, not {value}"))
}

fn text<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, value: &Value) -> Result<T, String> {
    let text = value.as_str().ok_or_else(|| format!("{name} must be a text, not {value}"))?;
    text.parse().map_err(|error| format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(cluster_type: &str, params: &Value) -> ClusterSettings {
        let name = |text: &str| Name::new(text).unwrap();
        let params = params.as_object().unwrap().clone();
        ClusterSettings { name: name("mine"), cluster_type: name(cluster_type), provider: name("local"), params }
    }

    fn library() -> (tempfile::TempDir, Library) {
        let dir = tempfile::tempdir().unwrap();
        let library = Library::of(&Workspace::open(dir.path()).unwrap(), &Name::new("i").unwrap());
        (dir, library)
    }

    #[test]
    fn what_is_built_in_is_sound() {
        let (_dir, library) = library();
        for (name, count) in [("etcd", 3), ("buildkit", 1)] {
            let wish = Wish::of(&library, &cluster(name, &json!({}))).unwrap();
            let placed = wish.placed().unwrap();
            assert_eq!(placed.iter().map(|placed| placed.servers.len()).sum::<usize>(), count);
        }
        let error = Wish::of(&library, &cluster("ectd", &json!({}))).unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("did you mean etcd?"));
    }

    #[test]
    fn parameters_decide_how_many_servers_there_are_and_of_which_size() {
        let (_dir, library) = library();
        let params = json!({"member_count": 5, "plan": "2xCPU-2 GB", "zone": "z", "client_port": 1});
        let wish = Wish::of(&library, &cluster("etcd", &params)).unwrap();
        let [placed] = wish.placed().unwrap().try_into().unwrap();
        assert_eq!(placed.servers.last().unwrap().as_str(), "mine-member-5");
        assert_eq!(placed.params["client_port"], 1);
        assert!(!placed.params.contains_key("plan"));
        assert_eq!((wish.definition.roles[0].plan.cpus, wish.zone.as_ref().map(Name::as_str)), (2, Some("z")));
    }

    #[test]
    fn a_zone_is_needed_where_there_are_several() {
        let (dir, library) = library();
        let workspace = Workspace::open(dir.path()).unwrap();
        let wish = |params: &Value| Wish::of(&library, &cluster("etcd", params)).unwrap();
        assert_eq!(wish(&json!({})).zone_at("local", &workspace).unwrap().as_str(), "local");
        assert_eq!(wish(&json!({"zone": "z"})).zone_at("upcloud", &workspace).unwrap().as_str(), "z");
        let error = wish(&json!({})).zone_at("nobody", &workspace).unwrap_err();
        assert_eq!(error.to_string(), "the cluster mine needs `params.zone`: nobody has no place of its own choice");
        assert_eq!(error.hint().as_deref(), Some("see its zones: prov provider zones nobody"));
    }

    #[test]
    fn parameters_that_are_unknown_or_wrong_are_refused() {
        let (_dir, library) = library();
        for (params, expected) in [
            (json!({"zoen": "x"}), "did you mean `zone`?"),
            (json!({"membr_count": 1}), "did you mean `member_count`?"),
            (json!({"member_count": 0}), "member_count must be a number from 1 to 100, not 0"),
            (json!({"plan": "big"}), "plan: \"big\" is no plan"),
            (json!({"client_port": {"secret": "s"}}), "client_port: a secret is written"),
        ] {
            let error = Wish::of(&library, &cluster("etcd", &params)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

//! What makes servers: the [`Provider`] trait, and the providers by name.
//!
//! A provider knows servers and how to reach them. It knows nothing of task services, batches or the daemon. All calls
//! block; a caller that wants several at once uses threads.

pub mod access;
pub mod aws;
pub mod cloud;
pub mod http;
pub mod local;
pub mod optional;
pub mod pace;
pub mod plugin;
pub mod ssh;
pub mod twin;
mod unusable;
pub mod upcloud;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::access::Access;
use self::cloud::{Api, Catalogue, Cloud};
use self::optional::{Console, Images, Prices};
use self::plugin::Plugin;
use self::twin::Twin;
use self::unusable::Unusable;
use crate::model::name::Name;
use crate::model::plan::Plan;
use crate::model::rehearsal::ProviderMode;
pub use crate::provision::error::ProviderError;
use crate::provision::error::chain;
use crate::provision::report::Reporter;
use crate::provision::transport::Transport;
use crate::provision::workspace::Workspace;

/// A server as somebody wants it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerSpec {
    /// The infra it belongs to.
    pub infra: Name,
    /// Unique in the infra; becomes its host name.
    pub name: Name,
    /// Its size.
    pub plan: Plan,
    /// Its place.
    pub zone: Name,
    /// Whose work made it: `BATCH_ID/OPERATION_ID` or a task's id; empty when made by hand. A repeated create with the
    /// same operation finds what the first one made; a compensation deletes what carries its operation.
    #[serde(default)]
    pub operation: String,
    /// Marks of the user's own.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Fields that only the provider understands; an unknown one is refused by `validate`.
    #[serde(default)]
    pub extra: Map<String, Value>,
}

/// A server as the provider reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// What was asked for when it was made.
    #[serde(flatten)]
    pub spec: ServerSpec,
    /// The provider's own id.
    pub id: String,
    /// `local`, …
    pub provider: String,
    /// Whether it runs.
    pub state: ServerState,
    /// Where the host reaches it; absent where the provider can't give it an address.
    pub address: Option<String>,
    /// Whether and how the plan's limits hold: `enforced (cgroup v1)`, `not enforced: …`; never a pretence.
    pub limits: String,
    /// What its user should know, a sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// In what somebody changed it at its provider since it was made: `plan: 1xCPU-2 GB → 2xCPU-4 GB`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// Whether it carries the infra's labels though this workspace has no record of making it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stray: bool,
    /// Why it doesn't answer, where only it itself could say whether it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
    /// Of a stray, the id of the workspace that had it made; absent where nothing says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
}

impl Server {
    /// One of which there is no more to tell.
    #[must_use]
    pub fn of(spec: ServerSpec, provider: &str, id: String, state: ServerState) -> Self {
        Self {
            spec,
            id,
            provider: provider.to_owned(),
            state,
            address: None,
            limits: String::new(),
            notes: Vec::new(),
            changed: Vec::new(),
            stray: false,
            silent: None,
            workspace: None,
        }
    }

    /// One of which no more is known than its name, because its record can't be read.
    #[must_use]
    pub fn damaged(infra: &Name, name: &Name, provider: &str, id: String, error: &dyn std::error::Error) -> Self {
        let spec = ServerSpec {
            infra: infra.clone(),
            name: name.clone(),
            plan: Plan { cpus: 0, memory_mib: 0 },
            zone: Name::new("unknown").expect("letters are a name"),
            operation: String::new(),
            labels: BTreeMap::new(),
            extra: Map::new(),
        };
        Self {
            limits: "unknown".to_owned(),
            notes: vec![format!("its record is damaged, so it can only be deleted ({})", chain(error))],
            ..Self::of(spec, provider, id, ServerState::Damaged)
        }
    }
}

/// Whether a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// It runs.
    Running,
    /// It is there and doesn't run; its disk is kept.
    Stopped,
    /// It is being made or unmade, or the making was cut short.
    Incomplete,
    /// Its record can't be read, so that nothing can be done with it but to delete it.
    Damaged,
}

/// What makes servers. Every call is idempotent: repeated after a crash it ends in the same state.
pub trait Provider: Send + Sync {
    /// The provider's name: `local`, …
    fn name(&self) -> &str;

    /// Checks a wanted server without touching anything.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] names the field.
    fn validate(&self, spec: &ServerSpec) -> Result<(), ProviderError>;

    /// The spec without what says no more than its default: two that want the same are equal then.
    fn normal(&self, spec: ServerSpec) -> ServerSpec {
        spec
    }

    /// What somebody should know before such a server is made, a sentence each.
    fn warnings(&self, spec: &ServerSpec) -> Vec<String> {
        let _ = spec;
        Vec::new()
    }

    /// Why servers that it makes get no addresses, where that is known beforehand.
    fn no_addresses(&self) -> Option<String> {
        None
    }

    /// What sizes and places can be had. Where any can, both are empty.
    ///
    /// # Errors
    /// When the provider can't be asked.
    fn catalogue(&self) -> Result<Catalogue, ProviderError> {
        Ok(Catalogue::default())
    }

    /// The images that it knows, if it tells them.
    fn images(&self) -> Option<&dyn Images<ProviderError>> {
        None
    }

    /// What its plans cost, if it tells that.
    fn prices(&self) -> Option<&dyn Prices<ProviderError>> {
        None
    }

    /// The consoles of its servers, if they have any that can be read.
    fn console(&self) -> Option<&dyn Console> {
        None
    }

    /// The zones that can be had, as far as that is known at once; none where it isn't.
    fn zones(&self) -> Vec<String> {
        Vec::new()
    }

    /// The servers of `infra`, those that a crash left incomplete included, ordered by name.
    ///
    /// # Errors
    /// When the provider can't be asked.
    fn list(&self, infra: &Name) -> Result<Vec<Server>, ProviderError>;

    /// The names of the servers of `infra` on this workspace's record, known without asking; none where no record is kept
    /// apart from the servers.
    fn recorded(&self, infra: &Name) -> Option<Vec<Name>> {
        let _ = infra;
        None
    }

    /// Whether it is certain, without asking, that this workspace never had anything made for `infra`.
    fn is_untouched(&self, infra: &Name) -> bool {
        let _ = infra;
        false
    }

    /// What carries the labels of `infra` without being in [`list`](Self::list): machines that this workspace has no record
    /// of, whichever workspace had them made.
    ///
    /// # Errors
    /// When the provider can't be asked.
    fn strays(&self, infra: &Name) -> Result<Vec<Server>, ProviderError> {
        let _ = infra;
        Ok(Vec::new())
    }

    /// The servers of `infra` that this workspace made and somebody else deleted.
    ///
    /// # Errors
    /// When the provider can't be asked.
    fn gone(&self, infra: &Name) -> Result<Vec<ServerSpec>, ProviderError> {
        let _ = infra;
        Ok(Vec::new())
    }

    /// Deletes a stray. That it is gone counts as done.
    ///
    /// # Errors
    /// When something of it is left.
    fn delete_stray(&self, stray: &Server) -> Result<(), ProviderError> {
        Err(no_strays(stray))
    }

    /// Records a stray as this workspace's server, as its `spec` says, and has it say so itself.
    ///
    /// # Errors
    /// When the name is taken, or the machine is gone.
    fn adopt(&self, stray: &Server) -> Result<Server, ProviderError> {
        Err(no_strays(stray))
    }

    /// Makes the server, or finds the one that an earlier call with the same spec made and starts it if need be.
    ///
    /// # Errors
    /// [`ProviderError::Conflict`] where a different server has the name.
    fn create(&self, spec: &ServerSpec) -> Result<Server, ProviderError>;

    /// Waits until commands can run in the server.
    ///
    /// # Errors
    /// When that does not come about within `limit`.
    fn wait_ready(&self, infra: &Name, name: &Name, limit: Duration) -> Result<Server, ProviderError>;

    /// Deletes the server with all it holds. That there is none counts as done.
    ///
    /// # Errors
    /// When something of it is left; the error names what.
    fn delete(&self, infra: &Name, name: &Name) -> Result<(), ProviderError>;

    /// Gives the server exactly these labels; nothing that it holds is touched.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`]; [`ProviderError::Invalid`] where the provider has no way to do that.
    fn relabel(&self, infra: &Name, name: &Name, labels: &BTreeMap<String, String>) -> Result<Server, ProviderError> {
        let _ = (infra, labels);
        Err(ProviderError::Invalid {
            what: format!("the provider {} can't change the labels of server {name}", self.name()),
            hint: Some("delete the server and make it anew".to_owned()),
        })
    }

    /// The way to a server that runs.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`]; [`ProviderError::Unavailable`] where it doesn't run.
    fn transport(&self, infra: &Name, name: &Name) -> Result<Box<dyn Transport + '_>, ProviderError>;
}

/// What to do about a name that a machine of another workspace has.
#[must_use]
pub fn of_another_workspace(infra: &Name, workspace: &str) -> String {
    format!(
        "give the server or the infra another name; where that workspace is lost, take over what it had: \
         prov infra reconcile {infra} --from-workspace {workspace} --adopt"
    )
}

fn no_strays(stray: &Server) -> ProviderError {
    ProviderError::Invalid { what: format!("the provider {} has no strays", stray.provider), hint: None }
}

pub use crate::model::batch::PROVIDERS as KNOWN;

/// The provider called `name`, for a workspace. What keeps it waiting goes to `reporter`.
///
/// # Errors
/// [`ProviderError::Invalid`] for an unknown name, [`ProviderError::Unavailable`] for one that this host or account can't
/// use.
pub fn open(name: &str, workspace: &Workspace, reporter: &Reporter) -> Result<Box<dyn Provider>, ProviderError> {
    let live = live(name, workspace, reporter)?;
    let ProviderMode::Rehearse(rehearsal) = workspace.mode() else { return Ok(live) };
    let twin = Twin::of(live, rehearsal, &workspace.state_dir());
    let reach = twin.reach();
    Ok(Box::new(Cloud::new(workspace, Box::new(twin), reach, reporter.clone())))
}

/// The zone at a provider that has only one: there, nobody needs to say it.
#[must_use]
pub fn only_zone(provider: &str) -> Option<Name> {
    let zone = match provider {
        "local" => "local",
        // Wherever these hosts are.
        ssh::NAME => "own",
        _ => return None,
    };
    Some(Name::new(zone).expect("the zone's name is a name"))
}

/// As [`open`], for those who go on without it: one that can't be used says why when it is asked.
#[must_use]
pub fn open_or_why(name: &str, workspace: &Workspace, reporter: &Reporter) -> Box<dyn Provider> {
    open(name, workspace, reporter).unwrap_or_else(|error| Box::new(Unusable::of(name, workspace, &error)))
}

/// Whether a name that is none of prov's own providers' is one all the same: a plugin's, or that of one which was a plugin's
/// when this workspace had something made there.
#[must_use]
pub fn is_plugin(workspace: &Workspace, name: &str) -> bool {
    plugin::find(workspace, name).is_some() || cloud::is_on_record(workspace, name)
}

/// The providers besides those of this machine at which the workspace has made something for `infra`.
#[must_use]
pub fn used(workspace: &Workspace, infra: &Name) -> Vec<String> {
    let mut used = cloud::used(workspace, infra);
    used.extend(ssh::has_any(workspace, infra).then(|| ssh::NAME.to_owned()));
    used
}

/// A provider whose machines are reached by ssh, with the workspace's key.
fn over_ssh(workspace: &Workspace, reporter: &Reporter, api: impl Api + 'static) -> Box<dyn Provider> {
    Box::new(Cloud::new(workspace, Box::new(api), Box::new(Access::of(workspace)), reporter.clone()))
}

fn live(name: &str, workspace: &Workspace, reporter: &Reporter) -> Result<Box<dyn Provider>, ProviderError> {
    match name {
        "local" => Ok(Box::new(local::LocalProvider::new(workspace.root())?)),
        "aws" => Ok(over_ssh(workspace, reporter, aws::Aws::open(workspace)?)),
        ssh::NAME => Ok(Box::new(ssh::SshHosts::new(workspace))),
        "upcloud" => Ok(over_ssh(workspace, reporter, upcloud::UpCloud::open(workspace)?)),
        _ => match plugin::find(workspace, name) {
            Some(path) => Ok(over_ssh(workspace, reporter, Plugin::open(workspace, name, &path)?)),
            None if cloud::is_on_record(workspace, name) => Err(ProviderError::Unavailable {
                what: format!("the plugin prov-provider-{name} is gone"),
                hint: Some("put it back, into the workspace's providers/ or on PATH".to_owned()),
            }),
            None => Err(ProviderError::Invalid {
                what: format!("there is no provider {name:?}"),
                hint: Some(format!("the providers are {}, and plugins", KNOWN.join(", "))),
            }),
        },
    }
}

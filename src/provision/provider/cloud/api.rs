//! What a provider's interface must be able to do: one call each, and what is known when it fails.
//!
//! An [`Api`] translates; it decides nothing and remembers nothing. When to call, how often, and what a lost reply means is
//! [`super::Cloud`]'s to know.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::optional::MachineConsole;
use crate::model::plan::Plan;
use crate::provision::provider::optional::{Images, Prices};
use crate::provision::provider::{ProviderError, ServerSpec};

/// The label with the infra of a machine.
pub const INFRA: &str = "prov-infra";
/// The label with the name of its server.
pub const SERVER: &str = "prov-server";
/// The label with whose work made it: `BATCH_ID/OPERATION_ID` or a task's id; absent when made by hand.
pub const OPERATION: &str = "prov-operation";
/// The label with the token of the call that made it.
pub const TOKEN: &str = "prov-token";
/// The label with the id of the workspace that had it made; absent on what earlier versions made.
pub const WORKSPACE: &str = "prov-workspace";

/// What marks a label as prov's own.
pub const OWN: &str = "prov-";

/// Labels of a machine, prov's own and the user's.
pub type Labels = BTreeMap<String, String>;

/// A machine as the provider reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The provider's id.
    pub id: String,
    /// All its labels.
    pub labels: Labels,
    /// Whether it runs.
    pub state: MachineState,
    /// Its size, where the provider says it in processors and memory.
    pub plan: Option<Plan>,
    /// Its place.
    pub zone: String,
    /// Where it is reached, where that is told with it.
    pub address: Option<String>,
    /// What its user should know, a sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Whether a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MachineState {
    /// It is on its way to another state: nothing can be asked of it now.
    Changing,
    /// It runs.
    Running,
    /// It is there and doesn't run.
    Stopped,
    /// The provider says that something is wrong with it.
    Failed,
}

/// A machine to make.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// What is wanted.
    pub spec: &'a ServerSpec,
    /// Names this order; a repeated call with the same token makes no second machine where the provider knows tokens.
    pub token: &'a str,
    /// Everything that the machine is to carry from its first moment.
    pub labels: &'a Labels,
    /// The public key, as a line of `authorized_keys`, by which prov reaches it.
    pub public_key: &'a str,
}

/// What is left to do after a call that deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone, with everything that it held.
    Gone,
    /// It is on its way; the call is made again after a while.
    Going,
}

/// What a provider sells.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Catalogue {
    /// Sizes by the provider's names; none where any size can be had.
    pub plans: Vec<Offer>,
    /// Places by name.
    pub zones: Vec<String>,
}

/// A size that a provider sells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offer {
    /// The provider's name.
    pub name: String,
    /// Processors and memory.
    pub plan: Plan,
}

/// How far something is that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The provider refused: nothing was done, and nothing will be by trying again.
    #[error("{what}")]
    Refused {
        /// What it said.
        what: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Nothing was done, and the provider wants to be asked later: too many calls, or the machine is in between states.
    #[error("{what}")]
    Later {
        /// What it said.
        what: String,
        /// The wait that it asks for.
        after: Option<Duration>,
        /// Whether the calls of this account are too many: all of them slow down.
        throttled: bool,
    },
    /// Nothing was sent: the provider can't be reached.
    #[error("{0}")]
    Unreachable(String),
    /// Nobody can say whether it was done: the reply was lost, or told of an error inside the provider.
    #[error("{0}")]
    Unknown(String),
}

impl CallError {
    /// The same with other texts.
    #[must_use]
    pub fn map_text(self, change: impl Fn(String) -> String) -> Self {
        match self {
            Self::Refused { what, hint } => Self::Refused { what: change(what), hint: hint.map(change) },
            Self::Later { what, after, throttled } => Self::Later { what: change(what), after, throttled },
            Self::Unreachable(what) => Self::Unreachable(change(what)),
            Self::Unknown(what) => Self::Unknown(change(what)),
        }
    }

    /// The error for a call that isn't made, because the provider wants to be left alone for so long.
    #[must_use]
    pub fn left_alone(after: Duration) -> Self {
        let what = "the provider wants to be left alone".to_owned();
        Self::Later { what, after: Some(after), throttled: false }
    }

    /// The wait that the provider asks for.
    #[must_use]
    pub const fn after(&self) -> Option<Duration> {
        match self {
            Self::Later { after, .. } => *after,
            _ => None,
        }
    }
}

/// A provider's interface. Calls block; several threads may make them.
pub trait Api: Send + Sync {
    /// The provider's name: `upcloud`, …
    fn name(&self) -> &str;

    /// Checks a wanted server without a call.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] names the field.
    fn validate(&self, spec: &ServerSpec) -> Result<(), ProviderError>;

    /// What somebody should know before such a server is made, a sentence each.
    fn warnings(&self, spec: &ServerSpec) -> Vec<String> {
        let _ = spec;
        Vec::new()
    }

    /// What can be had.
    ///
    /// # Errors
    /// [`CallError`].
    fn catalogue(&self) -> Result<Catalogue, CallError>;

    /// Its images, if it tells them.
    fn images(&self) -> Option<&dyn Images<CallError>> {
        None
    }

    /// What its plans cost, if it tells that.
    fn prices(&self) -> Option<&dyn Prices<CallError>> {
        None
    }

    /// The consoles of its machines, if they have any that can be read.
    fn console(&self) -> Option<&dyn MachineConsole> {
        None
    }

    /// Every machine that carries all of these labels and isn't gone, ordered by id.
    ///
    /// # Errors
    /// [`CallError`].
    fn find(&self, labels: &Labels) -> Result<Vec<Machine>, CallError>;

    /// Where the machine of this id is reached; asked of a provider whose lists don't tell it.
    ///
    /// # Errors
    /// [`CallError`].
    fn address(&self, id: &str) -> Result<Option<String>, CallError> {
        let _ = id;
        Ok(None)
    }

    /// Orders a machine; it need not run yet when this returns.
    ///
    /// # Errors
    /// [`CallError`]: only [`CallError::Unknown`] leaves open whether there is one now.
    fn create(&self, order: &Order<'_>) -> Result<Machine, CallError>;

    /// Starts a machine that is stopped; one that runs counts as started.
    ///
    /// # Errors
    /// [`CallError`].
    fn start(&self, machine: &Machine) -> Result<(), CallError>;

    /// Takes the next step to the end of the machine and of everything that it holds and costs money; one that is gone
    /// counts as deleted. What it takes several calls for (stop, then delete) is done step by step.
    ///
    /// # Errors
    /// [`CallError`].
    fn delete(&self, machine: &Machine) -> Result<Deletion, CallError>;

    /// Gives the machine exactly these labels.
    ///
    /// # Errors
    /// [`CallError`].
    fn relabel(&self, machine: &Machine, labels: &Labels) -> Result<(), CallError>;

    /// The user that commands run as, by way of `sudo` where it isn't root.
    fn login(&self, spec: &ServerSpec) -> String;

    /// Whether a repeated [`create`](Self::create) with the same token makes no second machine.
    fn knows_tokens(&self) -> bool;

    /// How long after an order its machine is in every list. Until then, that it is in none says nothing.
    fn settles_within(&self) -> Duration;

    /// How often a machine is looked at that changes.
    fn poll_every(&self) -> Duration {
        Duration::from_secs(2)
    }
}

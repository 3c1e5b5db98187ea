//! The provider `upcloud` against an UpCloud of our own.

mod commands;
mod mishaps;
mod optional;
mod servers;

use prov::model::name::Name;
use prov::provision::provider::ServerSpec;
use prov::provision::provider::cloud::{Api, CallError, Deletion, INFRA, Labels, Machine, MachineState, Order, TOKEN};
use prov::provision::provider::upcloud::UpCloud;
use prov::provision::secret::Secret;
use prov::provision::workspace::Workspace;
use serde_json::{Value, json};

use crate::support::upcloud as stub;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI prov";

/// An account with its workspace.
struct Account {
    dir: tempfile::TempDir,
    cloud: stub::UpCloud,
    api: UpCloud,
}

impl Account {
    fn new() -> Self {
        Self::with_token(stub::TOKEN)
    }

    fn with_token(token: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cloud, workspace) = (stub::UpCloud::start(), Workspace::open(dir.path()).unwrap());
        let api = UpCloud::with_token(&workspace, &cloud.url, Secret::new(token.to_owned())).unwrap();
        Self { dir, cloud, api }
    }

    fn create(&self, spec: &ServerSpec, token: &str) -> Result<Machine, CallError> {
        self.api.create(&Order { spec, token, labels: &labels(token), public_key: KEY })
    }

    fn find(&self, labels: &Labels) -> Vec<Machine> {
        self.api.find(labels).unwrap()
    }

    /// Looks until the machine is in a state.
    fn until(&self, machine: &Machine, state: MachineState) -> Machine {
        for _ in 0..10 {
            let found = self.find(&machine.labels);
            if let Some(found) = found.into_iter().find(|found| found.id == machine.id && found.state == state) {
                return found;
            }
        }
        panic!("{} never becomes {state:?}", machine.id);
    }

    /// Deletes step by step; answers how many it took.
    fn delete(&self, machine: &Machine) -> usize {
        let mut steps = 0;
        loop {
            steps += 1;
            match self.api.delete(machine) {
                Ok(Deletion::Gone) => return steps,
                Ok(Deletion::Going) | Err(CallError::Later { .. }) if steps < 20 => {}
                other => panic!("after {steps} steps: {other:?}"),
            }
        }
    }
}

fn spec(extra: &Value) -> ServerSpec {
    let name = |text: &str| Name::new(text).unwrap();
    ServerSpec {
        infra: name("demo"),
        name: name("web-1"),
        plan: "1xCPU-2 GB".parse().unwrap(),
        zone: name("de-fra1"),
        operation: String::new(),
        labels: [].into(),
        extra: extra.as_object().unwrap().clone(),
    }
}

fn labels(token: &str) -> Labels {
    let labels = [(INFRA, "demo"), ("team", "a=b&c/d é"), (TOKEN, token)];
    labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn refused(error: CallError) -> (String, String) {
    match error {
        CallError::Refused { what, hint } => (what, hint.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

fn none() -> ServerSpec {
    spec(&json!({}))
}

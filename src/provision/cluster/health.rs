//! Whether a cluster's servers work as one: its check, run on one of them.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::definition::Wish;
use super::{ClusterError, Clusters, is_of};
use crate::model::rehearsal::ProviderMode;
use crate::provision::provider::{self, Server};
use crate::provision::secret::{self, Redaction};
use crate::provision::taskserv::run::{last_words, whole};
use crate::provision::transport::Exec;

impl Clusters<'_> {
    /// Asks one server of the role that knows; answers what it said.
    pub(super) fn healthy(&self, wish: &Wish) -> Result<String, ClusterError> {
        let provider = provider::open(&self.provider, self.workspace, self.reporter)?;
        let health = &wish.definition.health;
        let members: Vec<Server> =
            provider.list(&self.infra)?.into_iter().filter(|server| is_of(server, &wish.name)).collect();
        let prefix = format!("{}-{}-", wish.name, health.role);
        let unhealthy = |why: String| ClusterError::Unhealthy { name: wish.name.clone(), why };
        let asked = members.iter().find(|server| server.spec.name.as_str().starts_with(&prefix));
        let asked = asked.ok_or_else(|| unhealthy(format!("it has no server of the role {}", health.role)))?;
        let (params, secrets) = secret::resolved(&Value::Object(wish.params.clone()), self.workspace)?;
        let params = params.as_object().into_iter().flatten();
        let mut env: Vec<(String, String)> = params.map(|(name, value)| variable(name, value)).collect();
        env.push(("PROV_PEERS".to_owned(), members.iter().map(peer).collect::<Vec<_>>().join(" ")));
        let exec = Exec {
            argv: ["bash", "-eu", "-o", "pipefail", "-s"].map(str::to_owned).to_vec(),
            env,
            stdin: wish.health.as_bytes(),
            deadline: Instant::now().checked_add(Duration::from_secs(health.timeout_seconds)),
        };
        let result = provider.transport(&self.infra, &asked.spec.name)?.exec(&exec)?;
        let result = Redaction::of(&secrets).result(result);
        if result.timed_out {
            let (limit_s, how, said) = (health.timeout_seconds, whole(result.is_whole), last_words(&result));
            return Err(unhealthy(format!("its check took longer than {limit_s} s and was ended{how}{said}")));
        }
        match result.status {
            // Nothing was run, whatever it cost in time.
            0 if *self.workspace.mode() != ProviderMode::Live => Ok("rehearsed, no health check ran".to_owned()),
            0 => {
                let said = String::from_utf8_lossy(&result.stdout).trim().to_owned();
                Ok(if said.is_empty() { "its health check passed".to_owned() } else { said })
            }
            status => Err(unhealthy(format!("its check failed with status {status}{}", last_words(&result)))),
        }
    }
}

fn peer(server: &Server) -> String {
    format!("{}={}", server.spec.name, server.address.as_deref().unwrap_or("127.0.0.1"))
}

fn variable(name: &str, value: &Value) -> (String, String) {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    (format!("PROV_PARAM_{}", name.to_ascii_uppercase()), text)
}

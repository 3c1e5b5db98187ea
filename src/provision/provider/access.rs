//! How the machines of a workspace are reached that prov made there: by the workspace's key, each known by the host key that
//! it first showed.

use std::sync::{Arc, OnceLock};

use super::ProviderError;
use super::cloud::{Machine, Reach};
use crate::provision::transport::Transport;
use crate::provision::transport::ssh::key::Key;
use crate::provision::transport::ssh::{Destination, HostKeys, KnownHosts, Room, Ssh, Way};
use crate::provision::workspace::Workspace;

/// What it takes. Connections are shared and stay open as long as this is there.
#[derive(Debug)]
pub struct Access {
    workspace: Workspace,
    room: OnceLock<Arc<Room>>,
}

impl Access {
    /// That of `workspace`. Nothing is made before it is needed.
    #[must_use]
    pub fn of(workspace: &Workspace) -> Self {
        Self { workspace: workspace.clone(), room: OnceLock::new() }
    }

    /// The way to the machine `id` of `provider`, whose address may name a port: `HOST[:PORT]`.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] for an address, a user or an id that can't be one.
    pub fn to(&self, provider: &str, id: &str, user: &str, address: &str) -> Result<Ssh, ProviderError> {
        let to = Destination::parse(address, user);
        let to = to.map_err(|error| ProviderError::Invalid { what: error.to_string(), hint: None })?;
        let alias = format!("{provider}:{id}");
        let host_keys = HostKeys::FirstSeen { file: KnownHosts::of(&self.workspace)?.file(&alias)?, alias };
        let identity = Some(Key::of(&self.workspace)?.private().to_owned());
        let ssh = Ssh::new(Way { to, identity, jump: None, host_keys, sudo: true })?;
        self.room.get_or_init(|| ssh.room());
        Ok(ssh)
    }
}

impl Reach for Access {
    fn public_key(&self) -> Result<String, ProviderError> {
        Key::of(&self.workspace).map(|key| key.public().to_owned())
    }

    fn transport(&self, provider: &str, machine: &Machine, login: &str) -> Result<Box<dyn Transport>, ProviderError> {
        let Some(address) = &machine.address else {
            let what = format!("the machine {} of {provider} has no address", machine.id);
            return Err(ProviderError::Unavailable { what, hint: None });
        };
        Ok(Box::new(self.to(provider, &machine.id, login, address)?))
    }

    fn forget(&self, provider: &str, machine: &str) {
        let forgotten =
            KnownHosts::of(&self.workspace).and_then(|known| known.forget(&format!("{provider}:{machine}")));
        if let Err(error) = forgotten {
            // The next machine has another id: what is left of this one does no harm.
            tracing::debug!("{error}");
        }
    }
}

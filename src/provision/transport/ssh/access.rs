//! How the machines of a workspace are reached that prov made there: by the workspace's key, each known by the host key that
//! it first showed.

use std::sync::Arc;

use super::key::Key;
use super::{Destination, HostKeys, KnownHosts, Room, Ssh, Way};
use crate::provision::provider::ProviderError;
use crate::provision::workspace::Workspace;

/// What it takes. Connections are shared and stay open as long as one of these is there.
#[derive(Clone, Debug)]
pub struct Access {
    key: Key,
    known: KnownHosts,
    _room: Arc<Room>,
}

impl Access {
    /// That of `workspace`; makes its key where there is none.
    ///
    /// # Errors
    /// When this host has no OpenSSH, or nothing can be written.
    pub fn of(workspace: &Workspace) -> Result<Self, ProviderError> {
        let room = Room::shared().map_err(|source| ProviderError::Failed {
            attempt: "can't make a directory for ssh's sockets".to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self { key: Key::of(workspace)?, known: KnownHosts::of(workspace)?, _room: room })
    }

    /// The line of `authorized_keys` that lets prov in.
    #[must_use]
    pub fn public_key(&self) -> &str {
        self.key.public()
    }

    /// The way to the machine `id` of `provider`.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] for an address, a user or an id that can't be one.
    pub fn to(&self, provider: &str, id: &str, user: &str, address: &str, port: u16) -> Result<Ssh, ProviderError> {
        let to = Destination::new(address, user, port);
        let to = to.map_err(|error| ProviderError::Invalid { what: error.to_string(), hint: None })?;
        let alias = format!("{provider}:{id}");
        let host_keys = HostKeys::FirstSeen { file: self.known.file(&alias)?, alias };
        Ssh::new(Way { to, identity: Some(self.key.private().to_owned()), jump: None, host_keys, sudo: true })
    }

    /// Forgets the host key of a machine that is gone.
    ///
    /// # Errors
    /// When it is still there.
    pub fn forget(&self, provider: &str, id: &str) -> Result<(), ProviderError> {
        self.known.forget(&format!("{provider}:{id}"))
    }
}

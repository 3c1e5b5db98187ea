//! How the machines of a provider are reached, and where.
//!
//! Some lists tell no addresses, and an account bears only so many calls: what is listed has the address that the journal
//! remembers, and whoever goes to a machine asks for it.

use super::Cloud;
use super::api::{Machine, MachineState};
use super::journal::Entry;
use super::view;
use crate::provision::provider::{ProviderError, Server};
use crate::provision::transport::Transport;

/// The way to machines that were made with a key of ours.
pub trait Reach: Send + Sync {
    /// The public key that machines are made with, as a line of `authorized_keys`.
    ///
    /// # Errors
    /// When there is none and none can be made.
    fn public_key(&self) -> Result<String, ProviderError>;

    /// The way to a machine of the provider `provider`, as its user `login`.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`] where it has no address.
    fn transport(&self, provider: &str, machine: &Machine, login: &str) -> Result<Box<dyn Transport>, ProviderError>;

    /// Forgets what is remembered of a machine that is gone.
    fn forget(&self, provider: &str, machine: &str);
}

impl Cloud {
    /// The machine with the address that it has now.
    pub(super) fn located(&self, machine: &Machine) -> Result<Machine, ProviderError> {
        let address = match &machine.address {
            Some(address) => Some(address.clone()),
            None => self.ask("say where a machine is reached", || self.api.address(&machine.id))?,
        };
        Ok(Machine { address, ..machine.clone() })
    }

    /// The server of an entry and its machine; where it runs, with the address that is known of it.
    pub(super) fn server(&self, entry: &Entry, machine: &Machine) -> Server {
        let is_told = machine.state != MachineState::Running || machine.address.is_some();
        let machine = match &entry.address {
            _ if is_told => machine.clone(),
            Some(address) => Machine { address: Some(address.clone()), ..machine.clone() },
            // A list tells what it can.
            None => Machine { address: self.api.address(&machine.id).ok().flatten(), ..machine.clone() },
        };
        view::of_machine(self.api.name(), entry, &machine)
    }
}

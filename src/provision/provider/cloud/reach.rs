//! How the machines of a provider are reached.

use super::api::Machine;
use crate::provision::provider::ProviderError;
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

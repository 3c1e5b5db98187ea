//! What some interfaces can tell besides, asked with patience.

use super::Cloud;
use super::api::{CallError, Machine};
use crate::model::name::Name;
use crate::provision::provider::ProviderError;
use crate::provision::provider::optional::{Console, Image, Images, Price, Prices};

/// An interface that tells what machines wrote on their consoles.
pub trait MachineConsole {
    /// The last that the machine wrote on its console.
    ///
    /// # Errors
    /// [`CallError`].
    fn read_machine_console(&self, machine: &Machine) -> Result<Vec<u8>, CallError>;
}

impl Cloud {
    fn lacks(&self, what: &str) -> ProviderError {
        ProviderError::Unavailable { what: format!("{} tells no {what}", self.api.name()), hint: None }
    }
}

impl Images<ProviderError> for Cloud {
    fn list_images(&self, zone: Option<&Name>) -> Result<Vec<Image>, ProviderError> {
        let images = self.api.images().ok_or_else(|| self.lacks("images"))?;
        self.ask("list its images", || images.list_images(zone))
    }
}

impl Prices<ProviderError> for Cloud {
    fn list_prices(&self, zone: &Name) -> Result<Vec<Price>, ProviderError> {
        let prices = self.api.prices().ok_or_else(|| self.lacks("prices"))?;
        self.ask("tell its prices", || prices.list_prices(zone))
    }
}

impl Console for Cloud {
    fn read_console(&self, infra: &Name, name: &Name) -> Result<Vec<u8>, ProviderError> {
        let console = self.api.console().ok_or_else(|| self.lacks("consoles"))?;
        let (_, machine) = self.own(infra, name)?;
        let machine = machine.ok_or_else(|| ProviderError::NotFound(name.clone()))?;
        self.ask(&format!("show the console of the server {name}"), || console.read_machine_console(&machine))
    }
}

//! What some providers can tell besides, and none needs to for servers to be made: images, prices, what a server wrote on its
//! console. A trait for each, which a provider hands out where it has it ([`Provider::images`](super::Provider::images), …).
//!
//! `E` says how telling fails: a [`ProviderError`] to those who use a provider, a
//! [`CallError`](super::cloud::CallError) where it is one call of an interface.

use serde::Serialize;

use super::ProviderError;
use crate::model::name::Name;

/// Something that servers can be made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The provider's id.
    pub id: String,
    /// Its name or title.
    pub name: String,
    /// Whose it is: an account, `public`, `own`.
    pub owner: String,
    /// `x86_64`, `arm64`; absent where the provider doesn't say.
    pub architecture: Option<String>,
    /// When it was made, as the provider writes it; absent where it doesn't say.
    pub created: Option<String>,
}

/// A provider that tells its images.
pub trait Images<E> {
    /// The images that servers in `zone` can be made of: the account's own, then those of known publishers; of the same kind
    /// the newest first.
    ///
    /// # Errors
    /// When the provider can't be asked.
    fn list_images(&self, zone: Option<&Name>) -> Result<Vec<Image>, E>;
}

/// What a plan costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Price {
    /// The provider's name for the plan.
    #[serde(skip)]
    pub plan: String,
    /// For an hour.
    pub per_hour: f64,
    /// Of what: `credits`, …
    pub unit: &'static str,
}

/// A provider that tells its prices.
pub trait Prices<E> {
    /// What plans cost in `zone`.
    ///
    /// # Errors
    /// When the provider can't be asked, or has no such zone.
    fn list_prices(&self, zone: &Name) -> Result<Vec<Price>, E>;
}

/// A provider whose servers have a console.
pub trait Console {
    /// The last that the server wrote on its console: any bytes.
    ///
    /// # Errors
    /// [`ProviderError::NotFound`], and when the provider can't be asked.
    fn read_console(&self, infra: &Name, name: &Name) -> Result<Vec<u8>, ProviderError>;
}

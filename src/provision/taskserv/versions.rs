//! Which version of a service is there: its own answer, else what the package system says.

use super::host::{Host, HostError};
use super::order::Placed;
use super::{script, version};

impl Host<'_> {
    /// The version that is there.
    ///
    /// # Errors
    /// [`HostError::OtherVersion`] where another one was asked for.
    pub(super) fn version(&self, placed: &Placed) -> Result<String, HostError> {
        let (definition, asked) = (&placed.definition, &placed.software.version);
        let actual = match (&definition.version_script, placed.software.packages.needed.first()) {
            (Some(text), _) => {
                let whole = script::whole(text);
                let limits = (whole.as_str(), definition.timeouts.check);
                let said = self.run_script(&definition.name, &placed.environment, "version", limits)?.stdout;
                String::from_utf8_lossy(&said).trim().to_owned()
            }
            (None, Some(package)) if placed.software.artifacts.is_empty() => {
                let ask = ["dpkg-query", "-W", "-f", "${Version}", package.name.as_str()];
                let said = self.housekeep("ask for a version", &ask, b"")?.stdout;
                String::from_utf8_lossy(&said).trim().to_owned()
            }
            // The artifacts were known by their checksums.
            _ if asked.is_empty() => definition.version.clone(),
            _ => asked.clone(),
        };
        if actual.is_empty() {
            return Ok(definition.version.clone());
        }
        if !asked.is_empty() && !version::means(asked, &actual) {
            let (taskserv, asked) = (definition.name.clone(), asked.clone());
            return Err(HostError::OtherVersion { taskserv, asked, actual });
        }
        Ok(actual)
    }
}

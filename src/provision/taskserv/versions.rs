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
        let Some(actual) = self.actual_version(placed)? else {
            // What artifacts are was known by their checksums.
            return Ok(if asked.is_empty() { definition.version.clone() } else { asked.clone() });
        };
        if !asked.is_empty() && !version::means(asked, &actual) {
            let (taskserv, asked) = (definition.name.clone(), asked.clone());
            return Err(HostError::OtherVersion { taskserv, asked, actual });
        }
        Ok(actual)
    }

    /// What it answers itself, or the package system says; nothing where neither has anything to say.
    pub(super) fn actual_version(&self, placed: &Placed) -> Result<Option<String>, HostError> {
        let definition = &placed.definition;
        let said = match (&definition.version_script, placed.software.packages.needed.first()) {
            (Some(text), _) => {
                let whole = script::whole(text);
                let limits = (whole.as_str(), definition.timeouts.check);
                self.run_script(&definition.name, &placed.environment, "version", limits)?.stdout
            }
            (None, Some(package)) if placed.software.artifacts.is_empty() => {
                let ask = ["dpkg-query", "-W", "-f", "${Version}", package.name.as_str()];
                self.housekeep("ask for a version", &ask, b"")?.stdout
            }
            _ => return Ok(None),
        };
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Ok(Some(said).filter(|said| !said.is_empty()))
    }
}

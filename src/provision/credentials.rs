//! What opens accounts at providers, by name: from the environment, from a file that it names, or kept.
//!
//! `NAME` in the environment goes before `NAME_FILE`, which goes before what `prov credentials set` keeps. Only the
//! execution process asks, when it makes a call. Knows no provider's ways beyond the names of what it needs.

use std::io;
use std::path::PathBuf;

use serde::Serialize;

use super::secret::Secret;
use super::secret::file::{self, FileError};
use super::secret::kept::{self, Place};
use crate::model::name::{Name, NameError};

/// Providers that take their credentials from here, with their names; the first is what `prov credentials set PROVIDER` sets.
pub const OF_PROVIDERS: &[(&str, &[&str])] = &[("upcloud", &["UPCLOUD_TOKEN", "UPCLOUD_USERNAME", "UPCLOUD_PASSWORD"])];

/// Where a credential comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The variable of its name.
    Environment,
    /// The file that the variable `NAME_FILE` names.
    File(PathBuf),
    /// What is kept.
    Kept(Place),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Kept(place) => write!(f, "{place}"),
        }
    }
}

/// Why a credential can't be had. Nothing of it is in the message.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The variable holds bytes that are no text.
    #[error("the variable {0} of the environment is no text")]
    NoText(String),
    /// The file that `NAME_FILE` names.
    #[error("the credential {name} can't be had")]
    File {
        /// The credential.
        name: String,
        /// Why.
        source: FileError,
    },
    /// What is kept can't be read.
    #[error("the credential {name} can't be read from where it is kept")]
    Kept {
        /// The credential.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The name is none.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl CredentialError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { source, .. } => source.hint(),
            Self::NoText(_) | Self::Kept { .. } | Self::Name(_) => None,
        }
    }
}

/// The credential `name`, and where it comes from; `None` where nobody has given it.
///
/// # Errors
/// [`CredentialError`].
pub fn find(name: &str) -> Result<Option<(Secret, Origin)>, CredentialError> {
    find_in(name, &|variable| std::env::var_os(variable))
}

/// The credential `name`, where somebody has given it.
///
/// # Errors
/// [`CredentialError`].
pub fn resolve(name: &str) -> Result<Option<Secret>, CredentialError> {
    Ok(find(name)?.map(|(secret, _)| secret))
}

fn find_in(
    name: &str,
    variable: &dyn Fn(&str) -> Option<std::ffi::OsString>,
) -> Result<Option<(Secret, Origin)>, CredentialError> {
    let given = |name: &str| variable(name).filter(|text| !text.is_empty());
    if let Some(text) = given(name) {
        let text = text.into_string().map_err(|_| CredentialError::NoText(name.to_owned()))?;
        return Ok(Some((Secret::new(text), Origin::Environment)));
    }
    if let Some(path) = given(&format!("{name}_FILE")) {
        let path = PathBuf::from(path);
        let secret = file::read(&path).map_err(|source| CredentialError::File { name: name.to_owned(), source })?;
        return Ok(Some((secret, Origin::File(path))));
    }
    let own = Name::new(name)?;
    let failed = |source| CredentialError::Kept { name: name.to_owned(), source };
    let Some(place) = kept::place(&own).map_err(failed)? else { return Ok(None) };
    Ok(kept::find(&own).map_err(failed)?.map(|secret| (secret, Origin::Kept(place))))
}

/// The name under which the credential that somebody means is kept: that of a provider means the first of its own.
#[must_use]
pub fn meant(name: &Name) -> Name {
    let of_provider = OF_PROVIDERS.iter().find(|(provider, _)| *provider == name.as_str());
    of_provider.and_then(|(_, names)| Name::new(names[0]).ok()).unwrap_or_else(|| name.clone())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_environment_goes_before_the_file_that_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "from-file\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let both = |variable: &str| match variable {
            "UPCLOUD_TOKEN" => Some(OsString::from("from-env")),
            "UPCLOUD_TOKEN_FILE" => Some(path.clone().into()),
            _ => None,
        };
        let (secret, origin) = find_in("UPCLOUD_TOKEN", &both).unwrap().unwrap();
        assert_eq!((secret.expose(), origin), ("from-env", Origin::Environment));
        let only_file = |variable: &str| both(variable).filter(|_| variable.ends_with("_FILE"));
        let (secret, origin) = find_in("UPCLOUD_TOKEN", &only_file).unwrap().unwrap();
        assert_eq!((secret.expose(), origin), ("from-file", Origin::File(path.clone())));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let error = find_in("UPCLOUD_TOKEN", &only_file).unwrap_err();
        assert!(error.hint().unwrap().starts_with("chmod o-rwx "), "{error}");
    }

    #[test]
    fn a_provider_means_its_first_credential() {
        let name = |text: &str| Name::new(text).unwrap();
        assert_eq!(meant(&name("upcloud")).as_str(), "UPCLOUD_TOKEN");
        assert_eq!(meant(&name("db-password")).as_str(), "db-password");
    }
}

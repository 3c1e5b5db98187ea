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

/// The key of an account at AWS: its id, its secret, and what temporary keys come with.
pub const AWS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
/// Providers that take their credentials from here.
pub const OF_PROVIDERS: &[OfProvider] = &[
    OfProvider {
        provider: "upcloud",
        whole: &["UPCLOUD_TOKEN"],
        besides: &[],
        others: &["UPCLOUD_USERNAME", "UPCLOUD_PASSWORD"],
    },
    OfProvider { provider: "aws", whole: &[AWS[0], AWS[1]], besides: &[AWS[2]], others: &[] },
];

/// The credentials that a provider takes.
#[derive(Debug)]
pub struct OfProvider {
    /// The provider.
    pub provider: &'static str,
    /// What `prov credentials set PROVIDER` sets together.
    pub whole: &'static [&'static str],
    /// What it sets besides, where it is given.
    pub besides: &'static [&'static str],
    /// What is used instead, where somebody sets it by its own name.
    pub others: &'static [&'static str],
}

impl OfProvider {
    /// All of their names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.whole, self.besides, self.others].into_iter().flatten().copied()
    }
}

/// A credential that somebody means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// The name under which it is kept.
    pub name: Name,
    /// Whether the others are no use without it.
    pub is_needed: bool,
}

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

/// The credentials that somebody means by a name: that of a provider means what opens an account there.
#[must_use]
pub fn meant(name: &Name) -> Vec<Meant> {
    let Some(of) = OF_PROVIDERS.iter().find(|of| of.provider == name.as_str()) else {
        return vec![Meant { name: name.clone(), is_needed: true }];
    };
    let all = of.whole.iter().map(|name| (name, true)).chain(of.besides.iter().map(|name| (name, false)));
    all.filter_map(|(name, is_needed)| Some(Meant { name: Name::new(*name).ok()?, is_needed })).collect()
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
    fn a_provider_means_what_opens_an_account_there() {
        let of = |text: &str| -> Vec<(String, bool)> {
            let meant = meant(&Name::new(text).unwrap()).into_iter();
            meant.map(|one| (one.name.to_string(), one.is_needed)).collect()
        };
        let one = |text: &str| [(text.to_owned(), true)];
        assert_eq!(of("upcloud"), one("UPCLOUD_TOKEN"));
        assert_eq!(of("db-password"), one("db-password"));
        assert_eq!(of("aws").iter().map(|(_, is_needed)| *is_needed).collect::<Vec<_>>(), [true, true, false]);
        let all = || OF_PROVIDERS.iter().flat_map(OfProvider::names);
        assert!(all().all(super::super::secret::is_reserved), "no setting can refer to them");
    }
}

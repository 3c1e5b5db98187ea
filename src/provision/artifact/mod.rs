//! Artifacts: files that are no distribution's packages, named by URLs and known by their SHA-256.
//!
//! A [`Definition`] stands in a task service's metadata; with a version and a machine's kind it becomes an [`Artifact`],
//! which [`cache`] holds below `.prov/cache/artifacts` and [`download`] fetches. Knows neither servers nor what an artifact
//! is for. Addresses may hold credentials: they are shown without ([`shown`]).

pub mod cache;
mod download;

use std::collections::BTreeMap;
use std::fmt;

use reqwest::Url;
use serde::Deserialize;

use crate::model::name::Name;

/// The largest artifact, unless its definition says less or more, in MiB.
const MOST_MIB: u64 = 2048;

/// An artifact as a definition describes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name.
    pub name: Name,
    /// Its version; without one, that of the task service.
    #[serde(default)]
    pub version: Option<String>,
    /// Where it is to be had, tried in order; `{version}` and `{arch}` are filled in.
    pub urls: Vec<String>,
    /// Its checksum, by `VERSION/ARCH`.
    #[serde(default)]
    pub sha256: BTreeMap<String, String>,
    /// How it is unpacked; without it, it is a file that can be run.
    #[serde(default)]
    pub unpack: Option<Packing>,
    /// Leading parts of its members' paths that are left out.
    #[serde(default)]
    pub strip: u8,
    /// Where it goes in the server: the file, or the directory that it is unpacked into.
    pub destination: String,
    /// A command, or a path, that makes it needless where it is there already.
    #[serde(default)]
    pub provides: Option<String>,
    /// The most that it may have, in MiB.
    #[serde(default = "most_mib")]
    pub most_mib: u64,
}

const fn most_mib() -> u64 {
    MOST_MIB
}

/// How an archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Packing {
    /// Not compressed.
    #[serde(rename = "tar")]
    Tar,
    /// By gzip.
    #[serde(rename = "tar.gz")]
    TarGz,
    /// By xz.
    #[serde(rename = "tar.xz")]
    TarXz,
    /// By zstd.
    #[serde(rename = "tar.zst")]
    TarZst,
}

impl Packing {
    /// The option by which tar reads it.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Self::Tar => "--no-auto-compress",
            Self::TarGz => "--gzip",
            Self::TarXz => "--xz",
            Self::TarZst => "--zstd",
        }
    }
}

/// An artifact of one version for one kind of machine.
#[derive(Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: String,
    /// Where it is to be had, in the order in which that is tried. They may hold credentials.
    urls: Vec<Url>,
    /// Its checksum, in lower-case hexadecimal digits.
    pub sha256: String,
    /// The most bytes that it may have.
    most_bytes: u64,
}

/// What somebody says of an artifact besides its definition.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The version of the task service that is wanted.
    pub version: String,
    /// An address that is tried before the definition's; empty for none.
    pub url: String,
    /// The checksum of this version; empty where the definition has it.
    pub sha256: String,
}

// Addresses may hold credentials.
impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Artifact({} {} {})", self.name, self.version, self.sha256)
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Given({} {})", self.version, self.sha256)
    }
}

impl Definition {
    /// What is wrong with it.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let wrong = |what: &str| Some(format!("the artifact {}: {what}", self.name));
        if self.urls.is_empty() {
            return wrong("it has no URL");
        }
        if let Some(url) = self.urls.iter().find(|url| address(&filled(url, "1", "amd64")).is_none()) {
            return Some(format!("the artifact {}: {url:?} is no http or https URL", self.name));
        }
        if self.sha256.values().any(|sum| !is_sum(sum)) {
            return wrong("a checksum is no SHA-256: 64 hexadecimal digits");
        }
        if !is_place(&self.destination) {
            return wrong("its destination must be an absolute path without `..`");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '+');
        if self.provides.as_ref().is_some_and(|provides| provides.starts_with('-') || !provides.chars().all(plain)) {
            return wrong("what it provides must be a command or a path");
        }
        None
    }

    /// The version that is meant.
    #[must_use]
    pub fn version<'v>(&'v self, given: &'v Given) -> &'v str {
        self.version.as_deref().unwrap_or(&given.version)
    }

    /// The artifact for a machine of this kind (`amd64`, `arm64` …).
    ///
    /// # Errors
    /// Where its checksum isn't known, or what was given is wrong.
    pub fn of(&self, given: &Given, arch: &str) -> Result<Artifact, ArtifactError> {
        let version = self.version(given);
        let wrong = |what: String| ArtifactError::Wrong { name: self.name.clone(), what };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_' | '~');
        if version.is_empty() || !version.chars().all(fits) {
            return Err(wrong(format!("{version:?} is no version of it")));
        }
        let sha256 = if given.sha256.is_empty() {
            let unknown = || ArtifactError::NoChecksum {
                name: self.name.clone(),
                version: version.to_owned(),
                arch: arch.to_owned(),
                parameter: format!("sha256_{}", underscored(&self.name)),
                known: self.sha256.keys().cloned().collect(),
            };
            self.sha256.get(&format!("{version}/{arch}")).ok_or_else(unknown)?
        } else {
            &given.sha256
        };
        if !is_sum(sha256) {
            return Err(wrong("its checksum must be a SHA-256: 64 hexadecimal digits".to_owned()));
        }
        let mut urls = Vec::new();
        for url in [&given.url].into_iter().filter(|url| !url.is_empty()).chain(&self.urls) {
            // What isn't understood is not repeated: it may hold a password.
            urls.push(
                address(&filled(url, version, arch))
                    .ok_or_else(|| wrong("its address is no http or https URL".to_owned()))?,
            );
        }
        let most_bytes = self.most_mib.saturating_mul(1 << 20);
        Ok(Artifact {
            name: self.name.clone(),
            version: version.to_owned(),
            urls,
            sha256: sha256.to_ascii_lowercase(),
            most_bytes,
        })
    }
}

/// Why an artifact can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// What was given for it.
    #[error("the artifact {name}: {what}")]
    Wrong {
        /// The artifact.
        name: Name,
        /// What is wrong.
        what: String,
    },
    /// Nobody says what it must be.
    #[error("no checksum of {name} {version} for {arch} is known{}: give its SHA-256 as the parameter {parameter}", only_of(.known))]
    NoChecksum {
        /// The artifact.
        name: Name,
        /// The version.
        version: String,
        /// The kind of machine.
        arch: String,
        /// The parameter that says it.
        parameter: String,
        /// `VERSION/ARCH` of which it is known.
        known: Vec<String>,
    },
    /// No mirror gives it.
    #[error("{name} {version} can't be fetched: {}; a mirror of your own is named by the parameter url_{}", .why.join("; "), underscored(.name))]
    Fetch {
        /// The artifact.
        name: Name,
        /// The version.
        version: String,
        /// What came of each mirror.
        why: Vec<String>,
    },
    /// The workspace's cache.
    #[error("the cache of artifacts can't be used")]
    Cache(#[from] std::io::Error),
    /// This host can make no calls.
    #[error("no HTTP client: {0}")]
    Client(String),
}

fn only_of(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!(" (only of {})", known.join(", ")) }
}

fn filled(text: &str, version: &str, arch: &str) -> String {
    text.replace("{version}", version).replace("{arch}", arch)
}

/// A name as part of a parameter's.
#[must_use]
pub fn underscored(name: &Name) -> String {
    name.as_str().replace(['-', '.'], "_")
}

/// An address of the internet.
fn address(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// An address without what must not be shown.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn is_sum(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit())
}

fn is_place(path: &str) -> bool {
    path.starts_with('/')
        && path.len() > 1
        && !path.contains(['\0', '\n'])
        && !path.split('/').any(|part| part == ".." || part == ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(sha256: &str) -> Definition {
        let text = format!(
            "name = \"a-tool\"\nurls = [\"https://h/{{version}}/{{arch}}\"]\ndestination = \"/usr/local/bin/a\"\nsha256 = {{ {sha256} }}\n"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn version_and_machine_are_filled_in_and_the_checksum_is_theirs() {
        let sum = "AB".repeat(32);
        let definition = definition(&format!("\"1.0/arm64\" = \"{sum}\""));
        assert_eq!(definition.fault(), None);
        let given = Given { version: "1.0".to_owned(), ..Given::default() };
        let artifact = definition.of(&given, "arm64").unwrap();
        assert_eq!((artifact.urls[0].as_str(), artifact.sha256), ("https://h/1.0/arm64", "ab".repeat(32)));
        assert_eq!(
            definition.of(&given, "amd64").unwrap_err().to_string(),
            "no checksum of a-tool 1.0 for amd64 is known (only of 1.0/arm64): give its SHA-256 as the parameter sha256_a_tool"
        );
    }

    #[test]
    fn what_is_given_comes_first_and_its_password_is_never_shown() {
        let given = Given {
            version: "2".to_owned(),
            url: "https://me:s3cret@mirror:8443/a?token=s3cret".to_owned(),
            sha256: "0".repeat(64),
        };
        let artifact = definition("").of(&given, "amd64").unwrap();
        assert_eq!(shown(&artifact.urls[0]), "https://mirror:8443/a");
        let wrong = Given { url: "ftp://me:s3cret@h/".to_owned(), ..given };
        let error = definition("").of(&wrong, "amd64").unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for (field, value) in [("destination", "/usr/../etc"), ("destination", "bin/x"), ("provides", "-x;reboot")] {
            let mut definition = definition("");
            if field == "provides" {
                definition.provides = Some(value.to_owned());
            } else {
                value.clone_into(&mut definition.destination);
            }
            assert!(definition.fault().is_some(), "{value}");
        }
        for version in ["../../x", "1/2", ""] {
            let given = Given { version: version.to_owned(), sha256: "0".repeat(64), ..Given::default() };
            assert!(definition("").of(&given, "amd64").is_err(), "{version}");
        }
    }
}

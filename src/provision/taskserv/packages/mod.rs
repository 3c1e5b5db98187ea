//! Debian packages in a server, in versions that were asked for.
//!
//! A server that reaches mirrors is left to its own apt ([`server`]). For one whose network ends at this host, apt on the
//! host fetches what is lacking ([`host`]), and the server's apt installs from a repository of just that ([`sent`]).
//! Either way the package system is asked afterwards what is there. Knows no task service.

pub mod host;
mod sent;
mod server;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::version;
use crate::provision::provider::ProviderError;
use crate::provision::transport::{Exec, ExecResult, Mirrors, Transport};

/// A package, perhaps in a version of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// The version that is wanted: whole, its beginning, or a pattern.
    pub pin: Option<String>,
}

impl Spec {
    /// `NAME` or `NAME=VERSION`, where `{version}` is the version that was asked for, if any was.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, asked: &str) -> Result<Self, String> {
        let (name, pin) = text.split_once('=').map_or((text, None), |(name, pin)| (name, Some(pin)));
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(fits) {
            return Err(format!("{name:?} is no name of a Debian package"));
        }
        let pin = pin.map(|pin| pin.replace("{version}", asked)).filter(|pin| !pin.is_empty());
        if let Some(pin) = pin.as_ref().filter(|pin| !version::is_version(pin)) {
            return Err(format!("{pin:?} is no version of a Debian package"));
        }
        Ok(Self { name: name.to_owned(), pin })
    }

    /// Whether the version that is there is one that is wanted.
    fn allows(&self, actual: &str) -> bool {
        self.pin.as_ref().is_none_or(|pin| version::means(pin, actual))
    }
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.pin {
            Some(pin) => write!(f, "{}={pin}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What a service needs of packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those that it can't do without.
    pub needed: Vec<Spec>,
    /// Those that are installed where they can be had.
    pub optional: Vec<Spec>,
}

/// Why packages can't be had.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The host can't fetch them.
    #[error(
        "this host has no apt-get, so {packages} can't be fetched; a service that needs no package, such as tiny-http, works here"
    )]
    NoApt {
        /// What was to be fetched.
        packages: String,
    },
    /// No mirror gives them to the host.
    #[error("apt-get can't fetch {packages} (no connection to a mirror, or `apt-get update` was never run): {why}")]
    Fetch {
        /// What was to be fetched.
        packages: String,
        /// What apt says.
        why: String,
    },
    /// The server has another package system.
    #[error(
        "{packages} can't be installed: the server runs {system}, and packages are installed on Debian and its kin only"
    )]
    NotDebian {
        /// What was to be installed.
        packages: String,
        /// What the server says that it is.
        system: String,
    },
    /// No such version can be had.
    #[error("there is no version {asked} of {package}; {}", alternatives(.available))]
    NoVersion {
        /// The package.
        package: String,
        /// What was asked for.
        asked: String,
        /// What can be had, newest first.
        available: Vec<String>,
    },
    /// apt ended well, and another version is there.
    #[error("{package} was to be {asked} and is {actual}")]
    OtherVersion {
        /// The package.
        package: String,
        /// What was asked for.
        asked: String,
        /// What is there.
        actual: String,
    },
    /// The workspace's cache.
    #[error("the cache of packages can't be used")]
    Cache(#[from] io::Error),
    /// apt in the server.
    #[error("apt-get in the server failed with status {status}{last_words}")]
    Install {
        /// How it ended.
        status: i32,
        /// What it said.
        last_words: String,
    },
    /// It took too long.
    #[error("the packages were not there after {limit_s} s{last_words}")]
    TimedOut {
        /// How long it had.
        limit_s: u64,
        /// What was said until then.
        last_words: String,
    },
    /// The way to the server.
    #[error("can't run a command in the server")]
    Transport(#[from] ProviderError),
}

fn alternatives(available: &[String]) -> String {
    if available.is_empty() {
        return "it can be had in none".to_owned();
    }
    format!("it can be had in {}", available.join(", "))
}

/// The way to a server on which packages are installed, and what is known of it.
pub(super) struct Apt<'a> {
    transport: &'a dyn Transport,
    cache: &'a Path,
    deadline: Instant,
    limit: Duration,
}

/// Has the packages installed in the server to which `transport` leads, within `limit`. `cache` is the workspace's.
///
/// # Errors
/// [`PackageError`].
pub fn install(transport: &dyn Transport, cache: &Path, wanted: &Wanted, limit: Duration) -> Result<(), PackageError> {
    let deadline = Instant::now() + limit;
    let apt = Apt { transport, cache, deadline, limit };
    let all: Vec<&Spec> = wanted.needed.iter().chain(&wanted.optional).collect();
    if all.is_empty() {
        return Ok(());
    }
    let there = match apt.versions(&all) {
        // Another system does without what is optional.
        Err(PackageError::NotDebian { .. }) if wanted.needed.is_empty() => return Ok(()),
        other => other?,
    };
    let is_there = |spec: &&Spec| there.iter().any(|(name, version)| *name == spec.name && spec.allows(version));
    if all.iter().all(is_there) {
        return Ok(());
    }
    match transport.mirrors() {
        Mirrors::Reached => apt.by_itself(wanted)?,
        Mirrors::ThroughHost => match apt.by_the_host(wanted) {
            Err(PackageError::NoApt { .. }) if wanted.needed.is_empty() => return Ok(()),
            other => other?,
        },
    }
    let there = apt.versions(&all)?;
    // What is optional may be there already in another version, and other software's.
    for spec in &wanted.needed {
        let actual = there.iter().find(|(name, _)| *name == spec.name).map(|(_, version)| version);
        if let (Some(actual), Some(asked)) = (actual, &spec.pin)
            && !spec.allows(actual)
        {
            let (package, asked, actual) = (spec.name.clone(), asked.clone(), actual.clone());
            return Err(PackageError::OtherVersion { package, asked, actual });
        }
    }
    Ok(())
}

impl Apt<'_> {
    /// Those of the packages that are installed, with their versions; fails where there is no such package system.
    fn versions(&self, specs: &[&Spec]) -> Result<Vec<(String, String)>, PackageError> {
        let script = r#"command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
  { sed -n 's/^PRETTY_NAME=//p' /etc/os-release | tr -d '"'; exit 9; }
for p; do dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\n' "$p" 2>/dev/null || true; done"#;
        let mut argv: Vec<String> = ["sh", "-c", script, "sh"].map(str::to_owned).to_vec();
        argv.extend(specs.iter().map(|spec| spec.name.clone()));
        let result = self.run(argv)?;
        let text = String::from_utf8_lossy(&result.stdout);
        if result.status == 9 {
            let packages = specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(" ");
            let system = match text.trim() {
                "" => "another system".to_owned(),
                name => name.to_owned(),
            };
            return Err(PackageError::NotDebian { packages, system });
        }
        let installed = |line: &str| {
            let (name, version) = line.strip_prefix("installed ")?.split_once(' ')?;
            Some((name.to_owned(), version.to_owned()))
        };
        Ok(text.lines().filter_map(installed).collect())
    }

    fn run(&self, argv: Vec<String>) -> Result<ExecResult, PackageError> {
        // Messages are looked at: they must not be in somebody's language.
        let env = [("DEBIAN_FRONTEND", "noninteractive"), ("LC_ALL", "C.UTF-8")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let result = self.transport.exec(&Exec { argv, env, stdin: b"", deadline: Some(self.deadline) })?;
        if result.timed_out {
            let last_words = super::run::last_words(&result);
            return Err(PackageError::TimedOut { limit_s: self.limit.as_secs(), last_words });
        }
        Ok(result)
    }

    /// What apt is to be told to install, with whole versions. `options` say where it looks.
    fn resolved(&self, wanted: &Wanted, options: &[&str]) -> Result<Vec<String>, PackageError> {
        resolve(wanted, |package| {
            let mut argv = vec!["apt-cache"];
            argv.extend(options);
            argv.extend(["madison", package]);
            let result = self.run(argv.into_iter().map(str::to_owned).collect())?;
            Ok(String::from_utf8_lossy(&result.stdout).into_owned())
        })
    }

    /// Has apt install what it was told by [`Apt::resolved`].
    fn apt_get(&self, options: &[&str], resolved: &[String]) -> Result<ExecResult, PackageError> {
        // Packages leave their daemons alone: the install scripts start them. Only what prov put there goes away again.
        let script = r#"policy=/usr/sbin/policy-rc.d mark='# prov installs packages'
if [ ! -e "$policy" ] || grep -qsF "$mark" "$policy"; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\n%s\nexit 101\n' "$mark" > "$policy" && chmod 755 "$policy"
fi
# What was cut short is in the way of everything else.
dpkg --force-confold --configure -a >&2
apt-get install -y --no-install-recommends --allow-downgrades --allow-change-held-packages "$@""#;
        let mut argv: Vec<&str> = vec!["sh", "-c", script, "sh", "-o", "Dpkg::Options::=--force-confold"];
        argv.extend(["-o", "APT::Sandbox::User=root", "-o", "DPkg::Lock::Timeout=60"]);
        argv.extend(options);
        let argv = argv.into_iter().map(str::to_owned).chain(resolved.iter().cloned()).collect();
        self.run(argv)
    }
}

/// What apt is to be told to install: `NAME`, or `NAME=VERSION` with a version that can be had. `madison` answers what
/// `apt-cache madison NAME` does. What is optional and can't be had is left out.
fn resolve(
    wanted: &Wanted,
    madison: impl Fn(&str) -> Result<String, PackageError>,
) -> Result<Vec<String>, PackageError> {
    let mut resolved = Vec::new();
    for (spec, is_optional) in
        wanted.needed.iter().map(|spec| (spec, false)).chain(wanted.optional.iter().map(|spec| (spec, true)))
    {
        if spec.pin.is_none() && !is_optional {
            resolved.push(spec.name.clone());
            continue;
        }
        let mut available: Vec<String> = Vec::new();
        for version in madison(&spec.name)?.lines().filter_map(|line| line.split('|').nth(1)) {
            if !available.iter().any(|known| known == version.trim()) {
                available.push(version.trim().to_owned());
            }
        }
        match (available.iter().find(|version| spec.allows(version)), &spec.pin) {
            (Some(_), None) => resolved.push(spec.name.clone()),
            (Some(version), Some(_)) => resolved.push(format!("{}={version}", spec.name)),
            // What is optional may come from elsewhere, in the version that is wanted.
            (None, _) if is_optional => {}
            (None, pin) => {
                let (package, asked) = (spec.name.clone(), pin.clone().unwrap_or_default());
                return Err(PackageError::NoVersion { package, asked, available });
            }
        }
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(needed: &[&str], optional: &[&str]) -> Wanted {
        let parse = |all: &[&str]| all.iter().map(|one| Spec::parse(one, "").unwrap()).collect();
        Wanted { needed: parse(needed), optional: parse(optional) }
    }

    #[test]
    fn a_version_is_looked_for_and_what_can_be_had_instead_is_named() {
        let madison = |package: &str| {
            Ok(match package {
                "nginx" => " nginx | 1.24.0-1 | http://m bookworm-backports/main\n nginx | 1.22.1-9+deb12u1 | http://m bookworm/main\n nginx | 1.22.1-9+deb12u1 | http://m s/main\n".to_owned(),
                _ => String::new(),
            })
        };
        let resolved = resolve(&wanted(&["nginx=1.22", "curl"], &["kubeadm"]), madison).unwrap();
        assert_eq!(resolved, ["nginx=1.22.1-9+deb12u1", "curl"]);
        let error = resolve(&wanted(&["nginx=1.23.*"], &[]), madison).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no version 1.23.* of nginx; it can be had in 1.24.0-1, 1.22.1-9+deb12u1"
        );
        let error = resolve(&wanted(&["kubeadm=1.30"], &[]), madison).unwrap_err();
        assert_eq!(error.to_string(), "there is no version 1.30 of kubeadm; it can be had in none");
    }

    #[test]
    fn what_is_asked_for_stands_in_the_place_of_the_version() {
        assert_eq!(Spec::parse("nginx={version}", "1.22").unwrap().to_string(), "nginx=1.22");
        assert_eq!(Spec::parse("nginx={version}", "").unwrap().to_string(), "nginx");
        for (text, asked) in [("nginx={version}", "1; reboot"), ("nginx=-o", ""), ("-o", ""), ("a b", ""), ("", "")] {
            assert!(Spec::parse(text, asked).is_err(), "{text} {asked}");
        }
    }
}

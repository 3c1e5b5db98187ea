//! Looking names up, and keeping of what they stand for only what may be reached.
//!
//! The client connects to the addresses that come out of here and looks nothing up again, so that a name can't stand for
//! something else a moment after it was checked.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::Reachable;

/// Looks names up for one kind of connection.
pub(super) struct Resolver {
    pub(super) reachable: Reachable,
    /// Whether connections are encrypted: without that only networks are reached that the configuration names.
    pub(super) is_encrypted: bool,
}

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreachable {
    /// All its addresses are such that may not be reached.
    #[error("its name stands for {0}, which is reached only where `webhook_allow` names its network")]
    Refused(&'static str),
    /// It may not be reached without encryption.
    #[error("it is reached over https:// alone: `webhook_allow` doesn't name its network")]
    Plain,
    /// It stands for nothing.
    #[error("its name can't be looked up: {0}")]
    Unknown(std::io::Error),
    /// It has no address.
    #[error("its name has no address")]
    Nothing,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reachable, is_encrypted) = (self.reachable.clone(), self.is_encrypted);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(Unreachable::Unknown)?;
            let good = checked(&reachable, is_encrypted, found)?;
            Ok::<Addrs, _>(Box::new(good.into_iter()))
        })
    }
}

/// Those of the addresses that may be reached.
fn checked(
    reachable: &Reachable,
    is_encrypted: bool,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Unreachable> {
    let (mut good, mut why) = (Vec::new(), Unreachable::Nothing);
    for address in found {
        match reachable.refusal(address.ip()) {
            Some(what) => why = Unreachable::Refused(what),
            None if is_encrypted || reachable.is_allowed(address.ip()) => good.push(address),
            None => why = Unreachable::Plain,
        }
    }
    if good.is_empty() { Err(why) } else { Ok(good) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(allowed: &[&str], is_encrypted: bool, found: &[&str]) -> Result<Vec<String>, String> {
        let reachable = Reachable { allowed: allowed.iter().map(|network| network.parse().unwrap()).collect() };
        let found = found.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0));
        let kept = checked(&reachable, is_encrypted, found).map_err(|error| error.to_string())?;
        Ok(kept.iter().map(|address| address.ip().to_string()).collect())
    }

    #[test]
    fn of_all_addresses_only_those_are_kept_that_may_be_reached() {
        assert_eq!(kept(&[], true, &["10.0.0.1", "1.1.1.1", "::1"]).unwrap(), ["1.1.1.1"]);
        assert_eq!(kept(&["127.0.0.0/8"], true, &["127.0.0.1", "::1"]).unwrap(), ["127.0.0.1"]);
        assert_eq!(kept(&["127.0.0.0/8"], false, &["127.0.0.1", "1.1.1.1"]).unwrap(), ["127.0.0.1"]);
        assert!(kept(&[], true, &["169.254.169.254", "fe80::1"]).unwrap_err().contains("link-local"));
        assert!(kept(&["127.0.0.0/8"], false, &["1.1.1.1"]).unwrap_err().contains("https://"));
        assert!(kept(&[], true, &[]).unwrap_err().contains("no address"));
    }
}

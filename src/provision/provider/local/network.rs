//! One network a workspace: a bridge with a /24 of its own, and a pair of interfaces for each server.
//!
//! The host reaches the servers and they reach each other; nothing of the host's own configuration is changed, so there
//! is no way beyond the host. The bridge goes with the last server. Names and ranges are shared by the whole machine,
//! so the [lock of the machine](Lock) is held for every change.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use super::machine_lock::Lock;
use super::netlink::{Netlink, Range};
use super::sys::{Fault, at};
use super::unprivileged;
use crate::provision::provider::ServerSpec;

/// All ranges are below this one: `10.213.0.0/16`.
const FIRST_OCTETS: [u8; 2] = [10, 213];
/// The name of the interface inside a server.
const INSIDE: &str = "eth0";
/// The network where the settings name none.
pub const PRIVATE: &str = "private";
/// What the user of a server in the host's network should know.
pub const HOST_NOTE: &str = "it is in the host's network: its ports are the host's";

/// Which network a server is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The workspace's own.
    Private,
    /// The host's: it reaches whatever the host reaches, and its ports are the host's.
    Host,
}

impl Network {
    /// What `spec` asks for; the private one where it doesn't say. The error says which field is wrong.
    pub fn of(spec: &ServerSpec) -> Result<Self, String> {
        if let Some(unknown) = spec.extra.keys().find(|key| !["driver", "network"].contains(&key.as_str())) {
            return Err(format!("the provider local knows no field {unknown:?}"));
        }
        match spec.extra.get("network").map(|value| value.as_str()) {
            None | Some(Some(PRIVATE)) => Ok(Self::Private),
            Some(Some("host")) => Ok(Self::Host),
            Some(_) => Err(format!("there is no network {}", spec.extra["network"])),
        }
    }
}

/// A server's place in its workspace's network.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The hash of the workspace.
    pub workspace: &'a str,
    /// The server's id.
    pub id: &'a str,
}

impl Place<'_> {
    fn bridge(self) -> String {
        format!("pv-{}", self.workspace)
    }

    /// The server's interface as the host sees it; an interface's name has at most 15 characters.
    fn outside(self) -> String {
        format!("ps-{:012x}", super::hash(self.id.as_bytes()) >> 16)
    }

    /// Makes the workspace's network if need be and answers the server's address in it: the one it had, if that can be,
    /// else one that is not in `taken`.
    pub fn reserve(self, _lock: &Lock, had: Option<Ipv4Addr>, taken: &BTreeSet<Ipv4Addr>) -> io::Result<Ipv4Addr> {
        let mut netlink = Netlink::open()?;
        if netlink.link(&self.bridge())?.is_none() {
            netlink.make_bridge(&self.bridge())?;
        }
        let index = netlink.link(&self.bridge())?.ok_or_else(|| io::Error::other("the bridge vanished"))?;
        let gateway = match netlink.addresses()?.into_iter().find(|(of, _)| *of == index) {
            Some((_, range)) => range.address,
            None => self.address_bridge(&mut netlink, index, had, taken)?,
        };
        let [a, b, c, _] = gateway.octets();
        let own = had.filter(|had| had.octets()[..3] == [a, b, c] && !taken.contains(had));
        let mut free = (2..=254).map(|host| Ipv4Addr::new(a, b, c, host)).filter(|address| !taken.contains(address));
        own.or_else(|| free.next()).ok_or_else(|| io::Error::other("the workspace's network has no free address"))
    }

    fn address_bridge(
        self,
        netlink: &mut Netlink,
        index: u32,
        had: Option<Ipv4Addr>,
        taken: &BTreeSet<Ipv4Addr>,
    ) -> io::Result<Ipv4Addr> {
        let mut used = netlink.routes()?;
        used.extend(netlink.addresses()?.into_iter().map(|(_, range)| range));
        // What servers had before is wanted first; then a place that differs from workspace to workspace.
        let before = had.iter().chain(taken).map(|address| address.octets()[2]);
        let first = u8::try_from(super::hash(self.workspace.as_bytes()) & 0xff).unwrap_or(0);
        let candidates: Vec<u8> = before.chain((0..=255).map(|offset| first.wrapping_add(offset))).collect();
        let third = choose(&candidates, &used).ok_or_else(|| io::Error::other("every 10.213.x.0/24 is in use"))?;
        let gateway = Ipv4Addr::new(FIRST_OCTETS[0], FIRST_OCTETS[1], third, 1);
        netlink.add_address(index, Range { address: gateway, prefix: 24 })?;
        Ok(gateway)
    }

    /// Removes the server's interface and, after the last server, the workspace's network.
    pub fn release(self, _lock: &Lock, is_last: bool) -> io::Result<()> {
        let mut netlink = Netlink::open()?;
        let bridge = is_last.then(|| self.bridge());
        for name in std::iter::once(self.outside()).chain(bridge) {
            if let Some(index) = netlink.link(&name)? {
                let removed = match netlink.delete_link(index) {
                    // Root made it, for servers of root's in the same workspace.
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !unprivileged::is_privileged() => {
                        continue;
                    }
                    removed => removed,
                };
                removed.map_err(|error| io::Error::new(error.kind(), format!("can't remove {name}: {error}")))?;
            }
        }
        Ok(())
    }

    /// Connects the namespace `inside` with the bridge of the one that `host` was opened in, which the caller has left.
    pub fn connect(
        self,
        host: &mut Netlink,
        inside: BorrowedFd<'_>,
        address: Ipv4Addr,
        forwards: bool,
    ) -> Result<(), Fault> {
        let bridge = host.link(&self.bridge()).map_err(at("can't look for the workspace's bridge"))?;
        let bridge =
            bridge.ok_or_else(|| Fault::new("the workspace's bridge vanished").hint("create the server again"))?;
        let outside = self.outside();
        Self::make_pair(host, bridge, &outside, inside).map_err(at(format!("can't make the interface {outside}")))?;
        let mut own = Netlink::open().map_err(at("can't reach the server's network"))?;
        let index = own.link(INSIDE).map_err(at("can't look for the server's interface"))?;
        let index = index.ok_or_else(|| Fault::new("the server's interface vanished"))?;
        let [a, b, c, _] = address.octets();
        own.add_address(index, Range { address, prefix: 24 })
            .and_then(|()| own.set_up(index))
            // A way that leads nowhere would make downloads wait for minutes instead of failing at once.
            .and_then(|()| if forwards { own.add_default_route(Ipv4Addr::new(a, b, c, 1)) } else { Ok(()) })
            .map_err(at("can't give the server its address"))
    }

    /// The interface of an earlier run may still be there: the kernel takes a namespace apart at leisure.
    fn make_pair(host: &mut Netlink, bridge: u32, name: &str, inside: BorrowedFd<'_>) -> io::Result<()> {
        for _ in 0..10 {
            if let Some(old) = host.link(name)? {
                host.delete_link(old)?;
            }
            match host.make_pair(name, bridge, INSIDE, inside) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made,
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

/// Whether the host of this network namespace passes on what isn't meant for itself.
#[must_use]
pub fn forwards() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
}

/// Switches the loopback interface of this network namespace on.
pub fn loopback_up() -> io::Result<()> {
    let mut netlink = Netlink::open()?;
    match netlink.link("lo")? {
        Some(index) => netlink.set_up(index),
        None => Ok(()),
    }
}

/// A handle on the network namespace of this process.
pub fn own_namespace() -> io::Result<impl AsFd> {
    std::fs::File::open("/proc/self/ns/net")
}

/// The first candidate whose /24 nothing uses; if everything lies below somebody's wide route, the first that nothing
/// uses as closely.
fn choose(candidates: &[u8], used: &[Range]) -> Option<u8> {
    let range = |third: u8| Range { address: Ipv4Addr::new(FIRST_OCTETS[0], FIRST_OCTETS[1], third, 0), prefix: 24 };
    let free = |third: &u8| !used.iter().any(|other| range(*third).overlaps(*other));
    let roomy = |third: &u8| !used.iter().any(|other| other.prefix >= 16 && range(*third).overlaps(*other));
    candidates.iter().copied().find(free).or_else(|| candidates.iter().copied().find(roomy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(address: [u8; 4], prefix: u8) -> Range {
        Range { address: address.into(), prefix }
    }

    #[test]
    fn a_range_that_is_in_use_is_not_chosen() {
        let used = [range([10, 213, 7, 1], 24), range([10, 213, 8, 0], 23)];
        assert_eq!(choose(&[7, 8, 9, 10, 11], &used), Some(10));
        assert_eq!(choose(&[7], &used), None);
        assert_eq!(choose(&[7, 10], &[range([10, 0, 0, 0], 8), used[0]]), Some(10));
        assert_eq!(choose(&[1, 2], &[range([10, 213, 0, 0], 16)]), None);
    }

    #[test]
    fn interface_names_are_short_enough() {
        let place = Place { workspace: "0123abcd", id: "0123abcd:a-long-infra-name:a-long-server-name" };
        assert!(place.bridge().len() <= 15 && place.outside().len() <= 15);
    }
}

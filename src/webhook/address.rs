//! Which addresses may be reached: those of the public internet, and those that the configuration names.
//!
//! What isn't global by the registries of IANA (<https://www.iana.org/assignments/iana-ipv4-special-registry>, and that
//! of IPv6) is somebody's own network, and must not be reached on behalf of whoever names a URL. An address of IPv6 that
//! carries one of IPv4 is judged by what it carries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::network::Network;

/// What isn't public, and what it is.
const NOT_PUBLIC: &[(Network, &str)] = &[
    (Network::v4([0, 0, 0, 0], 8), "an unspecified address"),
    (Network::v4([10, 0, 0, 0], 8), "a private address"),
    (Network::v4([100, 64, 0, 0], 10), "an address shared by a provider"),
    (Network::v4([127, 0, 0, 0], 8), "a loopback address"),
    (Network::v4([169, 254, 0, 0], 16), "a link-local address"),
    (Network::v4([172, 16, 0, 0], 12), "a private address"),
    (Network::v4([192, 0, 0, 0], 24), "a reserved address"),
    (Network::v4([192, 0, 2, 0], 24), "an address for documentation"),
    (Network::v4([192, 88, 99, 0], 24), "a reserved address"),
    (Network::v4([192, 168, 0, 0], 16), "a private address"),
    (Network::v4([198, 18, 0, 0], 15), "a reserved address"),
    (Network::v4([198, 51, 100, 0], 24), "an address for documentation"),
    (Network::v4([203, 0, 113, 0], 24), "an address for documentation"),
    (Network::v4([224, 0, 0, 0], 4), "a multicast address"),
    (Network::v4([240, 0, 0, 0], 4), "a reserved address"),
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "an unspecified address"),
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "a loopback address"),
    (Network::v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "a reserved address"),
    (Network::v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "an address for documentation"),
    (Network::v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "an address for documentation"),
    (Network::v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "a private address"),
    (Network::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address"),
    (Network::v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address"),
];

/// What is given out of IPv6 (RFC 4291 section 2.4); the rest is reserved.
const GLOBAL_UNICAST: Network = Network::v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
/// IPv4 through a translator (RFC 6052 section 2.1): the last 32 bits.
const NAT64: Network = Network::v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
/// IPv4 as IPv6 once was written (RFC 4291 section 2.5.5.1): the last 32 bits.
const COMPATIBLE: Network = Network::v6([0, 0, 0, 0, 0, 0, 0, 0], 96);
/// IPv4 behind a tunnel (RFC 3056): the 32 bits after the first 16.
const SIX_TO_FOUR: Network = Network::v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);

/// What may be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reachable {
    /// Networks that may be reached although they aren't public, and without encryption.
    pub allowed: Vec<Network>,
}

impl Reachable {
    /// Whether the configuration names the address.
    #[must_use]
    pub fn is_allowed(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(address))
    }

    /// What keeps an address from being reached: what it is.
    #[must_use]
    pub fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        if self.is_allowed(address) { None } else { not_public(address.to_canonical()) }
    }
}

/// What an address is that isn't public.
fn not_public(address: IpAddr) -> Option<&'static str> {
    if let Some((_, what)) = NOT_PUBLIC.iter().find(|(network, _)| network.contains(address)) {
        return Some(what);
    }
    let IpAddr::V6(whole) = address else { return None };
    if let Some(carried) = carried(whole) {
        return not_public(IpAddr::V4(carried));
    }
    (!GLOBAL_UNICAST.contains(address)).then_some("a reserved address")
}

/// The address of IPv4 that one of IPv6 carries.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let at = |place: usize| {
        let [a, b] = segments[place].to_be_bytes();
        let [c, d] = segments[place + 1].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match IpAddr::V6(address) {
        whole if NAT64.contains(whole) || COMPATIBLE.contains(whole) => Some(at(6)),
        whole if SIX_TO_FOUR.contains(whole) => Some(at(1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(address: &str) -> bool {
        Reachable::default().refusal(address.parse().unwrap()).is_some()
    }

    #[test]
    fn what_is_not_public_is_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.9.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a00:1::1",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(refused(address), "{address}");
        }
    }

    #[test]
    fn what_is_public_is_not() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(!refused(address), "{address}");
        }
    }

    #[test]
    fn what_the_configuration_names_may_be_reached_and_nothing_beside() {
        let reachable = Reachable { allowed: vec!["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()] };
        for (address, is_refused) in
            [("127.0.0.1", false), ("::ffff:127.0.0.1", false), ("fd00::1", false), ("::1", true), ("10.0.0.1", true)]
        {
            assert_eq!(reachable.refusal(address.parse().unwrap()).is_some(), is_refused, "{address}");
        }
    }

    proptest! {
        /// Whatever the standard library knows not to be public is refused, however it is dressed up.
        #[test]
        fn no_dress_makes_an_address_public(bits: u32) {
            let plain = Ipv4Addr::from_bits(bits);
            let is_own = plain.is_private() || plain.is_loopback() || plain.is_link_local() || plain.is_multicast()
                || plain.is_broadcast() || plain.is_unspecified() || plain.is_documentation();
            let [a, b, c, d] = plain.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let dressed = [
                IpAddr::V6(plain.to_ipv6_mapped()),
                IpAddr::V6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low)),
                IpAddr::V6(Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1)),
            ];
            let reachable = Reachable::default();
            let refusal = reachable.refusal(IpAddr::V4(plain));
            prop_assert!(!is_own || refusal.is_some(), "{}", plain);
            for address in dressed {
                prop_assert_eq!(reachable.refusal(address), refusal, "{}", address);
            }
        }
    }
}

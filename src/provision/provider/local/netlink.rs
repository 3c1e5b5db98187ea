//! Interfaces, addresses and routes by rtnetlink messages (rtnetlink(7), netlink(7)): the few that servers need.
//!
//! A [`Netlink`] acts on the network namespace that it was opened in, wherever its process goes afterwards. Knows nothing
//! of servers.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// What the peer of a veth pair is described by (linux/veth.h).
const VETH_INFO_PEER: u16 = 1;
const IPV4: u8 = 2;
/// Enough for one part of any answer (netlink(7) asks for 8 KiB).
const BUFFER: usize = 32_768;

/// A connection to the kernel's routing.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// A range of addresses that an interface or a route covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its first address, or any in it.
    pub address: Ipv4Addr,
    /// How many leading bits all its addresses share.
    pub prefix: u8,
}

/// The body of a message under construction: a fixed part, then attributes.
#[derive(Debug, Default)]
struct Body(Vec<u8>);

impl Body {
    /// An `ifinfomsg`.
    fn link(index: u32, up: bool) -> Self {
        let up = u32::from(up) * u32::try_from(libc::IFF_UP).expect("a small constant");
        let mut body = vec![0; 4];
        for field in [index, up, up] {
            body.extend_from_slice(&field.to_ne_bytes());
        }
        Self(body)
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(4 + value.len()).expect("attributes are short");
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    fn name(self, name: &str) -> Self {
        let value = [name.as_bytes(), b"\0"].concat();
        self.attribute(libc::IFLA_IFNAME, &value)
    }

    fn number(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }
}

impl Netlink {
    /// Connects to the network namespace of this thread.
    pub fn open() -> io::Result<Self> {
        // No protocol is the first one, NETLINK_ROUTE.
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The index of the interface `name`, if there is one.
    pub fn link(&mut self, name: &str) -> io::Result<Option<u32>> {
        match self.ask(libc::RTM_GETLINK, 0, &Body::link(0, false).name(name)) {
            Ok(answers) => Ok(answers.first().and_then(|answer| number_at(answer, 4))),
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a bridge.
    pub fn make_bridge(&mut self, name: &str) -> io::Result<()> {
        let info = Body::default().attribute(libc::IFLA_INFO_KIND, b"bridge");
        self.create(libc::RTM_NEWLINK, &Body::link(0, true).name(name).attribute(libc::IFLA_LINKINFO, &info.0))
    }

    /// Makes a pair of interfaces: `name` here, up and a port of the bridge `master`, and `peer` in `namespace`.
    pub fn make_pair(&mut self, name: &str, master: u32, peer: &str, namespace: BorrowedFd<'_>) -> io::Result<()> {
        let namespace = u32::try_from(namespace.as_raw_fd()).map_err(io::Error::other)?;
        let peer = Body::link(0, false).name(peer).number(libc::IFLA_NET_NS_FD, namespace);
        let data = Body::default().attribute(VETH_INFO_PEER, &peer.0);
        let info =
            Body::default().attribute(libc::IFLA_INFO_KIND, b"veth").attribute(libc::IFLA_INFO_DATA | NESTED, &data.0);
        let body = Body::link(0, true).name(name).number(libc::IFLA_MASTER, master);
        self.create(libc::RTM_NEWLINK, &body.attribute(libc::IFLA_LINKINFO | NESTED, &info.0))
    }

    /// Switches an interface on.
    pub fn set_up(&mut self, index: u32) -> io::Result<()> {
        self.ask(libc::RTM_NEWLINK, 0, &Body::link(index, true)).map(drop)
    }

    /// Removes an interface; `false` when it was gone already.
    pub fn delete_link(&mut self, index: u32) -> io::Result<bool> {
        match self.ask(libc::RTM_DELLINK, 0, &Body::link(index, false)) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
            done => done.map(|_| true),
        }
    }

    /// Gives an interface an address.
    pub fn add_address(&mut self, index: u32, range: Range) -> io::Result<()> {
        // An `ifaddrmsg`.
        let mut body = vec![IPV4, range.prefix, 0, 0];
        body.extend_from_slice(&index.to_ne_bytes());
        let address = range.address.octets();
        let body = Body(body).attribute(libc::IFA_LOCAL, &address).attribute(libc::IFA_ADDRESS, &address);
        self.create(libc::RTM_NEWADDR, &body)
    }

    /// Sends what has no other way to `gateway`.
    pub fn add_default_route(&mut self, gateway: Ipv4Addr) -> io::Result<()> {
        // An `rtmsg`.
        let mut body =
            vec![IPV4, 0, 0, 0, libc::RT_TABLE_MAIN, libc::RTPROT_STATIC, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST];
        body.extend_from_slice(&[0; 4]);
        self.create(libc::RTM_NEWROUTE, &Body(body).attribute(libc::RTA_GATEWAY, &gateway.octets()))
    }

    /// The addresses of interfaces, with the interfaces' indexes.
    pub fn addresses(&mut self) -> io::Result<Vec<(u32, Range)>> {
        let answers = self.dump(libc::RTM_GETADDR, &Body(vec![IPV4, 0, 0, 0, 0, 0, 0, 0]))?;
        let address = |answer: &Vec<u8>| {
            let range = Range { address: address_in(answer, 8, libc::IFA_LOCAL)?, prefix: *answer.get(1)? };
            Some((number_at(answer, 4)?, range))
        };
        Ok(answers.iter().filter_map(address).collect())
    }

    /// What the routes of the main table cover, the default route excepted.
    pub fn routes(&mut self) -> io::Result<Vec<Range>> {
        let answers = self.dump(libc::RTM_GETROUTE, &Body(vec![IPV4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))?;
        let range = |answer: &Vec<u8>| {
            let main = answer.get(4) == Some(&libc::RT_TABLE_MAIN);
            let address = address_in(answer, 12, libc::RTA_DST).filter(|_| main)?;
            Some(Range { address, prefix: *answer.get(1)? })
        };
        Ok(answers.iter().filter_map(range).collect())
    }

    fn create(&mut self, kind: u16, body: &Body) -> io::Result<()> {
        self.ask(kind, libc::NLM_F_CREATE | libc::NLM_F_EXCL, body).map(drop)
    }

    fn dump(&mut self, kind: u16, body: &Body) -> io::Result<Vec<Vec<u8>>> {
        self.ask(kind, libc::NLM_F_DUMP, body)
    }

    /// Sends one message and collects the answers up to the kernel's word that it is done.
    fn ask(&mut self, kind: u16, flags: i32, body: &Body) -> io::Result<Vec<Vec<u8>>> {
        self.sequence += 1;
        let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags).expect("flags have 16 bits");
        let length = u32::try_from(16 + body.0.len()).expect("messages are short");
        let mut message = length.to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&flags.to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(&body.0);
        rustix::net::send(&self.socket, &message, SendFlags::empty())?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match rustix::net::recv(&self.socket, buffer.as_mut_slice(), RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                received => received?.0,
            };
            if collect(&buffer[..count], self.sequence, &mut answers)? {
                return Ok(answers);
            }
        }
    }
}

/// Marks an attribute that holds attributes.
const NESTED: u16 = 0x8000;

/// Takes the messages of one packet; whether the last of them ends the answer.
fn collect(mut packet: &[u8], sequence: u32, answers: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    while let (Some(length), Some(kind), Some(of)) = (number_at(packet, 0), short_at(packet, 4), number_at(packet, 8)) {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let body = packet.get(16..length).ok_or_else(|| io::Error::other("the kernel's answer was cut short"))?;
        if of == sequence {
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(true),
                libc::NLMSG_ERROR => {
                    let code = number_at(body, 0).map_or(0, u32::cast_signed);
                    return if code == 0 { Ok(true) } else { Err(io::Error::from_raw_os_error(-code)) };
                }
                _ => answers.push(body.to_vec()),
            }
        }
        packet = packet.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn short_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The address in the attribute `wanted` of a message whose fixed part has `fixed` bytes.
fn address_in(message: &[u8], fixed: usize, wanted: u16) -> Option<Ipv4Addr> {
    let mut rest = message.get(fixed..)?;
    loop {
        let (length, kind) = (usize::from(short_at(rest, 0)?), short_at(rest, 2)?);
        let value = rest.get(4..length)?;
        if kind == wanted {
            return Some(Ipv4Addr::from(*value.first_chunk::<4>()?));
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

impl Range {
    /// Whether they have an address in common.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let bits = self.prefix.min(other.prefix);
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        (u32::from(self.address) ^ u32::from(other.address)) & mask == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Range {
        let (address, prefix) = text.split_once('/').unwrap();
        Range { address: address.parse().unwrap(), prefix: prefix.parse().unwrap() }
    }

    #[test]
    fn ranges_overlap_when_one_holds_the_other() {
        assert!(range("10.213.4.0/24").overlaps(range("10.0.0.0/8")));
        assert!(range("10.213.4.0/24").overlaps(range("10.213.4.7/32")));
        assert!(range("10.213.4.0/24").overlaps(range("0.0.0.0/0")));
        assert!(!range("10.213.4.0/24").overlaps(range("10.213.5.0/24")));
    }

    #[test]
    fn attributes_are_padded_and_found_again() {
        let body = Body(vec![0; 8]).name("eth0").attribute(libc::IFA_LOCAL, &[10, 213, 1, 2]);
        assert_eq!(body.0.len() % 4, 0);
        assert_eq!(address_in(&body.0, 8, libc::IFA_LOCAL), Some(Ipv4Addr::new(10, 213, 1, 2)));
        assert_eq!(address_in(&body.0, 8, libc::IFA_BROADCAST), None);
        for length in 0..body.0.len() {
            assert_eq!(address_in(&body.0[..length], 8, libc::IFA_LOCAL), None, "{length}");
        }
    }

    #[test]
    fn the_kernel_knows_the_loopback_interface() {
        let mut netlink = Netlink::open().unwrap();
        let lo = netlink.link("lo").unwrap().unwrap();
        assert_eq!(netlink.link("no-such-link").unwrap(), None);
        let loopback = range("127.0.0.1/8");
        assert!(netlink.addresses().unwrap().contains(&(lo, loopback)) || netlink.addresses().unwrap().is_empty());
    }
}

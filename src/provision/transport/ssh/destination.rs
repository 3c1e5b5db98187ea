//! Where a connection leads: user, address, port, each checked so that none of them can be anything else to ssh or a shell.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The port of sshd where nobody says otherwise.
pub const DEFAULT_PORT: u16 = 22;

/// A user of a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    address: String,
    user: String,
    port: u16,
}

/// Why a text leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// The address.
    #[error("{0:?} is no address of a host: write its name or its IP address")]
    Address(String),
    /// The user.
    #[error("{0:?} is no user's name: letters, digits, `-`, `_` and `.`, starting with a letter or `_`")]
    User(String),
    /// The port.
    #[error("{0:?} is no port: write a number from 1 to 65535")]
    Port(String),
}

impl Destination {
    /// A user of the host at `address`.
    ///
    /// # Errors
    /// [`DestinationError`] says which part is wrong.
    pub fn new(address: &str, user: &str, port: u16) -> Result<Self, DestinationError> {
        if !is_address(address) {
            return Err(DestinationError::Address(address.to_owned()));
        }
        if !is_user(user) {
            return Err(DestinationError::User(user.to_owned()));
        }
        if port == 0 {
            return Err(DestinationError::Port("0".to_owned()));
        }
        Ok(Self { address: address.to_owned(), user: user.to_owned(), port })
    }

    /// Reads `[USER@]HOST[:PORT]`, an IPv6 address with a port in brackets; the user is `user` where the text names none.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub fn parse(text: &str, user: &str) -> Result<Self, DestinationError> {
        let (user, rest) = text.rsplit_once('@').unwrap_or((user, text));
        let bracketed = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (address, port) = match bracketed {
            Some((address, "")) => (address, None),
            Some((address, port)) => (address, Some(port.strip_prefix(':').unwrap_or(port))),
            None if rest.parse::<Ipv6Addr>().is_ok() => (rest, None),
            None => rest.split_once(':').map_or((rest, None), |(address, port)| (address, Some(port))),
        };
        let number = |text: &str| u16::from_str(text).map_err(|_| DestinationError::Port(text.to_owned()));
        Self::new(address, user, port.map_or(Ok(DEFAULT_PORT), number)?)
    }

    /// The host's name or IP address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Who logs in.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Where sshd listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The host as files of known hosts write it.
    #[must_use]
    pub fn known_as(&self) -> String {
        if self.port == DEFAULT_PORT { self.address.clone() } else { format!("[{}]:{}", self.address, self.port) }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.known_as())
    }
}

/// Names and IP addresses; no zone, for `%` means something to ssh.
fn is_address(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_name =
        text.len() <= 253 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_part);
    is_name || text.parse::<Ipv6Addr>().is_ok()
}

fn is_user(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.len() <= 63 && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn user_and_port_may_be_left_out() {
        let shown = |text| Destination::parse(text, "root").unwrap().to_string();
        assert_eq!(shown("db.example.org"), "root@db.example.org");
        assert_eq!(shown("admin@10.0.0.7:2222"), "admin@[10.0.0.7]:2222");
        assert_eq!(shown("::1"), "root@::1");
        assert_eq!(shown("a_b@[fe80::1]:22"), "a_b@fe80::1");
        assert_eq!(shown("[::1]:2022"), "root@[::1]:2022");
    }

    #[test]
    fn what_would_be_an_option_or_a_command_is_refused() {
        for bad in [
            "",
            "-oProxyCommand=x",
            "a b",
            "a;b",
            "$(id)",
            "a@-b",
            "-l@b",
            "a%h",
            "host:",
            "host:0",
            "host:99999",
            "a@b@-c",
            "[::1",
            "fe80::1%eth0",
            "host\n",
        ] {
            assert!(Destination::parse(bad, "root").is_err(), "{bad:?}");
        }
        assert!(Destination::new("host", "-x", 22).is_err() && Destination::new("host", "", 22).is_err());
    }

    proptest! {
        #[test]
        fn a_destination_holds_nothing_that_means_anything_to_a_shell(text in "\\PC{0,20}") {
            if let Ok(to) = Destination::parse(&text, "root") {
                for part in [to.address(), to.user()] {
                    prop_assert!(!part.starts_with('-'));
                    prop_assert!(part.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c)));
                }
            }
        }
    }
}

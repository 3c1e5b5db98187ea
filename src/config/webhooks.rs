//! Where webhooks may go and for how long they are tried.

use std::str::FromStr;
use std::time::Duration;

use super::{ConfigError, Origin, value};
use crate::model::network::Network;

/// Where webhooks may go, and for how long they are tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhooks {
    /// Networks that may be reached although they aren't public, and without encryption.
    pub allow: Vec<Network>,
    /// The pause after the first attempt that failed.
    pub retry_initial: Duration,
    /// The longest pause.
    pub retry_max: Duration,
    /// For how long a delivery is tried.
    pub retry_for: Duration,
}

/// Networks, parted by commas.
struct Networks(Vec<Network>);

impl FromStr for Networks {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let networks = words.map(|word| word.parse().map_err(|error: <Network as FromStr>::Err| error.to_string()));
        networks.collect::<Result<_, _>>().map(Self)
    }
}

/// A pause: none at all would send without end.
struct Pause(u64);

impl FromStr for Pause {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse().map_err(|error: std::num::ParseIntError| error.to_string())? {
            0 => Err("must be 1 or more".to_owned()),
            number => Ok(Self(number)),
        }
    }
}

pub(super) fn of(origins: &[Origin]) -> Result<Webhooks, ConfigError> {
    Ok(Webhooks {
        allow: value::<Networks>(origins, "webhook_allow")?.0,
        retry_initial: Duration::from_millis(value::<Pause>(origins, "webhook_retry_initial_ms")?.0),
        retry_max: Duration::from_secs(value::<Pause>(origins, "webhook_retry_max_seconds")?.0),
        retry_for: Duration::from_secs(value(origins, "webhook_retry_for_seconds")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhooks(allow: &str, initial: &str) -> Result<Webhooks, String> {
        let given = [
            ("webhook_allow", allow),
            ("webhook_retry_initial_ms", initial),
            ("webhook_retry_max_seconds", "3600"),
            ("webhook_retry_for_seconds", "86400"),
        ];
        let origins = given.map(|(key, value)| Origin { key, value: value.to_owned(), origin: "file".to_owned() });
        of(&origins).map_err(|error| error.to_string())
    }

    #[test]
    fn networks_are_a_list_and_a_wrong_one_is_named() {
        let good = webhooks("10.0.0.0/8, fd00::/8", "5000").unwrap();
        assert_eq!(good.allow.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "fd00::/8"]);
        assert_eq!((good.retry_initial, good.retry_for), (Duration::from_secs(5), Duration::from_hours(24)));
        assert_eq!(webhooks("", "1").unwrap().allow, []);
        assert!(webhooks("10.0.0.0/8,private", "1").unwrap_err().contains("\"private\" is no network"));
        assert!(webhooks("", "0").unwrap_err().contains("must be 1 or more"));
    }
}

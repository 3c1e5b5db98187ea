//! Places by their names: regions, and availability and local zones, which tell their region.

use std::fmt;

use super::super::ProviderError;

/// A region: `eu-west-1`. Only letters, digits and dashes: it becomes a part of a host's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Region(String);

impl Region {
    /// The region called so; `None` for what can't be the name of one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        Place::parse(text).filter(|place| place.zone.is_none()).map(|place| place.region)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What the `zone` of a server says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The region.
    pub region: Region,
    /// The zone in it; `None` leaves it to the provider.
    pub zone: Option<String>,
}

impl Place {
    /// The place of a server.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] for what is no place.
    pub fn of(text: &str) -> Result<Self, ProviderError> {
        Self::parse(text).ok_or_else(|| ProviderError::Invalid {
            what: format!("{text:?} is no zone of the provider aws"),
            hint: Some(
                "name a zone such as `eu-west-1a`, or a region such as `eu-west-1` to have one picked".to_owned(),
            ),
        })
    }

    /// `us-east-1`, `us-gov-west-1`, `eu-west-1a`, `us-west-2-lax-1a`: words, then the first part with a digit.
    fn parse(text: &str) -> Option<Self> {
        let is_part = |part: &&str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let parts: Vec<&str> = text.split('-').collect();
        if text.len() > 63 || !parts.iter().all(is_part) {
            return None;
        }
        let at = parts.iter().position(|part| part.starts_with(|c: char| c.is_ascii_digit())).filter(|at| *at >= 2)?;
        let number = parts[at].trim_end_matches(|c: char| c.is_ascii_lowercase());
        let letters = &parts[at][number.len()..];
        let is_region =
            number.bytes().all(|byte| byte.is_ascii_digit()) && parts[..at].iter().all(|part| is_word(part));
        let is_last = at + 1 == parts.len();
        if !is_region || letters.len() > usize::from(is_last) {
            return None;
        }
        let zone = (!letters.is_empty() || !is_last).then(|| text.to_owned());
        Some(Self { region: Region(format!("{}-{number}", parts[..at].join("-"))), zone })
    }
}

fn is_word(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_zone_tells_its_region_and_a_region_leaves_the_zone_open() {
        for (text, region, is_zone) in [
            ("eu-west-1", "eu-west-1", false),
            ("eu-west-1a", "eu-west-1", true),
            ("us-gov-east-1b", "us-gov-east-1", true),
            ("ap-southeast-12", "ap-southeast-12", false),
            ("us-west-2-lax-1a", "us-west-2", true),
            ("us-east-1-wl1-bos-wlz-1", "us-east-1", true),
        ] {
            let place = Place::of(text).unwrap();
            assert_eq!((place.region.as_str(), place.zone.as_deref()), (region, is_zone.then_some(text)));
        }
        assert_eq!(Region::new("eu-west-1a"), None);
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in
            ["", "local", "de-fra1", "eu-west", "eu-west-1ab", "eu-west-1.evil.example", "EU-WEST-1", "eu--1", "1-2-3"]
        {
            assert!(Place::of(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_region_is_safe_in_a_host_name(text in "[a-zA-Z0-9./@:#-]{0,20}") {
            if let Ok(place) = Place::of(&text) {
                let name = place.region.as_str();
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
                prop_assert!(text.starts_with(name));
                prop_assert_eq!(Region::new(name), Some(place.region.clone()));
            }
        }
    }
}

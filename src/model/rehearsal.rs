//! A rehearsal: the same work against a twin of each provider that keeps state, takes its time and fails as clouds do.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::name::Name;
use super::nearest::unknown;

/// The environment variable by which a process is told how it reaches providers.
pub const MODE_VARIABLE: &str = "PROV_PROVIDER_MODE";

/// How providers are reached.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ProviderMode {
    /// For real.
    #[default]
    Live,
    /// Their twins are.
    Rehearse(Rehearsal),
}

/// What the twins of a rehearsal are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rehearsal {
    /// What decides which calls fail and how: the same seed, the same troubles.
    pub seed: u64,
    /// Seconds of the twins in a second: 60 has a server that takes a minute ready in a second.
    pub speed: f64,
    /// The share of calls that meet trouble, from 0 to 1: lost replies, errors of the provider, machines in between states,
    /// slow creations.
    pub faults: f64,
    /// Calls that the twins bear in one of their seconds; what is more is refused with "too many requests".
    pub rate: f64,
    /// Servers that can't be had: their creation is refused for lack of resources.
    pub fail: Vec<Name>,
}

impl Default for Rehearsal {
    fn default() -> Self {
        Self { seed: 1, speed: 60.0, faults: 0.1, rate: 10.0, fail: Vec::new() }
    }
}

impl Rehearsal {
    /// What is wrong with it.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let within = |name: &str, value: f64, least: f64, most: f64| {
            let wrong = || format!("{name} is {value}; it must be from {least} to {most}");
            (!(least..=most).contains(&value)).then(wrong)
        };
        within("speed", self.speed, 1.0, 10_000.0)
            .or_else(|| within("faults", self.faults, 0.0, 0.9))
            .or_else(|| within("rate", self.rate, 0.1, 10_000.0))
    }
}

/// A text that is no mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write `live`, `rehearse`, or `rehearse:seed=7,speed=60,faults=0.1,rate=10,fail=web-2`")]
pub struct ModeError(String);

impl FromStr for ProviderMode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        let (mode, options) = text.split_once(':').unwrap_or((text, ""));
        match mode {
            "live" if options.is_empty() => Ok(Self::Live),
            "rehearse" => options_of(options).map(Self::Rehearse),
            _ => Err(ModeError(format!("{text:?} is no mode of providers"))),
        }
    }
}

const OPTIONS: &[&str] = &["seed", "speed", "faults", "rate", "fail"];

fn options_of(text: &str) -> Result<Rehearsal, ModeError> {
    let mut rehearsal = Rehearsal::default();
    for option in text.split(',').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let wrong = |why: &dyn fmt::Display| ModeError(format!("{name}={value}: {why}"));
        let number = || value.parse::<f64>().map_err(|error| wrong(&error));
        match name {
            "seed" => rehearsal.seed = value.parse().map_err(|error| wrong(&error))?,
            "speed" => rehearsal.speed = number()?,
            "faults" => rehearsal.faults = number()?,
            "rate" => rehearsal.rate = number()?,
            "fail" => rehearsal.fail.push(Name::new(value).map_err(|error| wrong(&error))?),
            _ => return Err(ModeError(unknown("option", name, OPTIONS))),
        }
    }
    match rehearsal.fault() {
        Some(fault) => Err(ModeError(fault)),
        None => Ok(rehearsal),
    }
}

impl fmt::Display for ProviderMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Rehearse(Rehearsal { seed, speed, faults, rate, fail }) = self else { return f.write_str("live") };
        write!(f, "rehearse:seed={seed},speed={speed},faults={faults},rate={rate}")?;
        fail.iter().try_for_each(|name| write!(f, ",fail={name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_read_as_it_is_written() {
        for text in ["live", "rehearse:seed=7,speed=100,faults=0.25,rate=10,fail=a,fail=b"] {
            assert_eq!(text.parse::<ProviderMode>().unwrap().to_string(), text);
        }
        assert_eq!("rehearse".parse(), Ok(ProviderMode::Rehearse(Rehearsal::default())));
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for (text, why) in [
            ("rehears", "\"rehears\" is no mode"),
            ("live:speed=1", "is no mode"),
            ("rehearse:sped=1", "did you mean `speed`?"),
            ("rehearse:speed=0", "speed is 0; it must be from 1 to 10000"),
            ("rehearse:faults=NaN", "faults is NaN"),
            ("rehearse:fail=../x", "fail=../x: "),
        ] {
            let error = text.parse::<ProviderMode>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}

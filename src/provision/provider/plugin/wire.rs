//! What is said to a plugin and what it answers; the page above is its description.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::plan::Plan;
use crate::provision::provider::cloud::{CallError, Catalogue, Machine, Offer};
use crate::provision::transport::ssh::Destination;

/// The version of the protocol.
pub const PROTOCOL: u64 = 1;

/// A call.
#[derive(Clone, Debug, Serialize)]
pub struct Call<'a> {
    /// [`PROTOCOL`].
    pub protocol: u64,
    /// The provider's name.
    pub provider: &'a str,
    /// What is to be done.
    pub call: &'a str,
    /// What the call takes.
    #[serde(flatten)]
    pub fields: Value,
}

/// What comes back.
#[derive(Debug, Deserialize)]
struct Answer {
    protocol: u64,
    #[serde(default)]
    ok: Option<Value>,
    #[serde(default)]
    error: Option<Failure>,
}

/// What went wrong.
#[derive(Debug, Deserialize)]
struct Failure {
    kind: String,
    message: String,
    #[serde(default)]
    hint: Option<String>,
    #[serde(default)]
    retry_after_seconds: Option<f64>,
    #[serde(default)]
    throttled: bool,
}

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Described {
    /// The versions that it speaks.
    pub protocols: Vec<u64>,
    /// Whether a repeated order with the same token makes no second machine.
    pub knows_tokens: bool,
    /// How long a machine may be in no list.
    pub settles_within_seconds: u64,
    /// How often a machine is looked at that changes.
    #[serde(default)]
    pub poll_every_seconds: Option<f64>,
    /// The fields that servers may have.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Who logs in.
    #[serde(default)]
    pub login: Option<String>,
    /// How many calls it bears.
    #[serde(default)]
    pub calls_per_second: Option<f64>,
}

impl Described {
    /// What is wrong with it.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if !self.protocols.contains(&PROTOCOL) {
            let spoken: Vec<String> = self.protocols.iter().map(ToString::to_string).collect();
            return Some(format!("it speaks the protocol's versions {}, not {PROTOCOL}", spoken.join(", ")));
        }
        if let Some(error) = self.login.as_ref().and_then(|login| Destination::new("localhost", login, 22).err()) {
            return Some(format!("login: {error}"));
        }
        let is_within =
            |value: Option<f64>, least: f64, most: f64| value.is_none_or(|value| (least..=most).contains(&value));
        if !is_within(self.poll_every_seconds, 0.01, 600.0) {
            return Some("poll_every_seconds must be from 0.01 to 600".to_owned());
        }
        if !is_within(self.calls_per_second, 0.01, 1000.0) {
            return Some("calls_per_second must be from 0.01 to 1000".to_owned());
        }
        (self.settles_within_seconds > 3600).then(|| "settles_within_seconds must be at most 3600".to_owned())
    }
}

/// The answer to `catalogue`.
#[derive(Debug, Deserialize)]
pub struct Sold {
    #[serde(default)]
    plans: Vec<Size>,
    #[serde(default)]
    zones: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Size {
    name: String,
    plan: Plan,
}

impl From<Sold> for Catalogue {
    fn from(sold: Sold) -> Self {
        let plans = sold.plans.into_iter().map(|size| Offer { name: size.name, plan: size.plan });
        Self { plans: plans.collect(), zones: sold.zones }
    }
}

/// The answer to `find`.
#[derive(Debug, Deserialize)]
pub struct Found {
    /// The machines.
    pub machines: Vec<Machine>,
}

/// The answer to `create`.
#[derive(Debug, Deserialize)]
pub struct Made {
    /// The machine.
    pub machine: Machine,
}

/// The answer to `delete`.
#[derive(Debug, Deserialize)]
pub struct Gone {
    /// Whether nothing is left to do.
    pub gone: bool,
}

/// An answer that says nothing.
#[derive(Debug, Deserialize)]
pub struct Nothing {}

/// What an answer means; `None` where it is none, and `why` then says why.
///
/// # Errors
/// [`CallError`] as the plugin says it, or [`CallError::Unknown`] for what is no answer.
pub fn understand<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, CallError> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|error| no_answer(&error))?;
    if answer.protocol != PROTOCOL {
        return Err(CallError::Unknown(format!(
            "it answers in version {} of the protocol, not {PROTOCOL}",
            answer.protocol
        )));
    }
    match (answer.ok, answer.error) {
        (Some(value), None) => serde_json::from_value(value).map_err(|error| no_answer(&error)),
        (None, Some(failure)) => Err(failure.into()),
        (Some(_), Some(_)) => Err(CallError::Unknown("its answer is both `ok` and `error`".to_owned())),
        (None, None) => Err(CallError::Unknown("its answer is neither `ok` nor `error`".to_owned())),
    }
}

fn no_answer(error: &serde_json::Error) -> CallError {
    CallError::Unknown(format!("it gives no answer that can be read: {error}"))
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        let Failure { kind, message: what, hint, retry_after_seconds, throttled } = failure;
        let after = retry_after_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match kind.as_str() {
            "refused" => Self::Refused { what, hint },
            "later" => Self::Later { what, after, throttled },
            "unreachable" => Self::Unreachable(what),
            "unknown" => Self::Unknown(what),
            other => Self::Unknown(format!("{what} (of the kind {other:?}, which there isn't)")),
        }
    }
}

/// Why a machine can't be one.
#[must_use]
pub fn fault_of(machine: &Machine) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let id = &machine.id;
    if id.is_empty()
        || id.len() > 128
        || !id.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !id.chars().all(is_part)
    {
        return Some(format!("{id:?} is no id"));
    }
    let address = machine.address.as_ref()?;
    Destination::parse(address, "root").err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(answer: &str) -> String {
        match understand::<Found>(answer.as_bytes()) {
            Ok(found) => format!("{} machines", found.machines.len()),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn an_answer_is_ok_or_an_error_in_the_right_version() {
        assert_eq!(said(r#"{"protocol":1,"ok":{"machines":[]}}"#), "0 machines");
        assert_eq!(
            said(r#"{"protocol":1,"error":{"kind":"refused","message":"no","hint":"pay"}}"#),
            r#"Refused { what: "no", hint: Some("pay") }"#
        );
        assert_eq!(
            said(r#"{"protocol":1,"error":{"kind":"later","message":"m","retry_after_seconds":1.5,"throttled":true}}"#),
            r#"Later { what: "m", after: Some(1.5s), throttled: true }"#
        );
        for (wrong, why) in [
            ("", "no answer that can be read"),
            ("[]", "no answer that can be read"),
            (r#"{"protocol":2,"ok":{"machines":[]}}"#, "in version 2 of the protocol"),
            (r#"{"protocol":1}"#, "neither"),
            (r#"{"protocol":1,"ok":{},"error":{"kind":"x","message":"y"}}"#, "both"),
            (r#"{"protocol":1,"ok":{"machines":[{"id":"a"}]}}"#, "no answer that can be read"),
            (r#"{"protocol":1,"error":{"kind":"magic","message":"m"}}"#, "which there isn't"),
        ] {
            let said = said(wrong);
            assert!(said.starts_with("Unknown") && said.contains(why), "{wrong}: {said}");
        }
    }

    #[test]
    fn a_machine_has_an_id_and_an_address_that_are_some() {
        let machine = |id: &str, address: Option<&str>| {
            let value = serde_json::json!({"id": id, "labels": {}, "state": "running", "plan": null, "zone": "z", "address": address});
            fault_of(&serde_json::from_value(value).unwrap())
        };
        assert_eq!((machine("m-1", None), machine("m_1", Some("::1"))), (None, None));
        assert!(machine("", None).is_some() && machine("../x", None).is_some() && machine("-x", None).is_some());
        assert!(machine("m", Some("-oProxyCommand=x")).is_some());
    }

    proptest! {
        #[test]
        fn whatever_a_plugin_writes_is_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = understand::<Described>(&bytes);
        }
    }
}

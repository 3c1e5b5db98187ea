//! Events as Splunk's HTTP Event Collector takes them: metadata, and the entry as it is stored.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::audit::chain::Sealed;

/// An event with its metadata.
#[derive(Serialize)]
pub(super) struct HecEvent<'a> {
    /// Seconds since the epoch, with milliseconds.
    time: Box<RawValue>,
    host: &'a str,
    source: &'static str,
    sourcetype: &'static str,
    event: &'a RawValue,
}

/// An entry as an event.
pub(super) fn event<'a>(sealed: &'a Sealed, host: &'a str) -> serde_json::Result<HecEvent<'a>> {
    let at = sealed.entry()?.event.at;
    let time = format!("{}.{:03}", at.seconds(), at.0.rem_euclid(1000));
    let (time, event) = (RawValue::from_string(time)?, sealed.raw());
    Ok(HecEvent { time, host, source: "prov", sourcetype: "prov:audit", event })
}

//! EC2 in the hands of those who lose no machine.

use prov::provision::provider::cloud::{Cloud, Machine, Reach};
use prov::provision::provider::{Provider, ProviderError};
use prov::provision::report::Reporter;
use prov::provision::transport::Transport;
use serde_json::json;

use super::{PUBLIC_KEY, Sample};
use crate::support::ec2::{Ec2, Fate};
use crate::support::moto::moto;

/// A key, and no way to any machine.
struct KeyOnly;

impl Reach for KeyOnly {
    fn public_key(&self) -> Result<String, ProviderError> {
        Ok(PUBLIC_KEY.to_owned())
    }

    fn transport(&self, _: &str, machine: &Machine, _: &str) -> Result<Box<dyn Transport>, ProviderError> {
        Err(ProviderError::Unavailable { what: format!("there is no way to {}", machine.id), hint: None })
    }

    fn forget(&self, _: &str, _: &str) {}
}

#[test]
fn a_server_survives_lost_answers_and_throttling_from_its_order_to_its_end() {
    let Some(moto) = moto() else { return };
    let sample = Sample::new("cloud");
    let (mut orders, mut ends) = (0, 0);
    let ec2 = Ec2::before(&moto.address, move |call| {
        let count = match call.action.as_str() {
            "RunInstances" => &mut orders,
            "TerminateInstances" => &mut ends,
            _ => return Fate::Pass,
        };
        *count += 1;
        match *count {
            1 => Fate::Refuse(503, "RequestLimitExceeded", None),
            2 => Fate::Lose,
            _ => Fate::Pass,
        }
    });
    let cloud = |sample: &Sample| {
        let api = Box::new(sample.aws(&ec2.address));
        Cloud::new(&sample.workspace, api, Box::new(KeyOnly), Reporter::silent())
    };
    let spec = sample.spec("a", &json!({"labels": {"team": "x"}}));
    let made = cloud(&sample).create(&spec).unwrap();
    assert_eq!((&made.spec, made.changed.as_slice()), (&spec, [].as_slice()));
    assert_eq!(cloud(&sample).create(&spec).unwrap().id, made.id, "another process finds it");
    assert_eq!(cloud(&sample).list(&sample.infra).unwrap().len(), 1);

    let copy = Sample::fresh("cloud");
    assert_eq!(cloud(&copy).list(&copy.infra).unwrap(), []);
    let strays = cloud(&copy).strays(&copy.infra).unwrap();
    assert_eq!((strays.len(), &strays[0].id, &strays[0].spec), (1, &made.id, &spec), "as it was asked for");

    cloud(&sample).delete(&sample.infra, &spec.name).unwrap();
    assert_eq!(cloud(&sample).list(&sample.infra).unwrap(), []);
    assert_eq!(cloud(&copy).strays(&copy.infra).unwrap(), []);
}

//! What EC2 tells besides: images, and the consoles of machines. Prices are behind another interface of AWS.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::answers::ConsoleOutput;
use super::call::{Fault, Query};
use super::place::{Place, Region};
use super::{ANY_REGION, Aws, images, refused, region_of};
use crate::model::name::Name;
use crate::provision::provider::cloud::{CallError, Machine, MachineConsole};
use crate::provision::provider::optional::{Image, Images};

impl Images<CallError> for Aws {
    fn list_images(&self, zone: Option<&Name>) -> Result<Vec<Image>, CallError> {
        let region = match zone {
            Some(zone) => Place::of(zone.as_str()).map_err(refused)?.region,
            None => {
                self.ec2.default_region().or_else(|| Region::new(ANY_REGION)).ok_or_else(|| CallError::Refused {
                    what: "no region is known".to_owned(),
                    hint: Some("name one with --zone".to_owned()),
                })?
            }
        };
        images::all(&self.ec2, &region)
    }
}

impl MachineConsole for Aws {
    fn read_machine_console(&self, machine: &Machine) -> Result<Vec<u8>, CallError> {
        let region = region_of(machine)?;
        let query = Query::of("GetConsoleOutput").with("InstanceId", &machine.id);
        let latest = self.ec2.call::<ConsoleOutput>(&region, &query.clone().with("Latest", "true"));
        let answer = match latest {
            // Types without the Nitro hypervisor have only what was written around their last change of state.
            Err(fault) if fault.is("UnsupportedOperation") => self.ec2.call(&region, &query),
            answer => answer,
        };
        let text: String = answer.map_err(Fault::into_error)?.output.split_whitespace().collect();
        let unread = |_| CallError::Refused { what: "the console's output isn't base64".to_owned(), hint: None };
        STANDARD.decode(text).map_err(unread)
    }
}

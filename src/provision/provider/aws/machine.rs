//! A machine as EC2 reports it, in prov's words.

use super::answers::Instance;
use super::fields::NAME_TAG;
use super::place::Place;
use super::types;
use crate::model::plan::Plan;
use crate::provision::provider::cloud::{Labels, Machine, MachineState};

/// The tag with the plan that was asked for and the type that it got: several plans may get one type.
pub const PLAN_TAG: &str = "prov-plan";
/// What stands between the two.
const GOT: &str = " = ";
/// The tag with the zone that was asked for: it may have been a region.
pub const ZONE_TAG: &str = "prov-zone";

/// The state of what is gone.
pub const TERMINATED: &str = "terminated";
/// The states of instances that aren't gone.
pub const STATES: [&str; 5] = ["pending", "running", "shutting-down", "stopping", "stopped"];

/// The machine; `None` for one that is gone.
#[must_use]
pub fn of(instance: Instance) -> Option<Machine> {
    let state = match instance.instance_state.name.as_str() {
        TERMINATED => return None,
        "running" => MachineState::Running,
        "stopped" => MachineState::Stopped,
        _ => MachineState::Changing,
    };
    let mut labels: Labels = instance.tag_set.items.into_iter().map(|tag| (tag.key, tag.value)).collect();
    // Those of AWS itself can be neither written nor deleted.
    labels.retain(|key, _| !key.starts_with("aws:") && key != NAME_TAG);
    let (size, tag) = (types::size_of(&instance.instance_type), labels.remove(PLAN_TAG));
    // What was asked for counts as long as nobody gave it another type.
    let asked = tag.as_deref().and_then(|tag| tag.split_once(GOT)).filter(|(_, got)| *got == instance.instance_type);
    let asked: Option<Plan> = asked.and_then(|(plan, _)| plan.parse().ok());
    let zone = labels.remove(ZONE_TAG).filter(|zone| is_within(zone, &instance.placement.availability_zone));
    let notes = note(&instance.instance_type, size, asked).into_iter().collect();
    let address =
        [instance.ip_address, instance.private_ip_address].into_iter().flatten().find(|text| !text.is_empty());
    Some(Machine {
        id: instance.instance_id,
        labels,
        state,
        plan: asked.or(size),
        zone: zone.unwrap_or(instance.placement.availability_zone),
        address,
        notes,
    })
}

/// The value of the tag of a machine that was asked for by a plan and got a type.
#[must_use]
pub fn plan_tag(plan: Plan, instance_type: &str) -> String {
    format!("{plan}{GOT}{instance_type}")
}

/// Whether the zone that was asked for is the one that it is in, or its region.
fn is_within(asked: &str, actual: &str) -> bool {
    match (Place::of(asked), Place::of(actual)) {
        (Ok(asked), Ok(actual)) => asked.region == actual.region && (asked.zone.is_none() || asked.zone == actual.zone),
        _ => false,
    }
}

/// What its user should know where the type isn't exactly what was asked for.
fn note(instance_type: &str, size: Option<Plan>, asked: Option<Plan>) -> Option<String> {
    let asked = asked?;
    match size {
        Some(size) if size == asked => None,
        Some(size) => {
            Some(format!("its type is {instance_type}, which has {} processors and {} MiB", size.cpus, size.memory_mib))
        }
        None => Some(format!("its type is {instance_type}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(state: &str, tags: &[(&str, &str)]) -> Option<Machine> {
        let tags: String =
            tags.iter().map(|(key, value)| format!("<item><key>{key}</key><value>{value}</value></item>")).collect();
        let text = format!(
            "<i><instanceId>i-1</instanceId><instanceState><name>{state}</name></instanceState><instanceType>t3.small</instanceType>\
            <placement><availabilityZone>eu-west-1b</availabilityZone></placement><ipAddress></ipAddress>\
            <privateIpAddress>10.0.0.1</privateIpAddress><tagSet>{tags}</tagSet></i>"
        );
        of(quick_xml::de::from_str(&text).unwrap())
    }

    #[test]
    fn what_was_asked_for_is_reported_as_it_was_asked() {
        let tags = [
            ("Name", "s"),
            ("aws:x", "y"),
            ("prov-plan", "1xCPU-2 GB = t3.small"),
            ("prov-zone", "eu-west-1"),
            ("prov-server", "s"),
        ];
        let found = machine("running", &tags).unwrap();
        assert_eq!((found.plan, found.zone.as_str()), ("1xCPU-2 GB".parse().ok(), "eu-west-1"));
        assert_eq!(found.labels, Labels::from([("prov-server".to_owned(), "s".to_owned())]));
        assert_eq!(found.notes, ["its type is t3.small, which has 2 processors and 2048 MiB"]);
        assert_eq!((found.address.as_deref(), found.state), (Some("10.0.0.1"), MachineState::Running));
    }

    #[test]
    fn what_somebody_changed_since_is_reported_as_it_is() {
        let found = machine("stopped", &[("prov-plan", "1xCPU-2 GB = t3.nano"), ("prov-zone", "us-east-1")]).unwrap();
        assert_eq!((found.plan, found.zone.as_str()), ("2xCPU-2 GB".parse().ok(), "eu-west-1b"));
        assert_eq!(found.notes, [""; 0]);
    }

    #[test]
    fn what_is_terminated_is_gone_and_what_is_on_its_way_is_not() {
        assert_eq!(machine("terminated", &[]), None);
        for state in ["pending", "shutting-down", "stopping"] {
            assert_eq!(machine(state, &[]).unwrap().state, MachineState::Changing);
        }
    }
}

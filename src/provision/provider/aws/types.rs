//! Which instance type a plan gets, and what is known of a type by its name.
//!
//! The small plans get the burstable T3, which have two processors also where one was asked for. The others get the family
//! whose memory for a processor is theirs: 2 GiB (C6i), 4 GiB (M6i) or 8 GiB (R6i); these are sold nearly everywhere. Other
//! types are named outright by the field `instance_type`.

use crate::model::plan::Plan;
use crate::provision::provider::cloud::Offer;

/// The burstable types: name, processors, memory in MiB.
const BURSTABLE: [(&str, u32, u64); 7] = [
    ("t3.nano", 2, 512),
    ("t3.micro", 2, 1024),
    ("t3.small", 2, 2048),
    ("t3.medium", 2, 4096),
    ("t3.large", 2, 8192),
    ("t3.xlarge", 4, 16384),
    ("t3.2xlarge", 8, 32768),
];
/// The families: name, memory in MiB for each processor.
const FAMILIES: [(&str, u64); 3] = [("c6i", 2048), ("m6i", 4096), ("r6i", 8192)];
/// Their sizes: name, processors.
const SIZES: [(&str, u32); 9] = [
    ("large", 2),
    ("xlarge", 4),
    ("2xlarge", 8),
    ("4xlarge", 16),
    ("8xlarge", 32),
    ("12xlarge", 48),
    ("16xlarge", 64),
    ("24xlarge", 96),
    ("32xlarge", 128),
];
/// The largest memory for which a plan of one processor gets a burstable type.
const MOST_FOR_ONE_MIB: u64 = 4096;

/// Every plan with the type that it gets, each plan once.
#[must_use]
pub fn offers() -> Vec<Offer> {
    let offer = |name: String, cpus: u32, memory_mib: u64| Offer { name, plan: Plan { cpus, memory_mib } };
    let small = BURSTABLE.iter().filter(|(_, _, memory)| *memory <= MOST_FOR_ONE_MIB);
    let small = small.map(|(name, _, memory)| offer((*name).to_owned(), 1, *memory));
    let burstable = BURSTABLE.iter().map(|(name, cpus, memory)| offer((*name).to_owned(), *cpus, *memory));
    let mut offers: Vec<Offer> = small.chain(burstable).collect();
    for (family, memory) in FAMILIES {
        for (size, cpus) in SIZES {
            let plan = Plan { cpus, memory_mib: memory * u64::from(cpus) };
            if offers.iter().all(|known| known.plan != plan) {
                offers.push(Offer { name: format!("{family}.{size}"), plan });
            }
        }
    }
    offers
}

/// The type that the plan gets.
#[must_use]
pub fn of_plan(plan: Plan) -> Option<String> {
    offers().into_iter().find(|offer| offer.plan == plan).map(|offer| offer.name)
}

/// The size of a type, where it is among those that plans get.
#[must_use]
pub fn size_of(name: &str) -> Option<Plan> {
    let burstable = BURSTABLE.iter().find(|known| known.0 == name);
    burstable.map(|known| Plan { cpus: known.1, memory_mib: known.2 }).or_else(|| {
        let (family, size) = name.split_once('.')?;
        let (_, memory) = FAMILIES.iter().find(|known| known.0 == family)?;
        let (_, cpus) = SIZES.iter().find(|known| known.0 == size)?;
        Some(Plan { cpus: *cpus, memory_mib: memory * u64::from(*cpus) })
    })
}

/// The plans nearest to one that no type has, the nearest first.
#[must_use]
pub fn nearest(plan: Plan) -> Vec<Offer> {
    let distance = |offer: &Offer| {
        let ratio = |a: f64, b: f64| (a / b).ln().abs();
        #[allow(clippy::cast_precision_loss, reason = "only the order matters")]
        let memory = ratio(plan.memory_mib as f64, offer.plan.memory_mib as f64);
        ratio(f64::from(plan.cpus), f64::from(offer.plan.cpus)) + memory
    };
    let mut offers = offers();
    offers.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    offers.truncate(3);
    offers
}

/// Whether a text can be the name of a type: `t3.small`, `u-6tb1.metal`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    text.len() <= 63 && text.split_once('.').is_some_and(|(family, size)| is_part(family) && is_part(size))
}

/// The architecture of a type as images name it. Graviton's families have a `g` after the generation: `t4g`, `c7gn`.
#[must_use]
pub fn architecture(name: &str) -> &'static str {
    let family = name.split('.').next().unwrap_or_default();
    let after = family.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
    if family == "a1" || after.starts_with('g') { "arm64" } else { "x86_64" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_get_the_types_that_people_expect() {
        for (plan, name) in [
            ("1xCPU-1 GB", "t3.micro"),
            ("1xCPU-2 GB", "t3.small"),
            ("2xCPU-4 GB", "t3.medium"),
            ("2xCPU-16 GB", "r6i.large"),
            ("4xCPU-8 GB", "c6i.xlarge"),
            ("4xCPU-16 GB", "t3.xlarge"),
            ("16xCPU-64 GB", "m6i.4xlarge"),
        ] {
            assert_eq!(of_plan(plan.parse().unwrap()).as_deref(), Some(name), "{plan}");
        }
        assert_eq!(of_plan("6xCPU-16 GB".parse().unwrap()), None);
        let near: Vec<String> =
            nearest("6xCPU-16 GB".parse().unwrap()).into_iter().map(|offer| offer.plan.to_string()).collect();
        assert_eq!(near, ["8xCPU-16 GB", "4xCPU-16 GB", "8xCPU-32 GB"]);
    }

    #[test]
    fn every_offer_has_at_least_what_it_says_and_each_plan_once() {
        let offers = offers();
        for (index, offer) in offers.iter().enumerate() {
            let size = size_of(&offer.name).unwrap();
            assert!(size.cpus >= offer.plan.cpus && size.memory_mib == offer.plan.memory_mib, "{offer:?}");
            assert!(is_name(&offer.name) && offers[..index].iter().all(|other| other.plan != offer.plan), "{offer:?}");
        }
    }

    #[test]
    fn gravitons_are_told_by_their_family() {
        for name in ["t4g.small", "m7gd.large", "c7gn.xlarge", "a1.medium", "g5g.xlarge", "im4gn.large"] {
            assert_eq!(architecture(name), "arm64", "{name}");
        }
        for name in ["t3.small", "g4dn.xlarge", "m6i.large", "u-6tb1.metal", "g5.xlarge"] {
            assert_eq!(architecture(name), "x86_64", "{name}");
        }
    }
}

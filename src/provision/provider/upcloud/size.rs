//! What is bought for a wanted size: the plan that is named after it, else processors and memory as they are sold singly.

use serde_json::Value;

use super::wire::{PlanRow, SizeRow};
use crate::model::nearest::unknown;
use crate::model::plan::Plan;
use crate::provision::provider::cloud::CallError;

/// What is bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// A plan, with the storage that is part of its price.
    Plan { name: String, storage: Storage },
    /// Processors and memory.
    Custom { cores: u32, memory_mib: u64 },
}

/// The disk that comes with a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Storage {
    pub(super) size_gb: Option<u64>,
    pub(super) tier: Option<String>,
}

impl Size {
    pub(super) fn storage(&self) -> Storage {
        match self {
            Self::Plan { storage, .. } => storage.clone(),
            Self::Custom { .. } => Storage::default(),
        }
    }
}

/// The plan for this size. Of several that have it, the one that is named after it alone: the others (`DEV-…`, `GPU-…`) are
/// something else, and are bought where somebody names them.
pub(super) fn plan(rows: &[PlanRow], wanted: Plan, named: Option<&str>) -> Option<Size> {
    let fits = |row: &&PlanRow| match named {
        Some(name) => row.name == name && row.size() == Some(wanted),
        None => row.name.parse() == Ok(wanted) && row.size() == Some(wanted),
    };
    rows.iter().find(fits).map(|row| Size::Plan { name: row.name.clone(), storage: storage(row) })
}

fn storage(row: &PlanRow) -> Storage {
    let size_gb = row.storage_size.as_ref().and_then(super::wire::number).filter(|size| *size > 0);
    let tier = row.storage_tier.as_ref().and_then(Value::as_str).filter(|tier| !tier.is_empty());
    Storage { size_gb, tier: tier.map(str::to_owned).filter(|_| size_gb.is_some()) }
}

/// Processors and memory of this size, where they are sold singly.
pub(super) fn custom(rows: &[SizeRow], wanted: Plan) -> Option<Size> {
    let is_sold = rows.iter().any(|row| row.size() == Some(wanted));
    is_sold.then_some(Size::Custom { cores: wanted.cpus, memory_mib: wanted.memory_mib })
}

/// The error for a size that can't be had, with the nearest one that can.
pub(super) fn not_sold(plans: &[PlanRow], sizes: &[SizeRow], wanted: Plan, named: Option<&str>) -> CallError {
    if let Some(name) = named {
        return not_of_the_name(plans, wanted, name);
    }
    let of_size = plans.iter().filter(|row| row.size() == Some(wanted));
    let others: Vec<&str> = of_size.map(|row| row.name.as_str()).collect();
    let plain = plans.iter().filter(|row| row.name.parse::<Plan>().is_ok()).filter_map(PlanRow::size);
    let all = plain.chain(sizes.iter().filter_map(SizeRow::size));
    let hint = match others.as_slice() {
        [] => nearest(all, wanted).map(|near| format!("the nearest size is {near}")),
        others => Some(format!("plans of that size are named with plan_name: {}", others.join(", "))),
    };
    CallError::Refused { what: format!("UpCloud sells no server of the size {wanted}"), hint }
}

/// The error for a plan that somebody names and that isn't the one of this size.
fn not_of_the_name(plans: &[PlanRow], wanted: Plan, name: &str) -> CallError {
    let Some(row) = plans.iter().find(|row| row.name == name) else {
        let known: Vec<&str> = plans.iter().map(|row| row.name.as_str()).collect();
        return CallError::Refused { what: unknown("plan of UpCloud's", name, &known), hint: None };
    };
    let hint = row.size().map(|size| format!("write plan = \"{size}\""));
    CallError::Refused { what: format!("UpCloud's plan {name} isn't of the size {wanted}"), hint }
}

/// The nearest of the sizes: by how many times more or less they are, memory and processors alike; of two, the larger.
fn nearest(sizes: impl Iterator<Item = Plan>, wanted: Plan) -> Option<Plan> {
    let times = |a: f64, b: f64| (a / b).ln().abs();
    #[allow(clippy::cast_precision_loss)]
    let memory = |plan: Plan| plan.memory_mib as f64;
    let distance =
        |plan: Plan| times(f64::from(plan.cpus), f64::from(wanted.cpus)) + times(memory(plan), memory(wanted));
    sizes.min_by(|a, b| distance(*a).total_cmp(&distance(*b)).then((b.cpus, b.memory_mib).cmp(&(a.cpus, a.memory_mib))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plans() -> Vec<PlanRow> {
        let row = |name: &str, cores: u32, memory: u64, size: u64| {
            let row = json!({"name": name, "core_number": cores, "memory_amount": memory, "storage_size": size, "storage_tier": "maxiops"});
            serde_json::from_value(row).unwrap()
        };
        vec![row("DEV-1xCPU-2GB", 1, 2048, 20), row("1xCPU-2GB", 1, 2048, 50), row("HIMEM-2xCPU-16GB", 2, 16384, 0)]
    }

    fn wanted(text: &str) -> Plan {
        text.parse().unwrap()
    }

    fn hint(error: &CallError) -> &str {
        let CallError::Refused { hint: Some(hint), .. } = error else { panic!("{error:?}") };
        hint
    }

    #[test]
    fn the_plan_of_the_name_goes_before_its_relatives() {
        for text in ["1xCPU-2 GB", "1xCPU-2GB"] {
            let Some(Size::Plan { name, storage }) = plan(&plans(), wanted(text), None) else { panic!() };
            assert_eq!(
                (name.as_str(), storage.size_gb, storage.tier.as_deref()),
                ("1xCPU-2GB", Some(50), Some("maxiops"))
            );
        }
        let Some(Size::Plan { name, .. }) = plan(&plans(), wanted("1xCPU-2 GB"), Some("DEV-1xCPU-2GB")) else {
            panic!()
        };
        assert_eq!(name, "DEV-1xCPU-2GB");
        let bare = plan(&plans(), wanted("2xCPU-16 GB"), Some("HIMEM-2xCPU-16GB")).unwrap();
        assert_eq!(bare.storage(), Storage::default());
    }

    #[test]
    fn what_is_no_plan_is_sold_singly_or_not_at_all() {
        let sizes: Vec<SizeRow> = serde_json::from_value(
            json!([{"core_number": "3", "memory_amount": "4096"}, {"core_number": "2", "memory_amount": "2048"}]),
        )
        .unwrap();
        assert!(plan(&plans(), wanted("3xCPU-4 GB"), None).is_none());
        assert_eq!(custom(&sizes, wanted("3xCPU-4 GB")), Some(Size::Custom { cores: 3, memory_mib: 4096 }));
        assert_eq!(custom(&sizes, wanted("3xCPU-5 GB")), None);
        let error = not_sold(&plans(), &sizes, wanted("3xCPU-5 GB"), None);
        assert_eq!(hint(&error), "the nearest size is 3xCPU-4 GB");
        let error = not_sold(&plans(), &sizes, wanted("2xCPU-16 GB"), None);
        assert_eq!(hint(&error), "plans of that size are named with plan_name: HIMEM-2xCPU-16GB");
        let error = not_sold(&plans(), &[], wanted("1xCPU-2 GB"), Some("HIMEM-2xCPU-16GB"));
        assert_eq!(hint(&error), "write plan = \"2xCPU-16 GB\"");
        let error = not_sold(&plans(), &[], wanted("1xCPU-2 GB"), Some("DEV-1xCPU-2GBB")).to_string();
        assert!(error.contains("did you mean `DEV-1xCPU-2GB`?"), "{error}");
    }
}

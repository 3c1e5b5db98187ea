//! The size of a server: `1xCPU-2 GB` and `1xCPU-2GB` are the same plan.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A plan: so many processors and so much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Plan {
    /// Processors, at least 1.
    pub cpus: u32,
    /// Memory in MiB, at least 1.
    pub memory_mib: u64,
}

/// A text that names no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no plan; write processors and memory as in `1xCPU-2 GB` or `2xCPU-512 MB`")]
pub struct PlanError(String);

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| PlanError(text.chars().take(80).collect()))
    }
}

fn parse(text: &str) -> Option<Plan> {
    let (cpus, memory) = text.split_once("xCPU-")?;
    let digits = memory.find(|c: char| !c.is_ascii_digit())?;
    let (amount, unit) = memory.split_at(digits);
    let factor = match unit.trim_start() {
        "GB" => 1024,
        "MB" => 1,
        _ => return None,
    };
    let plan = Plan { cpus: number(cpus)?, memory_mib: u64::from(number(amount)?) * factor };
    (plan.cpus >= 1 && plan.cpus <= 1024 && plan.memory_mib >= 1).then_some(plan)
}

fn number(text: &str) -> Option<u32> {
    text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.memory_mib.is_multiple_of(1024) {
            format!("{}xCPU-{} GB", self.cpus, self.memory_mib / 1024)
        } else {
            format!("{}xCPU-{} MB", self.cpus, self.memory_mib)
        };
        f.pad(&text)
    }
}

impl TryFrom<String> for Plan {
    type Error = PlanError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Plan> for String {
    fn from(plan: Plan) -> Self {
        plan.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_plan() {
        let plan: Plan = "1xCPU-2 GB".parse().unwrap();
        assert_eq!(plan, Plan { cpus: 1, memory_mib: 2048 });
        assert_eq!("1xCPU-2GB".parse(), Ok(plan));
        assert_eq!(plan.to_string(), "1xCPU-2 GB");
        assert_eq!("2xCPU-512 MB".parse::<Plan>().unwrap().to_string(), "2xCPU-512 MB");
        for bad in [
            "",
            "2GB",
            "0xCPU-1 GB",
            "1xCPU-0 GB",
            "1xCPU-2",
            "1xCPU- GB",
            "+1xCPU-2GB",
            "1xcpu-2gb",
            "99999999999xCPU-1GB",
        ] {
            assert!(bad.parse::<Plan>().is_err(), "{bad}");
        }
    }
}

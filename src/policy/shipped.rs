//! The policies that every new store begins with: the roles, enabled, and examples, disabled.

use std::sync::LazyLock;

use cedar_policy::{Policy, PolicySet};

/// A policy that ships.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// Its name: the annotation `@id` of its first policy.
    pub name: String,
    /// What it says: the annotation `@description` of its first policy.
    pub description: String,
    /// Cedar.
    pub content: &'static str,
    /// Whether it counts from the start.
    pub enabled: bool,
}

const TEXTS: [(&str, bool); 8] = [
    (include_str!("shipped/role-admin.cedar"), true),
    (include_str!("shipped/role-operator.cedar"), true),
    (include_str!("shipped/role-developer.cedar"), true),
    (include_str!("shipped/role-viewer.cedar"), true),
    (include_str!("shipped/role-auditor.cedar"), true),
    (include_str!("shipped/mfa.cedar"), false),
    (include_str!("shipped/working-hours.cedar"), false),
    (include_str!("shipped/corporate-network.cedar"), false),
];

static SHIPPED: LazyLock<Vec<Shipped>> = LazyLock::new(|| TEXTS.iter().map(|text| read(*text)).collect());

/// Every policy that ships, the roles first.
#[must_use]
pub fn shipped() -> &'static [Shipped] {
    &SHIPPED
}

fn read((content, enabled): (&'static str, bool)) -> Shipped {
    let parsed: PolicySet = content.parse().expect("what ships is well-formed: tests parse it");
    let annotation =
        |key: &str| parsed.policies().find_map(|policy: &Policy| policy.annotation(key).map(str::to_owned));
    let [name, description] = ["id", "description"].map(|key| annotation(key).expect("what ships is annotated"));
    Shipped { name, description, content, enabled }
}

//! The shapes of bodies: lists that are wrapped twice, numbers that are texts, and of each only what prov uses.
//!
//! The password in the answer to an order isn't among it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::plan::Plan;
use crate::provision::provider::cloud::{Labels, Machine, MachineState};
use crate::provision::provider::optional::Price;

/// `GET /server/UUID`, and the answer to an order.
#[derive(Debug, Deserialize)]
pub(super) struct Details {
    pub(super) server: Row,
}

/// `GET /server`.
#[derive(Debug, Deserialize)]
pub(super) struct Rows {
    servers: ServerList,
}

#[derive(Debug, Deserialize)]
struct ServerList {
    #[serde(default)]
    server: Vec<Row>,
}

impl Rows {
    pub(super) fn rows(&self) -> &[Row] {
        &self.servers.server
    }

    pub(super) fn into_rows(self) -> impl Iterator<Item = Row> {
        self.servers.server.into_iter()
    }
}

/// A server; what only its details tell is absent in a list.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    pub(super) uuid: String,
    state: String,
    #[serde(default)]
    zone: String,
    core_number: Option<Value>,
    memory_amount: Option<Value>,
    #[serde(default)]
    labels: LabelList,
    #[serde(default)]
    ip_addresses: AddressList,
}

#[derive(Debug, Default, Deserialize)]
struct LabelList {
    #[serde(default)]
    label: Vec<Label>,
}

#[derive(Debug, Deserialize)]
struct Label {
    key: String,
    value: String,
}

#[derive(Debug, Default, Deserialize)]
struct AddressList {
    #[serde(default)]
    ip_address: Vec<Address>,
}

#[derive(Debug, Deserialize)]
struct Address {
    #[serde(default)]
    access: String,
    #[serde(rename = "address")]
    text: String,
    #[serde(default)]
    family: String,
}

impl Row {
    pub(super) fn state(&self) -> MachineState {
        match self.state.as_str() {
            "started" => MachineState::Running,
            "stopped" => MachineState::Stopped,
            "error" => MachineState::Failed,
            // `maintenance`, and what nobody has heard of yet.
            _ => MachineState::Changing,
        }
    }

    pub(super) fn labels(&self) -> Labels {
        self.labels.label.iter().map(|label| (label.key.clone(), label.value.clone())).collect()
    }

    pub(super) fn into_machine(self) -> Machine {
        let (labels, state) = (self.labels(), self.state());
        let plan = size(self.core_number.as_ref(), self.memory_amount.as_ref());
        let notes = match state {
            MachineState::Failed => vec!["UpCloud reports an error with its host; it returns by itself".to_owned()],
            _ => Vec::new(),
        };
        let address = self.ip_addresses.ip_address.into_iter().min_by_key(reach).map(|address| address.text);
        Machine { id: self.uuid, labels, state, plan, zone: self.zone, address, notes }
    }
}

/// The less, the better an address is reached from here.
fn reach(address: &Address) -> (bool, bool) {
    (address.access != "public", address.family != "IPv4")
}

/// Labels as a body has them.
pub(super) fn labels(labels: &Labels) -> Value {
    let labels: Vec<Value> = labels.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    json!({ "label": labels })
}

/// `GET /plan`.
#[derive(Debug, Deserialize)]
pub(super) struct Plans {
    plans: PlanList,
}

#[derive(Debug, Deserialize)]
struct PlanList {
    #[serde(default)]
    plan: Vec<PlanRow>,
}

impl Plans {
    pub(super) fn rows(&self) -> &[PlanRow] {
        &self.plans.plan
    }
}

/// A plan that is sold.
#[derive(Debug, Deserialize)]
pub(super) struct PlanRow {
    pub(super) name: String,
    core_number: Option<Value>,
    memory_amount: Option<Value>,
    pub(super) storage_size: Option<Value>,
    pub(super) storage_tier: Option<Value>,
}

impl PlanRow {
    pub(super) fn size(&self) -> Option<Plan> {
        size(self.core_number.as_ref(), self.memory_amount.as_ref())
    }
}

/// `GET /server_size`.
#[derive(Debug, Deserialize)]
pub(super) struct Sizes {
    server_sizes: SizeList,
}

#[derive(Debug, Deserialize)]
struct SizeList {
    #[serde(default)]
    server_size: Vec<SizeRow>,
}

impl Sizes {
    pub(super) fn rows(&self) -> &[SizeRow] {
        &self.server_sizes.server_size
    }
}

/// Processors and memory that are sold singly.
#[derive(Debug, Deserialize)]
pub(super) struct SizeRow {
    core_number: Option<Value>,
    memory_amount: Option<Value>,
}

impl SizeRow {
    pub(super) fn size(&self) -> Option<Plan> {
        size(self.core_number.as_ref(), self.memory_amount.as_ref())
    }
}

/// `GET /zone`.
#[derive(Debug, Deserialize)]
pub(super) struct Zones {
    zones: ZoneList,
}

#[derive(Debug, Deserialize)]
struct ZoneList {
    #[serde(default)]
    zone: Vec<Zone>,
}

#[derive(Debug, Deserialize)]
struct Zone {
    id: String,
    #[serde(default)]
    public: String,
}

impl Zones {
    /// Those that everybody may use, by name.
    pub(super) fn public(self) -> Vec<String> {
        let public = self.zones.zone.into_iter().filter(|zone| zone.public == "yes");
        let mut names: Vec<String> = public.map(|zone| zone.id).collect();
        names.sort();
        names
    }
}

/// `GET /storage/template`.
#[derive(Debug, Deserialize)]
pub(super) struct Templates {
    storages: TemplateList,
}

#[derive(Debug, Deserialize)]
struct TemplateList {
    #[serde(default)]
    storage: Vec<Template>,
}

impl Templates {
    pub(super) fn rows(&self) -> &[Template] {
        &self.storages.storage
    }
}

/// What a disk can be a clone of.
#[derive(Debug, Deserialize)]
pub(super) struct Template {
    pub(super) uuid: String,
    pub(super) title: String,
    #[serde(default)]
    access: String,
    /// Empty where it can be had everywhere.
    #[serde(default)]
    pub(super) zone: String,
}

impl Template {
    pub(super) fn is_public(&self) -> bool {
        self.access == "public"
    }
}

/// How prices of plans are called.
const OF_PLAN: &str = "server_plan_";
/// What prices are in: UpCloud's credits are hundredths of the account's currency.
const UNIT: &str = "credits";

/// `GET /price`.
#[derive(Debug, Deserialize)]
pub(super) struct PriceList {
    prices: ZonePrices,
}

#[derive(Debug, Deserialize)]
struct ZonePrices {
    #[serde(default)]
    zone: Vec<ZonePrice>,
}

#[derive(Debug, Deserialize)]
struct ZonePrice {
    name: String,
    /// By what is sold; other things may stand among them.
    #[serde(flatten)]
    sold: BTreeMap<String, Value>,
}

/// For an hour of so many.
#[derive(Debug, Deserialize)]
struct Rate {
    amount: f64,
    price: f64,
}

impl PriceList {
    /// The zones that have prices.
    pub(super) fn zones(&self) -> impl Iterator<Item = &str> {
        self.prices.zone.iter().map(|zone| zone.name.as_str())
    }

    /// What plans cost in a zone, if there is one of this name.
    pub(super) fn of(&self, zone: &str) -> Option<Vec<Price>> {
        let sold = &self.prices.zone.iter().find(|known| known.name == zone)?.sold;
        let price = |(name, value): (&String, &Value)| {
            let Rate { amount, price } = serde_json::from_value(value.clone()).ok()?;
            let plan = name.strip_prefix(OF_PLAN)?.to_owned();
            (amount > 0.0).then(|| Price { plan, per_hour: price / amount, unit: UNIT })
        };
        Some(sold.iter().filter_map(price).collect())
    }
}

/// A number, which UpCloud writes as a text in some places.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn size(cores: Option<&Value>, memory_mib: Option<&Value>) -> Option<Plan> {
    let cpus = u32::try_from(number(cores?)?).ok()?;
    let memory_mib = number(memory_mib?)?;
    (cpus > 0 && memory_mib > 0).then_some(Plan { cpus, memory_mib })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_whether_numbers_are_numbers_or_texts() {
        let details = json!({"server": {
            "uuid": "u", "state": "started", "zone": "de-fra1", "core_number": "2", "memory_amount": 4096,
            "password": "swordfish", "labels": {"label": [{"key": "prov-infra", "value": "i"}]},
            "ip_addresses": {"ip_address": [
                {"access": "utility", "address": "10.0.0.2", "family": "IPv4"},
                {"access": "public", "address": "2a04::2", "family": "IPv6"},
                {"access": "public", "address": "192.0.2.1", "family": "IPv4"},
            ]},
        }});
        let details: Details = serde_json::from_value(details).unwrap();
        assert!(!format!("{details:?}").contains("swordfish"));
        let machine = details.server.into_machine();
        assert_eq!((machine.plan, machine.address.as_deref()), ("2xCPU-4 GB".parse().ok(), Some("192.0.2.1")));
        assert_eq!((machine.state, machine.labels["prov-infra"].as_str()), (MachineState::Running, "i"));
        let row: Row = serde_json::from_value(json!({"uuid": "u", "state": "maintenance"})).unwrap();
        let machine = row.into_machine();
        assert_eq!((machine.state, machine.plan, machine.address), (MachineState::Changing, None, None));
    }
}

//! What it sells: plans, sizes, zones, templates.

use serde_json::{Value, json};

/// Debian 12 as it is now; an older one of the same title is there too.
pub const DEBIAN_12: &str = "01000000-0000-4000-8000-000020070100";

/// Zones that servers can be in.
pub const ZONES: [&str; 4] = ["de-fra1", "fi-hel1", "fi-hel2", "us-nyc1"];

pub fn plans() -> Value {
    let plan = |name: &str, cores: u32, memory: u32, storage: u32, tier: &str| {
        json!({"name": name, "core_number": cores, "memory_amount": memory, "public_traffic_out": 1024,
            "storage_size": storage, "storage_tier": tier})
    };
    json!({"plans": {"plan": [
        plan("DEV-1xCPU-1GB", 1, 1024, 20, "standard"),
        plan("1xCPU-1GB", 1, 1024, 25, "maxiops"),
        plan("1xCPU-2GB", 1, 2048, 50, "maxiops"),
        plan("2xCPU-4GB", 2, 4096, 80, "maxiops"),
        plan("HIMEM-2xCPU-16GB", 2, 16384, 0, ""),
    ]}})
}

pub fn sizes() -> Value {
    let sizes = [(1, 1024), (1, 2048), (2, 2048), (2, 4096), (3, 4096), (4, 8192)];
    let sizes =
        sizes.map(|(cores, memory)| json!({"core_number": cores.to_string(), "memory_amount": memory.to_string()}));
    json!({"server_sizes": {"server_size": sizes}})
}

/// Cores and memory that are sold singly.
pub fn is_sold(cores: u64, memory: u64) -> bool {
    let wanted = json!({"core_number": cores.to_string(), "memory_amount": memory.to_string()});
    let is_it = |size: &Value| *size == wanted;
    sizes()["server_sizes"]["server_size"].as_array().unwrap().iter().any(is_it)
}

/// Cores and memory of a plan.
pub fn plan(name: &str) -> Option<(u64, u64)> {
    let plans = plans();
    let plan = plans["plans"]["plan"].as_array().unwrap().iter().find(|plan| plan["name"] == name)?;
    Some((plan["core_number"].as_u64().unwrap(), plan["memory_amount"].as_u64().unwrap()))
}

pub fn zones() -> Value {
    let zone = |id: &str, public: &str| json!({"id": id, "description": format!("The zone {id}"), "public": public});
    let mut zones: Vec<Value> = ZONES.iter().map(|id| zone(id, "yes")).collect();
    zones.push(zone("tester-private1", "no"));
    json!({"zones": {"zone": zones}})
}

/// By zone and by what is sold, in credits an hour for so many of it.
pub fn prices() -> Value {
    let price = |amount: u32, price: f64| json!({"amount": amount, "price": price});
    let zone = |name: &str| {
        json!({"name": name, "firewall": price(1, 0.56), "io_request_maxiops": price(1_000_000, 0.0),
            "ipv4_address": price(1, 0.3), "server_core": price(1, 1.3), "server_memory": price(256, 0.45),
            "storage_maxiops": price(1, 0.028), "server_plan_1xCPU-2GB": price(1, 2.2321),
            "server_plan_2xCPU-4GB": price(1, 4.4642)})
    };
    json!({"prices": {"zone": ZONES.map(zone)}})
}

pub fn templates() -> Value {
    let template = |uuid: &str, title: &str, access: &str| {
        json!({"access": access, "license": 0, "size": 3, "state": "online", "title": title, "type": "template",
            "template_type": "cloud-init", "uuid": uuid})
    };
    json!({"storages": {"storage": [
        template("01000000-0000-4000-8000-000020060100", "Debian GNU/Linux 11 (Bullseye)", "public"),
        template("01000000-0000-4000-8000-000020070000", "Debian GNU/Linux 12 (Bookworm)", "public"),
        template(DEBIAN_12, "Debian GNU/Linux 12 (Bookworm)", "public"),
        template("01000000-0000-4000-8000-000030240200", "Ubuntu Server 24.04 LTS (Noble Numbat)", "public"),
        template("01a1a1a1-0000-4000-8000-000000000001", "Debian 12 of our own", "private"),
    ]}})
}

pub fn is_template(uuid: &str) -> bool {
    templates()["storages"]["storage"].as_array().unwrap().iter().any(|template| template["uuid"] == uuid)
}

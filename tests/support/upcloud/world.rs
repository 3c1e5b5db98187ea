//! What is there: servers with their states, the storages that cost money, and how servers come from one state to another.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{catalogue, order};

/// Servers by id.
pub struct World {
    servers: BTreeMap<String, Server>,
    /// Disks that are there; a server that is deleted without them leaves them.
    pub storages: usize,
    /// Orders that made a server.
    pub made: usize,
    /// How often a server must be looked at until it comes out of `maintenance`.
    pub looks: u32,
    /// Addresses of servers to be, instead of those of a documentation range.
    pub address: Option<String>,
    /// Whether the filter by labels works; without it every server is listed.
    pub filters: bool,
}

struct Server {
    state: &'static str,
    /// What it becomes after so many more looks.
    next: Option<(&'static str, u32)>,
    order: Value,
    number: usize,
}

/// A refusal.
#[derive(Clone, Debug)]
pub struct Denial {
    pub status: u16,
    pub code: String,
    pub message: String,
    /// Whether it is told in the format of RFC 7807.
    pub is_detailed: bool,
}

impl Denial {
    pub fn old(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned(), is_detailed: false }
    }

    pub fn detailed(status: u16, code: &str, message: &str) -> Self {
        Self { is_detailed: true, ..Self::old(status, code, message) }
    }

    fn not_found() -> Self {
        Self::old(404, "SERVER_NOT_FOUND", "The server does not exist.")
    }

    fn state(state: &str) -> Self {
        Self::old(409, "SERVER_STATE_ILLEGAL", &format!("The server is in the state {state}."))
    }
}

impl World {
    pub fn new() -> Self {
        Self { servers: BTreeMap::new(), storages: 0, made: 0, looks: 2, address: None, filters: true }
    }

    /// The servers as their details tell them, by id.
    pub fn servers(&self) -> Vec<Value> {
        self.servers.iter().map(|(id, server)| self.details(id, server)).collect()
    }

    /// Makes so many more servers like this one, at once.
    pub fn repeat(&mut self, id: &str, times: usize) {
        for _ in 0..times {
            self.made += 1;
            let Server { state, next, order, .. } = &self.servers[id];
            let server = Server { state, next: *next, order: order.clone(), number: self.made };
            self.servers.insert(uuid_of(self.made), server);
        }
    }

    /// Puts a server into a state, for good.
    pub fn put(&mut self, id: &str, state: &'static str) {
        let server = self.servers.get_mut(id).unwrap();
        (server.state, server.next) = (state, None);
    }

    pub(super) fn create(&mut self, body: &Value) -> Result<Value, Denial> {
        if let Some(denial) = order::judge(body) {
            return Err(denial);
        }
        self.made += 1;
        let devices = body["server"]["storage_devices"]["storage_device"].as_array().unwrap().len();
        self.storages += devices;
        let id = uuid_of(self.made);
        let server = Server {
            state: "maintenance",
            next: Some(("started", self.looks)),
            order: body["server"].clone(),
            number: self.made,
        };
        let mut details = self.details(&id, &server);
        details["password"] = "one-time-password".into();
        self.servers.insert(id, server);
        Ok(json!({ "server": details }))
    }

    /// A server, looked at.
    pub(super) fn get(&mut self, id: &str) -> Result<Value, Denial> {
        self.look(id);
        let server = self.servers.get(id).ok_or_else(Denial::not_found)?;
        Ok(json!({ "server": self.details(id, server) }))
    }

    /// A page of the servers that carry all these labels, each looked at.
    pub(super) fn list(&mut self, labels: &[(String, String)], limit: usize, offset: usize) -> Value {
        for id in self.servers.keys().cloned().collect::<Vec<_>>() {
            self.look(&id);
        }
        let carries = |server: &&Value| {
            let has = |(key, value): &(String, String)| {
                let of = server["labels"]["label"].as_array().unwrap();
                of.iter().any(|label| label["key"] == *key && label["value"] == *value)
            };
            !self.filters || labels.iter().all(has)
        };
        let servers = self.servers();
        let servers: Vec<Value> = servers.iter().filter(carries).skip(offset).take(limit).map(row).collect();
        json!({ "servers": { "server": servers } })
    }

    pub(super) fn relabel(&mut self, id: &str, body: &Value) -> Result<Value, Denial> {
        let server = self.servers.get_mut(id).ok_or_else(Denial::not_found)?;
        if let Some(denial) = order::judge_change(body) {
            return Err(denial);
        }
        server.order["labels"] = body["server"]["labels"].clone();
        self.get(id)
    }

    pub(super) fn start(&mut self, id: &str, body: &Value) -> Result<Value, Denial> {
        let is_good = order::only(body, "server").is_some_and(|it| it.as_object().is_some_and(|it| it.is_empty()));
        self.turn(id, is_good, ("stopped", "started"))
    }

    pub(super) fn stop(&mut self, id: &str, body: &Value) -> Result<Value, Denial> {
        let kind = order::only(body, "stop_server").and_then(|it| it.get("stop_type"));
        self.turn(id, kind.is_some_and(|kind| kind == "hard" || kind == "soft"), ("started", "stopped"))
    }

    /// Begins the way from a state to another; the answer still tells the old one.
    fn turn(&mut self, id: &str, is_good: bool, (from, to): (&str, &'static str)) -> Result<Value, Denial> {
        let (looks, server) = (self.looks, self.servers.get(id).ok_or_else(Denial::not_found)?);
        if !is_good {
            return Err(Denial::old(400, "UNKNOWN_ATTRIBUTE", "The body is no such request."));
        }
        if server.state != from {
            return Err(Denial::state(server.state));
        }
        let answer = json!({ "server": self.details(id, server) });
        let server = self.servers.get_mut(id).unwrap();
        (server.state, server.next) = ("maintenance", Some((to, looks)));
        Ok(answer)
    }

    pub(super) fn delete(&mut self, id: &str, with_storages: bool) -> Result<(), Denial> {
        let server = self.servers.get(id).ok_or_else(Denial::not_found)?;
        if server.state != "stopped" {
            return Err(Denial::state(server.state));
        }
        let devices = server.order["storage_devices"]["storage_device"].as_array().unwrap().len();
        self.storages -= if with_storages { devices } else { 0 };
        self.servers.remove(id);
        Ok(())
    }

    fn look(&mut self, id: &str) {
        let Some(server) = self.servers.get_mut(id) else { return };
        match server.next {
            Some((state, 0)) => (server.state, server.next) = (state, None),
            Some((state, looks)) => server.next = Some((state, looks - 1)),
            None => {}
        }
    }

    fn details(&self, id: &str, server: &Server) -> Value {
        let order = &server.order;
        let singly = || (order["core_number"].as_u64().unwrap(), order["memory_amount"].as_u64().unwrap());
        let (cores, memory) = order["plan"].as_str().map_or_else(singly, |plan| catalogue::plan(plan).unwrap());
        let own = format!("192.0.2.{}", server.number % 250 + 1);
        let address = self.address.clone().unwrap_or(own);
        json!({
            "uuid": id, "state": server.state, "zone": order["zone"], "title": order["title"],
            "hostname": order["hostname"], "plan": order["plan"].as_str().unwrap_or("custom"),
            "core_number": cores.to_string(), "memory_amount": memory.to_string(), "labels": order["labels"],
            "metadata": order["metadata"], "tags": {"tag": []}, "license": 0,
            "storage_devices": {"storage_device": [{"storage": id, "type": "disk"}]},
            "ip_addresses": {"ip_address": [
                {"access": "utility", "address": format!("10.1.0.{}", server.number % 250 + 1), "family": "IPv4"},
                {"access": "public", "address": address, "family": "IPv4", "part_of_plan": "yes"},
            ]},
        })
    }
}

fn uuid_of(number: usize) -> String {
    format!("{number:08x}-0000-4000-8000-{number:012x}")
}

/// A server as lists tell it.
fn row(details: &Value) -> Value {
    let mut row = details.clone();
    let fields = row.as_object_mut().unwrap();
    for name in ["ip_addresses", "storage_devices", "metadata"] {
        fields.remove(name);
    }
    row
}

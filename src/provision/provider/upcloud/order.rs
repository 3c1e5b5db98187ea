//! Ordering a server: what is sold is asked, and everything the server carries goes into the one call that makes it.

use serde_json::{Map, Value, json};

use super::fields::{Fields, Network};
use super::session::Call;
use super::size::{self, Size};
use super::wire::{self, Details, Sizes, Templates};
use super::{UpCloud, template};
use crate::provision::error::chain;
use crate::provision::provider::ServerSpec;
use crate::provision::provider::cloud::{CallError, Machine, Order};
use crate::provision::secret::{self, SecretError};

/// The size of a disk where neither settings nor plan name one, in GB.
const STORAGE_GB: u64 = 25;

impl UpCloud {
    /// Makes a server.
    pub(super) fn ordered(&self, order: &Order<'_>) -> Result<Machine, CallError> {
        let (extra, secrets) = secret::resolved(&Value::Object(order.spec.extra.clone()), &self.workspace)
            .map_err(|error| not_had(&error))?;
        let spec = ServerSpec { extra: extra.as_object().cloned().unwrap_or_default(), ..order.spec.clone() };
        let fields = Fields::of(&spec)
            .map_err(|error| CallError::Refused { what: error.to_string(), hint: None })
            // What is wrong with a value may quote it.
            .map_err(|error| if secrets.is_empty() { error } else { unfit() })?;
        let size = self.size(&spec, &fields)?;
        let storage = self.template(&fields.template)?;
        let body = json!({ "server": body(order, &fields, &size, &storage) });
        let call = Call { secrets: &secrets, ..Call::post("/server".to_owned(), &body) };
        let details: Details = self.session()?.make(&call).map_err(super::problem::Failure::into_change)?;
        Ok(details.server.into_machine())
    }

    fn size(&self, spec: &ServerSpec, fields: &Fields) -> Result<Size, CallError> {
        let plans = self.plans()?;
        match size::plan(plans.rows(), spec.plan, fields.plan_name.as_deref()) {
            Some(size) => Ok(size),
            None if fields.plan_name.is_some() => {
                Err(size::not_sold(plans.rows(), &[], spec.plan, fields.plan_name.as_deref()))
            }
            None => {
                let sizes: Sizes = self.session()?.get("/server_size", &[])?;
                let custom = size::custom(sizes.rows(), spec.plan);
                custom.ok_or_else(|| size::not_sold(plans.rows(), sizes.rows(), spec.plan, None))
            }
        }
    }

    /// The storage that `wanted` names, by its UUID or by its title.
    fn template(&self, wanted: &str) -> Result<String, CallError> {
        if wanted.parse::<uuid::Uuid>().is_ok() {
            return Ok(wanted.to_owned());
        }
        let templates: Templates = self.session()?.get("/storage/template", &[])?;
        template::choose(templates.rows(), wanted).map(|template| template.uuid.clone())
    }
}

/// The server of the body.
fn body(order: &Order<'_>, fields: &Fields, size: &Size, storage: &str) -> Map<String, Value> {
    let (spec, sold) = (order.spec, size.storage());
    let mut device = Map::new();
    device.insert("action".to_owned(), "clone".into());
    device.insert("storage".to_owned(), storage.into());
    device.insert("title".to_owned(), format!("{} disk", fields.title).into());
    device.insert("size".to_owned(), fields.storage_size.or(sold.size_gb).unwrap_or(STORAGE_GB).into());
    let tier = fields.storage_tier.clone().or_else(|| sold.tier.clone());
    device.extend(tier.map(|tier| ("tier".to_owned(), tier.into())));
    let keys = [order.public_key].into_iter().chain(fields.ssh_keys.iter().map(String::as_str));
    let keys: Vec<&str> = keys.map(str::trim).collect();
    let interfaces: Vec<Value> = fields.networking.iter().map(interface).collect();
    let server = json!({
        "zone": spec.zone.as_str(),
        "title": fields.title,
        "hostname": fields.hostname,
        "labels": wire::labels(order.labels),
        "metadata": "yes",
        "password_delivery": "none",
        "storage_devices": { "storage_device": [device] },
        "networking": { "interfaces": { "interface": interfaces } },
        "login_user": { "username": fields.login, "create_password": "no", "ssh_keys": { "ssh_key": keys } },
    });
    let Value::Object(mut server) = server else { return Map::new() };
    match size {
        Size::Plan { name, .. } => server.extend([("plan".to_owned(), name.clone().into())]),
        Size::Custom { cores, memory_mib } => server
            .extend([("core_number".to_owned(), (*cores).into()), ("memory_amount".to_owned(), (*memory_mib).into())]),
    }
    server.extend(fields.user_data.clone().map(|text| ("user_data".to_owned(), text.into())));
    server
}

fn interface(network: &Network) -> Value {
    let mut interface = json!({
        "type": network.kind,
        "ip_addresses": { "ip_address": [{ "family": network.family }] },
    });
    if let (Some(id), Some(fields)) = (&network.id, interface.as_object_mut()) {
        fields.insert("network".to_owned(), id.clone().into());
    }
    interface
}

fn not_had(error: &SecretError) -> CallError {
    CallError::Refused { what: format!("a secret of the server can't be had: {}", chain(error)), hint: error.hint() }
}

fn unfit() -> CallError {
    let what = "a field of the server that is a secret holds something that can't stand there".to_owned();
    CallError::Refused { what, hint: None }
}

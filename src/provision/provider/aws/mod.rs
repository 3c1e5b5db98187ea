//! The provider `aws`: servers as EC2 instances.
//!
//! Start at [`Aws`], one call of [`Api`] a method. [`call`] speaks with EC2; [`fault`] says how far a call is that failed;
//! [`launch`] puts the call together that makes a machine, of what [`fields`] checks and [`images`] and [`network`] find;
//! [`machine`] reads what EC2 reports; [`regions`] knows where to look. When to call, how often, and what a lost answer
//! means is not known here.
//!
//! A machine carries as tags all its labels, `Name`, and what was asked for (`prov-plan`, `prov-zone`): a plan of one
//! processor may get a type with two, and a region a zone that EC2 picked. Its disks go with it. A key pair for each key of
//! prov's and a security group for each infra stay: they cost nothing, and others may be about to use them.

mod answers;
mod call;
mod credentials;
mod environment;
mod fault;
mod fields;
mod images;
mod launch;
mod machine;
mod metadata;
mod network;
mod optional;
mod place;
mod query;
mod regions;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use self::answers::{Change, Changes, Done, Image, NamedRegion, NamedZone, Reservation, Reservations};
use self::call::{Ec2, Fault, Query};
pub use self::environment::Environment;
use self::fields::Fields;
use self::images::Wish;
use self::launch::Parts;
use self::place::{Place, Region};
use self::regions::Regions;
use super::cloud::{Api, CallError, Catalogue, Deletion, INFRA, Labels, Machine, MachineConsole, Order};
use super::optional::Images;
use super::{ProviderError, ServerSpec};
use crate::model::digest::sha256;
use crate::model::name::Name;
use crate::provision::error::chain;
use crate::provision::secret::{self, Redaction};
use crate::provision::workspace::Workspace;

/// How long EC2 may take until what was made is known everywhere. Its documentation speaks of seconds, rarely minutes.
const SETTLES: Duration = Duration::from_mins(1);
/// How many machines an answer has.
const PAGE: &str = "1000";
/// Where the account's regions are asked for when nothing else says.
const ANY_REGION: &str = "us-east-1";

/// EC2 for one workspace.
pub struct Aws {
    workspace: Workspace,
    ec2: Ec2,
    regions: Regions,
    /// What servers of one kind have in common is looked for once in a process.
    images: Mutex<BTreeMap<(Region, Wish), Image>>,
    groups: Mutex<BTreeMap<GroupKey, Vec<String>>>,
    key_pairs: Mutex<BTreeSet<(Region, String)>>,
    /// When this process made which machine.
    made: Mutex<BTreeMap<String, Instant>>,
}

/// What security groups depend on.
type GroupKey = (Place, Name, Option<String>, Vec<String>);

impl Aws {
    /// EC2 by the variables of this process. Nothing is asked and no credentials are looked for yet.
    ///
    /// # Errors
    /// None yet.
    pub fn open(workspace: &Workspace) -> Result<Self, ProviderError> {
        Ok(Self::with(workspace, Environment::of_process()))
    }

    /// EC2 by these variables.
    #[must_use]
    pub fn with(workspace: &Workspace, environment: Environment) -> Self {
        let state_dir = workspace.state_dir();
        Self {
            workspace: workspace.clone(),
            regions: Regions::of(&state_dir),
            ec2: Ec2::new(environment, state_dir),
            images: Mutex::default(),
            groups: Mutex::default(),
            key_pairs: Mutex::default(),
            made: Mutex::default(),
        }
    }

    /// Every region where machines of this workspace can be.
    fn places(&self) -> Result<BTreeSet<Region>, CallError> {
        let mut regions = self.regions.named();
        regions.extend(self.ec2.default_region());
        match self.regions.remembered().map_err(|error| self.forgetful(&error))? {
            Some(remembered) => regions.extend(remembered),
            None => regions.extend(self.look_round(&regions)?),
        }
        if regions.is_empty() {
            let (what, hint) = ("no region is known", "set AWS_REGION, or a region in the profile");
            return Err(CallError::Refused { what: what.to_owned(), hint: Some(hint.to_owned()) });
        }
        Ok(regions)
    }

    /// The regions of the account that have machines of prov's; they are remembered. Regions that refuse to be asked by
    /// these credentials are none where they could have made something.
    fn look_round(&self, known: &BTreeSet<Region>) -> Result<Vec<Region>, CallError> {
        let from = known.first().cloned().or_else(|| Region::new(ANY_REGION));
        let all = match from.map(|from| self.enabled_regions(&from)) {
            Some(Err(CallError::Refused { .. })) if !known.is_empty() => return Ok(Vec::new()),
            Some(all) => all?,
            None => Vec::new(),
        };
        let mut found = Vec::new();
        for region in all {
            let query = Query::of("DescribeInstances").filter("tag-key", [INFRA]);
            match self.described(&region, query) {
                Ok(machines) if machines.is_empty() => {}
                Ok(_) => found.push(region),
                Err(CallError::Refused { .. }) if !known.contains(&region) => {}
                Err(error) => return Err(error),
            }
        }
        self.regions.remember(&found).map_err(|error| self.forgetful(&error))?;
        Ok(found)
    }

    fn enabled_regions(&self, from: &Region) -> Result<Vec<Region>, CallError> {
        let regions: answers::Regions =
            self.ec2.call(from, &Query::of("DescribeRegions")).map_err(Fault::into_error)?;
        let named = |named: &NamedRegion| Region::new(&named.region_name);
        Ok(regions.region_info.items.iter().filter_map(named).collect())
    }

    fn forgetful(&self, error: &std::io::Error) -> CallError {
        let what = format!("can't remember regions in {}: {error}", self.regions.path().display());
        CallError::Refused { what, hint: Some("without that, machines could be overlooked later".to_owned()) }
    }

    /// The machines that a region has for a query, over all its pages.
    fn described(&self, region: &Region, query: Query) -> Result<Vec<Machine>, CallError> {
        let query = query.filter("instance-state-name", machine::STATES).with("MaxResults", PAGE);
        let (mut machines, mut next) = (Vec::new(), None::<String>);
        loop {
            let page = query.clone().maybe("NextToken", next.as_deref());
            let page: Reservations = self.ec2.call(region, &page).map_err(Fault::into_error)?;
            let instances = page.reservation_set.items.into_iter().flat_map(|one| one.instances_set.items);
            machines.extend(instances.filter_map(machine::of));
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(machines);
            }
        }
    }

    /// The key pair of this public key in the region, imported where it isn't there.
    fn key_pair(&self, region: &Region, public_key: &str) -> Result<String, CallError> {
        let digest: String =
            sha256(public_key.trim().as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("prov-{digest}");
        let mut known = self.key_pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&(region.clone(), name.clone())) {
            return Ok(name);
        }
        let query = Query::of("ImportKeyPair").with("KeyName", &name);
        let query = query.with("PublicKeyMaterial", STANDARD.encode(public_key.trim()));
        match self.ec2.call::<Done>(region, &query) {
            Ok(_) => {}
            Err(fault) if fault.is("InvalidKeyPair.Duplicate") => {}
            Err(fault) => return Err(fault.into_error()),
        }
        known.insert((region.clone(), name.clone()));
        Ok(name)
    }

    fn image(&self, region: &Region, wish: Wish) -> Result<Image, CallError> {
        let mut known = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (region.clone(), wish);
        if let Some(image) = known.get(&key) {
            return Ok(image.clone());
        }
        let image = images::find(&self.ec2, region, &key.1)?;
        known.insert(key, image.clone());
        Ok(image)
    }

    fn groups(&self, infra: &Name, fields: &Fields<'_>) -> Result<Vec<String>, CallError> {
        let names = fields.security_groups.iter().map(|group| (*group).to_owned()).collect();
        let key = (fields.place.clone(), infra.clone(), fields.subnet.map(str::to_owned), names);
        let mut known = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(groups) = known.get(&key) {
            return Ok(groups.clone());
        }
        let groups = network::security_groups(&self.ec2, infra, fields)?;
        known.insert(key, groups.clone());
        Ok(groups)
    }

    /// What was just made and isn't known everywhere yet, or has gone: it is looked for, or made, anew.
    fn forget(&self) {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.key_pairs.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Api for Aws {
    fn name(&self) -> &'static str {
        "aws"
    }

    fn validate(&self, spec: &ServerSpec) -> Result<(), ProviderError> {
        let fields = Fields::of(spec)?;
        self.regions.name(&fields.place.region);
        Ok(())
    }

    fn warnings(&self, spec: &ServerSpec) -> Vec<String> {
        let Ok(fields) = Fields::of(spec) else { return Vec::new() };
        let size = types::size_of(&fields.instance_type).filter(|size| *size != spec.plan);
        let size = size.map(|size| {
            format!("its type {} has {} processors and {} MiB", fields.instance_type, size.cpus, size.memory_mib)
        });
        let login = fields.login().is_none().then(|| {
            format!(
                "commands run as the user {}; name the `login` of its image where that is another",
                self.login(spec)
            )
        });
        size.into_iter().chain(login).collect()
    }

    /// The plans with the types that they get, and the zones of every region that the account has switched on.
    fn catalogue(&self) -> Result<Catalogue, CallError> {
        let from = self.ec2.default_region().or_else(|| Region::new(ANY_REGION));
        let mut zones = Vec::new();
        for region in from.map_or_else(|| Ok(Vec::new()), |from| self.enabled_regions(&from))? {
            let found: answers::Zones =
                self.ec2.call(&region, &Query::of("DescribeAvailabilityZones")).map_err(Fault::into_error)?;
            zones.push(region.to_string());
            zones.extend(found.availability_zone_info.items.into_iter().map(|zone: NamedZone| zone.zone_name));
        }
        zones.sort();
        Ok(Catalogue { plans: types::offers(), zones })
    }

    fn images(&self) -> Option<&dyn Images<CallError>> {
        Some(self)
    }

    fn console(&self) -> Option<&dyn MachineConsole> {
        Some(self)
    }

    fn find(&self, labels: &Labels) -> Result<Vec<Machine>, CallError> {
        // `*` and `?` stand for anything in a filter: what has them is compared here alone.
        let plain = labels.iter().filter(|(_, value)| !value.contains(['*', '?', '\\']));
        let query = plain
            .fold(Query::of("DescribeInstances"), |query, (key, value)| query.filter(&format!("tag:{key}"), [value]));
        let mut machines = Vec::new();
        for region in self.places()? {
            machines.extend(self.described(&region, query.clone())?);
        }
        machines.retain(|machine| labels.iter().all(|(key, value)| machine.labels.get(key) == Some(value)));
        machines.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(machines)
    }

    fn create(&self, order: &Order<'_>) -> Result<Machine, CallError> {
        let (extra, secrets) = secret::resolved(&Value::Object(order.spec.extra.clone()), &self.workspace)
            .map_err(|error| CallError::Refused { what: chain(&error), hint: error.hint() })?;
        let spec = ServerSpec { extra: extra.as_object().cloned().unwrap_or_default(), ..order.spec.clone() };
        let made = self.ordered(&Order { spec: &spec, ..*order });
        let redaction = Redaction::of(&secrets);
        made.map_err(|error| error.map_text(|text| redaction.text(&text)))
    }

    fn start(&self, machine: &Machine) -> Result<(), CallError> {
        let query = Query::of("StartInstances").list("InstanceId", [&machine.id]);
        self.change(machine, &query)
    }

    fn delete(&self, machine: &Machine) -> Result<Deletion, CallError> {
        let query = Query::of("TerminateInstances").list("InstanceId", [&machine.id]);
        let changes: Changes = match self.ec2.call(&region_of(machine)?, &query) {
            Ok(changes) => changes,
            Err(fault) if fault.is("InvalidInstanceID.NotFound") => {
                return Ok(if self.is_new(machine) { Deletion::Going } else { Deletion::Gone });
            }
            Err(fault) => return Err(fault.into_error()),
        };
        let is_gone = |change: &Change| {
            [&change.previous_state, &change.current_state].iter().any(|state| state.name == machine::TERMINATED)
        };
        let is_gone = changes.instances_set.items.iter().all(is_gone);
        Ok(if is_gone { Deletion::Gone } else { Deletion::Going })
    }

    fn relabel(&self, machine: &Machine, labels: &Labels) -> Result<(), CallError> {
        let query = |action| Query::of(action).list("ResourceId", [&machine.id]);
        if !labels.is_empty() {
            self.change(machine, &query("CreateTags").tags("Tag", labels))?;
        }
        let old = machine.labels.keys().filter(|key| !labels.contains_key(*key));
        let delete = (1..)
            .zip(old)
            .fold(query("DeleteTags"), |query, (number, key)| query.with(format!("Tag.{number}.Key"), key));
        if machine.labels.keys().all(|key| labels.contains_key(key)) {
            // Without a tag to delete it would delete all.
            return Ok(());
        }
        self.change(machine, &delete)
    }

    fn login(&self, spec: &ServerSpec) -> String {
        let known = Fields::of(spec).ok().and_then(|fields| fields.login().map(str::to_owned));
        known.unwrap_or_else(|| images::DEFAULT_LOGIN.to_owned())
    }

    fn knows_tokens(&self) -> bool {
        true
    }

    fn settles_within(&self) -> Duration {
        SETTLES
    }
}

impl Aws {
    /// Orders a machine whose fields hold no references any more.
    fn ordered(&self, order: &Order<'_>) -> Result<Machine, CallError> {
        let fields = Fields::of(order.spec).map_err(refused)?;
        let region = &fields.place.region;
        self.regions.remember([region]).map_err(|error| self.forgetful(&error))?;
        let wish = Wish::of(fields.image, fields.image_owner, &fields.instance_type);
        let parts = Parts {
            order,
            fields: &fields,
            image: &self.image(region, wish)?,
            groups: &self.groups(&order.spec.infra, &fields)?,
            key_pair: &self.key_pair(region, order.public_key)?,
        };
        let made: Reservation = self.ec2.call(region, &launch::query(&parts)).map_err(|fault| {
            let is_ours = (fields.security_groups.is_empty() && fault.is("InvalidGroup.NotFound"))
                || (fields.key_name.is_none() && fault.is("InvalidKeyPair.NotFound"));
            if is_ours {
                self.forget();
                fault.into_later()
            } else {
                fault.into_error()
            }
        })?;
        let machine = made.instances_set.items.into_iter().find_map(machine::of);
        let machine =
            machine.ok_or_else(|| CallError::Unknown("RunInstances: the answer names no machine".to_owned()))?;
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(machine.id.clone(), Instant::now());
        Ok(machine)
    }

    /// A call that changes a machine; one that EC2 doesn't know yet will be known.
    fn change(&self, machine: &Machine, query: &Query) -> Result<(), CallError> {
        match self.ec2.call::<Done>(&region_of(machine)?, query) {
            Ok(_) => Ok(()),
            Err(fault) if fault.is("InvalidInstanceID.NotFound") && self.is_new(machine) => Err(fault.into_later()),
            Err(fault) => Err(fault.into_error()),
        }
    }

    /// Whether this process made it so lately that EC2 may not know it everywhere.
    fn is_new(&self, machine: &Machine) -> bool {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(&machine.id).is_some_and(|at| at.elapsed() < SETTLES)
    }
}

fn region_of(machine: &Machine) -> Result<Region, CallError> {
    Place::of(&machine.zone).map(|place| place.region).map_err(refused)
}

// Taken by value to stand in `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn refused(error: ProviderError) -> CallError {
    CallError::Refused { what: error.to_string(), hint: error.hint() }
}

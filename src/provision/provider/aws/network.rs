//! The network that a server is put into: its subnet and its security groups.
//!
//! Where none are named, an infra has one group in each network, `prov-INFRA`, which lets ssh in and everything out. It
//! stays when the servers go: others may be about to use it, and it costs nothing.

use std::collections::BTreeMap;

use super::answers::{Done, Group, Groups, NewGroup, Permission, Subnet, Subnets, Vpcs};
use super::call::{Ec2, Fault, Query};
use super::fields::Fields;
use super::place::Region;
use crate::model::name::Name;
use crate::provision::provider::cloud::{CallError, INFRA};

const SSH: i32 = 22;
/// From everywhere: who may come in is decided by keys.
const EVERYWHERE: (&str, &str) = ("0.0.0.0/0", "::/0");

/// The security groups of a server, by their ids.
pub fn security_groups(ec2: &Ec2, infra: &Name, fields: &Fields<'_>) -> Result<Vec<String>, CallError> {
    let region = &fields.place.region;
    let named: Vec<&str> = fields.security_groups.iter().copied().filter(|group| !group.starts_with("sg-")).collect();
    if named.is_empty() && !fields.security_groups.is_empty() {
        return Ok(fields.security_groups.iter().map(|id| (*id).to_owned()).collect());
    }
    let network = network_of(ec2, fields)?;
    if fields.security_groups.is_empty() {
        return own(ec2, region, infra, &network).map(|id| vec![id]);
    }
    let found = with_names(ec2, region, &named, &network).map_err(Fault::into_error)?;
    let id_of = |group: &&str| match found.iter().find(|known| known.group_name == **group) {
        _ if group.starts_with("sg-") => Ok((*group).to_owned()),
        Some(known) => Ok(known.group_id.clone()),
        None => Err(CallError::Refused {
            what: format!("there is no security group {group:?} in the network {network} in {region}"),
            hint: Some("check `security_groups` and `subnet`".to_owned()),
        }),
    };
    fields.security_groups.iter().map(id_of).collect()
}

/// The network (VPC) of the server's subnet, or the region's default one.
fn network_of(ec2: &Ec2, fields: &Fields<'_>) -> Result<String, CallError> {
    let region = &fields.place.region;
    if let Some(id) = fields.subnet {
        return subnet(ec2, region, id).and_then(|subnet| match &fields.place.zone {
            Some(zone) if *zone != subnet.availability_zone => Err(CallError::Refused {
                what: format!("the subnet {id} is in {}, not in {zone}", subnet.availability_zone),
                hint: Some("name the subnet's zone, or only the region".to_owned()),
            }),
            _ => Ok(subnet.vpc_id),
        });
    }
    let vpcs: Vpcs =
        ec2.call(region, &Query::of("DescribeVpcs").filter("is-default", ["true"])).map_err(Fault::into_error)?;
    let default = vpcs.vpc_set.items.into_iter().next().map(|vpc| vpc.vpc_id);
    default.ok_or_else(|| CallError::Refused {
        what: format!("the account has no default network in {region}"),
        hint: Some("name a `subnet`, or make the default network: aws ec2 create-default-vpc".to_owned()),
    })
}

fn subnet(ec2: &Ec2, region: &Region, id: &str) -> Result<Subnet, CallError> {
    let subnets: Subnets =
        ec2.call(region, &Query::of("DescribeSubnets").list("SubnetId", [id])).map_err(Fault::into_error)?;
    let subnet = subnets.subnet_set.items.into_iter().next();
    subnet.ok_or_else(|| CallError::Refused { what: format!("there is no subnet {id} in {region}"), hint: None })
}

fn with_names(ec2: &Ec2, region: &Region, names: &[&str], network: &str) -> Result<Vec<Group>, Fault> {
    let query = Query::of("DescribeSecurityGroups").filter("group-name", names).filter("vpc-id", [network]);
    ec2.call(region, &query).map(|groups: Groups| groups.security_group_info.items)
}

/// The infra's own group, made where there is none.
fn own(ec2: &Ec2, region: &Region, infra: &Name, network: &str) -> Result<String, CallError> {
    let name = format!("prov-{infra}");
    let found = with_names(ec2, region, &[&name], network).map_err(Fault::into_error)?;
    let id = match found.first() {
        Some(group) if !is_own(group, infra) => {
            return Err(CallError::Refused {
                what: format!("the security group {name} in {region} isn't prov's"),
                hint: Some(format!("name `security_groups`, or give it the tag {INFRA}={infra}")),
            });
        }
        // Whoever narrowed down whence ssh may come is left in peace.
        Some(group) if group.ip_permissions.items.iter().any(lets_ssh_in) => return Ok(group.group_id.clone()),
        Some(group) => group.group_id.clone(),
        None => make(ec2, region, infra, &name, network)?,
    };
    let (v4, v6) = EVERYWHERE;
    let query =
        Query::of("AuthorizeSecurityGroupIngress").with("GroupId", &id).with("IpPermissions.1.IpProtocol", "tcp");
    let query = ["FromPort", "ToPort"]
        .iter()
        .fold(query, |query, port| query.with(format!("IpPermissions.1.{port}"), SSH.to_string()));
    let query = query.with("IpPermissions.1.IpRanges.1.CidrIp", v4).with("IpPermissions.1.Ipv6Ranges.1.CidrIpv6", v6);
    match ec2.call::<Done>(region, &query) {
        Ok(_) => Ok(id),
        Err(fault) if fault.is("InvalidPermission.Duplicate") => Ok(id),
        Err(fault) if fault.is("InvalidGroup.NotFound") => Err(fault.into_later()),
        Err(fault) => Err(fault.into_error()),
    }
}

fn make(ec2: &Ec2, region: &Region, infra: &Name, name: &str, network: &str) -> Result<String, CallError> {
    let tags = BTreeMap::from([(INFRA.to_owned(), infra.to_string())]);
    let query = Query::of("CreateSecurityGroup").with("GroupName", name).with("VpcId", network);
    let query =
        query.with("GroupDescription", format!("servers of the infra {infra}")).tagging("security-group", &tags);
    match ec2.call::<NewGroup>(region, &query) {
        Ok(made) => Ok(made.group_id),
        // Somebody else makes it as well: it is there, and will be found.
        Err(fault) if fault.is("InvalidGroup.Duplicate") => {
            let found = with_names(ec2, region, &[name], network).map_err(Fault::into_error)?;
            found.into_iter().next().map(|group| group.group_id).ok_or_else(|| fault.into_later())
        }
        Err(fault) => Err(fault.into_error()),
    }
}

fn is_own(group: &Group, infra: &Name) -> bool {
    group.tag_set.items.iter().any(|tag| tag.key == INFRA && tag.value == infra.as_str())
}

fn lets_ssh_in(permission: &Permission) -> bool {
    let in_range =
        || permission.from_port.is_some_and(|from| from <= SSH) && permission.to_port.is_some_and(|to| to >= SSH);
    permission.ip_protocol == "-1" || (permission.ip_protocol == "tcp" && in_range())
}

//! The call that makes a machine, put together.
//!
//! Everything that a machine is to carry goes into this one call, and so does the token: there is no moment at which a
//! machine is there and can't be found.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::answers::Image;
use super::fields::{Fields, NAME_TAG};
use super::machine::{PLAN_TAG, ZONE_TAG, plan_tag};
use super::query::Query;
use crate::model::digest::sha256;
use crate::provision::provider::cloud::{Labels, OWN, Order};

/// The longest token that EC2 takes, in characters.
const MOST_TOKEN_CHARS: usize = 64;
/// The line that parts a user's words to cloud-init from prov's.
const BOUNDARY: &str = "prov-0c6f8a52b9d14e77";

/// What a server is put together from.
pub struct Parts<'a> {
    /// What is ordered.
    pub order: &'a Order<'a>,
    /// Its fields.
    pub fields: &'a Fields<'a>,
    /// Its image.
    pub image: &'a Image,
    /// Its security groups, by their ids.
    pub groups: &'a [String],
    /// The key pair that lets prov in.
    pub key_pair: &'a str,
}

/// The call.
#[must_use]
pub fn query(parts: &Parts<'_>) -> Query {
    let Parts { order, fields, .. } = parts;
    let query =
        Query::of("RunInstances").with("MinCount", "1").with("MaxCount", "1").with("ClientToken", token(order.token));
    let query = query.with("ImageId", &parts.image.image_id).with("InstanceType", &fields.instance_type);
    let query = query.with("KeyName", fields.key_name.unwrap_or(parts.key_pair));
    let query = query.maybe("Placement.AvailabilityZone", fields.place.zone.as_deref());
    let query = query.maybe("IamInstanceProfile.Name", fields.iam_profile);
    // Nothing that runs in the machine gets its role's keys by a mere GET.
    let query = query.with("MetadataOptions.HttpTokens", "required");
    let query = user_data(fields, order.public_key)
        .into_iter()
        .fold(query, |query, data| query.with("UserData", STANDARD.encode(data)));
    let query = disks(networked(query, parts), parts);
    let tags = tags(order, &fields.instance_type);
    query.tagging("instance", &tags).tagging("volume", &of_volumes(&tags))
}

/// Addresses are assigned by interfaces only, and where there is an interface the rest of the network is its as well.
fn networked(query: Query, parts: &Parts<'_>) -> Query {
    let Parts { fields, groups, .. } = parts;
    let Some(is_public) = fields.public_ip else {
        return query.maybe("SubnetId", fields.subnet).list("SecurityGroupId", *groups);
    };
    let query =
        query.with("NetworkInterface.1.DeviceIndex", "0").with("NetworkInterface.1.DeleteOnTermination", "true");
    let query = query.with("NetworkInterface.1.AssociatePublicIpAddress", is_public.to_string());
    query.maybe("NetworkInterface.1.SubnetId", fields.subnet).list("NetworkInterface.1.SecurityGroupId", *groups)
}

/// No disk outlives its machine, whatever the image says.
fn disks(query: Query, parts: &Parts<'_>) -> Query {
    let root = parts.image.root_device_name.as_deref().unwrap_or_default();
    let volumes = parts.image.block_device_mapping.item.iter();
    let volumes = volumes.filter_map(|device| Some((device.device_name.as_str(), device.ebs.as_ref()?.volume_size)));
    let mut volumes: Vec<(&str, Option<u64>)> = volumes.collect();
    if parts.fields.root_gb.is_some() && !root.is_empty() && volumes.iter().all(|(name, _)| *name != root) {
        volumes.push((root, None));
    }
    (1..).zip(volumes).fold(query, |query, (number, (name, size_gb))| {
        let device = format!("BlockDeviceMapping.{number}");
        let query = query.with(format!("{device}.DeviceName"), name);
        let query = query.with(format!("{device}.Ebs.DeleteOnTermination"), "true");
        let size_gb = parts.fields.root_gb.filter(|_| name == root).or(size_gb);
        size_gb.into_iter().fold(query, |query, gb| query.with(format!("{device}.Ebs.VolumeSize"), gb.to_string()))
    })
}

/// All labels, what was asked for, and the name that the AWS console shows.
fn tags(order: &Order<'_>, instance_type: &str) -> Labels {
    let mut tags = order.labels.clone();
    tags.insert(PLAN_TAG.to_owned(), plan_tag(order.spec.plan, instance_type));
    tags.insert(ZONE_TAG.to_owned(), order.spec.zone.to_string());
    tags.insert(NAME_TAG.to_owned(), order.spec.name.to_string());
    tags
}

/// Those of the user may change later; a disk is only to tell whose it is.
fn of_volumes(tags: &Labels) -> Labels {
    tags.clone().into_iter().filter(|(key, _)| key == NAME_TAG || key.starts_with(OWN)).collect()
}

/// What the machine's cloud-init is told. A machine has one key pair: where the user names it, prov's own key goes this way.
fn user_data(fields: &Fields<'_>, public_key: &str) -> Option<String> {
    // A line of `authorized_keys` in quotation marks that mean the same in YAML and in JSON.
    let keys = || serde_json::json!({ "ssh_authorized_keys": [public_key.trim()] });
    match (fields.user_data, fields.key_name) {
        (data, None) => data.map(str::to_owned),
        (None, Some(_)) => Some(format!("#cloud-config\n{}\n", keys())),
        (Some(data), Some(_)) => {
            let head = format!("Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n");
            let merge = "Merge-Type: list(append)+dict(recurse_list)+str()";
            // cloud-init tells by a plain text's first line what it is.
            let theirs = format!("--{BOUNDARY}\nContent-Type: text/plain; charset=\"utf-8\"\n\n{data}\n");
            let ours =
                format!("--{BOUNDARY}\nContent-Type: text/cloud-config; charset=\"utf-8\"\n{merge}\n\n{}\n", keys());
            Some(format!("{head}\n{theirs}{ours}--{BOUNDARY}--\n"))
        }
    }
}

/// The token as EC2 takes it.
fn token(token: &str) -> String {
    if token.len() <= MOST_TOKEN_CHARS && token.is_ascii() {
        return token.to_owned();
    }
    sha256(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provision::provider::ServerSpec;

    fn encoded(extra: &serde_json::Value) -> String {
        let spec = json!({"infra": "i", "name": "s", "plan": "1xCPU-2 GB", "zone": "eu-west-1a", "extra": extra});
        let spec: ServerSpec = serde_json::from_value(spec).unwrap();
        let labels = Labels::from([("prov-infra".to_owned(), "i".to_owned()), ("team".to_owned(), "x".to_owned())]);
        let order = Order { spec: &spec, token: "t1", labels: &labels, public_key: "ssh-ed25519 AAAA prov\n" };
        let image = "<i><imageId>ami-1</imageId><rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping>\
            <item><deviceName>/dev/xvda</deviceName><ebs><volumeSize>8</volumeSize></ebs></item><item><deviceName>/dev/sdb</deviceName></item></blockDeviceMapping></i>";
        let parts = Parts {
            order: &order,
            fields: &Fields::of(&spec).unwrap(),
            image: &quick_xml::de::from_str(image).unwrap(),
            groups: &["sg-1".to_owned()],
            key_pair: "prov-k",
        };
        let pairs = form_urlencoded::parse(query(&parts).encoded().as_bytes()).into_owned().collect::<Vec<_>>();
        pairs.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
    }

    fn data_of(encoded: &str) -> String {
        let line = encoded.lines().find_map(|line| line.strip_prefix("UserData=")).unwrap();
        String::from_utf8(STANDARD.decode(line).unwrap()).unwrap()
    }

    #[test]
    fn the_one_call_carries_everything() {
        insta::assert_snapshot!(encoded(&json!({})), @r"
        Action=RunInstances
        Version=2016-11-15
        MinCount=1
        MaxCount=1
        ClientToken=t1
        ImageId=ami-1
        InstanceType=t3.small
        KeyName=prov-k
        Placement.AvailabilityZone=eu-west-1a
        MetadataOptions.HttpTokens=required
        SecurityGroupId.1=sg-1
        BlockDeviceMapping.1.DeviceName=/dev/xvda
        BlockDeviceMapping.1.Ebs.DeleteOnTermination=true
        BlockDeviceMapping.1.Ebs.VolumeSize=8
        TagSpecification.1.ResourceType=instance
        TagSpecification.1.Tag.1.Key=Name
        TagSpecification.1.Tag.1.Value=s
        TagSpecification.1.Tag.2.Key=prov-infra
        TagSpecification.1.Tag.2.Value=i
        TagSpecification.1.Tag.3.Key=prov-plan
        TagSpecification.1.Tag.3.Value=1xCPU-2 GB = t3.small
        TagSpecification.1.Tag.4.Key=prov-zone
        TagSpecification.1.Tag.4.Value=eu-west-1a
        TagSpecification.1.Tag.5.Key=team
        TagSpecification.1.Tag.5.Value=x
        TagSpecification.2.ResourceType=volume
        TagSpecification.2.Tag.1.Key=Name
        TagSpecification.2.Tag.1.Value=s
        TagSpecification.2.Tag.2.Key=prov-infra
        TagSpecification.2.Tag.2.Value=i
        TagSpecification.2.Tag.3.Key=prov-plan
        TagSpecification.2.Tag.3.Value=1xCPU-2 GB = t3.small
        TagSpecification.2.Tag.4.Key=prov-zone
        TagSpecification.2.Tag.4.Value=eu-west-1a
        ");
    }

    #[test]
    fn an_address_is_the_interfaces_and_a_size_the_roots() {
        let encoded = encoded(&json!({"public_ip": false, "subnet": "subnet-1", "root_gb": 20, "iam_profile": "p"}));
        for line in [
            "NetworkInterface.1.AssociatePublicIpAddress=false",
            "NetworkInterface.1.SubnetId=subnet-1",
            "NetworkInterface.1.SecurityGroupId.1=sg-1",
            "BlockDeviceMapping.1.Ebs.VolumeSize=20",
            "IamInstanceProfile.Name=p",
        ] {
            assert!(encoded.contains(&format!("{line}\n")), "{line} in {encoded}");
        }
        assert!(!encoded.contains("\nSubnetId") && !encoded.contains("\nSecurityGroupId"), "{encoded}");
    }

    #[test]
    fn provs_own_key_gets_in_beside_the_users() {
        let alone = encoded(&json!({"key_name": "mine"}));
        assert!(alone.contains("KeyName=mine\n"));
        assert_eq!(data_of(&alone), "#cloud-config\n{\"ssh_authorized_keys\":[\"ssh-ed25519 AAAA prov\"]}\n");
        let both = data_of(&encoded(&json!({"key_name": "mine", "user_data": "#!/bin/sh\ntrue"})));
        assert!(both.contains("\n\n#!/bin/sh\ntrue\n--prov") && both.contains("ssh-ed25519 AAAA prov"), "{both}");
        assert_eq!(data_of(&encoded(&json!({"user_data": "#!/bin/sh"}))), "#!/bin/sh");
    }

    #[test]
    fn a_long_token_is_still_one() {
        assert_eq!(token("a"), "a");
        let long = token(&"a".repeat(65));
        assert!(long.len() == 64 && long != token(&"a".repeat(66)));
    }
}

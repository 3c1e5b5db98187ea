//! What EC2 answers, as far as it is read.

#![allow(clippy::struct_field_names, reason = "the names are EC2's")]

use serde::Deserialize;

/// A list, as EC2 writes them.
#[derive(Debug, Deserialize)]
pub struct Set<T> {
    #[serde(rename = "item", default = "Vec::new")]
    pub items: Vec<T>,
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

/// Of `DescribeInstances`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservations {
    #[serde(default)]
    pub reservation_set: Set<Reservation>,
    pub next_token: Option<String>,
}

/// Of `RunInstances` as well.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    #[serde(default)]
    pub instances_set: Set<Instance>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    pub instance_id: String,
    pub instance_state: State,
    #[serde(default)]
    pub instance_type: String,
    #[serde(default)]
    pub placement: Placement,
    pub ip_address: Option<String>,
    pub private_ip_address: Option<String>,
    #[serde(default)]
    pub tag_set: Set<Tag>,
}

#[derive(Debug, Default, Deserialize)]
pub struct State {
    #[serde(default)]
    pub name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    #[serde(default)]
    pub availability_zone: String,
}

#[derive(Debug, Deserialize)]
pub struct Tag {
    pub key: String,
    #[serde(default)]
    pub value: String,
}

/// Of `TerminateInstances`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    #[serde(default)]
    pub instances_set: Set<Change>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    #[serde(default)]
    pub previous_state: State,
    #[serde(default)]
    pub current_state: State,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Images {
    #[serde(default)]
    pub images_set: Set<Image>,
    pub next_token: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    pub image_id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub image_owner_id: String,
    pub architecture: Option<String>,
    #[serde(default)]
    pub creation_date: String,
    pub root_device_name: Option<String>,
    #[serde(default)]
    pub block_device_mapping: Devices,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Devices {
    #[serde(default)]
    pub item: Vec<Device>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    pub device_name: String,
    pub ebs: Option<Ebs>,
}

/// What a device has that is a volume.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ebs {
    /// In GiB.
    pub volume_size: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Groups {
    #[serde(default)]
    pub security_group_info: Set<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    pub group_id: String,
    #[serde(default)]
    pub group_name: String,
    #[serde(default)]
    pub ip_permissions: Set<Permission>,
    #[serde(default)]
    pub tag_set: Set<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    #[serde(default)]
    pub ip_protocol: String,
    pub from_port: Option<i32>,
    pub to_port: Option<i32>,
}

/// Of `CreateSecurityGroup`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewGroup {
    pub group_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subnets {
    #[serde(default)]
    pub subnet_set: Set<Subnet>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subnet {
    pub vpc_id: String,
    #[serde(default)]
    pub availability_zone: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vpcs {
    #[serde(default)]
    pub vpc_set: Set<Vpc>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vpc {
    pub vpc_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Regions {
    #[serde(default)]
    pub region_info: Set<NamedRegion>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedRegion {
    pub region_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Zones {
    #[serde(default)]
    pub availability_zone_info: Set<NamedZone>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedZone {
    pub zone_name: String,
}

/// Of `GetConsoleOutput`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsoleOutput {
    /// In base64; empty while there is none.
    #[serde(default)]
    pub output: String,
}

/// An answer of which nothing is read.
#[derive(Debug, Deserialize)]
pub struct Done {}

/// What went wrong.
#[derive(Debug, Deserialize)]
pub struct Failure {
    #[serde(rename = "Errors", default)]
    pub errors: Errors,
    /// Where those who check signatures and permissions put it.
    #[serde(rename = "Error")]
    pub error: Option<ErrorItem>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Errors {
    #[serde(rename = "Error", default)]
    pub all: Vec<ErrorItem>,
}

#[derive(Debug, Deserialize)]
pub struct ErrorItem {
    #[serde(rename = "Code", default)]
    pub code: String,
    #[serde(rename = "Message", default)]
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_none_and_of_several_are_read() {
        let read = |text: &str| quick_xml::de::from_str::<Reservations>(text).unwrap();
        let none = read("<R><requestId>1</requestId><reservationSet/></R>");
        assert!(none.reservation_set.items.is_empty() && none.next_token.is_none());
        let item = "<item><instanceId>i-1</instanceId><instanceState><code>0</code><name>pending</name></instanceState>
            <unknown><item/></unknown><tagSet><item><key>k</key><value/></item></tagSet></item>";
        let reservation = format!("<item><instancesSet>{item}{item}</instancesSet></item>");
        let some = read(&format!(
            "<R><reservationSet>{reservation}{reservation}</reservationSet><nextToken>t</nextToken></R>"
        ));
        assert_eq!((some.reservation_set.items.len(), some.next_token.as_deref()), (2, Some("t")));
        let instance = &some.reservation_set.items[1].instances_set.items[1];
        assert_eq!((instance.instance_state.name.as_str(), instance.tag_set.items[0].value.as_str()), ("pending", ""));
    }
}

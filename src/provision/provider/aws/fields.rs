//! What a server at AWS can say of itself beyond name, plan and zone.
//!
//! Start at [`Fields::of`]: everything that can be found wrong without a call is found here.

use serde_json::Value;

use super::images;
use super::place::Place;
use super::types;
use crate::model::nearest::{nearest, shown};
use crate::provision::provider::cloud::OWN;
use crate::provision::provider::{ProviderError, ServerSpec};
use crate::provision::secret;

/// The fields, for messages.
pub const KNOWN: &[&str] = &[
    "iam_profile",
    "image",
    "image_owner",
    "instance_type",
    "key_name",
    "login",
    "public_ip",
    "root_gb",
    "security_groups",
    "subnet",
    "user_data",
];
/// The most that EC2 takes of user data, in bytes.
const MOST_USER_DATA: usize = 16 * 1024;
/// How many tags a thing may have that prov doesn't need itself; EC2 takes 50 in all.
const MOST_LABELS: usize = 40;
/// The tag that the AWS console shows as a machine's name.
pub const NAME_TAG: &str = "Name";

/// A server's fields, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// Where it is to be.
    pub place: Place,
    /// Its type, by its plan or named outright.
    pub instance_type: String,
    /// `ami-…` or a name, `*` and `?` in it stand for any characters; Debian 12 where there is none.
    pub image: Option<&'a str>,
    /// Whose image it is: an account's number, `self`, `amazon`.
    pub image_owner: Option<&'a str>,
    /// Whom the image lets in; by the image where it doesn't say.
    pub login: Option<&'a str>,
    /// The subnet, by its id; one of the region's default network where there is none.
    pub subnet: Option<&'a str>,
    /// Security groups by ids or names; one that prov makes for the infra where there are none.
    pub security_groups: Vec<&'a str>,
    /// Whether it gets a public address; as its subnet has it where it doesn't say.
    pub public_ip: Option<bool>,
    /// A key pair of the account that is let in besides prov's own key.
    pub key_name: Option<&'a str>,
    /// What the image's cloud-init is told.
    pub user_data: Option<&'a str>,
    /// The size of its disk in GiB; as the image has it where it doesn't say.
    pub root_gb: Option<u64>,
    /// The instance profile whose role it has.
    pub iam_profile: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// Those of a server. A field that holds a reference to a secret is taken as it comes: what it holds is known later.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] names the field.
    pub fn of(spec: &'a ServerSpec) -> Result<Self, ProviderError> {
        let extra = &spec.extra;
        let given = |key: &str| extra.get(key).filter(|value| !value.is_null() && !secret::in_value(value));
        if let Some(unknown) = extra.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            let hint = nearest(unknown, KNOWN)
                .map_or_else(|| format!("it knows: {}", KNOWN.join(", ")), |near| format!("did you mean `{near}`?"));
            return Err(invalid(spec, &format!("the provider aws knows no field {:?}", shown(unknown)), Some(hint)));
        }
        let wrong = |key: &str, what: &str| invalid(spec, &format!("the field {key:?} {what}"), None);
        let word = |key: &'static str, what: &str, is_one: fn(&str) -> bool| match given(key) {
            None => Ok(None),
            Some(Value::String(text)) if is_one(text) => Ok(Some(text.as_str())),
            Some(_) => Err(wrong(key, &format!("must be {what}"))),
        };
        let fields = Self {
            place: Place::of(spec.zone.as_str())?,
            instance_type: instance_type(spec, word("instance_type", "a type such as \"t3.small\"", types::is_name)?)?,
            image: word("image", "an image's id (ami-…) or its name, where `*` stands for anything", is_line)?,
            image_owner: word("image_owner", "an account's number, \"self\" or \"amazon\"", is_line)?,
            login: word("login", "a user such as \"admin\"", is_login)?,
            subnet: word("subnet", "a subnet's id (subnet-…)", |text| is_id(text, "subnet-"))?,
            security_groups: groups(given("security_groups"))
                .ok_or_else(|| wrong("security_groups", "must be a list of ids or names"))?,
            public_ip: match given("public_ip") {
                None => None,
                Some(Value::Bool(is_public)) => Some(*is_public),
                Some(_) => return Err(wrong("public_ip", "must be true or false")),
            },
            key_name: word("key_name", "the name of a key pair of the account", is_line)?,
            user_data: word("user_data", "a text of at most 16 KiB", |text| text.len() <= MOST_USER_DATA)?,
            root_gb: match given("root_gb") {
                None => None,
                Some(size) => Some(
                    size.as_u64()
                        .filter(|size| (1..=65536).contains(size))
                        .ok_or_else(|| wrong("root_gb", "must be a number of GiB"))?,
                ),
            },
            iam_profile: word("iam_profile", "the name of an instance profile", is_line)?,
        };
        labels(spec)?;
        Ok(fields)
    }

    /// Whom the image lets in, as far as that can be told.
    #[must_use]
    pub fn login(&self) -> Option<&str> {
        self.login.or_else(|| images::login(self.image))
    }
}

fn invalid(spec: &ServerSpec, what: &str, hint: Option<String>) -> ProviderError {
    ProviderError::Invalid { what: format!("server {}: {what}", spec.name), hint }
}

/// The type that is named, or the one of the plan.
fn instance_type(spec: &ServerSpec, named: Option<&str>) -> Result<String, ProviderError> {
    named.map(str::to_owned).or_else(|| types::of_plan(spec.plan)).ok_or_else(|| {
        let near: Vec<String> =
            types::nearest(spec.plan).iter().map(|offer| format!("{} ({})", offer.plan, offer.name)).collect();
        let hint = format!("the nearest plans are {}; or name an `instance_type`", near.join(", "));
        invalid(spec, &format!("no instance type has exactly the plan {}", spec.plan), Some(hint))
    })
}

fn groups(given: Option<&Value>) -> Option<Vec<&str>> {
    match given {
        None => Some(Vec::new()),
        Some(Value::Array(all)) => all.iter().map(|one| one.as_str().filter(|text| is_line(text))).collect(),
        Some(_) => None,
    }
}

/// What EC2 would refuse as a tag, and what would be taken for prov's own.
fn labels(spec: &ServerSpec) -> Result<(), ProviderError> {
    let wrong = |key: &str, what: &str| Err(invalid(spec, &format!("the label {:?} {what}", shown(key)), None));
    if spec.labels.len() > MOST_LABELS {
        return Err(invalid(spec, &format!("at aws a server has at most {MOST_LABELS} labels"), None));
    }
    for (key, value) in &spec.labels {
        if key == NAME_TAG || key.starts_with(OWN) || key.to_ascii_lowercase().starts_with("aws:") {
            return wrong(key, "can't be had at aws: it is written by others");
        }
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return wrong(key, "is too long for aws: a name has 1 to 128 characters, a value at most 256");
        }
        let is_fit = |c: char| c.is_alphanumeric() || c == ' ' || "+-=._:/@".contains(c);
        if !key.chars().chain(value.chars()).all(is_fit) {
            return wrong(key, "has a character that aws doesn't take: letters, digits, spaces and `+-=._:/@`");
        }
    }
    Ok(())
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 255 && !text.chars().any(char::is_control)
}

fn is_login(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    text.len() <= 32 && text.bytes().all(is_fit) && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
}

fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> ServerSpec {
        let Value::Object(mut extra) = value else { panic!() };
        let mut taken = |key: &str, default: Value| extra.remove(key).unwrap_or(default);
        let mut spec = json!({"infra": "i", "name": "s"});
        for (key, default) in [("plan", json!("1xCPU-2 GB")), ("zone", json!("eu-west-1a")), ("labels", json!({}))] {
            spec[key] = taken(key, default);
        }
        spec["extra"] = Value::Object(extra);
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn name_plan_and_zone_are_enough() {
        let spec = spec(json!({}));
        let fields = Fields::of(&spec).unwrap();
        assert_eq!((fields.instance_type.as_str(), fields.login()), ("t3.small", Some("admin")));
    }

    #[test]
    fn every_known_field_is_taken() {
        let all = json!({"iam_profile": "p", "image": "ami-0a", "image_owner": "self", "instance_type": "t4g.small",
            "key_name": "k", "login": "me", "public_ip": true, "root_gb": 20, "security_groups": ["sg-1", "web"],
            "subnet": "subnet-1", "user_data": "#!/bin/sh", "plan": "3xCPU-7 GB"});
        let spec = spec(all.clone());
        let fields = Fields::of(&spec).unwrap();
        assert_eq!(
            (fields.instance_type.as_str(), fields.root_gb, fields.login()),
            ("t4g.small", Some(20), Some("me"))
        );
        assert!(KNOWN.iter().all(|key| all.get(key).is_some()) && KNOWN.is_sorted());
    }

    #[test]
    fn a_secret_is_taken_as_it_comes() {
        let spec = spec(json!({"user_data": {"secret": {"env": "BOOT"}}}));
        assert_eq!(Fields::of(&spec).unwrap().user_data, None);
    }

    #[test]
    fn what_is_wrong_is_named_with_a_hint() {
        for (extra, what) in [
            (json!({"instance_typ": "t3.small"}), "knows no field \"instance_typ\""),
            (json!({"instance_type": "T3 small"}), "\"instance_type\" must be a type"),
            (json!({"image": 7}), "\"image\" must be an image's id"),
            (json!({"subnet": "vpc-1"}), "\"subnet\" must be a subnet's id"),
            (json!({"login": "-oProxyCommand=x"}), "\"login\" must be a user"),
            (json!({"security_groups": "web"}), "\"security_groups\" must be a list"),
            (json!({"root_gb": 0}), "\"root_gb\" must be a number"),
            (json!({"public_ip": "yes"}), "\"public_ip\" must be true or false"),
            (json!({"user_data": "x".repeat(20_000)}), "\"user_data\" must be a text of at most 16 KiB"),
            (json!({"plan": "6xCPU-16 GB"}), "no instance type has exactly the plan 6xCPU-16 GB"),
            (json!({"zone": "de-fra1"}), "\"de-fra1\" is no zone of the provider aws"),
            (json!({"labels": {"aws:x": "y"}}), "the label \"aws:x\" can't be had at aws"),
            (json!({"labels": {"Name": "y"}}), "the label \"Name\" can't be had at aws"),
            (json!({"labels": {"a": "b\n"}}), "the label \"a\" has a character"),
        ] {
            let spec = spec(extra);
            let error = Fields::of(&spec).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
        let misspelt = spec(json!({"instance_typ": "x"}));
        let Err(ProviderError::Invalid { hint, .. }) = Fields::of(&misspelt) else { panic!() };
        assert_eq!(hint.as_deref(), Some("did you mean `instance_type`?"));
    }
}

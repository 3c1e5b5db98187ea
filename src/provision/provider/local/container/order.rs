//! What a container is ordered with, and which settings order one.

use rustix::process::{Resource, getrlimit};
use serde_json::{Map, Value, json};

use crate::provision::provider::local::cgroup::PIDS_MAX;
use crate::provision::provider::local::state::Record;
use crate::provision::provider::{ProviderError, ServerSpec};

/// The driver where the settings name none.
pub const NAMESPACE: &str = "namespace";
/// What keeps a container running, and lets it stop at once. A shell that waits reaps orphans too.
const KEEP: &str = "trap 'exit 0' TERM; while :; do sleep 86400 & wait $!; done";
/// The labels by which a container is known as this workspace's server.
const WORKSPACE: &str = "prov-workspace";
const INFRA: &str = "prov-infra";
const SERVER: &str = "prov-server";
const OPERATION: &str = "prov-operation";
/// Tells the container of one record from that of another, wherever the workspaces are.
const TOKEN: &str = "prov-token";

/// The image, where `spec` asks for a container.
///
/// # Errors
/// [`ProviderError::Invalid`] for a driver that there isn't, and for fields that the driver doesn't know or needs.
pub fn image(spec: &ServerSpec) -> Result<Option<&str>, ProviderError> {
    let wrong = |what: String| ProviderError::Invalid {
        what: format!("server {}: {what}", spec.name),
        hint: Some("a container has `driver: \"container\"` and an `image`, as in \"debian:12\"".to_owned()),
    };
    let (driver, image) = (spec.extra.get("driver"), spec.extra.get("image"));
    match driver.map(Value::as_str) {
        None | Some(Some(NAMESPACE)) if image.is_some() => {
            return Err(wrong("only the driver \"container\" has an \"image\"".to_owned()));
        }
        None | Some(Some(NAMESPACE)) => return Ok(None),
        Some(Some("container")) => {}
        Some(_) => {
            let driver = driver.map(Value::to_string).unwrap_or_default();
            return Err(wrong(format!("there is no \"driver\" {driver}: there are \"namespace\" and \"container\"")));
        }
    }
    if let Some(other) = spec.extra.keys().find(|key| !["driver", "image"].contains(&key.as_str())) {
        return Err(wrong(format!("the driver \"container\" knows no field {other:?}")));
    }
    match image {
        None => Err(wrong("the driver \"container\" needs an \"image\"".to_owned())),
        Some(Value::String(image)) if is_image(image) => Ok(Some(image)),
        Some(other) => Err(wrong(format!("the \"image\" {other} is no name of one"))),
    }
}

/// Whether `text` can name an image: `[REGISTRY[:PORT]/]PATH[:TAG][@sha256:DIGEST]` (distribution's reference grammar).
fn is_image(text: &str) -> bool {
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    let last = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match rest[last..].split_once(':') {
        Some((_, tag)) => (&rest[..rest.len() - tag.len() - 1], Some(tag)),
        None => (rest, None),
    };
    let is_digest = |digest: &str| {
        digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let is_tag = |tag: &str| {
        tag.len() <= 128
            && tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let is_part = |(index, part): (usize, &str)| {
        let is_registry = index == 0 && path.contains('/');
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.ends_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| {
                c.is_ascii_lowercase()
                    || c.is_ascii_digit()
                    || "._-".contains(c)
                    || is_registry && (c == ':' || c.is_ascii_uppercase())
            })
    };
    text.len() <= 255
        && path.split('/').enumerate().all(is_part)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

/// Whether a container is the one that `record` is of.
pub fn is_of(inspected: &Value, record: &Record) -> bool {
    let (labels, spec) = (&inspected["Config"]["Labels"], &record.spec);
    labels[WORKSPACE] == record.workspace()
        && labels[INFRA] == spec.infra.as_str()
        && labels[SERVER] == spec.name.as_str()
        // An older record has none, nor has its container.
        && labels[TOKEN].as_str() == record.token.as_deref()
}

/// The body of the call that makes the container of `record`.
pub fn order(record: &Record, image: &str, is_podman: bool) -> Value {
    let spec = &record.spec;
    let mut labels: Map<String, Value> = spec.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    labels.remove(TOKEN);
    let own = [
        (WORKSPACE, Some(record.workspace())),
        (INFRA, Some(spec.infra.as_str())),
        (SERVER, Some(spec.name.as_str())),
        (OPERATION, Some(spec.operation.as_str())),
        (TOKEN, record.token.as_deref()),
    ];
    let own = own.into_iter().filter_map(|(key, value)| Some((key, value?)));
    labels.extend(own.map(|(key, value)| (key.to_owned(), json!(value))));
    let memory = spec.plan.memory_mib << 20;
    let mut host = json!({
        "Memory": memory,
        // With its memory, not besides it: left out, Docker gives as much again as swap.
        "MemorySwap": memory,
        "NanoCpus": u64::from(spec.plan.cpus) * 1_000_000_000,
        "PidsLimit": PIDS_MAX,
        // What a command left is found by its environment, whoever it has become.
        "CapAdd": ["SYS_PTRACE"],
    });
    if is_podman {
        // Podman asks for more than an account may have whose hard limits are low.
        let limit = |name: &str, resource, most: u64| {
            let hard = getrlimit(resource).maximum.map_or(most, |hard| hard.min(most));
            json!({"Name": name, "Soft": hard, "Hard": hard})
        };
        host["Ulimits"] =
            json!([limit("nofile", Resource::Nofile, 1 << 20), limit("nproc", Resource::Nproc, u64::from(PIDS_MAX))]);
    }
    json!({
        "Image": image, "Hostname": spec.name.as_str(), "User": "0:0", "Labels": labels, "HostConfig": host,
        "Entrypoint": ["/bin/sh", "-c", KEEP], "Cmd": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::Name;

    fn spec(extra: &Value) -> ServerSpec {
        let name = |text: &str| Name::new(text).unwrap();
        ServerSpec {
            infra: name("a"),
            name: name("web"),
            plan: "2xCPU-1 GB".parse().unwrap(),
            zone: name("z"),
            operation: "b/o".to_owned(),
            labels: [("team".to_owned(), "x".to_owned()), (INFRA.to_owned(), "other".to_owned())].into(),
            extra: extra.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn the_driver_is_asked_for_by_name_and_has_its_own_fields() {
        let said = |extra: &Value| image(&spec(extra)).map(|image| image.map(str::to_owned)).map_err(|e| e.to_string());
        assert_eq!(said(&json!({})), Ok(None));
        assert_eq!(said(&json!({"driver": "namespace", "network": "host"})), Ok(None));
        assert_eq!(said(&json!({"driver": "container", "image": "debian:12"})), Ok(Some("debian:12".to_owned())));
        for (extra, word) in [
            (json!({"driver": "vm"}), "no \"driver\" \"vm\""),
            (json!({"driver": 1}), "no \"driver\" 1"),
            (json!({"image": "debian:12"}), "only the driver"),
            (json!({"driver": "namespace", "image": "debian:12"}), "only the driver"),
            (json!({"driver": "container"}), "needs an \"image\""),
            (json!({"driver": "container", "image": "debian:12", "network": "host"}), "no field \"network\""),
            (json!({"driver": "container", "image": 12}), "\"image\" 12 is no name"),
            (json!({"driver": "container", "image": "../x"}), "is no name"),
        ] {
            let error = said(&extra).unwrap_err();
            assert!(error.starts_with("server web: ") && error.contains(word), "{error}");
        }
    }

    #[test]
    fn names_of_images_are_told_from_what_is_none() {
        let digest = format!("debian@sha256:{}", "0a".repeat(32));
        let good =
            ["debian", "debian:12", "library/debian:12-slim", "localhost:5000/a/b_c:V1", "Reg.example/a", &digest];
        assert_eq!(good.iter().find(|name| !is_image(name)), None);
        let long = "a".repeat(256);
        let bad = [
            "",
            ":12",
            "debian:",
            "Debian",
            "a/../b",
            "a//b",
            "/a",
            "a/",
            "a b",
            "a?x=1",
            "a&b",
            "a#b",
            "a@sha256:1",
            "a:b:c",
            "a:b/c:d/e",
            "a\n",
            &long,
        ];
        assert_eq!(bad.iter().find(|name| is_image(name)), None);
    }

    #[test]
    fn a_container_is_known_by_all_its_labels_and_no_label_of_the_user_stands_for_one() {
        let spec = spec(&json!({"driver": "container", "image": "debian:12"}));
        let record = |token: Option<&str>, id: &str| Record {
            spec: spec.clone(),
            id: id.to_owned(),
            token: token.map(str::to_owned),
            home: None,
            address: None,
            cgroups: Vec::new(),
            limits: String::new(),
            notes: Vec::new(),
        };
        let ours = record(Some("t"), "cafe:a:web");
        let body = order(&ours, "debian:12", true);
        let inspected = |body: &Value| json!({"Config": {"Labels": body["Labels"]}});
        let there = inspected(&body);
        assert!(is_of(&there, &ours));
        assert!(!is_of(&there, &record(Some("t"), "beef:a:web")));
        assert!(!is_of(&there, &record(Some("u"), &ours.id)), "another workspace was at that path");
        for name in ["infra", "name"] {
            let mut other = ours.clone();
            *(if name == "infra" { &mut other.spec.infra } else { &mut other.spec.name }) = Name::new("db").unwrap();
            assert!(!is_of(&there, &other), "{name}");
        }
        assert!(!is_of(&json!({"Config": {"Labels": null}}), &ours));
        let older = record(None, &ours.id);
        assert!(!is_of(&there, &older) && !is_of(&inspected(&order(&older, "debian:12", true)), &ours));
        assert!(is_of(&inspected(&order(&older, "debian:12", true)), &older));
        assert_eq!(body["Labels"]["team"], "x");
        assert_eq!(body["HostConfig"]["MemorySwap"], body["HostConfig"]["Memory"]);
        assert_eq!(body["HostConfig"]["NanoCpus"], 2_000_000_000_u64);
    }
}

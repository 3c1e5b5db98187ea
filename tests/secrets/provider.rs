//! What a provider quotes of a request never reaches a message.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use prov::model::name::Name;
use prov::provision::provider::ServerSpec;
use prov::provision::provider::cloud::{Api, Order};
use prov::provision::provider::upcloud::UpCloud;
use prov::provision::secret::Secret;
use prov::provision::workspace::Workspace;
use serde_json::json;

use super::canary::{Canaries, canary};
use crate::support::upcloud as stub;

#[test]
fn an_error_that_quotes_the_request_tells_no_secret() {
    let (cloud, dir) = (stub::UpCloud::start(), tempfile::tempdir().unwrap());
    let (token, data) = ("ucat_CANARYOFTHETOKEN0123456789", canary("user-data"));
    let canaries = Canaries::of(&[token, stub::TOKEN, &data]);
    fs::write(dir.path().join("data"), &data).unwrap();
    fs::set_permissions(dir.path().join("data"), Permissions::from_mode(0o600)).unwrap();
    let workspace = Workspace::open(dir.path()).unwrap();
    let name = |text: &str| Name::new(text).unwrap();
    let extra = json!({"user_data": {"secret": {"file": "data"}}, "title": {"secret": {"file": "data"}}});
    let spec = ServerSpec {
        infra: name("demo"),
        name: name("web"),
        plan: "1xCPU-2 GB".parse().unwrap(),
        zone: name("de-fra1"),
        operation: String::new(),
        labels: [].into(),
        extra: extra.as_object().unwrap().clone(),
    };
    // The second label is none that the stub takes: it quotes what it was sent.
    let labels = [("prov-infra".to_owned(), "demo".to_owned()), ("x".to_owned(), data.clone())].into();
    let order = Order { spec: &spec, token: "t", labels: &labels, public_key: "ssh-ed25519 AAAA prov" };
    for token in [token, stub::TOKEN] {
        let api = UpCloud::with_token(&workspace, &cloud.url, Secret::new(token.to_owned())).unwrap();
        let said = format!("{:?} {:?}", api.create(&order).unwrap_err(), api.catalogue());
        canaries.expect_none("an error", said.as_bytes());
        canaries.expect_none("the provider", format!("{api:?}").as_bytes());
    }
    let received = cloud.received();
    assert!(received.iter().any(|received| received.body["server"]["user_data"] == *data), "it was sent");
    assert!(received.iter().any(|received| received.status == 400 && received.call == "POST /server"));
    canaries.expect_none_below(&dir.path().join(".prov"), &[]);
}

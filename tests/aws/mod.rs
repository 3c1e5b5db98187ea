//! EC2 by prov's own hands, against moto.

mod cloud;
mod credentials;
mod faults;
mod optional;
mod whole_life;

use std::collections::BTreeMap;
use std::fs;

use prov::model::name::Name;
use prov::provision::provider::ServerSpec;
use prov::provision::provider::aws::{Aws, Environment};
use prov::provision::provider::cloud::{CallError, INFRA, Labels, Machine, Order, SERVER, TOKEN};
use prov::provision::workspace::Workspace;
use serde_json::{Value, json};

use crate::support::moto::regions_file;

const PUBLIC_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Yx7rV0p5Fj7dU0q3mYwF1zqkq8b7sK1x2h3j4k5l6 prov";
const REGION: &str = "eu-west-1";

/// A workspace with one infra, whose name is no other test's.
struct Sample {
    _dir: tempfile::TempDir,
    workspace: Workspace,
    infra: Name,
}

impl Sample {
    /// One that knows where to look: nowhere but in the configured region.
    fn new(infra: &str) -> Self {
        let sample = Self::fresh(infra);
        let file = regions_file(sample.workspace.root());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
        sample
    }

    /// One that was never used.
    fn fresh(infra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(dir.path()).unwrap();
        Self { _dir: dir, workspace, infra: Name::new(infra).unwrap() }
    }

    /// EC2 at this address, with a key that anybody may have.
    fn aws(&self, address: &str) -> Aws {
        self.aws_by(&[
            ("AWS_ENDPOINT_URL", address),
            ("AWS_ACCESS_KEY_ID", "AKIDTEST"),
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ])
    }

    /// EC2 by these variables and the region.
    fn aws_by(&self, variables: &[(&str, &str)]) -> Aws {
        let mut all: BTreeMap<String, String> =
            [("AWS_REGION", REGION), ("HOME", "/nonexistent"), ("AWS_EC2_METADATA_DISABLED", "true")]
                .iter()
                .chain(variables)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
        all.retain(|_, value| !value.is_empty());
        Aws::with(&self.workspace, Environment::new(move |name| all.get(name).cloned()))
    }

    /// A server; `more` is put over plan, zone and the provider's fields.
    fn spec(&self, name: &str, more: &Value) -> ServerSpec {
        let mut spec = json!({"infra": self.infra, "name": name, "plan": "1xCPU-2 GB", "zone": REGION});
        let mut extra = more.as_object().unwrap().clone();
        for key in ["plan", "zone", "labels"] {
            if let Some(value) = extra.remove(key) {
                spec[key] = value;
            }
        }
        spec["extra"] = Value::Object(extra);
        serde_json::from_value(spec).unwrap()
    }

    /// Orders a server by the token `INFRA-NAME`.
    fn create(&self, aws: &Aws, name: &str, more: &Value) -> Result<Machine, CallError> {
        use prov::provision::provider::cloud::Api;
        let spec = self.spec(name, more);
        let token = format!("{}-{name}", self.infra);
        let labels = self.labels(&[(SERVER, name), (TOKEN, &token), ("team", "x")]);
        aws.create(&Order { spec: &spec, token: &token, labels: &labels, public_key: PUBLIC_KEY })
    }

    /// The infra's label and these.
    fn labels(&self, more: &[(&str, &str)]) -> Labels {
        let own = [(INFRA, self.infra.as_str())];
        own.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }
}

/// What moto itself says: the body of its answer.
fn ask(address: &str, region: &str, query: &str) -> String {
    crate::support::run(async {
        let scope = format!("AWS4-HMAC-SHA256 Credential=AKID/20260101/{region}/ec2/aws4_request");
        let request = crate::support::http().post(address).header("authorization", scope);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(query.to_owned()).send().await.unwrap().text().await.unwrap()
    })
}

/// What stands between each `<name>` and `</name>`.
fn all<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text.split(open.as_str()).skip(1).filter_map(|rest| rest.split(close.as_str()).next()).collect()
}

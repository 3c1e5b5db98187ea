//! The credentials of the machine that prov runs on, where that is one of EC2 with a role: instance metadata, version 2.
//!
//! Elsewhere nobody answers, so nothing is waited for longer than a second.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use reqwest::blocking::RequestBuilder;
use serde::Deserialize;

use super::credentials::{Credentials, Looked};
use super::environment::Environment;
use crate::provision::provider::cloud::CallError;
use crate::provision::provider::http::Http;
use crate::provision::provider::pace::{Pace, Rate};
use crate::provision::secret::Secret;

const ENDPOINT: &str = "http://169.254.169.254";
const TIMEOUT: Duration = Duration::from_secs(1);
const RATE: Rate = Rate { per_second: 10.0, burst: 10.0 };
/// How long the token of the metadata service is good for, in seconds.
const TOKEN_SECONDS: &str = "300";

/// What the metadata service says of a role.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Temporary {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: Timestamp,
}

/// The credentials of the machine's role, or why there are none.
pub fn ask(environment: &Environment, state_dir: &Path) -> Result<Looked, CallError> {
    if environment.get("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(Err("instance metadata (AWS_EC2_METADATA_DISABLED)".to_owned()));
    }
    let endpoint = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
    let endpoint = endpoint.trim_end_matches('/');
    let http = Http::new(Pace::of(state_dir, "aws-metadata", endpoint, RATE))?;
    Ok(role(&http, endpoint).map_err(|why| format!("instance metadata at {endpoint} ({why})")))
}

fn role(http: &Http, endpoint: &str) -> Looked {
    let put = http.client().put(format!("{endpoint}/latest/api/token"));
    let token = Secret::new(text(http, put.header("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS))?);
    let get = |path: &str| {
        let request = http.client().get(format!("{endpoint}/latest/meta-data/iam/security-credentials/{path}"));
        text(http, request.header("X-aws-ec2-metadata-token", token.expose()))
    };
    let roles = get("")?;
    let role = roles.lines().next().map(str::trim).filter(|role| is_role(role)).ok_or("the machine has no role")?;
    let key: Temporary = serde_json::from_str(&get(role)?).map_err(|_| format!("no key for the role {role}"))?;
    Ok(Credentials {
        access_key_id: key.access_key_id,
        secret: Secret::new(key.secret_access_key),
        session_token: Some(Secret::new(key.token)),
        expires: Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(key.expiration.as_second()).unwrap_or(0))),
    })
}

fn is_role(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte))
}

fn text(http: &Http, request: RequestBuilder) -> Result<String, String> {
    let answer = http.send(request.timeout(TIMEOUT)).map_err(|error| error.to_string())?;
    match answer.status {
        200 => String::from_utf8(answer.body).map_err(|_| "no text".to_owned()),
        404 => Err("the machine has no role".to_owned()),
        status => Err(format!("status {status}")),
    }
}

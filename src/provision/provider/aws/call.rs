//! Makes calls of EC2: finds the endpoint, signs (Signature Version 4), sends, reads.
//!
//! Credentials are looked for when the first call needs them, and anew shortly before they expire. Each region has an
//! endpoint of its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::Credentials as Signing;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use reqwest::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use super::credentials::{self, Credentials};
use super::environment::Environment;
pub use super::fault::Fault;
use super::place::Region;
pub use super::query::Query;
use crate::provision::provider::cloud::CallError;
use crate::provision::provider::http::Http;
use crate::provision::provider::pace::{Pace, Rate};

/// Fewer than EC2 bears: calls that make something have far smaller allowances than those that look.
const RATE: Rate = Rate { per_second: 10.0, burst: 40.0 };
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// Calls of one account.
pub struct Ec2 {
    environment: Environment,
    state_dir: PathBuf,
    session: Mutex<Option<Arc<Session>>>,
}

/// What calls are made with.
struct Session {
    http: Http,
    credentials: Credentials,
}

impl Ec2 {
    /// Calls by the credentials that the environment leads to; looks for nothing yet.
    #[must_use]
    pub const fn new(environment: Environment, state_dir: PathBuf) -> Self {
        Self { environment, state_dir, session: Mutex::new(None) }
    }

    /// The region that calls go to where nothing else says.
    #[must_use]
    pub fn default_region(&self) -> Option<Region> {
        self.environment.region()
    }

    /// Makes a call and reads its answer.
    pub fn call<T: DeserializeOwned>(&self, region: &Region, query: &Query) -> Result<T, Fault> {
        let session = self.session()?;
        let (url, body) = (self.environment.ec2_endpoint(region)?, query.encoded());
        let headers = signed(&session.credentials, region, &url, &body)
            .map_err(|why| CallError::Refused { what: format!("can't sign the call of {url}: {why}"), hint: None })?;
        let request = session.http.client().post(&url).header(CONTENT_TYPE, FORM);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = session.http.send(request.body(body))?;
        if !(200..300).contains(&answer.status) {
            let throttled = |what: &str| session.http.throttled(what, answer.retry_after);
            return Err(Fault::of(query.action(), answer.status, &answer.body, throttled));
        }
        let unread = |why: &dyn std::fmt::Display| {
            Fault::from(CallError::Unknown(format!("{}: the answer can't be read: {why}", query.action())))
        };
        let text = std::str::from_utf8(&answer.body).map_err(|why| unread(&why))?;
        quick_xml::de::from_str(text).map_err(|why| unread(&why))
    }

    /// The account's session; whoever comes first looks for the credentials.
    fn session(&self) -> Result<Arc<Session>, CallError> {
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = held.as_ref().filter(|session| !session.credentials.expires_soon(SystemTime::now())) {
            return Ok(Arc::clone(session));
        }
        let credentials = credentials::find(&self.environment, &self.state_dir)?;
        let pace = Pace::of(&self.state_dir, "aws", &credentials.access_key_id, RATE);
        let session = Arc::new(Session { http: Http::new(pace)?, credentials });
        *held = Some(Arc::clone(&session));
        Ok(session)
    }
}

/// The headers that sign a call.
fn signed(
    credentials: &Credentials,
    region: &Region,
    url: &str,
    body: &str,
) -> Result<Vec<(String, String)>, Box<dyn std::error::Error>> {
    let token = credentials.session_token.as_ref().map(|token| token.expose().to_owned());
    let identity = Signing::new(&credentials.access_key_id, credentials.secret.expose(), token, None, "prov").into();
    let params = SigningParams::builder().identity(&identity).region(region.as_str()).name("ec2");
    let params = params.time(SystemTime::now()).settings(SigningSettings::default()).build()?.into();
    let headers = [("content-type", FORM)].into_iter();
    let request = SignableRequest::new("POST", url, headers, SignableBody::Bytes(body.as_bytes()))?;
    let (instructions, _) = sign(request, &params)?.into_parts();
    Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

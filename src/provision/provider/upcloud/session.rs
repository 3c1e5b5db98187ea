//! Calls of one account: where they go, who makes them, and what of the answers may be seen.

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::problem::{Failure, Problem};
use crate::provision::credentials::{self, CredentialError, Origin};
use crate::provision::error::chain;
use crate::provision::provider::cloud::CallError;
use crate::provision::provider::http::{self, Answer, Http};
use crate::provision::provider::pace::{Pace, Rate};
use crate::provision::secret::{Redaction, Secret};
use crate::provision::workspace::Workspace;

const BASE_URL: &str = "https://api.upcloud.com";
const VERSION: &str = "1.3";
/// Another address, as UpCloud's own tools take it.
const BASE_URL_VARIABLE: &str = "UPCLOUD_DEBUG_API_BASE_URL";
/// UpCloud publishes no limits: what a busy person's tools do is borne well.
const RATE: Rate = Rate { per_second: 10.0, burst: 20.0 };

/// An account at UpCloud.
#[derive(Debug)]
pub(super) struct Session {
    http: Http,
    base: String,
    auth: Auth,
    /// The credentials, in all their forms.
    secrets: Vec<Secret>,
}

#[derive(Debug)]
enum Auth {
    Token(Secret),
    Basic { username: String, password: Secret },
}

/// A call.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Below the version, with a slash.
    pub(super) path: String,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<&'a Value>,
    /// Secrets in the body: answers may quote it.
    pub(super) secrets: &'a [Secret],
}

impl<'a> Call<'a> {
    const fn new(method: Method, path: String, body: Option<&'a Value>) -> Self {
        Self { method, path, query: &[], body, secrets: &[] }
    }

    pub(super) const fn get(path: String) -> Self {
        Self::new(Method::GET, path, None)
    }

    pub(super) const fn delete(path: String) -> Self {
        Self::new(Method::DELETE, path, None)
    }

    pub(super) const fn post(path: String, body: &'a Value) -> Self {
        Self::new(Method::POST, path, Some(body))
    }

    pub(super) const fn put(path: String, body: &'a Value) -> Self {
        Self::new(Method::PUT, path, Some(body))
    }
}

impl Session {
    /// The account of this process's credentials.
    ///
    /// # Errors
    /// [`CallError::Refused`] where there are none, or two kinds of them.
    pub(super) fn open(workspace: &Workspace) -> Result<Self, CallError> {
        let auth = auth(&|name| credentials::find(name))?;
        let base = base(std::env::var(BASE_URL_VARIABLE).ok().filter(|url| !url.is_empty()))?;
        Self::of(workspace, base, auth)
    }

    /// The account of this token, at another address.
    ///
    /// # Errors
    /// [`CallError::Refused`] where the address is none.
    pub(super) fn with_token(workspace: &Workspace, base_url: &str, token: Secret) -> Result<Self, CallError> {
        Self::of(workspace, base(Some(base_url.to_owned()))?, Auth::Token(token))
    }

    fn of(workspace: &Workspace, base: String, auth: Auth) -> Result<Self, CallError> {
        let (account, secrets) = match &auth {
            Auth::Token(token) => (token.expose().to_owned(), vec![token.clone()]),
            Auth::Basic { username, password } => {
                let pair = Secret::new(format!("{username}:{}", password.expose()));
                (username.clone(), vec![password.clone(), pair])
            }
        };
        let pace = Pace::of(&workspace.state_dir(), "upcloud", &account, RATE);
        Ok(Self { http: Http::new(pace)?, base, auth, secrets })
    }

    /// What a call that changes nothing is answered.
    ///
    /// # Errors
    /// [`CallError`].
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, CallError> {
        self.make(&Call { query, ..Call::get(path.to_owned()) }).map_err(Failure::into_read)
    }

    /// What a call is answered.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn make<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, Failure> {
        let answer = self.send(call)?;
        // What the parser says may quote the answer, and the answer to an order holds a password.
        serde_json::from_slice(&answer.body).map_err(|error| {
            let what = format!(
                "UpCloud's answer to {} {} can't be understood (line {}, column {})",
                call.method,
                call.path,
                error.line(),
                error.column()
            );
            Failure::Call(match call.method {
                Method::GET => CallError::Refused { what, hint: None },
                _ => CallError::Unknown(what),
            })
        })
    }

    /// Makes a call.
    ///
    /// # Errors
    /// [`Failure`] for everything but a success.
    pub(super) fn send(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let url = format!("{}/{VERSION}{}", self.base, call.path);
        let request = self.http.client().request(call.method.clone(), url).query(call.query);
        let request = match &self.auth {
            Auth::Token(token) => request.bearer_auth(token.expose()),
            Auth::Basic { username, password } => request.basic_auth(username, Some(password.expose())),
        };
        let request = match call.body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer =
            self.http.send(request.header(reqwest::header::ACCEPT, "application/json")).map_err(Failure::Call)?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let redaction = Redaction::of(self.secrets.iter().chain(call.secrets));
        let said = (answer.status, answer.media_type.as_str(), answer.body.as_slice());
        let problem = Problem::read(said, answer.retry_after, |text| redaction.text(text));
        if answer.status == 503 && answer.retry_after.is_some() {
            let what = format!("UpCloud answers 503 and wants to be asked later: {}", problem.message);
            return Err(Failure::Call(self.http.throttled(&what, answer.retry_after)));
        }
        Err(Failure::Said(problem))
    }
}

/// What finds a credential.
type Find<'f> = dyn Fn(&str) -> Result<Option<(Secret, Origin)>, CredentialError> + 'f;

fn auth(found: &Find<'_>) -> Result<Auth, CallError> {
    let find = |name: &str| found(name).map_err(|error| CallError::Refused { what: chain(&error), hint: error.hint() });
    let (token, username, password) = (find("UPCLOUD_TOKEN")?, find("UPCLOUD_USERNAME")?, find("UPCLOUD_PASSWORD")?);
    let refused =
        |what: &str, hint: &str| Err(CallError::Refused { what: what.to_owned(), hint: Some(hint.to_owned()) });
    match (token, username, password) {
        (Some((token, _)), None, None) => Ok(Auth::Token(token)),
        (None, Some((username, _)), Some((password, _))) => {
            Ok(Auth::Basic { username: username.expose().to_owned(), password })
        }
        (Some((_, token)), username, password) => {
            let other = username.or(password).map(|(_, origin)| origin.to_string()).unwrap_or_default();
            refused(
                &format!("there are two kinds of credentials for UpCloud: a token ({token}) and a user's ({other})"),
                "keep UPCLOUD_TOKEN, or UPCLOUD_USERNAME and UPCLOUD_PASSWORD (see `prov credentials list`)",
            )
        }
        (None, None, None) => {
            refused("there are no credentials for UpCloud", "set UPCLOUD_TOKEN, or: prov credentials set upcloud")
        }
        (None, _, _) => refused(
            "UpCloud needs a user's name and password, and one of them is missing",
            "set both UPCLOUD_USERNAME and UPCLOUD_PASSWORD, or better a token: UPCLOUD_TOKEN",
        ),
    }
}

/// Where calls go.
fn base(given: Option<String>) -> Result<String, CallError> {
    given.map_or_else(|| Ok(BASE_URL.to_owned()), |given| http::endpoint(BASE_URL_VARIABLE, &given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_or_a_user_and_never_both() {
        let with = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|name| format!("UPCLOUD_{name}")).collect();
            let secret = || Secret::new("swordfish".to_owned());
            auth(&|name| Ok(given.iter().any(|given| given == name).then(|| (secret(), Origin::Environment))))
        };
        assert!(matches!(with(&["TOKEN"]), Ok(Auth::Token(_))));
        assert!(matches!(with(&["USERNAME", "PASSWORD"]), Ok(Auth::Basic { .. })));
        let basic = with(&["USERNAME", "PASSWORD"]).unwrap();
        assert!(!format!("{basic:?}").contains("password: \"swordfish"));
        for (given, expected) in [
            (&["TOKEN", "USERNAME", "PASSWORD"][..], "two kinds of credentials for UpCloud: a token (environment)"),
            (&["TOKEN", "PASSWORD"], "two kinds"),
            (&["USERNAME"], "one of them is missing"),
            (&[], "there are no credentials for UpCloud"),
        ] {
            let CallError::Refused { what, hint: Some(hint) } = with(given).unwrap_err() else { panic!("{given:?}") };
            assert!(what.contains(expected) && hint.contains("UPCLOUD_TOKEN"), "{what}");
        }
    }
}

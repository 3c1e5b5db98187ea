//! Where the credentials of an account are found: the environment, the shared files, what prov keeps, the metadata of the
//! machine that it runs on. The first place that has any is taken; one that has half of them is an error, not a reason to look further.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::environment::{Environment, Settings};
use super::metadata;
use crate::provision::credentials;
use crate::provision::provider::cloud::CallError;
use crate::provision::secret::Secret;

/// How long before they expire new credentials are looked for.
const MARGIN: Duration = Duration::from_mins(5);
/// What profiles get credentials by that prov has no part in.
const FOREIGN: [&str; 5] = ["sso_session", "sso_start_url", "role_arn", "credential_process", "login_session"];

/// A key of an account.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Its name; no secret.
    pub access_key_id: String,
    /// What signs.
    pub secret: Secret,
    /// What temporary keys come with.
    pub session_token: Option<Secret>,
    /// When it ends, where that is known.
    pub expires: Option<SystemTime>,
}

impl Credentials {
    /// Whether others should be looked for.
    #[must_use]
    pub fn expires_soon(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires < now + MARGIN)
    }
}

/// What a place has: credentials, or a sentence about why none.
pub type Looked = Result<Credentials, String>;

/// Looks at a place.
type Look<'l> = &'l dyn Fn(&Environment) -> Result<Looked, CallError>;

/// The credentials.
///
/// # Errors
/// [`CallError::Refused`] names every place that was looked at.
pub fn find(environment: &Environment, state_dir: &Path) -> Result<Credentials, CallError> {
    let metadata = |environment: &Environment| metadata::ask(environment, state_dir);
    let ways: [Look<'_>; 4] = [&in_variables, &in_files, &kept, &metadata];
    let mut places = Vec::new();
    for way in ways {
        match way(environment)? {
            Ok(credentials) => return Ok(credentials),
            Err(why) => places.push(why),
        }
    }
    Err(CallError::Refused {
        what: format!("there are no AWS credentials; looked at: {}", places.join("; ")),
        hint: Some(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, run `aws configure`, or: prov credentials set aws"
                .to_owned(),
        ),
    })
}

fn in_variables(environment: &Environment) -> Result<Looked, CallError> {
    let [id, secret] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    match (environment.get(id), environment.get(secret)) {
        (Some(id), Some(secret)) => Ok(Ok(key(id, secret, environment.get("AWS_SESSION_TOKEN")))),
        (None, None) => Ok(Err(format!("{id} (not set)"))),
        (Some(_), None) => Err(half(id, secret)),
        (None, Some(_)) => Err(half(secret, id)),
    }
}

fn half(set: &str, unset: &str) -> CallError {
    CallError::Refused {
        what: format!("{set} is set and {unset} isn't"),
        hint: Some("set both, or neither".to_owned()),
    }
}

fn in_files(environment: &Environment) -> Result<Looked, CallError> {
    let name = environment.profile_name();
    let files = [(environment.credentials_file(), false), (environment.config_file(), true)];
    let (mut looked, mut is_there) = (Vec::new(), false);
    for (file, is_config) in files.iter().filter_map(|(file, is_config)| Some((file.as_ref()?, *is_config))) {
        let Some(mut profile) = environment.profile(file, is_config) else {
            looked.push(format!("{} (no profile {name:?})", file.display()));
            continue;
        };
        is_there = true;
        if let Some(credentials) = in_profile(&mut profile, file)? {
            return Ok(Ok(credentials));
        }
        if let Some(foreign) = FOREIGN.iter().find(|key| profile.contains_key(**key)) {
            return Err(CallError::Refused {
                what: format!("the profile {name:?} gets its credentials by {foreign}, which prov knows nothing of"),
                hint: Some(format!("eval \"$(aws configure export-credentials --profile {name} --format env)\"")),
            });
        }
        looked.push(format!("{} (no key in the profile {name:?})", file.display()));
    }
    // Whoever names a profile means its account and no other.
    if !is_there && environment.get("AWS_PROFILE").is_some() {
        return Err(CallError::Refused {
            what: format!("there is no profile {name:?}; looked at: {}", looked.join("; ")),
            hint: Some("name one that is there with AWS_PROFILE, or unset it".to_owned()),
        });
    }
    Ok(Err(if looked.is_empty() { "~/.aws (HOME isn't set)".to_owned() } else { looked.join("; ") }))
}

fn in_profile(profile: &mut Settings, file: &Path) -> Result<Option<Credentials>, CallError> {
    let [id, secret] = ["aws_access_key_id", "aws_secret_access_key"];
    let half = |set: &str, unset: &str| half(&format!("{set} in {}", file.display()), unset);
    match (profile.remove(id), profile.remove(secret)) {
        (Some(id), Some(secret)) => Ok(Some(key(id, secret, profile.remove("aws_session_token")))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(half(id, secret)),
        (None, Some(_)) => Err(half(secret, id)),
    }
}

fn kept(environment: &Environment) -> Result<Looked, CallError> {
    let half = |set: &str, unset: &str| CallError::Refused {
        what: format!("prov keeps {set} and no {unset}"),
        hint: Some("keep both: prov credentials set aws".to_owned()),
    };
    let [id, secret, token] = credentials::AWS;
    match (environment.own(id)?, environment.own(secret)?) {
        (Some(id), Some(secret)) => {
            let (access_key_id, session_token) = (id.expose().to_owned(), environment.own(token)?);
            Ok(Ok(Credentials { access_key_id, secret, session_token, expires: None }))
        }
        (None, None) => Ok(Err("what prov keeps (nothing for aws)".to_owned())),
        (Some(_), None) => Err(half(id, secret)),
        (None, Some(_)) => Err(half(secret, id)),
    }
}

fn key(id: String, secret: String, token: Option<String>) -> Credentials {
    Credentials { access_key_id: id, secret: Secret::new(secret), session_token: token.map(Secret::new), expires: None }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is found with these variables, the metadata switched off.
    fn found(home: &Path, variables: &[(&str, &str)]) -> Result<Credentials, CallError> {
        find(&environment(home, variables), home)
    }

    fn environment(home: &Path, variables: &[(&str, &str)]) -> Environment {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut all: Vec<(String, String)> = variables.iter().map(own).collect();
        all.push(("HOME".to_owned(), home.display().to_string()));
        all.push(("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()));
        let lookup = move |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        Environment::new(lookup)
    }

    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".aws")).unwrap();
        let keys = "[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = s3cret\n\
            [dev]\naws_access_key_id = AKIDDEV\naws_secret_access_key = s3cret\naws_session_token = t0ken\n\
            [half]\naws_access_key_id = AKIDHALF\n";
        fs::write(home.path().join(".aws/credentials"), keys).unwrap();
        let foreign = "[profile sso]\nsso_session = x\n[profile tool]\ncredential_process = /bin/echo\n";
        fs::write(home.path().join(".aws/config"), foreign).unwrap();
        home
    }

    #[test]
    fn the_environment_comes_before_the_files_and_the_profile_is_the_one_named() {
        let home = home();
        let id = |variables: &[(&str, &str)]| found(home.path(), variables).unwrap().access_key_id;
        assert_eq!(id(&[]), "AKIDDEFAULT");
        assert_eq!(id(&[("AWS_PROFILE", "dev")]), "AKIDDEV");
        assert_eq!(
            id(&[("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_PROFILE", "dev")]),
            "AKIDENV"
        );
        let dev = found(home.path(), &[("AWS_PROFILE", "dev")]).unwrap();
        assert_eq!(dev.session_token.as_ref().unwrap().expose(), "t0ken");
        assert!(!format!("{dev:?}").contains("s3cret") && !format!("{dev:?}").contains("t0ken"));
    }

    #[test]
    fn the_files_are_those_that_variables_name() {
        let (home, other) = (home(), tempfile::tempdir().unwrap());
        let path = |name: &str| other.path().join(name).display().to_string();
        let (keys, config) = (path("keys"), path("config"));
        fs::write(&keys, "[a]\naws_access_key_id = AKIDA\naws_secret_access_key = s3cret\n").unwrap();
        fs::write(&config, "[profile b]\naws_access_key_id = AKIDB\naws_secret_access_key = s3cret\n").unwrap();
        let by = |profile: &str| {
            let files = [("AWS_SHARED_CREDENTIALS_FILE", keys.as_str()), ("AWS_CONFIG_FILE", config.as_str())];
            found(home.path(), &[files[0], files[1], ("AWS_PROFILE", profile)])
        };
        assert_eq!(by("a").unwrap().access_key_id, "AKIDA");
        assert_eq!(by("b").unwrap().access_key_id, "AKIDB");
        let error = by("dev").unwrap_err().to_string();
        assert!(error.starts_with("there is no profile \"dev\"; looked at: ") && error.contains("/keys"), "{error}");
    }

    #[test]
    fn what_prov_keeps_comes_after_the_files() {
        let keeping = |names: &'static [&'static str]| {
            move |name: &str| Ok(names.contains(&name).then(|| Secret::new(format!("kept {name}"))))
        };
        let empty = tempfile::tempdir().unwrap();
        let by = |home: &Path, names| find(&environment(home, &[]).with_own(keeping(names)), home);
        let kept = by(empty.path(), &credentials::AWS).unwrap();
        assert_eq!(
            (kept.access_key_id.as_str(), kept.secret.expose()),
            ("kept AWS_ACCESS_KEY_ID", "kept AWS_SECRET_ACCESS_KEY")
        );
        assert_eq!(kept.session_token.unwrap().expose(), "kept AWS_SESSION_TOKEN");
        assert!(by(empty.path(), &credentials::AWS[..2]).unwrap().session_token.is_none());
        assert_eq!(by(home().path(), &credentials::AWS).unwrap().access_key_id, "AKIDDEFAULT");
        let error = by(empty.path(), &credentials::AWS[..1]).unwrap_err().to_string();
        assert_eq!(error, "prov keeps AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY");
    }

    #[test]
    fn half_a_key_is_an_error() {
        let home = home();
        let error = found(home.path(), &[("AWS_ACCESS_KEY_ID", "AKID")]).unwrap_err().to_string();
        assert_eq!(error, "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY isn't");
        let error = found(home.path(), &[("AWS_PROFILE", "half")]).unwrap_err().to_string();
        assert!(error.contains(".aws/credentials is set and aws_secret_access_key isn't"), "{error}");
    }

    #[test]
    fn what_other_tools_must_fetch_says_how() {
        for (profile, by) in [("sso", "sso_session"), ("tool", "credential_process")] {
            let error = found(home().path(), &[("AWS_PROFILE", profile)]).unwrap_err();
            let CallError::Refused { what, hint } = error else { panic!("{error}") };
            let way = format!("export-credentials --profile {profile}");
            assert!(what.contains(by) && hint.unwrap().contains(&way), "{what}");
        }
    }

    #[test]
    fn none_names_every_place() {
        let home = tempfile::tempdir().unwrap();
        let error = found(home.path(), &[]).unwrap_err().to_string();
        for place in
            ["AWS_ACCESS_KEY_ID", ".aws/credentials", ".aws/config", "what prov keeps", "AWS_EC2_METADATA_DISABLED"]
        {
            assert!(error.contains(place), "{error}");
        }
    }

    #[test]
    fn keys_that_end_are_renewed_before() {
        let now = SystemTime::now();
        let expiring = |in_s| Credentials {
            expires: Some(now + Duration::from_secs(in_s)),
            ..key(String::new(), String::new(), None)
        };
        assert!(expiring(60).expires_soon(now) && !expiring(3600).expires_soon(now));
        assert!(!key(String::new(), String::new(), None).expires_soon(now));
    }
}

//! Users, roles and sessions on the wire.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use super::read::{Object, Problem, Problems, UUID, boolean, parsed, text};
use crate::audit::DAEMON;
use crate::model::id::{SessionId, UserId};
use crate::model::schema::text_schema;
use crate::model::time::Timestamp;
use crate::model::user::{NotAUsername, Role, username};

/// What a user name is, and what an address is, in patterns.
const USERNAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
const EMAIL: &str = r"^$|^[^@\s\x00-\x1f\x7f-\x9f]+@[^\s\x00-\x1f\x7f-\x9f]+$";

/// A user as administrators see one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserAccount {
    /// Their id.
    pub id: UserId,
    /// Their name.
    pub username: String,
    /// May be empty.
    pub email: String,
    /// Their roles.
    pub roles: Vec<Role>,
    /// Whether an administrator shut them out.
    pub disabled: bool,
    /// When the lock for failed logins ends, where there is one.
    pub locked_until: Option<Timestamp>,
    /// Whether logins ask for a second factor.
    pub mfa: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When they last logged in.
    pub last_login_at: Option<Timestamp>,
}

/// Which user a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserKey {
    /// By id.
    Id(UserId),
    /// By name, which never looks like an id.
    Name(String),
}

text_schema!(UserKey, { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" });

impl FromStr for UserKey {
    type Err = String;
    fn from_str(given: &str) -> Result<Self, String> {
        let named = || username(given).map(Self::Name);
        given.parse().map(Self::Id).or_else(|_| named()).map_err(|error| format!("a user name {error}"))
    }
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Serialize for UserKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Body of `POST /users`.
#[derive(Clone, Serialize, JsonSchema)]
pub struct NewUser {
    /// Their name.
    #[schemars(regex(pattern = USERNAME), extend("not" = { "type": "string", "anyOf": [{ "pattern": UUID }, { "pattern": "^[Pp][Rr][Oo][Vv]$" }] }))]
    pub username: String,
    /// May be empty.
    #[schemars(default, regex(pattern = EMAIL), length(max = 254))]
    pub email: String,
    /// At least one.
    #[schemars(length(min = 1))]
    pub roles: Vec<Role>,
    /// What they log in with: 12 to 128 characters, and nothing that is easily guessed.
    pub password: String,
}

/// Hides the password.
impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser").field("username", &self.username).field("roles", &self.roles).finish_non_exhaustive()
    }
}

impl NewUser {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let username = object.required("username", name);
            let email = object.optional("email", email);
            let roles = roles(&object);
            if object.is_absent("roles") {
                object.fault("roles", "is required");
            }
            let password = object.required("password", text);
            object.no_more();
            Some(Self { username: username?, email: email.unwrap_or_default(), roles: roles?, password: password? })
        });
        problems.finish(read)
    }
}

/// Body of `PUT /users/{id}`: what is absent stays.
#[derive(Clone, Default, Serialize, JsonSchema)]
pub struct UserChange {
    /// Where to reach them.
    #[schemars(regex(pattern = EMAIL), length(max = 254))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// All of their roles from now on.
    #[schemars(length(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<Role>>,
    /// A new password, which ends all of their sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Whether they are shut out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// False takes their second factor away, which ends all of their sessions; it is never true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [false, null]))]
    pub mfa: Option<bool>,
}

/// Hides the password.
impl fmt::Debug for UserChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("UserChange");
        shown.field("email", &self.email).field("roles", &self.roles).field("disabled", &self.disabled);
        shown.field("mfa", &self.mfa);
        shown.finish_non_exhaustive()
    }
}

impl UserChange {
    /// Reads a body. Whatever else belongs to a user can't be set, and is refused by name.
    ///
    /// # Errors
    /// Every problem of it.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).map(|object| {
            let email = object.optional("email", email);
            let roles = roles(&object);
            let (password, disabled) = (object.optional("password", text), object.optional("disabled", boolean));
            let mfa = object.optional("mfa", taken_away);
            object.no_more();
            Self { email, roles, password, disabled, mfa }
        });
        problems.finish(read)
    }

    /// The names of what it changes, without the values.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static str> {
        let fields = [
            ("email", self.email.is_some()),
            ("roles", self.roles.is_some()),
            ("password", self.password.is_some()),
            ("disabled", self.disabled.is_some()),
            ("mfa", self.mfa.is_some()),
        ];
        fields.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
    }
}

/// A list of at least one role, each once; nothing when it is absent.
pub(super) fn roles(object: &Object<'_>) -> Option<Vec<Role>> {
    if object.is_absent("roles") {
        return None;
    }
    let mut roles: Vec<Role> = object.list("roles", parsed);
    if object.raw("roles").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        object.fault("roles", "needs at least one role");
    }
    roles.sort_unstable();
    roles.dedup();
    Some(roles)
}

/// A second factor can be taken away from its user, and set up by nobody else.
fn taken_away(value: &Value) -> Result<bool, String> {
    if boolean(value)? {
        return Err("can only be false: a second factor is set up by its user alone, with `prov mfa enroll`".to_owned());
    }
    Ok(false)
}

/// The name of a new user.
fn name(value: &Value) -> Result<String, String> {
    let name = username(&text(value)?).map_err(|error: NotAUsername| error.to_string())?;
    if name == DAEMON { Err(format!("can't be `{DAEMON}`: the audit trail calls the daemon so")) } else { Ok(name) }
}

/// An address as far as it can be told without writing to it, or nothing.
fn email(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    let has_form = text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    let is_plain = text.len() <= 254 && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    let is_good = text.is_empty() || (has_form && is_plain);
    is_good.then_some(text).ok_or_else(|| "must be an e-mail address, or empty".to_owned())
}

/// What a role may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RoleDescription")]
pub struct RoleView {
    /// Its word.
    pub role: Role,
    /// What it may, in a sentence.
    pub description: String,
    /// The actions that the policies in force permit it everywhere.
    pub actions: Vec<String>,
    /// Those that they permit it outside production only.
    pub outside_production: Vec<String>,
}

/// Body of `POST /auth/password`.
#[derive(Clone, Serialize, JsonSchema)]
pub struct PasswordChange {
    /// The present one.
    pub current_password: String,
    /// The one from now on: 12 to 128 characters, and nothing that is easily guessed.
    pub new_password: String,
}

/// Hides all of it.
impl fmt::Debug for PasswordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordChange(hidden)")
    }
}

impl PasswordChange {
    /// Reads a body.
    ///
    /// # Errors
    /// Every problem of it; none repeats a value.
    pub fn read(body: &Value) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let read = problems.object(body, String::new()).and_then(|object| {
            let current = object.required("current_password", text);
            let new = object.required("new_password", text);
            object.no_more();
            Some(Self { current_password: current?, new_password: new? })
        });
        problems.finish(read)
    }
}

/// Answer of `POST /auth/password`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PasswordChanged {
    /// How many other sessions of the user were ended.
    pub sessions_ended: usize,
    /// How many API tokens of the user stay good.
    #[serde(default)]
    pub api_tokens_left: usize,
}

/// A session as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Session")]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends unless it is refreshed.
    pub expires_at: Timestamp,
    /// Whether a second factor was given.
    pub mfa: bool,
    /// Whether it is the one that asks.
    pub current: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_may_not_be_set_is_refused_by_name() {
        let refused =
            |body: Value| UserChange::read(&body).unwrap_err().into_iter().map(|p| p.pointer).collect::<Vec<_>>();
        assert_eq!(refused(json!({ "id": 1, "mfa": true })), ["/mfa", "/id"]);
        assert_eq!(UserChange::read(&json!({ "mfa": false })).unwrap().mfa, Some(false));
        assert_eq!(refused(json!({ "password_hash": "x", "generation": 0 })), ["/password_hash", "/generation"]);
        assert_eq!(
            refused(json!({ "username": "x", "roles": [], "disabled": 1 })),
            ["/roles", "/disabled", "/username"]
        );
        assert_eq!(refused(json!({ "roles": ["admin"], "email": "a\r\nb@c" })), ["/email", "/roles/0"]);
    }

    #[test]
    fn no_user_is_called_as_the_daemon_is() {
        let named = |name: &str| NewUser::read(&json!({ "username": name, "roles": ["Admin"], "password": "x" }));
        for name in ["prov", "Prov"] {
            let problems = named(name).unwrap_err();
            assert!(problems[0].pointer == "/username" && problems[0].message.contains("daemon"), "{problems:?}");
        }
        assert!(named("prov-2").is_ok());
    }

    #[test]
    fn a_path_names_a_user_by_id_or_name() {
        let id = "01a20dde-a76b-74cc-b9dd-d96eee9b4642";
        assert!(matches!(id.parse(), Ok(UserKey::Id(_))));
        assert_eq!("Alice".parse(), Ok(UserKey::Name("alice".to_owned())));
        assert!("a/b".parse::<UserKey>().is_err());
    }
}

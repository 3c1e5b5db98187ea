//! Who may do what, against a real daemon: every operation by every role, and what policies change.

mod lists;
mod operations;
mod policies;
mod ways_round;

use std::collections::BTreeMap;
use std::time::Duration;

use prov::audit::Key;
use prov::auth::api_token::{self, Wanted};
use prov::auth::audit_key;
use prov::auth::key_files::KeyFiles;
use prov::auth::session;
use prov::auth::token::Tokens;
use prov::model::id::{ApiTokenId, SessionId, UserId};
use prov::model::time::Timestamp;
use prov::model::user::{Role, User};
use prov::store::record::UserRecord;
use prov::store::{Change, Store, Transaction};
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{Answer, Daemon, answer};

/// A daemon that runs nothing, with a user of each role, who is called like it; the administrator is called `root`, because
/// there is an `admin` already.
struct House {
    daemon: Daemon,
    tokens: BTreeMap<&'static str, String>,
    /// A token of each that was good an hour ago.
    expired: BTreeMap<&'static str, String>,
    /// An API token of each, with all that they may.
    api_tokens: BTreeMap<&'static str, String>,
    /// A token of an administrator who is not there any more.
    orphan: String,
}

impl House {
    async fn open() -> Self {
        let mut daemon = Daemon::start(&["--max-parallel", "0"]).await;
        daemon.kill();
        let data = daemon.path("data");
        let now = Timestamp::now();
        let signing = Tokens::new(KeyFiles::open(&data, now).unwrap().1);
        let (mut tokens, mut expired, mut changes) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut api_tokens = BTreeMap::new();
        for role in Role::ALL {
            let name = role.as_str();
            let user = User {
                id: UserId(Uuid::now_v7()),
                username: if *role == Role::Admin { "root".to_owned() } else { name.to_lowercase() },
                email: String::new(),
                roles: vec![*role],
                created_at: now,
            };
            let (session, _) = session::begin(SessionId(Uuid::now_v7()), user.id, false, now).unwrap();
            let issue = |at| signing.issue(&user, session.id, false, at).unwrap().0;
            tokens.insert(name, issue(now));
            expired.insert(name, issue(now.minus(Duration::from_hours(1))));
            let wanted =
                Wanted { name: "script".to_owned(), roles: vec![*role], mfa: false, lifetime: api_token::LIFETIME };
            let id = ApiTokenId(Uuid::now_v7());
            let (record, text) = api_token::make(id, user.id, &user.roles, wanted, now).unwrap();
            api_tokens.insert(name, text);
            changes.push(Change::PutApiToken(Box::new(record)));
            changes.push(Change::PutSession(Box::new(session)));
            changes.push(Change::PutUser(Box::new(UserRecord::new(user, String::new()))));
        }
        let gone = User {
            id: UserId(Uuid::now_v7()),
            username: "gone".to_owned(),
            email: String::new(),
            roles: vec![Role::Admin],
            created_at: now,
        };
        let (session, _) = session::begin(SessionId(Uuid::now_v7()), gone.id, false, now).unwrap();
        let orphan = signing.issue(&gone, session.id, false, now).unwrap().0;
        changes.push(Change::PutSession(Box::new(session)));
        let key = Key::from_bytes(1, audit_key::read(&data).unwrap().unwrap());
        let store = Store::open(&data, 1 << 20, key).unwrap();
        store.commit(Transaction::of(changes)).await.unwrap();
        drop(store);
        daemon.boot().await;
        Self { daemon, tokens, expired, api_tokens, orphan }
    }

    fn orchestrator(&self, role: &str, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.daemon.orchestrator());
        self.daemon.http.request(method, url).bearer_auth(&self.tokens[role])
    }

    async fn get(&self, role: &str, path: &str) -> Answer {
        answer(self.orchestrator(role, Method::GET, path)).await
    }

    async fn post(&self, role: &str, path: &str, body: &Value) -> Answer {
        answer(self.orchestrator(role, Method::POST, path).json(body)).await
    }

    /// A call of the control center.
    async fn control(&self, role: &str, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.daemon.http.request(method, format!("{}{path}", self.daemon.control_center));
        answer(request.bearer_auth(&self.tokens[role]).json(body)).await
    }

    /// The id of a new task on an infra.
    async fn task(&self, role: &str, infra: &str) -> String {
        let submitted = self.post(role, "/workflows/servers/create", &serde_json::json!({ "infra": infra })).await;
        submitted.data().as_str().unwrap().to_owned()
    }
}

/// How many a list says there are.
fn total(listed: &Answer) -> u64 {
    assert_eq!(listed.status, 200, "{listed:?}");
    listed.headers["x-total-count"].to_str().unwrap().parse().unwrap()
}

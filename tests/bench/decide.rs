//! What it costs to know who asks and whether they may: the token of each of 1,000 users in turn is checked, and 50 policies
//! decide, of which the roles and the examples are a part.

use std::net::IpAddr;
use std::time::Duration;

use prov::api::actions::Action;
use prov::auth::keys::{KeyRing, SigningKey};
use prov::auth::token::Tokens;
use prov::model::id::{PolicyId, SessionId, UserId};
use prov::model::time::Timestamp;
use prov::model::user::{Role, User};
use prov::policy::{Circumstances, Infra, Policies, PolicyText, Request, Resource, Subject, shipped};
use uuid::Uuid;

use super::measure::{Spread, timed};
use super::table::{Reach, Table};

const POLICIES: usize = 50;
const USERS: usize = 1000;
/// Decisions for each user.
const ROUNDS: usize = 20;
const NOW: Timestamp = Timestamp(1_790_000_000_000);
const ACTIONS: [Action; 3] = [Action::WorkflowSubmit, Action::TaskRead, Action::BatchCancel];

pub fn bench(table: &mut Table) {
    let (policies, tokens, users) = (policies(), tokens(), users());
    let signed = users.iter().map(|user| tokens.issue(user, SessionId(user.id.0), true, NOW).unwrap().0);
    let signed: Vec<String> = signed.collect();
    let ask = |n: usize| {
        let user = &users[n % USERS];
        let request = request(n, &user.username);
        let ((claims, decision), took) =
            timed(|| (tokens.check(&signed[n % USERS], NOW).unwrap(), policies.decide(&request)));
        assert_eq!((claims.sub, decision.errors), (user.id, Vec::new()));
        microseconds(took)
    };
    let first = Spread::of((0..USERS).map(ask));
    let times = Spread::of((USERS..USERS * ROUNDS).map(ask));
    let what = format!("a token and a decision with {POLICIES} policies: 99 of 100 are within");
    table.line(&what, "", &Spread::of([times.quantile(99)]), "µs", Reach::AtMost(50.0));
    table.line("  the usual one", "", &times, "µs", Reach::Shown);
    table.line("  the first with a token, whose signature is verified", "", &first, "µs", Reach::Shown);
}

fn tokens() -> Tokens {
    Tokens::new(KeyRing::of(SigningKey::generate(Timestamp(0)).unwrap()))
}

fn users() -> Vec<User> {
    let user = |n: usize| User {
        id: UserId(Uuid::from_u128(n as u128)),
        username: format!("user-{n}"),
        email: "user@team-20.example.org".to_owned(),
        roles: vec![Role::ALL[n % Role::ALL.len()]],
        created_at: NOW,
    };
    (0..USERS).map(user).collect()
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// All that ships, enabled, and as an organisation would add them: rights of teams on infras of theirs.
fn policies() -> Policies {
    let teams = shipped().len()..POLICIES;
    let teams: Vec<(String, String)> = teams.map(|n| (format!("team-{n}"), team(n))).collect();
    let shipped = shipped().iter().map(|it| (&it.name[..], it.content));
    let all = shipped.chain(teams.iter().map(|(name, content)| (&name[..], &content[..])));
    let text = |(name, content)| PolicyText { id: PolicyId(Uuid::nil()), name, content, enabled: true };
    Policies::compile(all.map(text)).unwrap()
}

fn team(n: usize) -> String {
    format!(
        r#"permit (principal, action in [Action::"task_read", Action::"batch_cancel"], resource in Infra::"infra-{n}")
           when {{ principal.email like "*@team-{n}.example.org" && context.ip.isInRange(ip("10.{n}.0.0/16")) }};"#
    )
}

fn request(n: usize, username: &str) -> Request<'_> {
    let role = n % Role::ALL.len();
    let infra = Infra { name: ["infra-20", "shop"][n % 2], environment: ["staging", "production"][n % 2] };
    let action = ACTIONS[n % ACTIONS.len()];
    let resource = match action {
        Action::WorkflowSubmit => Resource::Infra(infra),
        Action::TaskRead => Resource::Task { id: username, name: "create_servers", infra, submitted_by: "user-7" },
        _ => Resource::Batch { id: username, name: "rollout", infra, submitted_by: "user-7" },
    };
    let circumstances = Circumstances {
        mfa: n.is_multiple_of(3),
        ip: IpAddr::from([10, 20, 0, 7]),
        time: NOW,
        check_mode: false,
        operation: Some("create"),
        providers: Some(&["local", "upcloud"]),
    };
    let subject =
        Subject { username, email: "user@team-20.example.org", roles: &Role::ALL[role..=role], mfa_enrolled: true };
    Request { subject, action, resource, circumstances }
}

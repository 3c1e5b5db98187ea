//! How servers and plans look as tables. Pure: values in, cells out.

use crate::cli::printer::{Rows, or_dash};
use crate::provision::plan::{Action, Change};
use crate::provision::provider::{Server, ServerState};
use crate::provision::servers::Done;

/// A plan, one row a server.
#[must_use]
pub fn plan_rows(changes: &[Change]) -> Rows {
    let header = vec!["SERVER", "ACTION", "PROVIDER", "PLAN", "ZONE", "WHY"];
    Rows { narrow: header.len(), header, rows: changes.iter().map(plan_row).collect() }
}

/// What was done, one row a server.
#[must_use]
pub fn done_rows(done: &[Done]) -> Rows {
    let rows = done.iter().map(|done| vec![done.name.to_string(), done.action.to_string()]);
    Rows { header: vec!["SERVER", "ACTION"], narrow: 2, rows: rows.collect() }
}

fn plan_row(change: &Change) -> Vec<String> {
    vec![
        change.server.to_string(),
        change.action.to_string(),
        change.provider.clone(),
        change.plan.to_string(),
        change.zone.to_string(),
        why(change),
    ]
}

fn why(change: &Change) -> String {
    let mut reasons: Vec<String> = change.differences.iter().map(ToString::to_string).collect();
    reasons.extend(change.reason.clone());
    if reasons.is_empty() && change.action == Action::Create {
        reasons.push("not there yet".to_owned());
    }
    reasons.extend(change.warnings.clone());
    reasons.join("; ")
}

/// Servers, one row each.
#[must_use]
pub fn server_rows(servers: &[Server]) -> Rows {
    let header = vec!["SERVER", "INFRA", "STATE", "PROVIDER", "PLAN", "ZONE", "ADDRESS", "ID", "OPERATION", "LIMITS"];
    Rows { header, narrow: 7, rows: servers.iter().map(server_row).collect() }
}

fn server_row(server: &Server) -> Vec<String> {
    let spec = &server.spec;
    vec![
        spec.name.to_string(),
        spec.infra.to_string(),
        if server.stray { "stray".to_owned() } else { state(server.state).to_owned() },
        server.provider.clone(),
        spec.plan.to_string(),
        spec.zone.to_string(),
        or_dash(server.address.as_ref()),
        server.id.clone(),
        or_dash(Some(&spec.operation).filter(|operation| !operation.is_empty())),
        server.limits.clone(),
    ]
}

const fn state(state: ServerState) -> &'static str {
    match state {
        ServerState::Running => "running",
        ServerState::Stopped => "stopped",
        ServerState::Incomplete => "incomplete",
        ServerState::Damaged => "damaged",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Map, json};

    use super::*;
    use crate::model::name::Name;
    use crate::provision::plan::{Changes, Others, Wanted};
    use crate::provision::provider::ServerSpec;

    fn wanted(name: &str, plan: &str) -> Wanted {
        let spec = ServerSpec {
            infra: Name::new("production").unwrap(),
            name: Name::new(name).unwrap(),
            plan: plan.parse().unwrap(),
            zone: Name::new("local").unwrap(),
            operation: String::new(),
            labels: BTreeMap::new(),
            extra: Map::new(),
        };
        Wanted { provider: Name::new("local").unwrap(), spec }
    }

    fn server(name: &str, plan: &str) -> Server {
        Server {
            address: Some("10.0.0.1".to_owned()),
            limits: "enforced (cgroup v1)".to_owned(),
            ..Server::of(wanted(name, plan).spec, "local", format!("id-{name}"), ServerState::Running)
        }
    }

    #[test]
    fn a_plan_says_what_happens_and_why() {
        let infra = Name::new("production").unwrap();
        let wants = [wanted("web-1", "1xCPU-1 GB"), wanted("web-2", "2xCPU-1 GB"), wanted("web-3", "1xCPU-1 GB")];
        let actual = [server("web-2", "1xCPU-1 GB"), server("web-3", "1xCPU-1 GB"), server("old", "1xCPU-1 GB")];
        let table = plan_rows(&Changes::between(&infra, &wants, &actual, Others::Leave).changes);
        let lines: Vec<String> = table.rows.iter().map(|row| row.join(" | ")).collect();
        assert_eq!(
            lines,
            [
                "web-1 | create | local | 1xCPU-1 GB | local | not there yet",
                "web-2 | replace | local | 2xCPU-1 GB | local | plan: 1xCPU-1 GB → 2xCPU-1 GB",
                "web-3 | keep | local | 1xCPU-1 GB | local | ",
                "old | leave | local | 1xCPU-1 GB | local | not declared; --prune deletes it",
            ]
        );
        assert!(table.rows.iter().all(|row| row.len() == table.header.len()));
    }

    #[test]
    fn a_plan_as_json_is_for_programs() {
        let infra = Name::new("production").unwrap();
        let actual = [server("web-2", "1xCPU-1 GB")];
        let changes = Changes::between(&infra, &[wanted("web-2", "2xCPU-1 GB")], &actual, Others::Leave);
        let expected = json!({"infra": "production", "changes": [{
            "action": "replace", "server": "web-2", "provider": "local", "plan": "2xCPU-1 GB", "zone": "local",
            "differences": [{"attribute": "plan", "from": "1xCPU-1 GB", "to": "2xCPU-1 GB"}],
            "known_after": ["id", "address"], "rollback": "delete the new one; what the old one held is gone",
        }]});
        assert_eq!(serde_json::to_value(&changes).unwrap(), expected);
    }

    #[test]
    fn servers_are_rows_as_wide_as_their_header() {
        let table = server_rows(&[server("a", "1xCPU-1 GB")]);
        assert_eq!(table.rows[0].len(), table.header.len());
        assert_eq!(
            table.rows[0].join(" "),
            "a production running local 1xCPU-1 GB local 10.0.0.1 id-a - enforced (cgroup v1)"
        );
    }
}

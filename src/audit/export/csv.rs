//! Comma-separated values as RFC 4180 has them.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return for a formula, and may run
//! programs by it. Names and user agents come from outside, so such a cell gets a leading apostrophe, which spreadsheets
//! take for "this is text". Other readers see the apostrophe; those that want the exact text take JSON.

use crate::audit::chain::Sealed;
use crate::audit::entry::Entry;

const COLUMNS: [&str; 18] = [
    "sequence",
    "at",
    "username",
    "user_id",
    "roles",
    "credential",
    "credential_id",
    "address",
    "user_agent",
    "request_id",
    "action",
    "resource",
    "decision",
    "policies",
    "outcome",
    "code",
    "details",
    "mac",
];

/// The names of the columns.
pub(super) fn header() -> Vec<u8> {
    let mut out = Vec::new();
    line(COLUMNS.map(str::to_owned), &mut out);
    out
}

/// One entry.
pub(super) fn row(entry: &Entry, sealed: &Sealed, out: &mut Vec<u8>) {
    let Entry { sequence, event } = entry;
    let actor = &event.actor;
    let roles: Vec<&str> = actor.roles.iter().map(|role| role.as_str()).collect();
    let details = if event.details.is_empty() { String::new() } else { serde_json::json!(event.details).to_string() };
    let cells = [
        sequence.to_string(),
        event.at.to_string(),
        actor.username.clone(),
        actor.user.map(|id| id.to_string()).unwrap_or_default(),
        roles.join(" "),
        actor.credential.as_str().to_owned(),
        actor.credential_id.clone().unwrap_or_default(),
        event.address.map(|address| address.to_string()).unwrap_or_default(),
        event.user_agent.clone().unwrap_or_default(),
        event.request_id.clone(),
        event.action.clone(),
        event.resource.to_string(),
        event.decision.as_str().to_owned(),
        event.decision.policies().join(" "),
        event.outcome.as_str().to_owned(),
        event.outcome.code().unwrap_or_default().to_owned(),
        details,
        sealed.mac.to_string(),
    ];
    line(cells, out);
}

fn line(cells: [String; COLUMNS.len()], out: &mut Vec<u8>) {
    out.extend_from_slice(cells.map(|text| cell(&text)).join(",").as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{guard}{}\"", text.replace('"', "\"\""))
    } else {
        format!("{guard}{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formula() {
        let cases = [
            ("alice", "alice"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=1+1", "'=1+1"),
            ("@SUM(A1,A2)", "\"'@SUM(A1,A2)\""),
            ("-2", "'-2"),
            ("+2", "'+2"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(cell(text), expected);
        }
    }
}

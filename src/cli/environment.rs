//! The environment variables that prov goes by: what `prov help environment` says, and which of those that are set look
//! like one misspelt.
//!
//! `PROV_…` is not prov's alone: tasks and the scripts of task services are given variables of that prefix, and people
//! may pass on their own. A variable that prov doesn't know is therefore only remarked on, and only where it resembles
//! one that it knows.

use std::ffi::OsString;

use crate::config;
use crate::model::nearest::nearest;

/// What prov reads, with what it is; keys of the daemon's configuration come on top of these.
const VARIABLES: &[(&str, &str)] = &[
    ("PROV_SERVER", "the orchestrator's address, http://host:port or https://host:port"),
    ("PROV_CONTROL_CENTER", "the control center's address"),
    ("PROV_CONTEXT", "the context to use, instead of the current one (see `prov context list`)"),
    ("PROV_FINGERPRINT", "the fingerprint of the daemon's certificate, where only that one is trusted"),
    ("PROV_CA_CERTIFICATE", "a file with authorities, in PEM, that are trusted besides those of the machine"),
    ("PROV_CLIENT_CERTIFICATE, PROV_CLIENT_KEY", "your own certificate and its key, where a daemon asks for one"),
    ("PROV_TOKEN", "an API token (see `prov token create`) or an access token, instead of a session"),
    ("PROV_TOKEN_FILE", "a file with one"),
    ("PROV_MFA_CODE", "a code of the second factor, where one is asked for"),
    ("PROV_WORKSPACE", "the workspace"),
    ("PROV_INFRA", "the infra of `prov servers`, `prov taskserv` and `prov cluster`"),
    ("PROV_EVAL_TIMEOUT_SECONDS", "how long one settings or batch file may take to evaluate; 10"),
    ("UPCLOUD_TOKEN", "a token of UpCloud's; or UPCLOUD_USERNAME and UPCLOUD_PASSWORD"),
    ("UPCLOUD_TOKEN_FILE", "a file with it that others can't read; so with every credential (see `prov credentials`)"),
    ("UPCLOUD_DEBUG_API_BASE_URL", "another address of UpCloud's interface"),
    ("PROV_LOG", "the daemon's log level, such as info or warn,scheduler=debug"),
    ("HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY", "the way to other machines; this one is always reached directly"),
    ("NO_COLOR, FORCE_COLOR", "no colour, or colour in a pipe too"),
    ("COLUMNS", "the width of tables on a terminal"),
    ("PAGER", "what shows long lists and help on a terminal"),
];

/// What tasks, operations and the scripts of task services are given.
const GIVEN: &[&str] = &[
    "PROV_TASK_ID",
    "PROV_BATCH_ID",
    "PROV_OPERATION_ID",
    "PROV_ATTEMPT",
    "PROV_EVENTS",
    "PROV_SERVER_NAME",
    "PROV_SERVER_ADDRESS",
    "PROV_PEERS",
];
/// The parameters of task services begin so.
const PARAMETER: &str = "PROV_PARAM_";

/// The text of `prov help environment`.
pub(super) fn help() -> String {
    let line = |(name, what): &(&str, &str)| match name.len() {
        0..20 => format!("{name:20} {what}\n"),
        _ => format!("{name}\n{:20} {what}\n", ""),
    };
    let variables: String = VARIABLES.iter().map(line).collect();
    let keys: String = config::keys().map(|key| format!("  {:31} {key}\n", config::variable(key))).collect();
    format!(
        "{variables}\nThe daemon's configuration, by variable and by key of the table `[daemon]`, the only one, of a\n\
         workspace's prov.toml, of ~/.config/prov/config.toml and of /etc/prov/config.toml:\n{keys}"
    )
}

/// A warning for each variable that is set, unknown, and like a known one.
pub(super) fn suspicious(set: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    let names = set.filter_map(|(name, _)| name.into_string().ok());
    let names: Vec<String> = names.filter(|name| name.starts_with("PROV_")).collect();
    if names.iter().any(|name| name == "PROV_TASK_ID") {
        // A task's environment is the daemon's doing, and it has warned.
        return Vec::new();
    }
    let keys: Vec<String> = config::keys().map(config::variable).collect();
    let known: Vec<&str> = VARIABLES
        .iter()
        .flat_map(|(names, _)| names.split(", "))
        .chain(keys.iter().map(String::as_str))
        .filter_map(|name| name.strip_prefix("PROV_"))
        .collect();
    let is_unknown = |name: &&String| {
        !GIVEN.contains(&name.as_str()) && !name.starts_with(PARAMETER) && !known.contains(&&name["PROV_".len()..])
    };
    let warning = |name: &String| {
        let near = nearest(&name["PROV_".len()..], &known)?;
        Some(format!("{name} means nothing to prov; did you mean PROV_{near}?"))
    };
    names.iter().filter(is_unknown).filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(names: &[&str]) -> Vec<String> {
        suspicious(names.iter().map(|name| (OsString::from(name), OsString::new())))
    }

    #[test]
    fn what_looks_like_a_variable_of_prov_is_remarked_on() {
        let warned =
            warned(&["PROV_SERVR", "PROV_MAX_PARALEL", "PROV_LISTEN", "PROV_PARAM_PORT", "PROV_OF_MY_OWN", "PATH"]);
        assert_eq!(
            warned,
            [
                "PROV_SERVR means nothing to prov; did you mean PROV_SERVER?",
                "PROV_MAX_PARALEL means nothing to prov; did you mean PROV_MAX_PARALLEL?"
            ]
        );
    }

    #[test]
    fn a_task_is_not_told_what_the_daemon_was() {
        assert_eq!(warned(&["PROV_TASK_ID", "PROV_SERVR"]), Vec::<String>::new());
    }
}

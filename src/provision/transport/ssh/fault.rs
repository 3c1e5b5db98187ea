//! Why a command could not be run over ssh, by what ssh itself said.

use std::io;

use super::destination::Destination;
use crate::provision::error::ProviderError;
use crate::provision::transport::shell::header::SAYS_NOT_ROOT;

/// Why there is no result.
#[derive(Debug)]
pub(super) enum Fault {
    /// The host shows another key than the known one.
    HostKeyChanged,
    /// Nobody has said that the host's key is its own.
    HostKeyUnknown,
    /// The host lets nobody in with this key.
    Denied(String),
    /// There is no connection.
    Unreachable(String),
    /// The login isn't root's, and root's rights can't be had.
    NotRoot(String),
    /// Logging in worked and running a shell didn't.
    NoShell(String),
    /// The connection broke while the command ran.
    Broken(String),
    /// The host has no such program.
    NoProgram(String),
    /// This host can't run ssh.
    Here(io::Error),
    /// The request.
    Request(ProviderError),
}

impl Fault {
    /// Of a login that failed: what ssh logged, what came on the standard error, ssh's status.
    pub(super) fn of_login(log: &str, said: &str, status: Option<i32>) -> Self {
        let has = |text: &str| log.contains(text);
        if has("REMOTE HOST IDENTIFICATION HAS CHANGED") || has("has changed and you have requested strict") {
            return Self::HostKeyChanged;
        }
        if has("host key is known for") || has("Host key verification failed") {
            return Self::HostKeyUnknown;
        }
        if has("Permission denied (") || has("Too many authentication failures") {
            return Self::Denied(last_line(log));
        }
        if status == Some(255) {
            let words = if log.trim().is_empty() { said } else { log };
            return Self::Unreachable(telling_line(words));
        }
        let words = last_line(said);
        if said.contains(SAYS_NOT_ROOT) || said.contains("sudo: ") {
            return Self::NotRoot(words);
        }
        Self::NoShell(if words.is_empty() { "it ended without a word".to_owned() } else { words })
    }

    /// Whether it may be gone after a while, as far as a machine goes that is starting.
    pub(super) const fn may_pass(&self) -> bool {
        match self {
            Self::Denied(_) | Self::Unreachable(_) | Self::NotRoot(_) | Self::NoShell(_) | Self::Broken(_) => true,
            Self::HostKeyChanged | Self::HostKeyUnknown | Self::NoProgram(_) | Self::Here(_) | Self::Request(_) => {
                false
            }
        }
    }

    /// The error for people, about the host at `to`.
    pub(super) fn error(self, to: &Destination) -> ProviderError {
        let unavailable =
            |what: String, hint: Option<&str>| ProviderError::Unavailable { what, hint: hint.map(str::to_owned) };
        match self {
            Self::HostKeyChanged => unavailable(
                format!(
                    "{to} shows another host key than the one that is known: it is another machine, or somebody is in between"
                ),
                Some("if it was installed anew, have its new key confirmed; otherwise find out who answers there"),
            ),
            Self::HostKeyUnknown => unavailable(
                format!("the host key of {to} is not known"),
                Some("compare its fingerprint and confirm it: prov hosts trust NAME --infra INFRA"),
            ),
            Self::Denied(words) => unavailable(
                format!("{to} lets nobody in with this key: {words}"),
                Some("put the public key into the user's ~/.ssh/authorized_keys there"),
            ),
            Self::Unreachable(words) => {
                let hint = words.contains("resolve").then_some("check the host's name");
                unavailable(format!("can't reach {to}: {words}"), hint)
            }
            Self::NotRoot(words) => unavailable(
                format!("{} can't become root on {}: {words}", to.user(), to.address()),
                Some("let the user run sudo without a password (NOPASSWD), or log in as root"),
            ),
            Self::NoShell(words) => {
                unavailable(format!("{to} runs no commands: {words}"), Some("the user needs a login shell"))
            }
            Self::Broken(words) => {
                let attempt =
                    format!("the connection to {to} broke while a command ran; whether it ended is not known");
                ProviderError::Failed { attempt, source: words.into() }
            }
            Self::NoProgram(program) => {
                let attempt = format!("can't run {program:?} on {to}");
                ProviderError::Failed { attempt, source: "there is no such program".into() }
            }
            Self::Here(error) if error.kind() == io::ErrorKind::NotFound => unavailable(
                "this host has no ssh".to_owned(),
                Some("install OpenSSH's client (Debian: openssh-client)"),
            ),
            Self::Here(error) => {
                ProviderError::Failed { attempt: format!("can't run ssh to {to}"), source: Box::new(error) }
            }
            Self::Request(error) => error,
        }
    }
}

fn last_line(text: &str) -> String {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

/// The line that says most: a jump host's fault comes before what ssh says of the connection through it.
fn telling_line(text: &str) -> String {
    let is_telling = |line: &&str| line.starts_with("ssh: ") || line.contains("channel 0: open failed");
    text.lines()
        .find(is_telling)
        .map_or_else(|| last_line(text), |line| line.trim_start_matches("ssh: ").trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_says_what_is_wrong() {
        let to = Destination::new("db", "root", 22).unwrap();
        let shown = |log: &str, said: &str, status| Fault::of_login(log, said, Some(status)).error(&to).to_string();
        let changed =
            "@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.\n";
        assert!(shown(changed, "", 255).starts_with("root@db shows another host key"));
        let unknown = "No ED25519 host key is known for db and you have requested strict checking.\nHost key verification failed.\n";
        assert_eq!(shown(unknown, "", 255), "the host key of root@db is not known");
        assert_eq!(
            shown("root@db: Permission denied (publickey).\n", "", 255),
            "root@db lets nobody in with this key: root@db: Permission denied (publickey)."
        );
        assert_eq!(
            shown(
                "ssh: connect to host db port 22: Connection refused\nConnection closed by UNKNOWN port 65535\n",
                "",
                255
            ),
            "can't reach root@db: connect to host db port 22: Connection refused"
        );
        assert_eq!(
            shown("", "sudo: a password is required\n", 1),
            "root can't become root on db: sudo: a password is required"
        );
        assert_eq!(
            shown("", "This account is currently not available.\n", 1),
            "root@db runs no commands: This account is currently not available."
        );
    }
}

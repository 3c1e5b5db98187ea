//! ssh's command line: every option that matters is set, no configuration file is read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::destination::Destination;
use crate::provision::error::ProviderError;
use crate::provision::transport::shell::header::quoted;

/// The longest path that a socket can have, less what ssh appends while it makes one.
const MOST_SOCKET_BYTES: usize = 104 - 20;
/// How long a connection without a command stays open.
const PERSISTS_SECONDS: u32 = 15;

/// Which host keys count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostKeys {
    /// The first one that is seen is kept in `file` under `alias`, and counts from then on: for a machine that was made a
    /// moment ago.
    FirstSeen {
        /// The file.
        file: PathBuf,
        /// Names the machine, whatever its address is.
        alias: String,
    },
    /// Those in these files.
    Known {
        /// The files; those that aren't there count as empty.
        files: Vec<PathBuf>,
        /// What the host is called in them, where that isn't its address.
        alias: Option<String>,
        /// Whether the file of the whole system counts too.
        of_system: bool,
    },
}

/// The way to a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    /// Where it leads.
    pub to: Destination,
    /// The private key; `None`: those that the user's agent has, and the user's own.
    pub identity: Option<PathBuf>,
    /// The host that connections go through. Its key must be known by the same files, by its address.
    pub jump: Option<Destination>,
    /// Which host keys count.
    pub host_keys: HostKeys,
    /// Whether commands of a user other than root become root's by `sudo`.
    pub sudo: bool,
}

/// The arguments of ssh up to the remote command.
///
/// # Errors
/// [`ProviderError::Invalid`] for a path that can't be an option's value.
pub(super) fn arguments(
    way: &Way,
    sockets: Option<&Path>,
    log: Option<&Path>,
    connect_within: Duration,
) -> Result<Vec<String>, ProviderError> {
    let mut arguments = fixed(way, &way.to, log, connect_within)?;
    arguments.extend(host_keys(&way.host_keys, true)?);
    if let Some(jump) = &way.jump {
        let mut words = vec!["ssh".to_owned()];
        words.extend(fixed(way, jump, log, connect_within)?);
        words.extend(host_keys(&way.host_keys, false)?);
        words.extend(["-o", "ControlPath=none", "-W"].map(str::to_owned));
        let quote = |word: &String| quoted(&word.replace('%', "%%"));
        let words: Vec<String> = words.iter().map(quote).collect();
        // Both addresses were checked: neither holds anything that a shell reads.
        let command = format!("{} '[%h]:%p' -- {}", words.join(" "), jump.address());
        arguments.extend(["-o".to_owned(), format!("ProxyCommand={command}")]);
    }
    arguments.extend(multiplexing(way, sockets)?);
    arguments.extend(["--".to_owned(), way.to.address().to_owned()]);
    Ok(arguments)
}

/// What holds for every hop.
fn fixed(
    way: &Way,
    to: &Destination,
    log: Option<&Path>,
    connect_within: Duration,
) -> Result<Vec<String>, ProviderError> {
    let mut arguments = ["-F", "none", "-T", "-x", "-a"].map(str::to_owned).to_vec();
    let set = [
        "BatchMode=yes",
        "PreferredAuthentications=publickey",
        "PasswordAuthentication=no",
        "KbdInteractiveAuthentication=no",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        "EscapeChar=none",
        "CheckHostIP=no",
        "UpdateHostKeys=no",
        "VerifyHostKeyDNS=no",
        "HashKnownHosts=no",
        "ConnectionAttempts=1",
        "ServerAliveInterval=5",
        "ServerAliveCountMax=3",
        "LogLevel=ERROR",
    ];
    for option in set {
        arguments.extend(["-o".to_owned(), option.to_owned()]);
    }
    arguments.extend(["-o".to_owned(), format!("ConnectTimeout={}", connect_within.as_secs().max(1))]);
    match &way.identity {
        Some(identity) => {
            let identity = format!("IdentityFile={}", value(identity)?);
            arguments.extend(["-o".to_owned(), "IdentitiesOnly=yes".to_owned(), "-o".to_owned(), identity]);
        }
        None => arguments.extend(["-o".to_owned(), "IdentitiesOnly=no".to_owned()]),
    }
    if let Some(log) = log {
        arguments.extend(["-E".to_owned(), log.display().to_string()]);
    }
    arguments.extend(["-p".to_owned(), to.port().to_string(), "-l".to_owned(), to.user().to_owned()]);
    Ok(arguments)
}

/// `is_end` tells the host itself from one on the way: the alias is the host's alone.
fn host_keys(host_keys: &HostKeys, is_end: bool) -> Result<Vec<String>, ProviderError> {
    let (files, alias, policy, of_system) = match host_keys {
        HostKeys::FirstSeen { file, alias } => (std::slice::from_ref(file), Some(alias), "accept-new", false),
        HostKeys::Known { files, alias, of_system } => (files.as_slice(), alias.as_ref(), "yes", *of_system),
    };
    let paths: Vec<String> = files.iter().map(|file| value(file)).collect::<Result<_, _>>()?;
    let paths = if paths.is_empty() { "/dev/null".to_owned() } else { paths.join(" ") };
    let mut options = vec![format!("StrictHostKeyChecking={policy}"), format!("UserKnownHostsFile={paths}")];
    if !of_system {
        options.push("GlobalKnownHostsFile=/dev/null".to_owned());
    }
    if let Some(alias) = alias.filter(|_| is_end) {
        options.push(format!("HostKeyAlias={alias}"));
    }
    Ok(options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect())
}

/// Commands to one host share a connection, where its socket has room for its name.
fn multiplexing(way: &Way, sockets: Option<&Path>) -> Result<Vec<String>, ProviderError> {
    let socket = sockets.map(|sockets| sockets.join(name_of(way)));
    let Some(socket) = socket.filter(|socket| socket.as_os_str().len() <= MOST_SOCKET_BYTES) else {
        return Ok(["-o", "ControlMaster=no", "-o", "ControlPath=none"].map(str::to_owned).to_vec());
    };
    let options = [
        "ControlMaster=auto".to_owned(),
        format!("ControlPersist={PERSISTS_SECONDS}"),
        format!("ControlPath={}", value(&socket)?),
    ];
    Ok(options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect())
}

/// Another way is another connection, also where just the keys that count differ.
fn name_of(way: &Way) -> String {
    let digest = digest(&SHA256, format!("{way:?}").as_bytes());
    digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A path as an option's value: ssh would expand `%` and `${}`, and end at a space.
fn value(path: &Path) -> Result<String, ProviderError> {
    let text = path.to_str().filter(|text| !text.contains(['"', '\\', '$']) && !text.chars().any(char::is_control));
    match text {
        Some(text) if !text.starts_with('~') => Ok(format!("\"{}\"", text.replace('%', "%%"))),
        _ => Err(ProviderError::Invalid {
            what: format!("ssh can't be given the path {:?}", path.to_string_lossy()),
            hint: Some("use a path without quotation marks, `\\`, `$` and control characters".to_owned()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way() -> Way {
        Way {
            to: Destination::new("db", "admin", 2222).unwrap(),
            identity: Some("/a key/100%".into()),
            jump: Some(Destination::new("gate", "me", 22).unwrap()),
            host_keys: HostKeys::FirstSeen { file: "/it's/known".into(), alias: "aws:i-1".to_owned() },
            sudo: true,
        }
    }

    #[test]
    fn the_jump_host_gets_the_same_options_and_not_the_alias() {
        let arguments = arguments(&way(), None, Some(Path::new("/l")), Duration::from_secs(7)).unwrap();
        assert_eq!(&arguments[arguments.len() - 2..], ["--", "db"]);
        assert!(arguments.contains(&"HostKeyAlias=aws:i-1".to_owned()));
        assert!(arguments.contains(&"IdentityFile=\"/a key/100%%\"".to_owned()));
        let proxy = arguments.iter().find_map(|argument| argument.strip_prefix("ProxyCommand=")).unwrap();
        assert!(proxy.starts_with("'ssh' '-F' 'none'") && proxy.ends_with("'-W' '[%h]:%p' -- gate"), "{proxy}");
        assert!(
            proxy.contains(r#"'UserKnownHostsFile="/it'\''s/known"'"#) && !proxy.contains("HostKeyAlias"),
            "{proxy}"
        );
        assert!(
            proxy.contains(r#"'IdentityFile="/a key/100%%%%"'"#) && proxy.contains("'ConnectTimeout=7'"),
            "{proxy}"
        );
    }

    #[test]
    fn a_socket_whose_name_is_too_long_is_done_without() {
        let short = arguments(&way(), Some(Path::new("/tmp/x")), None, Duration::from_secs(1)).unwrap();
        assert!(short.contains(&format!("ControlPath=\"/tmp/x/{}\"", name_of(&way()))), "{short:?}");
        let long = "/x".repeat(60);
        let long = arguments(&way(), Some(Path::new(&long)), None, Duration::from_secs(1)).unwrap();
        assert!(long.contains(&"ControlPath=none".to_owned()));
        let mut other = way();
        other.host_keys = HostKeys::Known { files: Vec::new(), alias: None, of_system: false };
        assert_ne!(name_of(&way()), name_of(&other));
    }

    #[test]
    fn a_path_that_ssh_would_read_otherwise_is_refused() {
        for bad in ["/a\"b", "/a\nb", "/${HOME}", "~/x", "/a\\b"] {
            assert!(value(Path::new(bad)).is_err(), "{bad}");
        }
    }
}

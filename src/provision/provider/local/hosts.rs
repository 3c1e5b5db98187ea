//! `/etc/hosts` of the servers: those of one infra know each other by name.
//!
//! Each server's file lies in its state directory, shown inside by a bind mount, so that it can be brought up to date
//! while the server runs. What the server's own programs add to it outside of the marked lines stays.

use std::fs;
use std::io;
use std::net::Ipv4Addr;

use super::state::ServerDir;

/// The file, below the state directory.
pub const FILE: &str = "data/hosts";
const BEGIN: &str = "# servers of this infra; kept by prov";
const END: &str = "# end of servers";

/// What the file says of the server itself.
#[must_use]
pub fn own_lines(name: &str) -> String {
    format!("127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost ip6-loopback\n")
}

/// Brings the file of the server `name` up to date: it knows `fellows` by name.
pub fn update(dir: &ServerDir, name: &str, fellows: &[(String, Ipv4Addr)]) -> io::Result<()> {
    let path = dir.join(FILE);
    let old = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => own_lines(name),
        other => other?,
    };
    let new = with_fellows(&old, fellows);
    if new == old && path.exists() {
        return Ok(());
    }
    fs::create_dir_all(dir.join("data"))?;
    // In place: the server sees this very file.
    fs::write(path, new)
}

/// The text `old` of such a file, knowing `fellows` by name.
#[must_use]
pub fn with_fellows(old: &str, fellows: &[(String, Ipv4Addr)]) -> String {
    let mut inside = false;
    let mut text = String::new();
    for line in old.lines() {
        inside |= line == BEGIN;
        if !inside {
            text.push_str(line);
            text.push('\n');
        }
        inside &= line != END;
    }
    if !fellows.is_empty() {
        let lines = fellows.iter().flat_map(|(name, address)| [address.to_string(), format!(" {name}\n")]);
        text.push_str(&format!("{BEGIN}\n{}{END}\n", lines.collect::<String>()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marked_lines_are_replaced() {
        let fellows = |names: &[&str]| -> Vec<(String, Ipv4Addr)> {
            names.iter().map(|name| ((*name).to_owned(), Ipv4Addr::new(10, 213, 1, 2))).collect()
        };
        let first = with_fellows("127.0.0.1 localhost\n", &fellows(&["web", "db"]));
        assert!(first.contains("10.213.1.2 web\n10.213.1.2 db\n"), "{first}");
        let edited = format!("{first}192.0.2.1 registry\n");
        let second = with_fellows(&edited, &fellows(&["db"]));
        assert!(
            !second.contains("web") && second.contains("10.213.1.2 db\n") && second.contains("192.0.2.1 registry\n")
        );
        assert_eq!(with_fellows(&second, &[]), "127.0.0.1 localhost\n192.0.2.1 registry\n");
    }
}

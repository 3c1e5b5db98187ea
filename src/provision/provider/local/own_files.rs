//! What a server has of its own in a file tree that is the host's: names, keys, accounts without passwords.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::sys::{Fault, at};

/// Files with secrets of the host, below `etc`.
const REMOVED: [&str; 4] = ["shadow-", "gshadow-", "passwd-", "group-"];

/// Gives the server below `root` its own names, keys and accounts.
pub fn write_all(root: &Path, host_name: &str) -> Result<(), Fault> {
    let etc = root.join("etc");
    replace(&etc.join("hostname"), &format!("{host_name}\n"), 0o644)?;
    replace(&etc.join("hosts"), &super::hosts::own_lines(host_name), 0o644)?;
    replace(&etc.join("machine-id"), &format!("{}\n", uuid::Uuid::now_v7().simple()), 0o444)?;
    replace(&etc.join("fstab"), "", 0o644)?;
    // Often a link into a directory that the server doesn't see.
    let resolvers = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    replace(&etc.join("resolv.conf"), &resolvers, 0o644)?;
    for (name, accounts, fields) in [("shadow", "/etc/passwd", 9), ("gshadow", "/etc/group", 4)] {
        let own = match fs::read_to_string(Path::new("/etc").join(name)) {
            Ok(host) => without_passwords(&host),
            // Only root may read it: the accounts are known from elsewhere.
            Err(_) => locked(&fs::read_to_string(accounts).unwrap_or_default(), fields),
        };
        replace(&etc.join(name), &own, 0o640)?;
    }
    for name in REMOVED {
        remove(&etc.join(name))?;
    }
    if let Ok(entries) = fs::read_dir(etc.join("ssh")) {
        for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("ssh_host_")) {
            remove(&entry.path())?;
        }
    }
    // Packages that are installed must not start services on their own: there is no service manager (invoke-rc.d(8)).
    let sbin = root.join("usr/sbin");
    if sbin.is_dir() {
        replace(&sbin.join("policy-rc.d"), "#!/bin/sh\nexit 101\n", 0o755)?;
    }
    Ok(())
}

/// The lines of a shadow file with every password hash replaced by `!`, which no password matches (shadow(5)).
fn without_passwords(text: &str) -> String {
    let mut own = String::with_capacity(text.len());
    for line in text.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        if let Some(password) = fields.get_mut(1)
            && *password != "*"
        {
            *password = "!";
        }
        own.push_str(&fields.join(":"));
        own.push('\n');
    }
    own
}

/// A shadow file with so many `fields` for the accounts of a passwd or group file, none with a password.
fn locked(accounts: &str, fields: usize) -> String {
    let names = accounts.lines().filter_map(|line| line.split(':').next());
    names.flat_map(|name| [name, ":!", &":".repeat(fields - 2), "\n"].map(str::to_owned)).collect()
}

/// Writes a file anew, never through a symbolic link.
fn replace(path: &Path, text: &str, mode: u32) -> Result<(), Fault> {
    remove(path)?;
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(at(format!("can't write {}", path.display())))
}

fn remove(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(at(format!("can't remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_hash_is_kept() {
        let host = "root:$y$j9T$secret:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nopen::19000::::::\n";
        let own = "root:!:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nopen:!:19000::::::\n";
        assert_eq!(without_passwords(host), own);
        assert_eq!(locked("root:x:0:0:root:/root:/bin/sh\n", 9), "root:!:::::::\n");
    }

    #[test]
    fn own_files_replace_links_and_never_follow_them() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, "the host's").unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("etc/ssh")).unwrap();
        fs::write(root.join("etc/ssh/ssh_host_key"), "secret").unwrap();
        std::os::unix::fs::symlink(&outside, root.join("etc/hosts")).unwrap();
        write_all(&root, "web").unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "the host's");
        assert!(fs::read_to_string(root.join("etc/hosts")).unwrap().contains("web"));
        assert!(!root.join("etc/ssh/ssh_host_key").exists());
        assert_eq!(fs::read_to_string(root.join("etc/machine-id")).unwrap().trim().len(), 32);
    }
}

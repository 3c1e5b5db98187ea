//! The host keys that a workspace knows: `.prov/ssh/known_hosts/ALIAS`, a file a host, so that one is forgotten without
//! touching what is known of others.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::key;
use crate::provision::error::ProviderError;
use crate::provision::workspace::Workspace;

/// The public key of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey {
    kind: String,
    blob: Vec<u8>,
}

/// Why a text is no host key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host key: write it as in `ssh-ed25519 AAAA…`")]
pub struct HostKeyError(String);

impl FromStr for HostKey {
    type Err = HostKeyError;

    /// Reads `TYPE BASE64 [COMMENT]`.
    fn from_str(text: &str) -> Result<Self, HostKeyError> {
        let refused = || HostKeyError(text.chars().take(80).collect());
        let mut words = text.split_ascii_whitespace();
        let (kind, blob) = words.next().zip(words.next()).ok_or_else(refused)?;
        let blob = STANDARD.decode(blob).map_err(|_| refused())?;
        // The key itself says once more what it is (RFC 4253 section 6.6).
        let length = blob.first_chunk().map_or(0, |length| u32::from_be_bytes(*length)) as usize;
        let inner = blob.get(4..).and_then(|rest| rest.get(..length));
        if inner == Some(kind.as_bytes()) { Ok(Self { kind: kind.to_owned(), blob }) } else { Err(refused()) }
    }
}

impl HostKey {
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(digest(&SHA256, &self.blob)))
    }

    /// `TYPE BASE64`.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.kind, STANDARD.encode(&self.blob))
    }

    /// `ssh-ed25519`, …
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }
}

/// What a workspace knows.
#[derive(Clone, Debug)]
pub struct KnownHosts {
    dir: PathBuf,
}

impl KnownHosts {
    /// Those of `workspace`.
    ///
    /// # Errors
    /// When their directory can't be made.
    pub fn of(workspace: &Workspace) -> Result<Self, ProviderError> {
        let dir = key::dir(workspace).join("known_hosts");
        key::make_dir(&dir).map_err(|source| failed("keep host keys in", &dir, source))?;
        Ok(Self { dir })
    }

    /// The file for `alias`, whether it is there or not.
    ///
    /// # Errors
    /// [`ProviderError::Invalid`] for what can't be the name of one.
    pub fn file(&self, alias: &str) -> Result<PathBuf, ProviderError> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if alias.starts_with(|c: char| c.is_ascii_alphanumeric()) && alias.len() <= 200 && alias.chars().all(is_part) {
            return Ok(self.dir.join(alias));
        }
        Err(ProviderError::Invalid { what: format!("{alias:?} can't name a host key"), hint: None })
    }

    /// The keys that are known as `alias`.
    ///
    /// # Errors
    /// When that can't be said.
    pub fn keys(&self, alias: &str) -> Result<Vec<HostKey>, ProviderError> {
        let file = self.file(alias)?;
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(keys_in(&text, alias)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(failed("read", &file, source)),
        }
    }

    /// Makes these keys, each with the name it is known by, those that count for `alias`.
    ///
    /// # Errors
    /// When they aren't on disk.
    pub fn trust(&self, alias: &str, keys: &[(String, HostKey)]) -> Result<(), ProviderError> {
        let file = self.file(alias)?;
        let part = self.dir.join(format!(".{alias}"));
        let text: String = keys.iter().map(|(name, key)| format!("{name} {}\n", key.line())).collect();
        let write = || {
            let mut new = File::create(&part)?;
            new.write_all(text.as_bytes())?;
            new.sync_all()?;
            std::fs::rename(&part, &file)?;
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(|source| failed("write", &file, source))
    }

    /// Forgets the keys of `alias`.
    ///
    /// # Errors
    /// When they are still there.
    pub fn forget(&self, alias: &str) -> Result<(), ProviderError> {
        let file = self.file(alias)?;
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &file, error)),
            _ => Ok(()),
        }
    }
}

/// The keys that a file of known hosts has for `name`.
pub(super) fn keys_in(text: &str, name: &str) -> Vec<HostKey> {
    let of_line = |line: &str| line.split_once(' ').filter(|(names, _)| *names == name)?.1.parse().ok();
    text.lines().filter_map(of_line).collect()
}

fn failed(what: &str, path: &std::path::Path, source: io::Error) -> ProviderError {
    ProviderError::Failed { attempt: format!("can't {what} {}", path.display()), source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// github.com's, whose fingerprint it publishes.
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    #[test]
    fn a_key_has_the_fingerprint_that_others_compute() {
        let key: HostKey = format!("{KEY} comment").parse().unwrap();
        assert_eq!(key.fingerprint(), "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
        assert_eq!((key.line().as_str(), key.kind()), (KEY, "ssh-ed25519"));
        for bad in
            ["", "ssh-ed25519", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", "x y"]
        {
            assert!(bad.parse::<HostKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_trusted_is_known_until_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownHosts::of(&Workspace::open(dir.path()).unwrap()).unwrap();
        let key: HostKey = KEY.parse().unwrap();
        known.trust("aws:i-1", &[("aws:i-1".to_owned(), key.clone()), ("gate".to_owned(), key.clone())]).unwrap();
        assert_eq!(known.keys("aws:i-1").unwrap(), [key]);
        known.forget("aws:i-1").unwrap();
        known.forget("aws:i-1").unwrap();
        assert_eq!(known.keys("aws:i-1").unwrap(), []);
        for bad in ["", "../x", ".x", "a/b", "a b"] {
            assert!(known.file(bad).is_err(), "{bad:?}");
        }
    }
}

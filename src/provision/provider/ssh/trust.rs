//! Whether a host is the one that it claims to be: by the key that the settings pin, by one that a person confirmed for this
//! workspace, or by what the user and the system know.

use std::path::PathBuf;

use super::fields::{Fields, Pinned};
use crate::provision::provider::ProviderError;
use crate::provision::transport::ssh::{Destination, HostKey, HostKeys, KnownHosts, Ssh, Way};
use crate::provision::workspace::Workspace;

/// The way to the host that `fields` describe, and the host keys that count there.
///
/// # Errors
/// When a file that it takes isn't there, or the host shows another key than the pinned one.
pub fn way(workspace: &Workspace, fields: &Fields) -> Result<Way, ProviderError> {
    let known = KnownHosts::of(workspace)?;
    let mut files: Vec<PathBuf> = Vec::new();
    for host in std::iter::once(&fields.to).chain(&fields.jump) {
        files.push(known.file(&confirmed_as(host))?);
    }
    files.extend(of_user());
    let unpinned = Way {
        to: fields.to.clone(),
        identity: fields.identity(workspace)?,
        jump: fields.jump.clone(),
        host_keys: HostKeys::Known { files: files.clone(), alias: None, of_system: true },
        sudo: fields.sudo,
    };
    let Some(pinned) = &fields.pinned else { return Ok(unpinned) };
    let alias = alias("pinned", &fields.to);
    let key = match pinned {
        Pinned::Key(key) => key.clone(),
        Pinned::Fingerprint(fingerprint) => {
            let kept = known.keys(&alias)?.into_iter().find(|key| key.fingerprint() == *fingerprint);
            kept.map_or_else(|| shown_as_pinned(&unpinned, fingerprint), Ok)?
        }
    };
    if known.keys(&alias)? != [key.clone()] {
        known.trust(&alias, &[(alias.clone(), key)])?;
    }
    // No other file has a key by this name.
    files.insert(0, known.file(&alias)?);
    Ok(Way { host_keys: HostKeys::Known { files, alias: Some(alias), of_system: true }, ..unpinned })
}

fn shown_as_pinned(way: &Way, fingerprint: &str) -> Result<HostKey, ProviderError> {
    let shown = Ssh::new(way.clone())?.shown_key()?;
    if shown.fingerprint() == fingerprint {
        return Ok(shown);
    }
    let (to, shown_as) = (&way.to, shown.fingerprint());
    Err(ProviderError::Unavailable {
        what: format!(
            "{to} shows another host key than the one that its settings pin: {shown_as}, {fingerprint} is pinned"
        ),
        hint: Some(format!(
            "if the key is of another type, pin its {} key; otherwise find out who answers there",
            shown.kind()
        )),
    })
}

/// Has a key count from now on that a person confirmed.
///
/// # Errors
/// When it isn't on disk.
pub fn confirm(workspace: &Workspace, host: &Destination, key: &HostKey) -> Result<(), ProviderError> {
    KnownHosts::of(workspace)?.trust(&confirmed_as(host), &[(host.known_as(), key.clone())])
}

fn confirmed_as(host: &Destination) -> String {
    alias("confirmed", host)
}

fn alias(how: &str, host: &Destination) -> String {
    format!("{how}:{}:{}", host.address(), host.port())
}

fn of_user() -> Option<PathBuf> {
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ssh/known_hosts"))
}

//! Where sessions are kept between commands: the kernel's keyring where there is one that works, else a 0600 file.
//!
//! Each stands for a context: a name for a daemon and a user. One of them is current; commands use it unless they are told
//! of another.
//!
//! The keyring is probed by writing and reading back: a container or a headless machine may have none that keeps
//! anything. Which daemon the session belongs to is no secret and stands in the file in either case.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy;
use serde::{Deserialize, Serialize};

use super::Servers;
use crate::api::auth::TokenPair;
use crate::model::name::Name;
use crate::model::time::Timestamp;

/// A login as it is kept. `Debug` shows no token.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// Where it is good.
    pub servers: Servers,
    /// Whose it is.
    pub username: String,
    /// The access token.
    pub token: String,
    /// What a new one is had for.
    pub refresh_token: String,
    /// When the access token stops being good.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("servers", &self.servers)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// What a login or refresh answered.
    #[must_use]
    pub fn of(pair: &TokenPair, servers: Servers) -> Self {
        Self {
            servers,
            username: pair.user.username.clone(),
            token: pair.token.clone(),
            refresh_token: pair.refresh_token.clone(),
            expires_at: pair.expires_at,
        }
    }
}

/// Where the secret part of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the kernel's keyring of this user; gone after a reboot.
    Keyring,
    /// In the file itself.
    File,
}

/// The kept session of one context of this user.
#[derive(Clone, Debug)]
pub struct Sessions {
    directory: PathBuf,
    context: Name,
}

/// A context that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Context {
    /// What it is called.
    pub name: Name,
    /// Whether commands use it unless they are told of another.
    pub current: bool,
    /// Where its daemon is; null when its file is damaged.
    pub servers: Option<Servers>,
    /// Who is logged in.
    pub username: Option<String>,
}

/// The context of whoever never named one.
const DEFAULT: &str = "default";

/// What stands in the file.
#[derive(Serialize, Deserialize)]
struct Kept {
    place: Place,
    servers: Servers,
    username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<Session>,
}

const SERVICE: &str = "prov";

/// How often is looked whether it is this process's turn to refresh.
const TURN: Duration = Duration::from_millis(20);

impl Sessions {
    /// That of a context of the present user; of the current one where none is named.
    ///
    /// # Errors
    /// When the user has no home, or what names the current one can't be read.
    pub fn of_user(context: Option<Name>) -> io::Result<Self> {
        let base = etcetera::choose_base_strategy()
            .map_err(|error| io::Error::new(io::ErrorKind::NotFound, error.to_string()))?;
        let directory = base.config_dir().join("prov");
        let context = match context {
            Some(context) => context,
            None => current(&directory)?,
        };
        Ok(Self { directory, context })
    }

    /// That of another context.
    #[must_use]
    pub fn of(&self, context: Name) -> Self {
        Self { context, ..self.clone() }
    }

    /// The name of its context.
    #[must_use]
    pub fn context(&self) -> &Name {
        &self.context
    }

    /// The file that names the session.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        if self.context.as_str() == DEFAULT {
            return self.directory.join("session.json");
        }
        self.directory.join("contexts").join(format!("{}.json", self.context))
    }

    /// All contexts that are kept, by name.
    ///
    /// # Errors
    /// When they can't be listed.
    pub fn contexts(&self) -> io::Result<Vec<Context>> {
        let mut names = BTreeSet::from([named(DEFAULT)?]);
        match fs::read_dir(self.directory.join("contexts")) {
            Ok(entries) => {
                for entry in entries {
                    let file = entry?.file_name();
                    let name = file.to_str().and_then(|file| file.strip_suffix(".json"));
                    names.extend(name.and_then(|name| Name::new(name).ok()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let current = current(&self.directory)?;
        let mut found = Vec::new();
        for name in names {
            let kept = match self.of(name.clone()).kept() {
                Ok(Some(kept)) => Some(kept),
                Ok(None) => continue,
                Err(_) => None,
            };
            let (servers, username) = kept.map(|kept| (kept.servers, kept.username)).unzip();
            found.push(Context { current: name == current, name, servers, username });
        }
        Ok(found)
    }

    /// Makes its context the current one.
    ///
    /// # Errors
    /// When that can't be written down.
    pub fn make_current(&self) -> io::Result<()> {
        self.make_directory()?;
        let partial = self.directory.join(format!("context.{}.partial", std::process::id()));
        fs::write(&partial, format!("{}\n", self.context))?;
        fs::rename(&partial, self.directory.join(CURRENT))
    }

    /// The daemon last logged in to.
    ///
    /// # Errors
    /// When the file can't be read or is damaged.
    pub fn servers(&self) -> io::Result<Option<Servers>> {
        Ok(self.kept()?.map(|kept| kept.servers))
    }

    /// The kept session, when there is one.
    ///
    /// # Errors
    /// When the file can't be read or is damaged.
    pub fn load(&self) -> io::Result<Option<Session>> {
        let Some(kept) = self.kept()? else { return Ok(None) };
        let secret = || entry(&self.name())?.get_password().ok();
        match kept.place {
            Place::File => Ok(kept.session),
            // A keyring forgets at reboot, which is no damage.
            Place::Keyring => secret().map(|secret| self.parsed(secret.as_bytes())).transpose(),
        }
    }

    /// Keeps the session and says where.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn keep(&self, session: &Session) -> io::Result<Place> {
        let secret = serde_json::to_string(session)?;
        let place = if in_keyring(&self.name(), &secret) { Place::Keyring } else { Place::File };
        let kept = Kept {
            place,
            servers: session.servers.clone(),
            username: session.username.clone(),
            session: (place == Place::File).then(|| session.clone()),
        };
        self.make_directory()?;
        let partial = self.path().with_extension(format!("{}.partial", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(serde_json::to_string_pretty(&kept)?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, self.path())?;
        Ok(place)
    }

    /// Forgets the session.
    ///
    /// # Errors
    /// When the file can't be removed.
    pub fn forget(&self) -> io::Result<()> {
        if let Some(entry) = entry(&self.name()) {
            let _ = entry.delete_credential();
        }
        match fs::remove_file(self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits for the turn to refresh; other processes wait until the guard is dropped. Never holds up the thread: whoever
    /// waits may be told to stop waiting.
    pub(super) async fn turn(&self) -> Option<File> {
        self.make_directory().ok()?;
        let path = self.path().with_extension("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).ok()?;
        loop {
            match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Some(file),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => tokio::time::sleep(TURN).await,
                Err(_) => return None,
            }
        }
    }

    fn make_directory(&self) -> io::Result<()> {
        let path = self.path();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap_or(&self.directory))
    }

    fn kept(&self) -> io::Result<Option<Kept>> {
        let unreadable =
            |error: &io::Error| io::Error::new(error.kind(), format!("can't read {}: {error}", self.path().display()));
        match fs::read(self.path()) {
            Ok(bytes) => self.parsed(&bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&error)),
        }
    }

    fn parsed<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> io::Result<T> {
        // What the parser says may quote a secret.
        let damaged = format!("{} is damaged", self.path().display());
        serde_json::from_slice(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, damaged))
    }

    /// The keyring belongs to the user, the file to a home: entries of different homes must differ.
    fn name(&self) -> String {
        match self.context.as_str() {
            DEFAULT => format!("session {}", self.directory.display()),
            context => format!("session {} {context}", self.directory.display()),
        }
    }
}

/// The file with the name of the current context.
const CURRENT: &str = "context";

fn current(directory: &Path) -> io::Result<Name> {
    let path = directory.join(CURRENT);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => DEFAULT.to_owned(),
        Err(error) => return Err(io::Error::new(error.kind(), format!("can't read {}: {error}", path.display()))),
    };
    named(text.trim())
}

fn named(text: &str) -> io::Result<Name> {
    let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{text:?} names no context: {error}"));
    Name::new(text).map_err(damaged)
}

fn entry(name: &str) -> Option<keyring_core::Entry> {
    if keyring_core::get_default_store().is_none() {
        keyring_core::set_default_store(linux_keyutils_keyring_store::Store::new().ok()?);
    }
    keyring_core::Entry::new(SERVICE, name).ok()
}

/// Whether the keyring took the secret and gives it back.
fn in_keyring(name: &str, secret: &str) -> bool {
    let Some(entry) = entry(name) else { return false };
    let kept = entry.set_password(secret).is_ok() && entry.get_password().is_ok_and(|back| back == secret);
    if !kept {
        let _ = entry.delete_credential();
    }
    kept
}

//! The first start: an administrator with a random password, in a file that only the daemon's user can read. And the way
//! back for whoever owns the host and can't log in any more.

use std::path::{Path, PathBuf};

use super::accounts::{Ended, replaced};
use super::trail;
use crate::audit;
use crate::auth::key_files::write_secret;
use crate::auth::password::{self, HashError};
use crate::auth::secret::{NoRandomness, random};
use crate::model::id::UserId;
use crate::model::time::Timestamp;
use crate::model::user::{Role, User};
use crate::store::record::UserRecord;
use crate::store::{Change, CommitError, Precondition, Store, StoreError, Transaction};

/// Why there is no administrator.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store can't be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// No password could be made.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The password's file can't be written.
    #[error("can't write the administrator's password to {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The name of the first user.
const ADMIN: &str = "admin";

/// Makes the user `admin` when there is no user at all, and says where its password stands. With `reset`, an `admin` who is
/// there gets a new password and is let in as at first: enabled, an Admin, without second factor and API tokens, logged in nowhere. The file
/// is written first: a password that nobody can read is worse than one that is not yet good.
///
/// # Errors
/// When it can't be made.
pub async fn admin(
    store: &Store,
    directory: &Path,
    reset: bool,
    now: Timestamp,
) -> Result<Option<PathBuf>, BootstrapError> {
    if !reset && store.read(crate::store::Backend::has_users).await? {
        return Ok(None);
    }
    let read = store.read(|reads| {
        let record = reads.user_by_name(ADMIN)?;
        let Some(record) = record else { return Ok((None, Ended::default())) };
        let sessions = reads.sessions_of(record.user.id)?.iter().map(|session| session.id).collect();
        let tokens = reads.api_tokens_of(record.user.id)?;
        Ok((Some(record), Ended { sessions, tokens }))
    });
    let (record, ended) = read.await?;
    let path = directory.join("admin-password");
    let password = random()?;
    let file = |source| BootstrapError::File { path: path.display().to_string(), source };
    write_secret(&path, format!("{password}\n").as_bytes()).map_err(file)?;
    let hash = password::hash(&password)?;
    let (precondition, put) = match record {
        None => {
            let user = User {
                id: UserId(uuid::Uuid::now_v7()),
                username: ADMIN.to_owned(),
                email: String::new(),
                roles: vec![Role::Admin],
                created_at: now,
            };
            let free = Precondition::UsernameFree(ADMIN.to_owned());
            (free, Change::PutUser(Box::new(UserRecord::new(user, hash))))
        }
        Some(old) => {
            let mut user = old.user.clone();
            if !user.roles.contains(&Role::Admin) {
                user.roles.insert(0, Role::Admin);
            }
            let UserRecord { last_login_at, .. } = old;
            replaced(&old, UserRecord { last_login_at, ..UserRecord::new(user, hash) })
        }
    };
    let details = serde_json::json!({ "reset": reset });
    let entry = trail::own("admin_bootstrap", audit::Resource::new("user", ADMIN), now, details);
    let changes = ended.changes().chain([put, entry]).collect();
    store.commit(Transaction { preconditions: vec![precondition], changes }).await?;
    Ok(Some(path))
}

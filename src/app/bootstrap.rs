//! The first start: an administrator with a random password, in a file that only the daemon's user can read.

use std::path::{Path, PathBuf};

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

/// Makes the user `admin` when there is no user at all, and says where its password stands. The file is written first: a
/// password that nobody can read is worse than one that is not yet good.
///
/// # Errors
/// When it can't be made.
pub async fn admin(store: &Store, directory: &Path, now: Timestamp) -> Result<Option<PathBuf>, BootstrapError> {
    if store.read(crate::store::Backend::has_users).await? {
        return Ok(None);
    }
    let path = directory.join("admin-password");
    let password = random()?;
    let file = |source| BootstrapError::File { path: path.display().to_string(), source };
    write_secret(&path, format!("{password}\n").as_bytes()).map_err(file)?;
    let user = User {
        id: UserId(uuid::Uuid::now_v7()),
        username: "admin".to_owned(),
        email: String::new(),
        roles: vec![Role::Admin],
        created_at: now,
    };
    let record = UserRecord::new(user, password::hash(&password)?);
    let transaction = Transaction {
        preconditions: vec![Precondition::UsernameFree("admin".to_owned())],
        changes: vec![Change::PutUser(Box::new(record))],
    };
    store.commit(transaction).await?;
    Ok(Some(path))
}

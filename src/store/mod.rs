//! What is on disk, and the only place that knows how.
//!
//! Writes are [`Transaction`]s: changes with preconditions, all or nothing. One thread owns writing; it drains its queue,
//! applies what it found, makes it durable with one commit, and answers all of them (group commit), so that durable
//! transactions a second are not bound by the disk's flushes a second. Reads are typed and see what is committed.
//!
//! Behind [`Store`] stands a [`Backend`]: redb, in a file or (for tests) in memory; a test can put one there that fails
//! on purpose. No engine type leaks, no closure runs inside a transaction, and no clock or id generation happens here.

#[cfg(test)]
mod account_tests;
pub mod backend;
pub mod change;
pub mod delivery;
mod index;
pub mod measure;
pub mod record;
mod redb_backend;
pub mod statistics;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::audit;

pub use backend::{AuditPlace, Backend, StoreError};
pub use change::{Change, Precondition, Refused, Transaction};
use measure::Measures;
pub use redb_backend::RedbBackend;
use writer::Writer;

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    writer: Arc<Writer>,
    measures: Arc<Measures>,
}

/// Why a transaction had no effect.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// What it relied on is not so.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store can't write at the moment.
    #[error("the store can't write: {0}")]
    Unavailable(String),
}

impl Store {
    /// Opens the store in `directory`, or makes it; `cache_bytes` bounds its memory, `audit_key` seals the audit trail.
    ///
    /// # Errors
    /// When another process has it, its format is newer than this program, or the disk refuses.
    pub fn open(directory: &Path, cache_bytes: usize, audit_key: audit::Key) -> Result<Self, StoreError> {
        Self::over(Arc::new(RedbBackend::open(&directory.join("prov.redb"), cache_bytes, audit_key)?))
    }

    /// An empty store in memory, for tests.
    ///
    /// # Errors
    /// When it can't be set up.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::over(Arc::new(RedbBackend::in_memory(audit::Key::from_bytes(1, [0; 32]))?))
    }

    /// A store over any backend.
    ///
    /// # Errors
    /// When the writer's thread can't be started.
    pub fn over(backend: Arc<dyn Backend>) -> Result<Self, StoreError> {
        let measures = Arc::<Measures>::default();
        let writer = Arc::new(Writer::start(Arc::clone(&backend), Arc::clone(&measures))?);
        Ok(Self { backend, writer, measures })
    }

    /// Queues a transaction; the receiver resolves once it is on disk, or refused. Transactions take effect in the order
    /// of these calls.
    #[must_use]
    pub fn submit(&self, transaction: Transaction) -> oneshot::Receiver<Result<(), CommitError>> {
        self.writer.submit(transaction)
    }

    /// Makes a transaction durable.
    ///
    /// # Errors
    /// When a precondition doesn't hold, or the store can't write; then nothing of it happened.
    pub async fn commit(&self, transaction: Transaction) -> Result<(), CommitError> {
        let stopped = || CommitError::Unavailable("the writer has stopped".to_owned());
        self.submit(transaction).await.unwrap_or_else(|_| Err(stopped()))
    }

    /// What was measured of the writes since the start.
    #[must_use]
    pub fn measures(&self) -> &Measures {
        &self.measures
    }

    /// The typed reads. They block on the disk: call them on a blocking thread, or through [`Store::read`].
    #[must_use]
    pub fn reads(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Runs reads on a blocking thread.
    ///
    /// # Errors
    /// What the reads return, or that the thread died.
    pub async fn read<T, F>(&self, reads: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Backend) -> Result<T, StoreError> + Send + 'static,
    {
        // What is logged on the thread belongs to whoever asked.
        let (backend, asked) = (Arc::clone(&self.backend), tracing::Span::current());
        let joined = tokio::task::spawn_blocking(move || asked.in_scope(|| reads(&*backend))).await;
        joined.unwrap_or_else(|error| Err(StoreError::Failed { attempt: "read", cause: error.to_string() }))
    }
}

//! The open file. After an I/O error redb refuses every write until its file is opened again: this does so by itself, once
//! the disk takes writes again. Until then reads go on.

use std::fs;
use std::io::{self, Write};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use redb::backends::InMemoryBackend;
use redb::{Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase};

use super::failed;
use crate::store::backend::StoreError;

/// What the disk must take before the file is opened again, in bytes.
const PROBE_BYTES: usize = 1 << 20;

/// redb's database, and how to open it again.
pub(super) struct File {
    /// `None` when it could not be opened again.
    database: RwLock<Option<Database>>,
    /// `None` in memory, which has no faults.
    medium: Option<Box<dyn Medium>>,
    /// A write failed since the file was opened.
    has_failed: AtomicBool,
}

/// What the file lies on.
pub(super) trait Medium: Send + Sync {
    /// Opens the file that is there.
    fn open(&self) -> Result<Database, StoreError>;
    /// Whether writes are taken.
    fn probe(&self) -> io::Result<()>;
}

struct Place {
    path: PathBuf,
    cache_bytes: usize,
}

/// A read of one state of the store. The file isn't opened again while there is one.
pub(super) struct Reading<'f> {
    transaction: ReadTransaction,
    _open: RwLockReadGuard<'f, Option<Database>>,
}

impl Deref for Reading<'_> {
    type Target = ReadTransaction;

    fn deref(&self) -> &ReadTransaction {
        &self.transaction
    }
}

impl Medium for Place {
    /// An empty file is none, because whatever it held is gone.
    fn open(&self) -> Result<Database, StoreError> {
        self.with(&self.path, |builder, path| builder.open(path))
    }

    fn probe(&self) -> io::Result<()> {
        probe(&self.path)
    }
}

impl Place {
    fn with(
        &self,
        path: &Path,
        open: impl FnOnce(&Builder, &Path) -> Result<Database, DatabaseError>,
    ) -> Result<Database, StoreError> {
        let mut builder = Builder::new();
        builder.set_cache_size(self.cache_bytes);
        unwinding(|| {
            open(&builder, path).map_err(|error| match error {
                DatabaseError::DatabaseAlreadyOpen => StoreError::Locked(path.display().to_string()),
                other => StoreError::Failed { attempt: "open its file", cause: other.to_string() },
            })
        })
    }
}

/// redb panics where a damaged file misleads it; here that is an error like others.
pub(super) fn unwinding<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<&str>().map(ToString::to_string);
        let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(StoreError::Failed { attempt: "make sense of its file, which is damaged", cause: what })
    })
}

impl File {
    /// Opens the file. One that isn't there is made under another name first, and filled by `fill`: a file under the
    /// store's own name is always whole.
    pub(super) fn open(
        path: &Path,
        cache_bytes: usize,
        fill: impl FnOnce(&Database) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let place = Place { path: path.to_owned(), cache_bytes };
        let database = if path.exists() {
            place.open()?
        } else {
            let partial = path.with_extension("partial");
            let database = place.with(&partial, |builder, path| builder.create(path))?;
            fill(&database)?;
            fs::rename(&partial, path).map_err(failed("give its file its name"))?;
            database
        };
        Ok(Self::over(database, Some(Box::new(place))))
    }

    /// An open database, and what it lies on.
    pub(super) fn over(database: Database, medium: Option<Box<dyn Medium>>) -> Self {
        Self { database: RwLock::new(Some(database)), medium, has_failed: AtomicBool::new(false) }
    }

    pub(super) fn in_memory() -> Result<Self, StoreError> {
        let database = Builder::new().create_with_backend(InMemoryBackend::new()).map_err(failed("start in memory"))?;
        Ok(Self::over(database, None))
    }

    pub(super) fn read(&self) -> Result<Reading<'_>, StoreError> {
        let open = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let transaction = open.as_ref().ok_or_else(closed)?.begin_read().map_err(failed("begin a read"))?;
        Ok(Reading { transaction, _open: open })
    }

    /// Writes, after opening the file again where the write before failed.
    pub(super) fn write<T>(&self, write: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.open_again()?;
        let open = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = open.as_ref().ok_or_else(closed)?;
        let written = unwinding(|| write(database));
        if matches!(written, Err(StoreError::Failed { .. })) {
            self.has_failed.store(true, Ordering::Release);
        }
        written
    }

    /// Opens the file again where a write failed.
    pub(super) fn open_again(&self) -> Result<(), StoreError> {
        let Some(medium) = self.medium.as_ref().filter(|_| self.has_failed.load(Ordering::Acquire)) else {
            return Ok(());
        };
        medium.probe().map_err(failed("write to its directory"))?;
        let mut open = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // redb locks the file: the one must be closed before the other is opened.
        drop(open.take());
        *open = Some(medium.open()?);
        self.has_failed.store(false, Ordering::Release);
        tracing::info!("the store can write again");
        Ok(())
    }
}

/// Whether the disk of `path` takes writes.
fn probe(path: &Path) -> io::Result<()> {
    let path = path.with_extension("probe");
    let written = fs::File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; PROBE_BYTES])?;
        file.sync_all()
    });
    let removed = fs::remove_file(&path);
    written.and(removed)
}

fn closed() -> StoreError {
    StoreError::Failed { attempt: "read", cause: "its file could not be opened again after an error".to_owned() }
}

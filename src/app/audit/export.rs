//! The trail as a stream, a part of it in memory at a time.

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::api::audit::{AuditFilter, ExportQuery};
use crate::app::LogBody;
use crate::audit::{Exporter, Head, Sealed};
use crate::model::time::Timestamp;
use crate::store::{AuditPlace, Backend, Store, StoreError};

/// Entries read at once.
const AT_ONCE: usize = 200;
/// Parts that wait for whoever reads slowly.
const AHEAD: usize = 2;

/// The entries up to `head`, written as asked.
pub(super) fn stream(store: Store, query: ExportQuery, head: Head, now: Timestamp) -> LogBody {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        if let Err(error) = send(&store, query, head, now, &sender).await {
            tracing::error!(%error, "an export of the audit trail ends early");
            // Whoever reads must not take the part for the whole.
            let _ = sender.send(Err(error)).await;
        }
    });
    ReceiverStream::new(receiver).boxed()
}

async fn send(
    store: &Store,
    query: ExportQuery,
    head: Head,
    now: Timestamp,
    sender: &mpsc::Sender<std::io::Result<Vec<u8>>>,
) -> std::io::Result<()> {
    let mut exporter = Exporter::new(query.format, host());
    let mut cursor = Cursor::of(query.filter, head, now);
    let mut chunk = exporter.header();
    loop {
        let read = store.read(move |reads| {
            let part = cursor.next(reads)?;
            Ok((cursor, part))
        });
        let (moved, part) = read.await.map_err(std::io::Error::other)?;
        cursor = moved;
        let is_over = part.is_empty();
        for sealed in &part {
            exporter.entry(sealed, &mut chunk).map_err(std::io::Error::other)?;
        }
        if is_over {
            chunk.extend_from_slice(exporter.footer());
        }
        if !chunk.is_empty() && sender.send(Ok(std::mem::take(&mut chunk))).await.is_err() {
            return Ok(());
        }
        if is_over {
            return Ok(());
        }
    }
}

/// How far the trail was read.
enum Cursor {
    /// All of it, in order.
    Whole { after: u64, head: u64 },
    /// What a filter lets through, by time.
    Selection { filter: AuditFilter, after: Option<AuditPlace> },
}

impl Cursor {
    fn of(mut filter: AuditFilter, head: Head, now: Timestamp) -> Self {
        if filter.is_empty() {
            return Self::Whole { after: 0, head: head.sequence };
        }
        filter.to_date = Some(filter.to_date.map_or(now, |to| to.min(now)));
        Self::Selection { filter, after: None }
    }

    fn next(&mut self, reads: &dyn Backend) -> Result<Vec<Sealed>, StoreError> {
        match self {
            Self::Whole { after, head } => {
                let mut part = reads.audit(*after, AT_ONCE)?;
                part.retain(|sealed| sealed.sequence().is_ok_and(|sequence| sequence <= *head));
                *after = part.last().and_then(|sealed| sealed.sequence().ok()).unwrap_or(*head);
                Ok(part)
            }
            Self::Selection { filter, after } => {
                let (part, last) = reads.audit_matching(filter, *after, AT_ONCE)?;
                *after = last.or(*after);
                Ok(part)
            }
        }
    }
}

/// The name of this machine.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

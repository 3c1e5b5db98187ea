//! The audit trail for those who may read it: looking things up, exporting, verifying, checkpoints; and its retention.
//!
//! To read it is itself on record, with what was looked for. What is written stands in [`super::trail`].

mod export;
mod retention;
mod verify;

use std::sync::Arc;

use serde_json::json;

use super::authorise::Question;
use super::context::{Context, Permit};
use super::error::Error;
use super::{App, LogBody, aside, trail};
use crate::api::audit::{AuditListed, AuditQuery, CheckpointDocument, ExportQuery, Verification};
use crate::api::read::Problem;
use crate::audit::{Checkpoint, Entry, Resource};
use crate::policy;
use crate::store::{Backend, Change, StoreError, Transaction};

/// The name of the newest checkpoint among the store's facts.
const CHECKPOINT: &str = "audit_checkpoint";

impl App {
    /// Entries, newest first.
    ///
    /// # Errors
    /// When the store can't be read, or that it was read can't be written.
    pub async fn audit_list(&self, context: &Context, query: AuditQuery) -> Result<AuditListed<Entry>, Error> {
        let permit = self.authorise(context, "audit_list", &Question::about(policy::Resource::System))?;
        self.settle_refusals().await?;
        let (filter, page) = (query.filter.clone(), query.page);
        let store = &self.guarded.open(&permit).store;
        let listed = store.read(move |reads| reads.audit_page(&filter, page)).await?;
        self.was_read(context, &permit, "audit_list", json!({ "filter": query.filter })).await?;
        let AuditListed { items, total, next_after } = listed;
        let entry = |sealed: crate::audit::Sealed| sealed.entry().map_err(|error| Error::Internal(Box::new(error)));
        Ok(AuditListed { items: items.into_iter().map(entry).collect::<Result<_, _>>()?, total, next_after })
    }

    /// The trail in a format that others read, as a stream; it ends with the entry that was the last when it began.
    ///
    /// # Errors
    /// When the store can't be read, or that it was read can't be written.
    pub async fn audit_export(&self, context: &Context, query: ExportQuery) -> Result<LogBody, Error> {
        let permit = self.authorise(context, "audit_export", &Question::about(policy::Resource::System))?;
        self.settle_refusals().await?;
        let store = self.guarded.open(&permit).store.clone();
        let head = store.read(|reads| reads.audit_head()).await?;
        let details = json!({ "format": query.format.as_str(), "filter": query.filter });
        self.was_read(context, &permit, "audit_export", details).await?;
        Ok(export::stream(store, query, head, self.clock.now()))
    }

    /// Whether the trail is what was written; also held against a checkpoint that was kept elsewhere. One that no key of
    /// this daemon signed is no evidence: anybody can make one that contradicts the trail.
    ///
    /// # Errors
    /// When the checkpoint isn't one of this daemon, or the store can't be read.
    pub async fn audit_verify(
        &self,
        context: &Context,
        checkpoint: Option<CheckpointDocument>,
    ) -> Result<Verification, Error> {
        let permit = self.authorise(context, "audit_verify", &Question::about(policy::Resource::System))?;
        self.settle_refusals().await?;
        let given = match checkpoint {
            Some(document) => Some(self.own_checkpoint(document).await?),
            None => None,
        };
        let (store, keys) = (&self.guarded.open(&permit).store, self.audit_keys.clone());
        let found = store.read(move |reads| verify::verify(reads, &keys, given)).await?;
        if let Some(broken) = &found.first_broken {
            tracing::error!(sequence = broken.sequence, what = broken.what, "the audit trail is not what was written");
        }
        self.was_read(context, &permit, "audit_verify", json!({ "verified": found.verified })).await?;
        Ok(found)
    }

    /// What a checkpoint says that a key of this daemon signed, now or once.
    async fn own_checkpoint(&self, document: CheckpointDocument) -> Result<Checkpoint, Error> {
        let checkpoint = *document.open().map_err(not_signed)?;
        let (keys, signer) = (Arc::clone(&self.keys), document.signed.signer().to_owned());
        let why =
            format!("is signed by key {signer}, which is none of this daemon's: it proves nothing about this trail");
        let is_own = aside(move || keys.has_signed(&signer)).await??;
        if is_own { Ok(checkpoint) } else { Err(not_signed(why)) }
    }

    /// A signed statement about how the trail stands, to be kept elsewhere.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn audit_checkpoint_create(&self, context: &Context) -> Result<CheckpointDocument, Error> {
        let permit = self.authorise(context, "audit_checkpoint_create", &Question::about(policy::Resource::System))?;
        self.settle_refusals().await?;
        let (store, now) = (&self.guarded.open(&permit).store, self.clock.now());
        let (anchor, head) = store.read(|reads| Ok((reads.audit_anchor()?, reads.audit_head()?))).await?;
        let first = anchor.map_or(1, |anchor| anchor.first);
        let tokens = self.keys.tokens();
        let key = tokens.ring().signing();
        let signed = Checkpoint { head, first, at: now }.sign(key.kid(), |message| key.sign(message));
        let document = CheckpointDocument::new(signed, key.public_key());
        let kept = serde_json::to_vec(&document).map_err(|error| Error::Internal(Box::new(error)))?;
        let details = json!({ "sequence": head.sequence, "signer": key.kid() });
        let entry = trail::done_with(context, &permit, "audit_checkpoint_create", Resource::all("audit"), now, details);
        store.commit(Transaction::of(vec![Change::PutMeta(CHECKPOINT.to_owned(), kept), entry])).await?;
        Ok(document)
    }

    /// The newest checkpoint.
    ///
    /// # Errors
    /// When there is none.
    pub async fn audit_checkpoint_get(&self, context: &Context) -> Result<CheckpointDocument, Error> {
        let permit = self.authorise(context, "audit_checkpoint_get", &Question::about(policy::Resource::System))?;
        let document = self.guarded.open(&permit).store.read(newest).await?;
        self.was_read(context, &permit, "audit_checkpoint_get", json!({})).await?;
        document.ok_or_else(|| Error::NotFound { kind: "audit checkpoint", id: "yet".to_owned() })
    }

    /// Puts it on record that the trail was read.
    async fn was_read(
        &self,
        context: &Context,
        permit: &Permit,
        id: &'static str,
        details: serde_json::Value,
    ) -> Result<(), Error> {
        let entry = trail::done_with(context, permit, id, Resource::all("audit"), self.clock.now(), details);
        Ok(self.guarded.open(permit).store.commit(Transaction::of(vec![entry])).await?)
    }

    /// Drops the entries that have had their time.
    pub(super) async fn forget_entries(&self) -> Result<(), Error> {
        match self.audit_retention_days {
            0 => Ok(()),
            days => retention::prune(&self.guarded.open(&Permit::own()).store, days, self.clock.now()).await,
        }
    }
}

/// The newest checkpoint that the store has.
fn newest(reads: &dyn Backend) -> Result<Option<CheckpointDocument>, StoreError> {
    let damaged = |error: serde_json::Error| StoreError::Damaged {
        kind: "audit",
        key: "checkpoint".to_owned(),
        cause: error.to_string(),
    };
    reads.meta(CHECKPOINT)?.map(|stored| serde_json::from_slice(&stored).map_err(damaged)).transpose()
}

fn not_signed(why: String) -> Error {
    Error::Invalid(vec![Problem { pointer: "?checkpoint".to_owned(), message: why }])
}

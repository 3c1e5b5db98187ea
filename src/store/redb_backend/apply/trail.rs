//! The audit trail as it is written: entries are sealed one over the other, and the oldest dropped.

use redb::ReadableTable;

use super::{Tables, encode};
use crate::audit::{Chain, Checkpoint, Event, Head, Sealed};
use crate::model::time::Timestamp;
use crate::store::backend::StoreError;
use crate::store::index;
use crate::store::redb_backend::{decode, failed};

/// The name of the audit trail's end among the store's facts.
pub(in crate::store::redb_backend) const AUDIT_HEAD: &str = "audit_head";
/// And that of its beginning.
pub(in crate::store::redb_backend) const AUDIT_ANCHOR: &str = "audit_anchor";

/// Where the audit trail ends, as it is stored.
pub(in crate::store::redb_backend) fn head_of(stored: Option<&[u8]>) -> Result<Head, StoreError> {
    let damaged = |error: serde_json::Error| StoreError::Damaged {
        kind: "audit",
        key: "head".to_owned(),
        cause: error.to_string(),
    };
    stored.map_or(Ok(Head::START), |json| serde_json::from_slice(json).map_err(damaged))
}

impl Tables<'_> {
    /// Makes the event the next entry of the audit trail.
    pub(super) fn seal(&mut self, event: &Event) -> Result<(), StoreError> {
        if self.chain.is_none() {
            let head = self.meta.get()?.get(AUDIT_HEAD).map_err(failed("read the head of the audit trail"))?;
            let head = head_of(head.as_ref().map(|stored| stored.value()))?;
            self.chain = Some(Chain::new(self.audit_key, head).map_err(failed("go on with the audit trail"))?);
        }
        let Some(chain) = &mut self.chain else { return Ok(()) };
        let sealed = chain.seal(event.clone());
        let record = encode(&sealed, &mut self.buffer)?;
        let sequence = chain.head().sequence;
        self.audit.get()?.insert(sequence, record).map_err(failed("write"))?;
        let entry = sealed.entry().map_err(failed("read what was sealed"))?;
        self.reindex(&[], &index::of_audit(&entry.event), index::audit_id(entry.event.at, sequence))
    }

    /// Drops the oldest entries with their index, and keeps where the rest begins. A damaged one is evidence: it and what
    /// comes after it stay.
    pub(super) fn prune(&mut self, upto: u64, at: Timestamp) -> Result<(), StoreError> {
        let mut last = None;
        while let Some((sequence, sealed)) = self.oldest()?.filter(|(sequence, _)| *sequence <= upto) {
            let Ok(entry) = sealed.entry() else { break };
            self.reindex(&index::of_audit(&entry.event), &[], index::audit_id(entry.event.at, sequence))?;
            self.audit.get()?.remove(sequence).map_err(failed("write"))?;
            last = Some(Head { sequence, mac: sealed.mac, key: sealed.key });
        }
        let Some(head) = last else { return Ok(()) };
        let anchor = serde_json::to_vec(&Checkpoint::anchor(head, at)).map_err(failed("encode an anchor"))?;
        self.meta.get()?.insert(AUDIT_ANCHOR, &anchor[..]).map_err(failed("write"))?;
        Ok(())
    }

    /// The oldest entry; none when it can't be read.
    fn oldest(&mut self) -> Result<Option<(u64, Sealed)>, StoreError> {
        let Some((sequence, value)) = self.audit.get()?.first().map_err(failed("read"))? else { return Ok(None) };
        let sequence = sequence.value();
        Ok(decode("audit", &sequence.to_be_bytes(), value.value()).ok().map(|sealed| (sequence, sealed)))
    }

    pub(super) fn write_head(&mut self) -> Result<(), StoreError> {
        let Some(chain) = &self.chain else { return Ok(()) };
        let head = serde_json::to_vec(&chain.head()).map_err(failed("encode the head of the audit trail"))?;
        self.meta.get()?.insert(AUDIT_HEAD, &head[..]).map_err(failed("write"))?;
        Ok(())
    }
}

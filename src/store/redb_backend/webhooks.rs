//! Webhooks in the tables: each with its progress and deliveries, which go with it.

use redb::{ReadableTable, WriteTransaction};

use super::apply::{put, remove};
use super::lazy::Lazy;
use super::{decode, failed};
use crate::model::id::{DeliveryId, UserId, WebhookId};
use crate::model::webhook::{Webhook, WebhookProgress};
use crate::store::backend::StoreError;
use crate::store::delivery::DeliveryRecord;
use crate::store::tables;

type BytesTable<'t> = Lazy<'t, &'static [u8], &'static [u8]>;

/// The tables of one write transaction.
pub(super) struct Tables<'t> {
    webhooks: BytesTable<'t>,
    progress: BytesTable<'t>,
    deliveries: BytesTable<'t>,
}

/// The key of a delivery.
pub(super) fn key(webhook: WebhookId, delivery: DeliveryId) -> Vec<u8> {
    [webhook.bytes(), delivery.bytes()].concat()
}

impl<'t> Tables<'t> {
    pub(super) fn of(write: &'t WriteTransaction) -> Self {
        Self {
            webhooks: Lazy::new(write, tables::WEBHOOKS),
            progress: Lazy::new(write, tables::WEBHOOK_PROGRESS),
            deliveries: Lazy::new(write, tables::WEBHOOK_DELIVERIES),
        }
    }

    pub(super) fn get(&mut self, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let key = id.bytes();
        let value = self.webhooks.get()?.get(&key[..]).map_err(failed("read"))?;
        value.map(|value| decode("webhook", &key, value.value())).transpose()
    }

    pub(super) fn put(&mut self, webhook: &Webhook, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
        put(self.webhooks.get()?, &webhook.id.bytes(), webhook, buffer)
    }

    pub(super) fn put_progress(
        &mut self,
        id: WebhookId,
        progress: &WebhookProgress,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        put(self.progress.get()?, &id.bytes(), progress, buffer)
    }

    pub(super) fn put_delivery(&mut self, record: &DeliveryRecord, buffer: &mut Vec<u8>) -> Result<(), StoreError> {
        put(self.deliveries.get()?, &key(record.webhook, record.id), record, buffer)
    }

    pub(super) fn remove_delivery(&mut self, webhook: WebhookId, delivery: DeliveryId) -> Result<(), StoreError> {
        remove(self.deliveries.get()?, &key(webhook, delivery))
    }

    pub(super) fn remove(&mut self, id: WebhookId) -> Result<(), StoreError> {
        let id = id.bytes();
        remove(self.webhooks.get()?, &id)?;
        remove(self.progress.get()?, &id)?;
        let last = [&id[..], &[0xff; 16][..]].concat();
        let deliveries = self.deliveries.get()?;
        deliveries.retain_in::<&[u8], _>(&id[..]..=&last[..], |_, _| false).map_err(failed("write"))
    }

    /// Removes those of a user. There are few webhooks in all.
    pub(super) fn remove_of(&mut self, owner: UserId) -> Result<(), StoreError> {
        let mut theirs = Vec::new();
        for entry in self.webhooks.get()?.iter().map_err(failed("read"))? {
            let (key, value) = entry.map_err(failed("read"))?;
            // A damaged one is nobody's, and keeps no user from being deleted.
            let webhook = decode::<Webhook>("webhook", key.value(), value.value()).ok();
            theirs.extend(webhook.filter(|webhook| webhook.owner == owner).map(|webhook| webhook.id));
        }
        theirs.into_iter().try_for_each(|id| self.remove(id))
    }
}

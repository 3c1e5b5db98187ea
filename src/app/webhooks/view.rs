//! Webhooks and deliveries as their owners see them.

use uuid::Uuid;

use super::super::accounts;
use super::super::context::Context;
use super::super::error::Error;
use super::App;
use super::rights::Reads;
use crate::api::actions::Action;
use crate::api::list::{Listed, Page};
use crate::api::webhook::{DeliveryQuery, DeliveryView, WebhookQuery, WebhookState, WebhookView};
use crate::app::authorise::Question;
use crate::model::id::WebhookId;
use crate::model::webhook::{Webhook, WebhookProgress};
use crate::policy::{Resource, Subject};
use crate::store::delivery::DeliveryRecord;

impl App {
    /// The webhooks that the caller may see, newest first.
    ///
    /// # Errors
    /// When the caller may have none.
    pub async fn webhook_list(&self, context: &Context, query: &WebhookQuery) -> Result<Listed<WebhookView>, Error> {
        let permit = self.authorise(context, "webhook_list", &Question::about(Resource::System))?;
        let (asker, caller, of) = (self.asker(context), context.user, query.user.clone());
        let read = self.guarded.open(&permit).store.read(move |reads| {
            let wanted = of.as_ref().map(|key| accounts::find(reads, key)).transpose()?;
            let mut seen = Vec::new();
            for webhook in reads.webhooks()? {
                let is_wanted = match &wanted {
                    None => true,
                    Some(user) => user.as_ref().is_some_and(|user| user.user.id == webhook.owner),
                };
                let may = || match reads.user(webhook.owner)? {
                    Some(owner) => {
                        let about = Resource::User(Subject::of(&owner.user, owner.has_mfa()));
                        Ok(asker.may(Action::WebhookManage, about))
                    }
                    None => Ok::<_, crate::store::StoreError>(false),
                };
                if is_wanted && (webhook.owner == caller || may()?) {
                    let progress = reads.webhook_progress(webhook.id)?.unwrap_or_default();
                    seen.push((webhook, progress));
                }
            }
            Ok(seen)
        });
        let Listed { items, total, next_after } = page(read.await?, query.page, |(webhook, _)| webhook.id.0);
        let mut views = Vec::with_capacity(items.len());
        for (webhook, progress) in items {
            views.push(self.webhook_view(&webhook, progress).await?);
        }
        Ok(Listed { items: views, total, next_after })
    }

    /// One webhook.
    ///
    /// # Errors
    /// When the caller may see no such webhook.
    pub async fn webhook_get(&self, context: &Context, id: WebhookId) -> Result<WebhookView, Error> {
        let (webhook, permit) = self.managed_webhook(context, "webhook_get", id).await?;
        let progress = self.guarded.open(&permit).store.read(move |reads| reads.webhook_progress(id)).await?;
        self.webhook_view(&webhook, progress.unwrap_or_default()).await
    }

    /// What is known of the deliveries to a webhook, newest first.
    ///
    /// # Errors
    /// When the caller may see no such webhook.
    pub async fn webhook_deliveries(
        &self,
        context: &Context,
        id: WebhookId,
        query: DeliveryQuery,
    ) -> Result<Listed<DeliveryView>, Error> {
        let (_, permit) = self.managed_webhook(context, "webhook_deliveries", id).await?;
        let mut records = self.guarded.open(&permit).store.read(move |reads| reads.deliveries(id)).await?;
        records.retain(|record| query.status.is_none_or(|status| record.status == status));
        let Listed { items, total, next_after } = page(records, query.page, |record| record.id.0);
        Ok(Listed { items: items.into_iter().map(delivery).collect(), total, next_after })
    }

    pub(super) async fn webhook_view(
        &self,
        webhook: &Webhook,
        progress: WebhookProgress,
    ) -> Result<WebhookView, Error> {
        let (state, reason) = match (webhook.enabled, self.reads_for(webhook).await?) {
            (false, _) => (WebhookState::Paused, webhook.stopped.clone()),
            (true, Reads::Nobody(why)) => (WebhookState::Suspended, Some(why.to_owned())),
            (true, Reads::For(_)) if progress.failures > 0 => (WebhookState::Failing, progress.error),
            (true, Reads::For(_)) => (WebhookState::Active, None),
        };
        let now = self.clock.now();
        Ok(WebhookView {
            id: webhook.id,
            owner: webhook.owner,
            url: webhook.url.clone(),
            events: webhook.events.clone(),
            infras: webhook.infras.clone(),
            enabled: webhook.enabled,
            state,
            reason,
            sequence: progress.cursor,
            failures: progress.failures,
            next_attempt_at: progress.next_at,
            delivered_at: progress.delivered_at,
            former_secret_until: webhook.former.as_ref().map(|former| former.until).filter(|until| *until > now),
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        })
    }
}

fn delivery(record: DeliveryRecord) -> DeliveryView {
    DeliveryView {
        id: record.id,
        sequence: Some(record.sequence),
        event: record.event,
        status: record.status,
        attempts: record.attempts,
        first_attempt_at: record.first_at,
        last_attempt_at: record.last_at,
        next_attempt_at: record.next_at,
        response_status: record.response,
        duration_ms: record.duration_ms,
        error: record.error,
    }
}

/// A part of all items, which come oldest first and go newest first.
fn page<T>(items: Vec<T>, page: Page, id: impl Fn(&T) -> Uuid) -> Listed<T> {
    let total = items.len() as u64;
    let newest = items.into_iter().rev().filter(|item| page.after.is_none_or(|after| id(item) < after));
    let mut rest = newest.skip(page.offset);
    let items: Vec<T> = rest.by_ref().take(page.limit).collect();
    let next_after = if rest.next().is_some() { items.last().map(id) } else { None };
    Listed { items, total, next_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_and_leave_nothing_out() {
        let all: Vec<Uuid> = (1..=5).map(Uuid::from_u128).collect();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let part = page(all.clone(), Page { limit: 2, offset: 0, after }, |id| *id);
            assert_eq!(part.total, 5);
            seen.extend(part.items);
            after = part.next_after;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, all.iter().rev().copied().collect::<Vec<_>>());
        let offset = page(all.clone(), Page { limit: 2, offset: 4, after: None }, |id| *id);
        assert_eq!((offset.items, offset.next_after), (vec![all[0]], None));
    }
}

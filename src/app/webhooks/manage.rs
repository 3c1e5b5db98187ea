//! Making, changing and deleting webhooks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use uuid::Uuid;

use super::super::accounts::{TRIES, overtaken};
use super::super::authorise::Question;
use super::super::context::Context;
use super::super::error::Error;
use super::super::events::Reader;
use super::super::login::problem;
use super::super::trail;
use super::App;
use super::attempt::PING;
use super::rights::common;
use crate::api::actions::Action;
use crate::api::webhook::{DeliveryView, EventWord, MadeWebhook, NewWebhook, WebhookChange};
use crate::audit;
use crate::auth::secret;
use crate::model::id::{DeliveryId, WebhookId};
use crate::model::time::Timestamp;
use crate::model::webhook::{DeliveryStatus, FormerSecret, Webhook, WebhookProgress, WebhookSecret};
use crate::policy::Resource;
use crate::store::{Change, CommitError, Precondition, Refused, Transaction};
use crate::webhook::Target;

/// Webhooks that a user has at most.
const MOST: usize = 50;
/// Webhooks that there are at most.
const MOST_OF_ALL: usize = 500;
/// How long deliveries are signed with the secret of before as well, unless somebody says otherwise.
const OVERLAP: Duration = Duration::from_hours(24);

impl App {
    /// A new webhook of the caller, with its secret, which nobody sees again. It is told of what happens from now on.
    ///
    /// # Errors
    /// When nothing may be sent to its URL, or there are too many.
    pub async fn webhook_create(self: &Arc<Self>, context: &Context, new: NewWebhook) -> Result<MadeWebhook, Error> {
        let about = Question::about(Resource::System);
        let permit = self.authorise(context, "webhook_create", &about)?;
        self.authorise_action(context, "webhook_create", Action::EventRead, &about)?;
        let origin = self.check_url(&new.url)?;
        let secret = WebhookSecret(new.secret.map_or_else(secret::random, Ok)?);
        let store = &self.guarded.open(&permit).store;
        let owner = context.user;
        let _making = self.webhooks.making.lock().await;
        for _ in 0..TRIES {
            // The user first: relying on them, a webhook isn't made for one who is gone or has just lost a role.
            let read = store.read(move |reads| {
                let Some(user) = reads.user(owner)? else { return Ok(None) };
                Ok(Some((user, reads.webhooks()?, Reader::at_the_end(reads)?.after)))
            });
            let (user, others, cursor) = read.await?.ok_or(Error::Unauthenticated("the user is gone"))?;
            if others.len() >= MOST_OF_ALL {
                return Err(Error::Conflict(format!("there are {MOST_OF_ALL} webhooks, and there can be no more")));
            }
            if others.iter().filter(|other| other.owner == owner).count() >= MOST {
                return Err(Error::Conflict(format!("you have {MOST} webhooks; delete one first")));
            }
            let now = self.clock.now();
            let webhook = Webhook {
                id: WebhookId(Uuid::now_v7()),
                owner,
                url: new.url.clone(),
                events: words(&new.events),
                infras: new.infras.clone(),
                secret: secret.clone(),
                former: None,
                roles: context.standing.roles.clone(),
                mfa: context.factor,
                address: context.caller.address,
                enabled: true,
                stopped: None,
                created_at: now,
                updated_at: now,
                generation: 0,
            };
            let progress = WebhookProgress { cursor, ..WebhookProgress::default() };
            let details = json!({ "origin": origin, "events": webhook.events, "infras": webhook.infras });
            let resource = audit::Resource::new("webhook", webhook.id);
            let transaction = Transaction {
                preconditions: vec![Precondition::UserGeneration(owner, user.generation)],
                changes: vec![
                    Change::PutWebhook(Box::new(webhook.clone())),
                    Change::PutWebhookProgress(webhook.id, Box::new(progress.clone())),
                    trail::done_with(context, &permit, "webhook_create", resource, now, details),
                ],
            };
            match store.commit(transaction).await {
                Err(CommitError::Refused(_)) => {}
                committed => {
                    committed?;
                    self.tend(webhook.id, false);
                    let view = self.webhook_view(&webhook, progress).await?;
                    return Ok(MadeWebhook { secret: Some(secret.0), view });
                }
            }
        }
        Err(overtaken())
    }

    /// Changes a webhook. What waited for its time is tried at once.
    ///
    /// # Errors
    /// When the caller may see no such webhook, or nothing may be sent to its URL.
    pub async fn webhook_update(
        self: &Arc<Self>,
        context: &Context,
        id: WebhookId,
        change: &WebhookChange,
    ) -> Result<MadeWebhook, Error> {
        for _ in 0..TRIES {
            let (webhook, permit) = self.managed_webhook(context, "webhook_update", id).await?;
            let origin = change.url.as_deref().map(|url| self.check_url(url)).transpose()?;
            let secret = match &change.secret {
                Some(secret) => Some(secret.clone()),
                None if change.changes_secret() => Some(secret::random()?),
                None => None,
            };
            let now = self.clock.now();
            let next = changed(&webhook, context, change, secret.clone(), now);
            let mut details = json!({ "fields": change.fields(), "owner": webhook.owner });
            if let Some(origin) = origin {
                details["origin"] = json!(origin);
            }
            let resource = audit::Resource::new("webhook", id);
            let store = &self.guarded.open(&permit).store;
            let transaction = Transaction {
                preconditions: vec![Precondition::WebhookGeneration(id, webhook.generation)],
                changes: vec![
                    Change::PutWebhook(Box::new(next.clone())),
                    trail::done_with(context, &permit, "webhook_update", resource, now, details),
                ],
            };
            match store.commit(transaction).await {
                Err(CommitError::Refused(_)) => {}
                committed => {
                    committed?;
                    self.tend(id, false);
                    let progress = store.read(move |reads| reads.webhook_progress(id)).await?;
                    let view = self.webhook_view(&next, progress.unwrap_or_default()).await?;
                    return Ok(MadeWebhook { secret, view });
                }
            }
        }
        Err(Error::Conflict("somebody else changed the webhook at the same time; try again".to_owned()))
    }

    /// Deletes a webhook; nothing more is sent to it.
    ///
    /// # Errors
    /// When the caller may see no such webhook.
    pub async fn webhook_delete(self: &Arc<Self>, context: &Context, id: WebhookId) -> Result<(), Error> {
        let (webhook, permit) = self.managed_webhook(context, "webhook_delete", id).await?;
        let details = json!({ "origin": Target::origin_of(&webhook.url), "owner": webhook.owner });
        let resource = audit::Resource::new("webhook", id);
        let entry = trail::done_with(context, &permit, "webhook_delete", resource, self.clock.now(), details);
        let transaction = Transaction {
            preconditions: vec![Precondition::WebhookThere(id)],
            changes: vec![Change::RemoveWebhook(id), entry],
        };
        match self.guarded.open(&permit).store.commit(transaction).await {
            Err(CommitError::Refused(Refused(Precondition::WebhookThere(_)))) => {
                Err(Error::NotFound { kind: "webhook", id: id.to_string() })
            }
            committed => {
                self.tend(id, false);
                Ok(committed?)
            }
        }
    }

    /// Sends a webhook what tells of nothing, and says what became of it.
    ///
    /// # Errors
    /// When the caller may see no such webhook.
    pub async fn webhook_ping(&self, context: &Context, id: WebhookId) -> Result<DeliveryView, Error> {
        let (webhook, permit) = self.managed_webhook(context, "webhook_ping", id).await?;
        let (now, delivery) = (self.clock.now(), DeliveryId(Uuid::now_v7()));
        let details = json!({ "origin": Target::origin_of(&webhook.url), "owner": webhook.owner });
        let resource = audit::Resource::new("webhook", id);
        let entry = trail::done_with(context, &permit, "webhook_ping", resource, now, details);
        self.guarded.open(&permit).store.commit(Transaction::of(vec![entry])).await?;
        let begun = Instant::now();
        let outcome = self.send_ping(&webhook, delivery, now).await;
        let at = now.plus(begun.elapsed());
        Ok(DeliveryView {
            id: delivery,
            sequence: None,
            event: PING.to_owned(),
            status: if outcome.has_arrived() { DeliveryStatus::Delivered } else { DeliveryStatus::Dead },
            attempts: 1,
            first_attempt_at: at,
            last_attempt_at: at,
            next_attempt_at: None,
            response_status: outcome.status(),
            duration_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
            error: outcome.error(),
        })
    }

    /// The part of a URL that may be told, of one that something may be sent to.
    fn check_url(&self, url: &str) -> Result<String, Error> {
        let target = Target::parse(url, self.webhooks.sender.reachable());
        target.map(|target| target.origin()).map_err(|error| problem("/url", &error.to_string()))
    }
}

fn words(events: &[EventWord]) -> Vec<String> {
    events.iter().map(|word| word.as_str().to_owned()).collect()
}

/// The webhook after a change.
fn changed(
    webhook: &Webhook,
    context: &Context,
    change: &WebhookChange,
    secret: Option<String>,
    now: Timestamp,
) -> Webhook {
    let mut next = Webhook { updated_at: now, generation: webhook.generation + 1, ..webhook.clone() };
    if let Some(url) = &change.url {
        next.url.clone_from(url);
        // Where it goes is decided anew, so it tells no more than whoever decided that may read.
        if webhook.owner == context.user {
            next.roles.clone_from(&context.standing.roles);
            (next.mfa, next.address) = (context.factor, context.caller.address);
        } else if *url != webhook.url {
            next.roles = common(&webhook.roles, &context.standing.roles);
        }
    }
    if let Some(events) = &change.events {
        next.events = words(events);
    }
    if let Some(infras) = &change.infras {
        next.infras.clone_from(infras);
    }
    if let Some(enabled) = change.enabled {
        (next.enabled, next.stopped) = (enabled, None);
    }
    if let Some(secret) = secret {
        let former = std::mem::replace(&mut next.secret, WebhookSecret(secret));
        let until = now.plus(change.overlap_seconds.map_or(OVERLAP, Duration::from_secs));
        next.former = Some(FormerSecret { secret: former, until });
    }
    next
}

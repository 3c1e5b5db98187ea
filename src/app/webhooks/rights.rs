//! What a webhook may be told: what its owner may read, and whoever decided where it goes.
//!
//! As with an API token, the roles count that whoever set it up had then and its owner has still; nobody gave a second
//! factor with it. Policies see it come from where it was set up.

use super::super::accounts::Standing;
use super::super::authorise::{Asker, Question};
use super::super::context::{Context, Permit};
use super::super::error::Error;
use super::App;
use crate::api::actions::Action;
use crate::model::id::WebhookId;
use crate::model::user::Role;
use crate::model::webhook::Webhook;
use crate::policy::{Resource, Subject};

const GONE: &str = "its owner is gone or shut out";
const NO_ROLE: &str = "its owner has lost the roles that it was set up with";
const NOTHING_COMMON: &str =
    "whoever set its URL has none of the roles that count: its owner has to set its URL once more";
const NO_FACTOR: &str = "its owner's role takes a second factor, and it was set up without one: set its URL once more";
const NOT_PERMITTED: &str = "its owner may not have webhooks any more";

/// On whose behalf a webhook is told something.
pub(super) enum Reads {
    /// Somebody's.
    For(Asker),
    /// Nobody's, and why.
    Nobody(&'static str),
}

impl App {
    /// On whose behalf a webhook is told something now.
    pub(super) async fn reads_for(&self, webhook: &Webhook) -> Result<Reads, Error> {
        let Some(owner) = self.standing(webhook.owner).await? else { return Ok(Reads::Nobody(GONE)) };
        if webhook.roles.is_empty() {
            return Ok(Reads::Nobody(NOTHING_COMMON));
        }
        let roles = common(&webhook.roles, &owner.roles);
        if roles.is_empty() {
            return Ok(Reads::Nobody(NO_ROLE));
        }
        let has_factor = webhook.mfa && owner.mfa;
        if !has_factor && owner.roles.iter().any(|role| self.require_mfa.contains(role)) {
            return Ok(Reads::Nobody(NO_FACTOR));
        }
        let standing = Standing { roles, ..(*owner).clone() };
        let asker = self.asker_for(standing, owner, webhook.address);
        let may = |action| asker.may(action, Resource::System);
        if may(Action::WebhookManage) && may(Action::EventRead) {
            Ok(Reads::For(asker))
        } else {
            Ok(Reads::Nobody(NOT_PERMITTED))
        }
    }

    /// A webhook, and the right to do this to it. Whoever may have webhooks but not see this one is told that it isn't there.
    pub(super) async fn managed_webhook(
        &self,
        context: &Context,
        operation: &'static str,
        id: WebhookId,
    ) -> Result<(Webhook, Permit), Error> {
        let permit = self.authorise(context, operation, &Question::about(Resource::System))?;
        let unknown = || Error::NotFound { kind: "webhook", id: id.to_string() };
        let read = self.guarded.open(&permit).store.read(move |reads| {
            let Some(webhook) = reads.webhook(id)? else { return Ok(None) };
            let owner = reads.user(webhook.owner)?;
            Ok(Some((webhook, owner)))
        });
        let (webhook, owner) = read.await?.ok_or_else(unknown)?;
        if webhook.owner == context.user {
            return Ok((webhook, permit));
        }
        let owner = owner.ok_or_else(unknown)?;
        let about = Question::about(Resource::User(Subject::of(&owner.user, owner.has_mfa())));
        match self.authorise_action(context, operation, Action::WebhookManage, &about) {
            Ok(permit) => Ok((webhook, permit)),
            Err(Error::Forbidden(_)) => Err(unknown()),
            Err(other) => Err(other),
        }
    }
}

/// Those of the roles that somebody with the others has, by themselves or within one.
pub(super) fn common(roles: &[Role], others: &[Role]) -> Vec<Role> {
    roles.iter().copied().filter(|role| others.iter().any(|other| other.includes(*role))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_count_that_both_have() {
        use Role::{Admin, Auditor, Developer, Operator, Viewer};
        assert_eq!(common(&[Developer, Auditor], &[Operator]), [Developer]);
        assert_eq!(common(&[Admin], &[Operator]), []);
        assert_eq!(common(&[Viewer, Operator], &[Admin]), [Viewer, Operator]);
    }
}

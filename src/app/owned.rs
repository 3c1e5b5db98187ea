//! What belongs to one user: sessions and API tokens.
//!
//! Whoever has logged in sees and ends their own. For another's, and for one's own with an API token, the policies are
//! asked: who finds the token of a script must not learn from it where its owner is logged in, nor shut them out.

use super::App;
use super::accounts;
use super::authorise::Question;
use super::context::{Context, Permit};
use super::error::Error;
use crate::api::actions::Action;
use crate::api::users::UserKey;
use crate::model::id::UserId;
use crate::policy::{Resource, Subject};

impl App {
    /// Whose things are asked for, the caller's when nobody is named, and the right to the operation.
    ///
    /// # Errors
    /// When the caller may not, or there is no such user.
    pub(super) async fn owner(
        &self,
        context: &Context,
        (id, action): (&'static str, Action),
        named: Option<&UserKey>,
    ) -> Result<(UserId, Permit), Error> {
        let is_caller = match named {
            None => true,
            Some(UserKey::Id(id)) => *id == context.user,
            Some(UserKey::Name(name)) => name == context.username(),
        };
        if is_caller && context.session().is_some() {
            return Ok((context.user, self.authorise(context, id, &Question::about(Resource::System))?));
        }
        let key = named.cloned().unwrap_or(UserKey::Id(context.user));
        let read = self.guarded.open(&Permit::own()).store.read({
            let key = key.clone();
            move |reads| accounts::find(reads, &key)
        });
        let found = read.await?;
        let about = found.as_ref().map(|record| Subject::of(&record.user, record.has_mfa()));
        let resource = about.map_or(Resource::System, Resource::User);
        let permit = self.authorise_action(context, id, action, &Question::about(resource))?;
        let record = found.ok_or_else(|| Error::NotFound { kind: "user", id: key.to_string() })?;
        Ok((record.user.id, permit))
    }

    /// The right to the operation on something of this owner. Who may not is told that it isn't there, unless it is theirs.
    pub(super) async fn owned_by(
        &self,
        context: &Context,
        asked: (&'static str, Action),
        owner: UserId,
        unknown: impl FnOnce() -> Error,
    ) -> Result<Permit, Error> {
        match self.owner(context, asked, Some(&UserKey::Id(owner))).await {
            Err(Error::Forbidden(_)) if owner != context.user => Err(unknown()),
            answer => answer.map(|(_, permit)| permit),
        }
    }
}

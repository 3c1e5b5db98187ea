//! Users with what belongs to them: names, sessions and API tokens are found by their owner, and go with them.

use redb::ReadableTable;

use super::{Tables, decode, failed, policies, put, remove};
use crate::model::api_token::ApiToken;
use crate::model::id::{ApiTokenId, SessionId, UserId};
use crate::model::user::Session;
use crate::store::backend::StoreError;
use crate::store::record::UserRecord;

impl Tables<'_> {
    pub(super) fn user(&mut self, id: UserId) -> Result<Option<UserRecord>, StoreError> {
        let key = id.bytes();
        let value = self.users.get()?.get(&key[..]).map_err(failed("read"))?;
        value.map(|value| decode("user", &key, value.value())).transpose()
    }

    pub(super) fn has_another_admin(&mut self, than: UserId) -> Result<bool, StoreError> {
        for entry in self.users.get()?.iter().map_err(failed("read"))? {
            let (key, value) = entry.map_err(failed("read"))?;
            let record: UserRecord = decode("user", key.value(), value.value())?;
            if record.user.id != than && record.is_enabled_admin() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn put_user(&mut self, record: &UserRecord) -> Result<(), StoreError> {
        let (id, old) = (record.user.id, self.user(record.user.id)?);
        if old.as_ref().is_some_and(UserRecord::is_enabled_admin) != record.is_enabled_admin() {
            policies::begin_generation(self.meta.get()?)?;
        }
        if let Some(old) = old {
            remove(self.usernames.get()?, old.user.username.as_bytes())?;
        }
        let name = record.user.username.as_bytes();
        self.usernames.get()?.insert(name, &id.bytes()[..]).map_err(failed("write"))?;
        put(self.users.get()?, &id.bytes(), record, &mut self.buffer)
    }

    pub(super) fn remove_user(&mut self, id: UserId) -> Result<(), StoreError> {
        let Some(old) = self.user(id)? else { return Ok(()) };
        if old.is_enabled_admin() {
            policies::begin_generation(self.meta.get()?)?;
        }
        remove(self.usernames.get()?, old.user.username.as_bytes())?;
        remove(self.users.get()?, &id.bytes())?;
        for session in owned(self.sessions_of.get()?, id)? {
            self.remove_session(SessionId::from_bytes(session))?;
        }
        for token in owned(self.api_tokens_of.get()?, id)? {
            self.remove_api_token(ApiTokenId::from_bytes(token))?;
        }
        self.webhooks.remove_of(id)
    }

    pub(super) fn remove_session(&mut self, id: SessionId) -> Result<(), StoreError> {
        let id = id.bytes();
        let old = self.sessions.get()?.remove(&id[..]).map_err(failed("write"))?;
        let old = old.map(|value| decode::<Session>("session", &id, value.value())).transpose()?;
        if let Some(session) = old {
            let of = [session.user.bytes(), session.id.bytes()].concat();
            self.sessions_of.get()?.remove(&of[..]).map_err(failed("write"))?;
        }
        Ok(())
    }

    pub(super) fn api_token(&mut self, id: ApiTokenId) -> Result<Option<ApiToken>, StoreError> {
        let key = id.bytes();
        let value = self.api_tokens.get()?.get(&key[..]).map_err(failed("read"))?;
        value.map(|value| decode("API token", &key, value.value())).transpose()
    }

    pub(super) fn put_api_token(&mut self, token: &ApiToken) -> Result<(), StoreError> {
        let (id, of) = (token.id.bytes(), [token.owner.bytes(), token.id.bytes()].concat());
        self.api_token_prefixes.get()?.insert(token.prefix.as_bytes(), &id[..]).map_err(failed("write"))?;
        self.api_tokens_of.get()?.insert(&of[..], ()).map_err(failed("write"))?;
        put(self.api_tokens.get()?, &id, token, &mut self.buffer)
    }

    pub(super) fn remove_api_token(&mut self, id: ApiTokenId) -> Result<(), StoreError> {
        let Some(old) = self.api_token(id)? else { return Ok(()) };
        remove(self.api_tokens.get()?, &id.bytes())?;
        remove(self.api_token_prefixes.get()?, old.prefix.as_bytes())?;
        let of = [old.owner.bytes(), id.bytes()].concat();
        self.api_tokens_of.get()?.remove(&of[..]).map_err(failed("write"))?;
        Ok(())
    }
}

/// What a table of `user id + id` says is a user's.
fn owned(table: &impl ReadableTable<&'static [u8], ()>, user: UserId) -> Result<Vec<[u8; 16]>, StoreError> {
    let prefix = user.bytes();
    let mut found = Vec::new();
    for entry in table.range::<&[u8]>(&prefix[..]..).map_err(failed("read"))? {
        let key = entry.map_err(failed("read"))?.0;
        let Some(id) = key.value().strip_prefix(&prefix[..]) else { break };
        found.extend(<[u8; 16]>::try_from(id));
    }
    Ok(found)
}

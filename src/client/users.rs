//! Users, roles, passwords and sessions.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, ClientError, Part, part};
use crate::api::list::Page;
use crate::api::token::OwnerQuery;
use crate::api::users::{
    NewUser, PasswordChange, PasswordChanged, RoleView, SessionView, UserAccount, UserChange, UserKey,
};
use crate::model::id::SessionId;

impl Client {
    /// `GET /users`.
    pub async fn user_list(&self, page: &Page) -> Result<Part<UserAccount>, ClientError> {
        let url = format!("{}/users", self.servers.control_center);
        let send = |token: String| self.control_center.get(&url).query(page).bearer_auth(token).send();
        part(self.authorised("list", &url, send).await?).await
    }

    /// `POST /users`.
    pub async fn user_create(&self, user: &NewUser) -> Result<UserAccount, ClientError> {
        self.control(Method::POST, "/users", Some(json!(user))).await
    }

    /// `GET /users/{id}`.
    pub async fn user_get(&self, key: &UserKey) -> Result<UserAccount, ClientError> {
        self.control(Method::GET, &format!("/users/{key}"), None).await
    }

    /// `PUT /users/{id}`.
    pub async fn user_update(&self, key: &UserKey, change: &UserChange) -> Result<UserAccount, ClientError> {
        self.control(Method::PUT, &format!("/users/{key}"), Some(json!(change))).await
    }

    /// `DELETE /users/{id}`.
    pub async fn user_delete(&self, key: &UserKey) -> Result<Value, ClientError> {
        self.control(Method::DELETE, &format!("/users/{key}"), None).await
    }

    /// `POST /users/{id}/unlock`.
    pub async fn user_unlock(&self, key: &UserKey) -> Result<UserAccount, ClientError> {
        self.control(Method::POST, &format!("/users/{key}/unlock"), Some(json!({}))).await
    }

    /// `GET /roles`.
    pub async fn role_list(&self) -> Result<Vec<RoleView>, ClientError> {
        self.control(Method::GET, "/roles", None).await
    }

    /// `POST /auth/password`.
    pub async fn auth_password(&self, change: &PasswordChange) -> Result<PasswordChanged, ClientError> {
        self.control(Method::POST, "/auth/password", Some(json!(change))).await
    }

    /// `GET /auth/sessions`.
    pub async fn session_list(&self, of: &OwnerQuery) -> Result<Vec<SessionView>, ClientError> {
        self.control(Method::GET, &of.behind("/auth/sessions"), None).await
    }

    /// `DELETE /auth/sessions/{id}`.
    pub async fn session_delete(&self, id: SessionId) -> Result<Value, ClientError> {
        self.control(Method::DELETE, &format!("/auth/sessions/{id}"), None).await
    }
}

//! The control center's operations.

use serde_json::json;

use super::examples::{ID, account, entry, evaluation, new_policy, policy, policy_text, token_pair, user};
use super::operation::{Operation, all, bare, one, part};
use super::shapes::{Deleted, Json, Jwks, LoggedOut, Text};
use crate::api::audit::{AuditQuery, CheckpointDocument, Entry, ExportQuery, Verification, VerifyQuery};
use crate::api::auth::{LoginRequest, Logout, Refresh, TokenPair, Verified, read_logout, read_refresh};
use crate::api::list::Page;
use crate::api::mfa::{
    Activated, Enrolment, MfaEnrol, MfaStatus, MfaVerify, Removal, Removed, read_code, read_enrolment,
};
use crate::api::policy::{
    Evaluate, Evaluated, NewPolicy, PolicyChange, PolicyQuery, PolicyRollback, PolicyText, PolicyView, ValidPolicy,
    read_rollback, read_validate,
};
use crate::api::token::{MadeToken, NewToken, OwnerQuery, TokenView};
use crate::api::users::{
    NewUser, PasswordChange, PasswordChanged, RoleView, SessionView, UserAccount, UserChange, UserKey,
};
use crate::model::id::{ApiTokenId, SessionId};
use crate::model::name::Name;

pub(super) fn operations() -> Vec<(&'static str, Vec<Operation>)> {
    vec![
        ("Health", vec![health()]),
        ("Login", login()),
        ("Sessions and API tokens", sessions()),
        ("Second factor", mfa()),
        ("Users and roles", users()),
        ("Policies", policies()),
        ("Audit", audit()),
        ("Description", super::described_by("control_openapi", "control_docs")),
    ]
}

fn health() -> Operation {
    one::<Text>("control_health", "Says whether the control center lives").answering(json!("Control center is healthy"))
}

fn login() -> Vec<Operation> {
    vec![
        one::<TokenPair>("auth_login", "Logs in")
            .noting("Where a second factor is enrolled, a login without `mfa_code` answers `mfa_required`.")
            .body::<LoginRequest>(
                |body| LoginRequest::read(body).map(drop),
                json!({ "username": "admin", "password": "correct horse battery staple" }),
            )
            .answering(token_pair())
            .failing(&[401, 403, 429, 503]),
        one::<TokenPair>("auth_refresh", "Exchanges a refresh token for a new pair of tokens")
            .noting("The refresh token is spent by it; one that is used again ends its session.")
            .body::<Refresh>(|body| read_refresh(body).map(drop), json!({ "refresh_token": "…" }))
            .answering(token_pair())
            .failing(&[401, 403, 429, 503]),
        one::<LoggedOut>("auth_logout", "Logs out")
            .body::<Logout>(|body| read_logout(body).map(drop), json!({ "all": false }))
            .answering(json!({ "logged_out": true })),
        one::<Verified>("auth_verify", "Says whose token it is").answering(json!({
            "valid": true, "user": user(), "session_id": ID, "api_token_id": null,
            "expires_at": "2026-11-27T16:15:00.000Z", "mfa": false,
        })),
        one::<PasswordChanged>("auth_password", "Changes the caller's password")
            .noting("All other sessions of the caller end.")
            .body::<PasswordChange>(
                |body| PasswordChange::read(body).map(drop),
                json!({ "current_password": "correct horse battery staple", "new_password": "nine kittens in a gale" }),
            )
            .answering(json!({ "sessions_ended": 1, "api_tokens_left": 0 })),
        bare::<Jwks>("jwks", "application/json", "Shows the public keys that tokens can be checked with"),
    ]
}

fn sessions() -> Vec<Operation> {
    vec![
        all::<SessionView>("session_list", "Lists the sessions of a user")
            .noting("The caller's own, unless the query names somebody; others' take `session_manage`.")
            .query::<OwnerQuery>()
            .failing(&[404]),
        one::<Deleted>("session_delete", "Ends a session")
            .of::<SessionId>("The session.")
            .answering(json!({ "deleted": ID })),
        one::<MadeToken>("token_create", "Makes an API token")
            .noting("The token is shown this once. It may at most what its maker may.")
            .body::<NewToken>(
                |body| NewToken::read(body).map(drop),
                json!({ "name": "ci", "roles": ["Developer"], "expires_in": 7_776_000 }),
            ),
        all::<TokenView>("token_list", "Lists the API tokens of a user")
            .noting("The caller's own, unless the query names somebody; others' take `token_manage`.")
            .query::<OwnerQuery>()
            .failing(&[404]),
        one::<Deleted>("token_delete", "Revokes an API token")
            .of::<ApiTokenId>("The API token.")
            .answering(json!({ "deleted": ID })),
    ]
}

fn mfa() -> Vec<Operation> {
    vec![
        one::<MfaStatus>("mfa_get", "Says how the caller's second factor stands").answering(json!({
            "active": true, "pending": false, "enrolled_at": "2026-11-27T16:00:00.000Z",
            "backup_codes_left": 10, "session": true, "required": false,
        })),
        one::<Enrolment>("mfa_enroll_totp", "Begins to set up a second factor")
            .noting("It is active once `POST /mfa/verify` has seen a code of it.")
            .body::<MfaEnrol>(
                |body| read_enrolment(body).map(drop),
                json!({ "current_password": "correct horse battery staple" }),
            ),
        one::<Activated>("mfa_verify", "Activates the second factor with its first code")
            .body::<MfaVerify>(|body| read_code(body).map(drop), json!({ "code": "123456" })),
        one::<Removed>("mfa_disable", "Removes the second factor")
            .body::<Removal>(
                |body| Removal::read(body).map(drop),
                json!({ "current_password": "correct horse battery staple", "code": "123456" }),
            )
            .answering(json!({ "sessions_ended": 1 })),
    ]
}

fn users() -> Vec<Operation> {
    let id = "The user, by id or by name.";
    vec![
        part::<UserAccount>("user_list", "Lists users").query::<Page>().answering(json!([account()])),
        one::<UserAccount>("user_create", "Makes a user")
            .body::<NewUser>(
                |body| NewUser::read(body).map(drop),
                json!({
                    "username": "dora", "email": "dora@example.com", "roles": ["Developer"],
                    "password": "nine kittens in a gale",
                }),
            )
            .answering(account()),
        one::<UserAccount>("user_get", "Shows a user").of::<UserKey>(id).answering(account()),
        one::<UserAccount>("user_update", "Changes a user")
            .noting("What is absent stays. The last Admin can't be demoted or shut out.")
            .of::<UserKey>(id)
            .body::<UserChange>(
                |body| UserChange::read(body).map(drop),
                json!({ "email": "dora@example.com", "roles": ["Operator"], "disabled": false }),
            )
            .answering(account()),
        one::<Deleted>("user_delete", "Deletes a user")
            .noting("The last Admin can't be deleted.")
            .of::<UserKey>(id)
            .answering(json!({ "deleted": ID })),
        one::<UserAccount>("user_unlock", "Lifts the lock for failed logins")
            .of::<UserKey>(id)
            .without_body()
            .answering(account()),
        all::<RoleView>("role_list", "Lists the roles and what each may do").answering(json!([{
            "role": "Viewer", "description": "Reads tasks, batches and state.",
            "actions": ["task_read", "batch_read"], "outside_production": [],
        }])),
    ]
}

fn policies() -> Vec<Operation> {
    let id = "The policy, by id or by name.";
    vec![
        part::<PolicyView>("policy_list", "Lists policies").query::<PolicyQuery>().answering(json!([policy()])),
        one::<PolicyView>("policy_create", "Makes a policy")
            .noting("It counts at once. One that would lock everybody out is a conflict.")
            .body::<NewPolicy>(|body| NewPolicy::read(body).map(drop), new_policy())
            .answering(policy()),
        one::<PolicyView>("policy_get", "Shows a policy").of::<Name>(id).answering(policy()),
        one::<PolicyView>("policy_update", "Changes a policy")
            .noting("What is absent stays. With a `version` it is changed only if that is still its version.")
            .of::<Name>(id)
            .body::<PolicyChange>(
                |body| PolicyChange::read(body).map(drop),
                json!({ "description": "Everybody may ask what would happen.", "enabled": false, "version": 1 }),
            )
            .answering(policy()),
        one::<PolicyView>("policy_delete", "Deletes a policy").of::<Name>(id).answering(policy()),
        all::<PolicyView>("policy_versions", "Lists the versions of a policy")
            .of::<Name>(id)
            .answering(json!([policy()])),
        one::<PolicyView>("policy_rollback", "Makes an older version of a policy count again")
            .of::<Name>(id)
            .body::<PolicyRollback>(|body| read_rollback(body).map(drop), json!({ "version": 1 }))
            .answering(policy()),
        one::<ValidPolicy>("policy_validate", "Checks the text of a policy")
            .noting("What is wrong comes with its line and column.")
            .body::<PolicyText>(|body| read_validate(body).map(drop), policy_text())
            .answering(json!({ "valid": true }))
            .pure(),
        one::<Evaluated>("policy_evaluate", "Says what the policies decide, and why")
            .noting("Everybody may ask about themselves; about others it takes `policy_read`.")
            .body::<Evaluate>(|body| Evaluate::read(body).map(drop), evaluation())
            .answering(json!({ "decision": "allow", "policies": ["developer"], "why_not": null }))
            .failing(&[404])
            .pure(),
    ]
}

fn audit() -> Vec<Operation> {
    vec![
        part::<Entry>("audit_list", "Lists entries of the audit trail")
            .query::<AuditQuery>()
            .answering(json!([entry()])),
        Operation {
            answer: super::Answer::OneOf(vec![
                ("application/x-ndjson", super::operation::shape::<Text>),
                ("application/json", super::operation::shape::<Json>),
                ("text/csv", super::operation::shape::<Text>),
            ]),
            ..one::<Text>("audit_export", "Exports the audit trail").query::<ExportQuery>()
        },
        one::<Verification>("audit_verify", "Verifies the audit trail").query::<VerifyQuery>().answering(json!({
            "verified": true, "entries": 42, "checkpoints": 0,
            "head": { "sequence": 42, "key": 1, "mac": "5c" .repeat(32) },
        })),
        one::<CheckpointDocument>("audit_checkpoint_get", "Shows the newest checkpoint of the audit trail")
            .failing(&[404]),
        one::<CheckpointDocument>("audit_checkpoint_create", "Signs how the audit trail stands")
            .noting("Kept elsewhere, it finds whoever cuts the trail or writes it anew.")
            .without_body(),
    ]
}

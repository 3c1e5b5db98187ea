//! Users with what belongs to them, in the store.

use uuid::Uuid;

use super::record::UserRecord;
use super::{Backend, Change, Precondition, RedbBackend, Refused, Transaction};
use crate::api::list::Page;
use crate::audit;
use crate::model::api_token::ApiToken;
use crate::model::id::{ApiTokenId, SessionId, UserId};
use crate::model::time::Timestamp;
use crate::model::user::{Role, Session, User};

fn id(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn user(number: u128, username: &str, role: Role) -> UserRecord {
    let (username, email, roles) = (username.to_owned(), String::new(), vec![role]);
    UserRecord::new(User { id: id(number), username, email, roles, created_at: Timestamp(0) }, "hash".to_owned())
}

fn session(number: u128, user: u128) -> Session {
    Session {
        id: SessionId(Uuid::from_u128(number)),
        user: id(user),
        generation: 0,
        refresh_hash: [0; 32],
        spent: Vec::new(),
        created_at: Timestamp(0),
        expires_at: Timestamp(1),
        revoked_at: None,
        mfa: false,
    }
}

fn token(number: u128, owner: u128, prefix: &str) -> ApiToken {
    ApiToken {
        id: ApiTokenId(Uuid::from_u128(number)),
        name: "ci".to_owned(),
        prefix: prefix.to_owned(),
        hash: [0; 32],
        owner: id(owner),
        roles: vec![Role::Viewer],
        mfa: false,
        created_at: Timestamp(0),
        expires_at: Timestamp(1),
        last_used_at: None,
    }
}

fn store() -> RedbBackend {
    RedbBackend::in_memory(audit::Key::from_bytes(1, [0; 32])).unwrap()
}

fn commit(store: &RedbBackend, preconditions: &[Precondition], changes: Vec<Change>) -> Result<(), Refused> {
    let transaction = Transaction { preconditions: preconditions.to_vec(), changes };
    store.apply(&[transaction]).unwrap().remove(0)
}

fn put(record: UserRecord) -> Change {
    Change::PutUser(Box::new(record))
}

#[test]
fn what_belongs_to_a_user_goes_with_them_and_the_name_is_free() {
    let store = store();
    let changes = vec![
        put(user(1, "alice", Role::Viewer)),
        put(user(2, "bob", Role::Viewer)),
        Change::PutSession(Box::new(session(11, 1))),
        Change::PutSession(Box::new(session(12, 2))),
        Change::PutApiToken(Box::new(token(21, 1, "aaaaaaaa"))),
        Change::PutApiToken(Box::new(token(22, 2, "bbbbbbbb"))),
    ];
    commit(&store, &[], changes).unwrap();
    assert_eq!(store.api_token_by_prefix("aaaaaaaa").unwrap().unwrap().owner, id(1));
    commit(&store, &[], vec![Change::RemoveUser(id(1))]).unwrap();
    assert_eq!(store.user(id(1)).unwrap(), None);
    assert_eq!(store.session(SessionId(Uuid::from_u128(11))).unwrap(), None);
    assert_eq!((store.sessions_of(id(1)).unwrap().len(), store.sessions_of(id(2)).unwrap().len()), (0, 1));
    assert_eq!((store.api_tokens_of(id(1)).unwrap().len(), store.api_tokens_of(id(2)).unwrap().len()), (0, 1));
    assert_eq!(store.api_token_by_prefix("aaaaaaaa").unwrap(), None);
    let free = Precondition::UsernameFree("alice".to_owned());
    commit(&store, &[free], vec![put(user(3, "alice", Role::Viewer))]).unwrap();
    assert_eq!(store.user_by_name("alice").unwrap().unwrap().user.id, id(3));
    let prefix = Precondition::ApiTokenPrefixFree("bbbbbbbb".to_owned());
    assert_eq!(commit(&store, std::slice::from_ref(&prefix), Vec::new()), Err(Refused(prefix)));
}

#[test]
fn a_transaction_relies_on_the_user_that_was_read_and_on_another_admin() {
    let store = store();
    commit(&store, &[], vec![put(user(1, "admin", Role::Admin)), put(user(2, "bob", Role::Viewer))]).unwrap();
    let alone = Precondition::AnotherAdmin(id(1));
    let read = Precondition::UserGeneration(id(2), 0);
    assert_eq!(commit(&store, std::slice::from_ref(&alone), Vec::new()), Err(Refused(alone.clone())));
    let promoted = UserRecord { generation: 1, ..user(2, "bob", Role::Admin) };
    commit(&store, std::slice::from_ref(&read), vec![put(promoted.clone())]).unwrap();
    assert_eq!(commit(&store, std::slice::from_ref(&read), Vec::new()), Err(Refused(read)));
    commit(&store, std::slice::from_ref(&alone), Vec::new()).unwrap();
    let shut_out = UserRecord { disabled: true, generation: 2, ..promoted };
    assert_eq!(commit(&store, std::slice::from_ref(&alone), vec![put(shut_out.clone())]), Ok(()));
    assert_eq!(commit(&store, std::slice::from_ref(&alone), Vec::new()), Err(Refused(alone)));
}

#[test]
fn a_revoked_token_is_not_used_again() {
    let store = store();
    let (good, live) = (token(21, 1, "aaaaaaaa"), Precondition::ApiTokenThere(ApiTokenId(Uuid::from_u128(21))));
    commit(&store, &[], vec![Change::PutApiToken(Box::new(good))]).unwrap();
    commit(&store, std::slice::from_ref(&live), Vec::new()).unwrap();
    commit(&store, &[], vec![Change::RemoveApiToken(ApiTokenId(Uuid::from_u128(21)))]).unwrap();
    assert_eq!(commit(&store, std::slice::from_ref(&live), Vec::new()), Err(Refused(live)));
}

#[test]
fn users_come_by_name_and_a_record_of_before_is_read() {
    let store = store();
    let names = ["carol", "alice", "bob"];
    let users = (1..).zip(names).map(|(number, name)| put(user(number, name, Role::Viewer))).collect();
    commit(&store, &[], users).unwrap();
    let listed = |page| {
        let listed = store.users(page).unwrap();
        let names = listed.items.into_iter().map(|record| record.user.username).collect::<Vec<_>>();
        (names.join(" "), listed.total, listed.next_after)
    };
    let first = Page { limit: 2, offset: 0, after: None };
    let (names, total, after) = listed(first);
    assert_eq!((names.as_str(), total, after), ("alice bob", 3, Some(id(3).0)));
    assert_eq!(listed(Page { after, ..first }), ("carol".to_owned(), 3, None));
    assert_eq!(listed(Page { offset: 2, ..first }), ("carol".to_owned(), 3, None));
    let old = serde_json::json!({ "user": user(9, "dave", Role::Admin).user, "password_hash": "hash" });
    let read: UserRecord = serde_json::from_value(old).unwrap();
    assert_eq!(read, user(9, "dave", Role::Admin));
}

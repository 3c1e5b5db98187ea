//! What policies can speak of: Cedar's schema, made from the list of actions, and its words ready for use.
//!
//! Knows no request.

use std::sync::LazyLock;

use cedar_policy::{Authorizer, EntityId, EntityTypeName, EntityUid, Schema, Validator};

use crate::api::actions::{Action, Kind};
use crate::model::user::Role;

/// The part of the schema that no list determines.
const NOUNS: &str = r#"
// Who asks. The id is the user name: User::"alice".
entity User in [Role] { username: String, email: String, mfa_enrolled: Bool };

// An environment is written in lower case here, however the settings write it.
entity Infra { name: String, environment: String };
entity Task in [Infra] { name: String, infra: Infra, environment: String, submitted_by: String };
entity Batch in [Infra] { name: String, infra: Infra, environment: String, submitted_by: String };
entity Policy { name: String };

// What belongs to no infra.
entity System enum ["prov"];

type Circumstances = {
    mfa: Bool,              // a second factor was given at login
    ip: ipaddr,             // where the request came from
    time: datetime,         // when it came
    hour: Long,             // the hour of that in UTC, 0 to 23
    weekday: Long,          // its day in UTC as ISO 8601 counts: 1 is Monday, 7 is Sunday
    check_mode: Bool,       // nothing is to be changed
    operation?: String,     // create, delete, reinstall …
    providers?: Set<String> // the providers that work goes to
};
"#;

/// The schema in Cedar's own notation, for whoever writes policies.
#[must_use]
pub fn schema() -> &'static str {
    &VOCABULARY.schema
}

/// The words of the schema, parsed once.
pub(super) struct Vocabulary {
    schema: String,
    pub(super) validator: Validator,
    pub(super) authorizer: Authorizer,
    user: EntityTypeName,
    kinds: Vec<EntityTypeName>,
    roles: Vec<EntityUid>,
    actions: Vec<EntityUid>,
}

pub(super) static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(Vocabulary::new);

impl Vocabulary {
    fn new() -> Self {
        let schema = text();
        let parsed = Schema::from_cedarschema_str(&schema).expect("the schema is well-formed: tests parse it").0;
        let (role, action) = (type_name("Role"), type_name("Action"));
        Self {
            validator: Validator::new(parsed),
            authorizer: Authorizer::new(),
            user: type_name("User"),
            kinds: Kind::ALL.iter().map(|kind| type_name(kind.as_str())).collect(),
            roles: Role::ALL.iter().map(|word| uid(&role, word.as_str())).collect(),
            actions: Action::ALL.iter().map(|word| uid(&action, word.as_str())).collect(),
            schema,
        }
    }

    pub(super) fn user(&self, username: &str) -> EntityUid {
        uid(&self.user, username)
    }

    pub(super) fn role(&self, role: Role) -> EntityUid {
        self.roles[role as usize].clone()
    }

    pub(super) fn action(&self, action: Action) -> &EntityUid {
        &self.actions[action as usize]
    }

    pub(super) fn resource(&self, kind: Kind, id: &str) -> EntityUid {
        uid(&self.kinds[kind as usize], id)
    }
}

fn text() -> String {
    let roles = Role::ALL.iter().map(|role| format!("{:?}", role.as_str())).collect::<Vec<_>>().join(", ");
    let actions = Action::ALL.iter().map(|action| {
        let kinds = action.kinds().iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
        let applies = format!("principal: User, resource: [{kinds}], context: Circumstances");
        format!("// {}\naction {action} appliesTo {{ {applies} }};\n", action.description())
    });
    format!("entity Role enum [{roles}];\n{NOUNS}\n{}", actions.collect::<String>())
}

fn type_name(word: &str) -> EntityTypeName {
    word.parse().expect("a word of the schema is an identifier")
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_where_they_are_looked_up() {
        for (at, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, at);
        }
        for (at, role) in Role::ALL.iter().enumerate() {
            assert_eq!(*role as usize, at);
        }
        for (at, action) in Action::ALL.iter().enumerate() {
            assert_eq!(*action as usize, at);
        }
    }

    #[test]
    fn every_action_is_in_the_schema_with_what_it_is_done_to() {
        for action in Action::ALL {
            let uid = VOCABULARY.action(*action);
            let resources = VOCABULARY.validator.schema().resources_for_action(uid).unwrap();
            let mut resources: Vec<String> = resources.map(ToString::to_string).collect();
            let mut kinds: Vec<&str> = action.kinds().iter().map(|kind| kind.as_str()).collect();
            resources.sort_unstable();
            kinds.sort_unstable();
            assert_eq!(resources, kinds, "{action}");
        }
    }
}

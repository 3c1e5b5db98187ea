//! A request in Cedar's terms: the caller, the resource and its infra, nothing else, so that its cost doesn't grow with the
//! number of users.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Context, Entities, Entity, EntityUid, RestrictedExpression as Value};

use super::request::{Circumstances, Infra, Request, Resource, Subject};
use super::schema::VOCABULARY;
use crate::api::actions::Kind;

type Attributes = HashMap<String, Value>;

/// The request for Cedar's authorizer, with the entities it is about.
///
/// # Errors
/// When the action isn't done to such a resource, or a value can't be shown to policies, in a sentence.
pub(super) fn question(request: &Request<'_>) -> Result<(cedar_policy::Request, Entities), String> {
    let (action, kind) = (request.action, request.resource.kind());
    if !action.kinds().contains(&kind) {
        return Err(format!("{action} is nothing that can be done to {}", kind.as_str()));
    }
    let subject = VOCABULARY.user(request.subject.username);
    let mut about = vec![user(&request.subject)?];
    let resource = add(&request.resource, &subject, &mut about)?;
    let entities = Entities::from_entities(about, None).map_err(|error| error.to_string())?;
    let (action, context) = (VOCABULARY.action(action).clone(), context(&request.circumstances)?);
    // The schema is not asked again: what is built here has its types by construction, and a test holds both together.
    let question = cedar_policy::Request::new(subject, action, resource, context, None);
    Ok((question.map_err(|error| error.to_string())?, entities))
}

/// Adds the resource, and answers what it is called.
fn add(resource: &Resource<'_>, subject: &EntityUid, about: &mut Vec<Entity>) -> Result<EntityUid, String> {
    let (kind, id) = match resource {
        Resource::System => (Kind::System, "prov"),
        Resource::Infra(of) => {
            about.push(infra(of)?);
            (Kind::Infra, of.name)
        }
        Resource::Task { id, name, infra: of, submitted_by }
        | Resource::Batch { id, name, infra: of, submitted_by } => {
            let uid = VOCABULARY.resource(resource.kind(), id);
            let parent = VOCABULARY.resource(Kind::Infra, of.name);
            let mut attributes = strings([
                ("name", name),
                ("environment", &of.environment.to_lowercase()),
                ("submitted_by", submitted_by),
            ]);
            attributes.insert("infra".to_owned(), Value::new_entity_uid(parent.clone()));
            about.extend([infra(of)?, entity(uid, attributes, [parent])?]);
            (resource.kind(), *id)
        }
        Resource::User(other) => {
            // Those who do something to themselves are there already.
            if VOCABULARY.user(other.username) != *subject {
                about.push(user(other)?);
            }
            (Kind::User, other.username)
        }
        Resource::Policy(name) => {
            about.push(entity(VOCABULARY.resource(Kind::Policy, name), strings([("name", *name)]), [])?);
            (Kind::Policy, *name)
        }
    };
    Ok(VOCABULARY.resource(kind, id))
}

fn user(subject: &Subject<'_>) -> Result<Entity, String> {
    let mut attributes = strings([("username", subject.username), ("email", subject.email)]);
    attributes.insert("mfa_enrolled".to_owned(), Value::new_bool(subject.mfa_enrolled));
    let roles = subject.roles.iter().map(|role| VOCABULARY.role(*role));
    entity(VOCABULARY.user(subject.username), attributes, roles)
}

fn infra(infra: &Infra<'_>) -> Result<Entity, String> {
    let attributes = strings([("name", infra.name), ("environment", &infra.environment.to_lowercase())]);
    entity(VOCABULARY.resource(Kind::Infra, infra.name), attributes, [])
}

fn entity(
    uid: EntityUid,
    attributes: Attributes,
    parents: impl IntoIterator<Item = EntityUid>,
) -> Result<Entity, String> {
    Entity::new(uid, attributes, parents.into_iter().collect::<HashSet<_>>()).map_err(|error| error.to_string())
}

fn strings<const N: usize>(pairs: [(&str, &str); N]) -> Attributes {
    pairs.into_iter().map(|(name, text)| (name.to_owned(), Value::new_string(text.to_owned()))).collect()
}

fn context(circumstances: &Circumstances<'_>) -> Result<Context, String> {
    let mut pairs = vec![
        ("mfa", Value::new_bool(circumstances.mfa)),
        ("ip", Value::new_ip(circumstances.ip.to_canonical().to_string())),
        ("time", Value::new_datetime(circumstances.time.to_string())),
        ("hour", Value::new_long(circumstances.hour())),
        ("weekday", Value::new_long(circumstances.weekday())),
        ("check_mode", Value::new_bool(circumstances.check_mode)),
    ];
    let text = |text: &str| Value::new_string(text.to_owned());
    pairs.extend(circumstances.operation.map(|operation| ("operation", text(operation))));
    let providers = circumstances.providers.map(|names| names.iter().map(|name| text(name)));
    pairs.extend(providers.map(|names| ("providers", Value::new_set(names))));
    let pairs = pairs.into_iter().map(|(name, value)| (name.to_owned(), value));
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

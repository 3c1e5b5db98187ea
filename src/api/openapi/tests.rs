//! What the documents say, against themselves and against what reads and serves.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::schemas::Schemas;
use super::*;
use crate::api::read::asked;
use crate::model::batch::PROVIDERS;

const APIS: [Api; 2] = [Api::Orchestrator, Api::ControlCenter];

fn rows(api: Api) -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(move |row| row.api == api)
}

fn said<'d>(document: &'d Value, row: &Row) -> &'d Value {
    &document["paths"][row.path][row.method.to_ascii_lowercase().as_str()]
}

/// A schema of the document, with all that it refers to.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    jsonschema::options().should_validate_formats(true).build(&whole).unwrap()
}

/// Calls `visit` with each value in a value.
fn walk<'v>(value: &'v Value, visit: &mut impl FnMut(&'v Value)) {
    visit(value);
    match value {
        Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        _ => {}
    }
}

#[test]
fn every_operation_is_described_and_nothing_else() {
    for api in APIS {
        let described = described(api);
        let ids: Vec<&str> = described.iter().flat_map(|(_, all)| all.iter().map(|known| known.id)).collect();
        let (once, table): (BTreeSet<&str>, BTreeSet<&str>) =
            (ids.iter().copied().collect(), rows(api).map(|row| row.id).collect());
        assert_eq!(once, table, "{api:?}");
        assert_eq!(ids.len(), once.len(), "{api:?} says something twice");
        let document = document(api);
        for row in rows(api) {
            let said = said(&document, row);
            assert_eq!(said["operationId"], row.id);
            let summary = said["summary"].as_str().unwrap();
            assert!(!summary.is_empty() && summary.len() <= 80 && !summary.ends_with('.'), "{}: {summary}", row.id);
            assert_eq!(said["security"].as_array().unwrap().is_empty(), row.access == Access::Public, "{}", row.id);
        }
    }
}

#[test]
fn every_path_parameter_is_described() {
    for api in APIS {
        let document = document(api);
        for row in rows(api) {
            let parts = row.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            let parameters = said(&document, row)["parameters"].as_array();
            let parameters = parameters.into_iter().flatten().filter(|parameter| parameter["in"] == "path");
            let names: Vec<&str> = parameters.filter_map(|parameter| parameter["name"].as_str()).collect();
            assert_eq!(parts.collect::<Vec<_>>(), names, "{}", row.id);
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_text_is_for_callers() {
    for api in APIS {
        let document = document(api);
        walk(&document, &mut |value| {
            if let Some(reference) = value["$ref"].as_str() {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            if let Some(text) = value["description"].as_str() {
                for ours in ["[`", "`Debug`", "::", "  "] {
                    assert!(!text.contains(ours), "{text}");
                }
            }
        });
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            let described =
                schema["description"].is_string() || schema["anyOf"].is_array() || schema["oneOf"].is_array();
            assert!(described, "{name} says nothing of itself");
            validator(&document, schema);
        }
    }
}

#[test]
fn one_name_stands_for_one_shape() {
    for api in APIS {
        let mut schemas = Schemas::new();
        for known in described(api).iter().flat_map(|(_, all)| all) {
            known.body.iter().for_each(|body| drop(schemas.body(body.shape)));
            known.query.iter().for_each(|query| drop(schemas.properties(*query)));
            match &known.answer {
                Answer::Data { shape, .. } | Answer::Bare { shape, .. } => drop(schemas.answer(*shape)),
                Answer::OneOf(all) => all.iter().for_each(|(_, shape)| drop(schemas.answer(*shape))),
                Answer::Socket => {}
            }
        }
        assert_eq!(schemas.conflicts(), Vec::<String>::new(), "{api:?}");
    }
}

#[test]
fn every_example_is_one() {
    for api in APIS {
        let document = document(api);
        walk(&document, &mut |value| {
            if let (Some(example), Some(schema)) = (value.get("example"), value.get("schema")) {
                let errors: Vec<String> = validator(&document, schema)
                    .iter_errors(example)
                    .map(|e| format!("{}: {e}", e.instance_path()))
                    .collect();
                assert!(errors.is_empty(), "{errors:?}\n{example:#}");
            }
        });
    }
}

/// All that a value could be that is like `value` but for one place.
fn variants(value: &Value, pointers: &BTreeSet<String>) -> Vec<(String, Value)> {
    let others =
        [json!(null), json!(true), json!(-1), json!(1.5), json!(""), json!("a/../b"), json!([]), json!({}), json!([1])];
    let mut variants = Vec::new();
    for pointer in pointers {
        let mut put = |other: Value| {
            let mut variant = value.clone();
            *variant.pointer_mut(pointer).unwrap() = other;
            variants.push((pointer.clone(), variant));
        };
        others.iter().cloned().for_each(&mut put);
        if let Some(Value::Object(members)) = value.pointer(pointer) {
            for name in members.keys() {
                let mut fewer = members.clone();
                fewer.remove(name);
                put(Value::Object(fewer));
            }
            let mut more = members.clone();
            more.insert("unheard_of".to_owned(), json!(1));
            put(Value::Object(more));
        }
    }
    variants
}

fn pointers(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    found.insert(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                pointers(member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn what_a_body_is_said_to_be_is_what_is_read() {
    let mut wrong = Vec::new();
    for api in APIS {
        let document = document(api);
        for row in rows(api) {
            let described = described(api);
            let known = described.iter().flat_map(|(_, all)| all).find(|known| known.id == row.id).unwrap();
            let Some(body) = &known.body else { continue };
            let content = &said(&document, row)["requestBody"]["content"]["application/json"];
            let validator = validator(&document, &content["schema"]);
            let mut everywhere = BTreeSet::new();
            pointers(&body.example, "", &mut everywhere);
            for (pointer, variant) in variants(&body.example, &everywhere) {
                let (said, read) = (validator.is_valid(&variant), (body.read)(&variant));
                if said != read.is_ok() {
                    let now = variant.pointer(&pointer);
                    wrong.push(format!("{} at {pointer}: {now:?}: {read:?}", row.id));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The members that a schema has for the objects in a value.
fn members(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return members(document, document.pointer(&reference[1..]).unwrap(), value, at, found);
    }
    for one in schema["anyOf"].as_array().into_iter().flatten() {
        if validator(document, one).is_valid(value) {
            members(document, one, value, at, found);
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        found.insert(format!("{at}/{name}"));
        value.get(name).into_iter().for_each(|value| members(document, schema, value, &format!("{at}/{name}"), found));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        members(document, &schema["items"], item, &format!("{at}/{index}"), found);
    }
}

#[test]
fn the_members_of_a_body_that_are_read_are_those_that_are_described() {
    for api in APIS {
        let document = document(api);
        for (_, operations) in described(api) {
            for known in operations {
                let Some(body) = &known.body else { continue };
                let row = rows(api).find(|row| row.id == known.id).unwrap();
                let content = &said(&document, row)["requestBody"]["content"]["application/json"];
                let mut described = BTreeSet::new();
                members(&document, &content["schema"], &body.example, "", &mut described);
                asked::take();
                (body.read)(&body.example).unwrap();
                assert_eq!(asked::take(), described, "{}", known.id);
            }
        }
    }
}

#[test]
fn the_providers_are_those_that_there_are() {
    let document = document(Api::Orchestrator);
    let provider = validator(&document, &document["components"]["schemas"]["Provider"]);
    assert!(PROVIDERS.iter().all(|name| provider.is_valid(&json!(name))) && !provider.is_valid(&json!("no name")));
    let backend = validator(&document, &document["components"]["schemas"]["StorageBackend"]);
    for name in ["redb", "surrealdb", "filesystem"] {
        assert!(backend.is_valid(&json!(name)), "{name}");
    }
}

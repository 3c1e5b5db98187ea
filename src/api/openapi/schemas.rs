//! The schemas: what types say of themselves, put into the words of one document.
//!
//! A type says other things of itself when it is sent than when it is read: what is left out when it is empty, what may be
//! absent. So answers, bodies and queries each have a generator; what they have in common must be said alike.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::operation::Shape;
use super::shapes::Said;
use crate::api::envelope::Failure;
use crate::api::live::Notice;
use crate::api::policy::{Denied, PolicyProblem};
use crate::api::read::Problem;

const PREFIX: &str = "#/components/schemas/";

/// What was described so far.
pub(super) struct Schemas {
    answers: SchemaGenerator,
    bodies: SchemaGenerator,
    queries: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            answers: settings().for_serialize().into_generator(),
            bodies: settings().for_deserialize().into_generator(),
            queries: settings().for_deserialize().into_generator(),
        }
    }

    /// What is sent.
    pub(super) fn answer(&mut self, shape: Shape) -> Value {
        tidied(shape(&mut self.answers).to_value())
    }

    /// The same in the envelope of a success.
    pub(super) fn success(&mut self, shape: Shape, is_list: bool) -> Value {
        let one = self.answer(shape);
        let data = if is_list { json!({ "type": "array", "items": one }) } else { one };
        json!({
            "type": "object",
            "required": ["success", "data"],
            "properties": {
                "success": { "const": true },
                "data": data,
                "warnings": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "What the caller should know although it worked.",
                },
            },
        })
    }

    /// What the daemon says of a WebSocket.
    pub(super) fn notice(&mut self) -> Value {
        tidied(self.answers.subschema_for::<Notice>().to_value())
    }

    /// What a client says on a WebSocket.
    pub(super) fn client_frame(&mut self) -> Value {
        tidied(self.queries.subschema_for::<Said>().to_value())
    }

    /// The envelope of a failure, and what its details refer to.
    pub(super) fn tell_failures(&mut self) {
        fn describe<T: JsonSchema>(answers: &mut SchemaGenerator) {
            answers.subschema_for::<T>();
        }
        describe::<Failure>(&mut self.answers);
        describe::<Problem>(&mut self.answers);
        describe::<PolicyProblem>(&mut self.answers);
        describe::<Denied>(&mut self.answers);
    }

    /// What is read from a body.
    pub(super) fn body(&mut self, shape: Shape) -> Value {
        let mut schema = tidied(shape(&mut self.bodies).to_value());
        strict(&mut schema);
        schema
    }

    /// Whether a body of this schema must be there: nothing is taken for an empty object.
    pub(super) fn requires_something(&self, schema: &Value) -> bool {
        let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix(PREFIX));
        let definition = name.and_then(|name| self.bodies.definitions().get(name)).unwrap_or(schema);
        definition["required"].as_array().is_some_and(|required| !required.is_empty())
    }

    /// What is read from a path or a query.
    pub(super) fn query(&mut self, shape: Shape) -> Value {
        let mut schema = tidied(shape(&mut self.queries).to_value());
        never_null(&mut schema);
        schema
    }

    /// What is read from a query, by parameter.
    pub(super) fn properties(&mut self, shape: Shape) -> Map<String, Value> {
        let schema = shape(&mut self.queries).to_value();
        let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix(PREFIX));
        // Its parameters stand for it; the type itself has no place in the document.
        let whole = name.and_then(|name| self.queries.definitions_mut().remove(name)).unwrap_or(schema);
        let properties = whole["properties"].as_object().cloned().unwrap_or_default();
        let mut properties: Map<String, Value> =
            properties.into_iter().map(|(name, schema)| (name, tidied(schema))).collect();
        properties.values_mut().for_each(never_null);
        properties
    }

    /// All that was described, by name.
    pub(super) fn into_definitions(mut self) -> Map<String, Value> {
        let mut definitions = tidied_all(self.queries.take_definitions(false));
        let mut bodies = tidied_all(self.bodies.take_definitions(false));
        bodies.values_mut().for_each(strict);
        definitions.extend(bodies);
        definitions.extend(tidied_all(self.answers.take_definitions(false)));
        definitions
    }

    /// The names under which two different things were described.
    #[cfg(test)]
    pub(super) fn conflicts(&mut self) -> Vec<String> {
        let answers = tidied_all(self.answers.take_definitions(false));
        let mut bodies = tidied_all(self.bodies.take_definitions(false));
        bodies.values_mut().for_each(strict);
        let queries = tidied_all(self.queries.take_definitions(false));
        let others = bodies.into_iter().chain(queries);
        others
            .filter(|(name, schema)| answers.get(name).is_some_and(|other| other != schema))
            .map(|(name, _)| name)
            .collect()
    }
}

fn tidied_all(definitions: Map<String, Value>) -> Map<String, Value> {
    definitions.into_iter().map(|(name, schema)| (name, tidied(schema))).collect()
}

/// Without what only our code's documentation understands, and without formats that nobody knows.
fn tidied(mut schema: Value) -> Value {
    each(&mut schema, &mut |schema| {
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text.replace("[`", "`").replace("`]", "`").replace('\n', " ");
        }
        let format = schema.get("format").and_then(Value::as_str).unwrap_or("");
        if format.starts_with("uint") || format == "ip" {
            schema.remove("format");
        }
        schema.remove("title");
    });
    schema
}

/// A body is read strictly: nothing that isn't known, and null wherever something may be absent.
fn strict(schema: &mut Value) {
    each(schema, &mut |schema| {
        let (Some(Value::Object(properties)), true) = (schema.get("properties"), schema.contains_key("type")) else {
            return;
        };
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut properties = properties.clone();
        let optional = properties.iter_mut().filter(|(name, _)| !required.contains(&name.as_str()));
        optional.for_each(|(_, property)| or_null(property));
        schema.insert("properties".to_owned(), Value::Object(properties));
        schema.entry("additionalProperties").or_insert(Value::Bool(false));
    });
}

fn or_null(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    let is_null =
        |one: &Value| one["type"] == "null" || one["type"].as_array().is_some_and(|all| all.contains(&json!("null")));
    let takes_null = object.get("anyOf").and_then(Value::as_array).is_some_and(|any| any.iter().any(is_null));
    match object.get("type") {
        _ if takes_null => {}
        Some(Value::Array(_)) => {}
        Some(Value::String(kind)) if !object.contains_key("enum") && !object.contains_key("const") => {
            let kinds = json!([kind, "null"]);
            object.insert("type".to_owned(), kinds);
        }
        _ => {
            let said = ["description", "default"].map(|key| object.remove(key).map(|value| (key.to_owned(), value)));
            let mut either = Map::from_iter([("anyOf".to_owned(), json!([object, { "type": "null" }]))]);
            either.extend(said.into_iter().flatten());
            *schema = Value::Object(either);
        }
    }
}

/// A parameter is there or not: it has no null.
fn never_null(schema: &mut Value) {
    let Value::Object(object) = schema else { return };
    if let Some(Value::Array(kinds)) = object.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = object.get_mut("anyOf") {
        any.retain(|one| one["type"] != "null");
        if let [Value::Object(only)] = any.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            object.extend(only);
        }
    }
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
}

/// Does something with a schema and all schemas in it.
fn each(schema: &mut Value, act: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(object) = schema else { return };
    act(object);
    for key in ["properties", "$defs"] {
        if let Some(Value::Object(schemas)) = object.get_mut(key) {
            for schema in schemas.values_mut() {
                each(schema, act);
            }
        }
    }
    for key in ["anyOf", "oneOf", "allOf", "prefixItems"] {
        if let Some(Value::Array(schemas)) = object.get_mut(key) {
            for schema in schemas {
                each(schema, act);
            }
        }
    }
    for key in ["items", "additionalProperties", "not"] {
        if let Some(schema) = object.get_mut(key) {
            each(schema, act);
        }
    }
}

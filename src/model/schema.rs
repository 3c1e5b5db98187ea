//! What the model's texts look like on the wire, for whoever describes it: JSON Schema of what is a type here and a string
//! there. What is an object there describes itself by derive.

/// Describes a type that is a string on the wire, in place wherever it is used.
macro_rules! text_schema {
    ($type:ident, $schema:tt) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

pub(crate) use text_schema;

use schemars::{Schema, SchemaGenerator, json_schema};

use super::name::Name;
use super::plan::Plan;
use super::time::Timestamp;

text_schema!(Name, {
    "type": "string",
    "pattern": Name::PATTERN,
    "description": "A name of 1 to 63 characters: ASCII letters, digits, `-`, `_` and `.`, starting with a letter or a digit."
});
text_schema!(Plan, {
    "type": "string",
    "pattern": "^[1-9][0-9]{0,2}xCPU-[1-9][0-9]{0,8} ?(GB|MB)$",
    "description": "Processors and memory, as in `1xCPU-2 GB`."
});
text_schema!(Timestamp, {
    "type": "string",
    "format": "date-time",
    "description": "RFC 3339; answers are in UTC and end in `Z`."
});

/// What a span of time begins or ends with: a time, or a day.
pub(crate) fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "anyOf": [{ "format": "date-time" }, { "format": "date" }],
        "examples": ["2026-11-27", "2026-11-27T16:00:00Z"]
    })
}

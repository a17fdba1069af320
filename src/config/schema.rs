//! The JSON schema of the configuration, for editors: what the type of the file says, and the names and forms that its strings have.
//! Draft 7, whole in itself, as SchemaStore and editors of TOML take it.

use super::{EVERY, GROUPS, Raw};
use miette::miette;
use ormend_codemods::ALL;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The JSON schema of the table `[tool.ormend]` and of ormend.toml.
pub fn schema() -> miette::Result<String> {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<Raw>();
    // No key has to be there.
    schema.remove("required");
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
        // That a number has 32 bits is nothing to a reader, who has its range.
        property.remove("format");
        if let Some(Value::String(text)) = property.get_mut("description") {
            *text = text.replace('\n', " ");
        }
    }
    let mut json =
        serde_json::to_string_pretty(&schema).map_err(|error| miette!("cannot write the schema: {error}"))?;
    json.push('\n');
    Ok(json)
}

/// An empty table.
pub fn no_table() -> Value {
    Value::Object(Map::new())
}

/// A part of the schema that no type of Rust says: its name, and what it is.
macro_rules! part {
    ($(#[$docs:meta])* $name:ident, $schema:expr) => {
        $(#[$docs])*
        pub struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

part!(
    /// The name of a codemod or group, or `all`.
    Name,
    json_schema!({ "type": "string", "enum": names() })
);
part!(
    /// A version of Django.
    Version,
    json_schema!({
        "type": "string",
        "pattern": r"^[1-9][0-9]?(\.[0-9]{1,2}(\.[0-9]+)?)?(\.\*)?$",
        "examples": ["5.2"],
    })
);
part!(
    /// A model, by app and class.
    Label,
    json_schema!({ "type": "string", "pattern": r"^[^.]+\.[^.]+$", "examples": ["shop.Book"] })
);
part!(
    /// All, none, or a list.
    UnsafeFixes,
    json_schema!({
        "anyOf": [
            { "type": "boolean" },
            { "type": "array", "items": { "type": "string", "enum": names() } },
        ]
    })
);

/// Groups first, for they are what one mostly wants.
fn names() -> Vec<&'static str> {
    let groups = GROUPS.iter().map(|group| group.name());
    [EVERY].into_iter().chain(groups).chain(ALL.iter().map(|rule| rule.meta().name)).collect()
}

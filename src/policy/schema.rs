//! The JSON Schema of a policy file.

use super::file::PolicyFile;
use schemars::{JsonSchema, schema_for};
use serde_json::Value;

/// For editors and other tools: what may stand in a policy file (JSON Schema 2020-12).
///
/// It knows shapes and ranges; which action fits which check only [`super::Policy::load`] knows.
pub fn schema() -> Value {
    schema_for!(PolicyFile).to_value()
}

/// The keys that a mapping of that shape may have.
pub(super) fn keys<T: JsonSchema>() -> Vec<String> {
    let schema = schema_for!(T).to_value();
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}

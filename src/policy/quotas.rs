//! `quotas`: what a policy file may say about the account's API quotas. Its keys are the operations that are paced, by AWS's names.

use super::PolicyQuotas;
use super::reader::Reader;
use super::schema;
use super::yaml::{Node, Yaml};
use crate::budget::{HIGHEST_QUOTA, Operation, is_quota};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The word, and the key, that has quotas read from the Service Quotas API.
const SERVICE_QUOTAS: &str = "service-quotas";

/// `service-quotas`, or calls per second by operation.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum QuotasFile {
    /// Read from the Service Quotas API at start.
    #[expect(dead_code, reason = "only its schema is used")]
    Word(Word),
    /// Calls per second, by operation.
    Map(QuotaMap),
}

impl Default for QuotasFile {
    fn default() -> Self {
        Self::Map(QuotaMap {})
    }
}

/// Where quotas are read from.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) enum Word {
    /// Read from the Service Quotas API at start.
    ServiceQuotas,
}

/// The shape of the mapping: its schema comes from the table of operations.
#[derive(Serialize)]
pub(super) struct QuotaMap {}

impl JsonSchema for QuotaMap {
    fn schema_name() -> Cow<'static, str> {
        "QuotaMap".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let rates = Operation::ALL.iter().map(|operation| {
            let description =
                format!("Calls per second of {operation}; AWS's default is {}.", operation.default_quota());
            let rate = json!({
                "description": description,
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": HIGHEST_QUOTA,
            });
            (operation.as_str().to_owned(), rate)
        });
        let mut properties: Map<String, Value> = rates.collect();
        let description = "Read the quotas that are not named here from the Service Quotas API at start.";
        properties.insert(SERVICE_QUOTAS.to_owned(), json!({ "description": description, "type": "boolean" }));
        json_schema!({
            "description": "Calls per second for the whole account and region, by AWS's name of the operation.",
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        })
    }
}

/// `None` only together with an error.
pub(super) fn read_quotas(reader: &mut Reader, node: &Node) -> Option<PolicyQuotas> {
    match &node.value {
        Yaml::Text(word) if word == SERVICE_QUOTAS => {
            return Some(PolicyQuotas { service_quotas: true, ..PolicyQuotas::default() });
        }
        Yaml::Map(_) => {}
        other => {
            let what = match other {
                Yaml::Text(text) => format!("`{text}`"),
                _ => node.kind().to_owned(),
            };
            let example = "calls per second by operation, such as `{ UpdateCertificate: 50 }`";
            reader.error(node.at, format!("`quotas` is {what}; write `{SERVICE_QUOTAS}`, or {example}"));
            return None;
        }
    }
    let known = schema::keys::<QuotaMap>();
    let fields = reader.fields_among(node, "`quotas`", &known)?;
    let service_quotas = match fields.get(SERVICE_QUOTAS) {
        Some(node) => reader.flag(node, &format!("`{SERVICE_QUOTAS}`")),
        None => Some(false),
    };
    let mut rates = BTreeMap::new();
    let words = format!("a number of calls per second, above 0 and up to {HIGHEST_QUOTA}");
    for &operation in Operation::ALL {
        let Some(node) = fields.get(operation.as_str()) else { continue };
        if let Some(rate) = reader.decimal(node, &format!("`{operation}`"), is_quota, &words) {
            rates.insert(operation, rate);
        }
    }
    Some(PolicyQuotas { service_quotas: service_quotas?, rates })
}

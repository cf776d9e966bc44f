//! Service Quotas: `ListServiceQuotas` tells the throttle limits that the embedded AWS IoT has in force.
//!
//! Named as AWS names them and under its service codes (see [`crate::budget::read_service_quotas`]); the quota codes only look
//! like AWS's. With throttling off there is nothing to tell: as in AWS, a quota without an applied value is not listed.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::iot::Quotas;
use super::reply::{Reply, reply};

/// What stands before the operation in `X-Amz-Target`.
pub(super) const TARGET: &str = "ServiceQuotasV20190624.";

/// The most quotas of one page, and as many as come unasked.
const LARGEST_PAGE: usize = 100;

/// Body of `ListServiceQuotas`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    service_code: String,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// Answers one call, whose name stood behind [`TARGET`].
pub(super) fn handle(operation: &str, body: &Bytes, quotas: &Quotas, region: &str, account: &str) -> Reply {
    if operation != "ListServiceQuotas" {
        return error("UnknownOperationException", &format!("the sandbox has no {operation} of Service Quotas"));
    }
    match list(body, quotas, region, account) {
        Ok(page) => json_reply(StatusCode::OK, &page),
        Err((exception, message)) => error(exception, &message),
    }
}

/// One page, or the exception and its message.
fn list(body: &Bytes, quotas: &Quotas, region: &str, account: &str) -> Result<Value, (&'static str, String)> {
    let illegal = |message: String| ("IllegalArgumentException", message);
    let request: Request = serde_json::from_slice(body).map_err(|error| illegal(error.to_string()))?;
    let size = request.max_results.unwrap_or(LARGEST_PAGE);
    if !(1..=LARGEST_PAGE).contains(&size) {
        return Err(illegal(format!("MaxResults must be 1 to {LARGEST_PAGE}, not {size}")));
    }
    let code = request.service_code.as_str();
    let (name, entries) = entries(code, quotas)
        .ok_or_else(|| ("NoSuchResourceException", format!("The request failed because {code} is not a service")))?;
    let begin = match request.next_token.as_deref().map(str::parse::<usize>) {
        None => 0,
        Some(Ok(begin)) if begin < entries.len() => begin,
        Some(_) => return Err(("InvalidPaginationTokenException", "Invalid token was provided.".to_owned())),
    };
    let end = entries.len().min(begin + size);
    let page: Vec<Value> = entries[begin..end]
        .iter()
        .map(|entry| {
            let quota_code = quota_code(code, &entry.name);
            json!({
                "ServiceCode": code,
                "ServiceName": name,
                "QuotaArn": format!("arn:aws:servicequotas:{region}:{account}:{code}/{quota_code}"),
                "QuotaCode": quota_code,
                "QuotaName": entry.name,
                "Value": entry.value,
                "Unit": "None",
                "Adjustable": entry.adjustable,
                "GlobalQuota": false,
                "QuotaAppliedAtLevel": "ACCOUNT",
            })
        })
        .collect();
    let mut answer = json!({ "Quotas": page });
    if end < entries.len() {
        answer["NextToken"] = json!(end.to_string());
    }
    Ok(answer)
}

struct Entry {
    name: String,
    value: f64,
    adjustable: bool,
}

/// The service's name and its quotas in the order of their names; `None` for a service that is not known.
fn entries(code: &str, quotas: &Quotas) -> Option<(&'static str, Vec<Entry>)> {
    let (name, of_defender) = match code {
        "iotcore" => ("AWS IoT Core", false),
        "iot" => ("AWS IoT", true),
        _ => return None,
    };
    let limits = quotas.limits().into_iter().filter(|(operation, _)| is_defender(operation) == of_defender);
    // AWS has no quota of this one, so whoever wants to know has to be told by other means.
    let limits = limits.filter(|(operation, _)| *operation != "ListRelatedResourcesForAuditFinding");
    let mut entries: Vec<Entry> = limits
        .map(|(operation, value)| Entry {
            name: format!("{operation} API TPS"),
            value,
            adjustable: !of_defender && !is_fixed(operation),
        })
        .collect();
    if of_defender {
        // One that limits no calls, as most of AWS's do: days.
        entries.push(Entry { name: "Storage duration for audit findings".to_owned(), value: 90.0, adjustable: false });
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Some((name, entries))
}

/// Device Defender's operations, by the words of its vocabulary.
fn is_defender(operation: &str) -> bool {
    ["Audit", "Mitigation", "Violation"].iter().any(|word| operation.contains(word))
}

/// Those of AWS IoT Core that AWS does not raise. Source: AWS General Reference, "AWS IoT Core API throttling limits".
fn is_fixed(operation: &str) -> bool {
    operation.contains("Logging") || ["GetEffectivePolicies", "DescribeEndpoint"].contains(&operation)
}

fn quota_code(service: &str, name: &str) -> String {
    let digest = Sha256::digest(format!("{service}/{name}"));
    format!("L-{:02X}{:02X}{:02X}{:02X}", digest[0], digest[1], digest[2], digest[3])
}

/// An error of Service Quotas: its own failure is 500, all else 400.
pub(super) fn error(exception: &str, message: &str) -> Reply {
    let status = match exception {
        "ServiceException" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    json_reply(status, &json!({ "__type": exception, "Message": message }))
}

fn json_reply(status: StatusCode, body: &Value) -> Reply {
    reply(status, "application/x-amz-json-1.1", body.to_string())
}

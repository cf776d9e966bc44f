//! Faults inside a success: single entries of a batch that fail while the reply is 200.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::control::AwsService;
use super::reply::{Reply, json_reply};

/// A batch without the entries that are to fail.
#[derive(Debug)]
pub(super) struct Thinned {
    service: AwsService,
    /// The request for the entries that run; none when no entry does.
    pub(super) request: Option<Bytes>,
    /// The entries that fail, with their places, in ascending order.
    failing: Vec<(usize, Value)>,
}

/// Takes out of a batch the entries for which `fails` says so. None when this is no batch, or no entry fails.
pub(super) fn thin(
    service: AwsService,
    operation: &str,
    body: &Bytes,
    mut fails: impl FnMut() -> bool,
) -> Option<Thinned> {
    let member = match (service, operation) {
        (AwsService::Dynamodb, "BatchExecuteStatement") => "Statements",
        (AwsService::Sqs, "SendMessageBatch" | "DeleteMessageBatch" | "ChangeMessageVisibilityBatch") => "Entries",
        _ => return None,
    };
    let mut request: Value = serde_json::from_slice(body).ok()?;
    let entries = request.get_mut(member)?.as_array_mut()?;
    let mut failing = Vec::new();
    let mut running = Vec::new();
    for (place, entry) in entries.drain(..).enumerate() {
        if fails() {
            failing.push((place, entry));
        } else {
            running.push(entry);
        }
    }
    if failing.is_empty() {
        return None;
    }
    let none_left = running.is_empty();
    *entries = running;
    Some(Thinned { service, request: (!none_left).then(|| Bytes::from(request.to_string())), failing })
}

impl Thinned {
    /// Puts the failures into the reply that the other entries got, or into a reply of their own. A refusal of the whole
    /// batch stays as it is.
    pub(super) fn rejoin(self, reply: Option<Reply>) -> Reply {
        let mut body = match &reply {
            Some(reply) if !reply.status().is_success() => return reply.clone(),
            Some(reply) => serde_json::from_slice(reply.body()).unwrap_or_else(|_| json!({})),
            None => json!({}),
        };
        let message = "We encountered an internal error. Please try again.";
        let list = |body: &mut Value, name: &str| match body.get_mut(name).map(Value::take) {
            Some(Value::Array(entries)) => entries,
            _ => Vec::new(),
        };
        if self.service == AwsService::Dynamodb {
            let mut responses = list(&mut body, "Responses");
            for (place, _) in self.failing {
                let error = json!({ "Error": { "Code": "InternalServerError", "Message": message } });
                responses.insert(place.min(responses.len()), error);
            }
            body["Responses"] = Value::Array(responses);
        } else {
            let mut failed = list(&mut body, "Failed");
            failed.extend(self.failing.into_iter().map(|(_, entry)| {
                json!({ "Id": entry["Id"], "SenderFault": false, "Code": "InternalError", "Message": message })
            }));
            body["Successful"] = Value::Array(list(&mut body, "Successful"));
            body["Failed"] = Value::Array(failed);
        }
        json_reply(StatusCode::OK, &body)
    }
}

//! Replies in the three dialects: SQS's JSON, DynamoDB's JSON, and the XML of SNS and STS.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

/// A whole reply.
pub(super) type Reply = http::Response<Bytes>;

const JSON: &str = "application/x-amz-json-1.0";

/// The next request id, shaped like AWS's; it only has to differ from the others of this process.
pub(super) fn request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("00000000-0000-4000-8000-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A reply with this body.
pub(super) fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = http::Response::new(body.into());
    *reply.status_mut() = status;
    reply.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::from_str(&request_id()) {
        reply.headers_mut().insert("x-amzn-requestid", id);
    }
    reply
}

/// A JSON reply of SQS or DynamoDB.
pub(super) fn json_reply(status: StatusCode, body: &Value) -> Reply {
    reply(status, JSON, body.to_string())
}

/// An error of SQS. The body names the shape, the header the code of the older query protocol, which SDKs report.
pub(super) fn sqs_error(status: StatusCode, shape: &str, query_code: &str, message: &str) -> Reply {
    let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
    let body = json!({ "__type": format!("com.amazonaws.sqs#{shape}"), "message": message });
    let mut reply = json_reply(status, &body);
    if let Ok(value) = HeaderValue::from_str(&format!("{query_code};{fault}")) {
        reply.headers_mut().insert("x-amzn-query-error", value);
    }
    reply
}

/// An error of DynamoDB, with the members that some exceptions carry beside the message.
pub(super) fn dynamodb_error(status: StatusCode, exception: &str, message: &str, item: Option<Value>) -> Reply {
    let namespace = match exception {
        "ValidationException" => "com.amazon.coral.validate",
        "AccessDeniedException" | "UnknownOperationException" => "com.amazon.coral.service",
        _ => "com.amazonaws.dynamodb.v20120810",
    };
    let mut body = json!({ "__type": format!("{namespace}#{exception}"), "message": message });
    if let Some(item) = item {
        body["Item"] = item;
    }
    json_reply(status, &body)
}

/// A success of SNS or STS: `result` is the XML inside the result element.
pub(super) fn xml_reply(namespace: &str, action: &str, result: &str) -> Reply {
    let body = format!(
        "<{action}Response xmlns=\"{namespace}\"><{action}Result>{result}</{action}Result><ResponseMetadata><RequestId>{}\
         </RequestId></ResponseMetadata></{action}Response>",
        request_id()
    );
    reply(StatusCode::OK, "text/xml", body)
}

/// An error of SNS or STS.
pub(super) fn xml_error(status: StatusCode, code: &str, message: &str) -> Reply {
    let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
    let body = format!(
        "<ErrorResponse xmlns=\"{}\"><Error><Type>{fault}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{}\
         </RequestId></ErrorResponse>",
        super::sns::NAMESPACE,
        escape(code),
        escape(message),
        request_id()
    );
    reply(status, "text/xml", body)
}

/// Text as XML content.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

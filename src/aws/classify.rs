//! Which [`Class`] a failed call belongs to: by the code on the wire first, then by the HTTP status, then by how far the request got.
//!
//! The SDK's own variants do not serve: some operations throw errors that their model does not list (they arrive as `Unhandled`),
//! and the SDK takes `LimitExceededException` for a throttle although AWS IoT uses it (HTTP 410) for limits that do not pass.

use super::error::{CallError, Class, said};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::RequestId;
use aws_smithy_runtime_api::client::interceptors::context::Error as OperationError;
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;

/// What repeating a call does, and so what a lost reply means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing: a lost reply is [`Class::Transient`].
    Read,
    /// It may have changed something: a lost reply is [`Class::Unknown`].
    Write,
}

impl Effect {
    /// The class of a call that was sent, and whose answer was lost or was the server's own failure.
    fn when_lost(self) -> Class {
        match self {
            Self::Read => Class::Transient,
            Self::Write => Class::Unknown,
        }
    }
}

/// Operations whose missing table or queue is a missing part of the deployment, not a finding's resource that is gone.
const DEPLOYMENT_OPERATIONS: [&str; 14] = [
    "BatchExecuteStatement",
    "BatchGetItem",
    "ChangeMessageVisibilityBatch",
    "DeleteMessageBatch",
    "DescribeTable",
    "DescribeTimeToLive",
    "GetItem",
    "GetQueueAttributes",
    "Query",
    "ReceiveMessage",
    "Scan",
    "SendMessageBatch",
    "UpdateItem",
    "UpdateTimeToLive",
];

/// Codes without their `Exception` suffix that mean "too fast". The SDK's list, without `LimitExceeded`, plus those it misses:
/// `OverLimit` (SQS, 120,000 in flight), `ThrottlingError` (per PartiQL statement), `Throttled`.
const THROTTLES: [&str; 13] = [
    "BandwidthLimitExceeded",
    "EC2Throttled",
    "OverLimit",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttled",
    "Throttling",
    "ThrottlingError",
    "TooManyRequests",
    "TransactionInProgress",
];

/// Beginnings of codes that mean "not you" or "not with these credentials".
const DENIALS: [&str; 22] = [
    "AccessDenied",
    "AuthFailure",
    "AuthorizationError",
    "ExpiredToken",
    "Forbidden",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidAddress",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidSignature",
    "InvalidToken",
    "MissingAuthentication",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "SubscriptionRequired",
    "TokenRefreshRequired",
    "Unauthorized",
    "UnrecognizedClient",
];

/// Codes without suffix that mean the service's own failure: whether a write took effect cannot be told.
const FAILURES: [&str; 7] = [
    "Internal",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "RequestTimeout",
    "ServiceUnavailable",
    "Unavailable",
];

/// Turns the SDK's error of `operation` (AWS's name of it) into ours.
pub fn classify<E>(operation: &'static str, effect: Effect, error: SdkError<E, HttpResponse>) -> CallError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let request_id = error.request_id().or_else(|| error.meta().extra("aws_request_id")).map(str::to_owned);
    let code = error.code().map(short_code);
    let status = error.raw_response().map(|response| response.status().as_u16());
    let class = match (&error, &code) {
        (SdkError::ConstructionFailure(failure), _) => class_of_unsent(&format!("{failure:?}"), chain_of(&error)),
        (SdkError::DispatchFailure(_) | SdkError::TimeoutError(_), _) => class_of_undelivered(effect, chain_of(&error)),
        (_, Some(code)) => class_of_code(operation, effect, code, status),
        (_, None) => class_of_status(effect, status.unwrap_or(0)),
    };
    let message = match error.message() {
        Some(message) if !message.is_empty() => message.to_owned(),
        _ => match status {
            Some(status) => format!("HTTP status {status}: {}", said(&error)),
            None => said(&error),
        },
    };
    CallError { class, operation, code, message, request_id }
}

/// The class of one attempt, before the SDK may try again: as if the call changed nothing.
pub(super) fn class_of_attempt(
    operation: &str,
    error: &OrchestratorError<OperationError>,
    response: Option<&HttpResponse>,
) -> Class {
    let effect = Effect::Read;
    if error.is_timeout_error() || error.is_connector_error() {
        return class_of_undelivered(effect, chain_of(error));
    }
    let Some(response) = response else { return class_of_unsent("", chain_of(error)) };
    let status = response.status().as_u16();
    match wire_code(response) {
        Some(code) if error.is_operation_error() => class_of_code(operation, effect, &code, Some(status)),
        _ => class_of_status(effect, status),
    }
}

/// The code of an answer that tells of an error: IoT has it in a header, DynamoDB and SQS in JSON, SNS in XML.
fn wire_code(response: &HttpResponse) -> Option<String> {
    if let Some(code) = response.headers().get("x-amzn-errortype") {
        return Some(short_code(code));
    }
    let body = response.body().bytes()?;
    if let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) {
        return body.get("__type").or_else(|| body.get("code")).and_then(|code| code.as_str()).map(short_code);
    }
    let body = std::str::from_utf8(body).ok()?;
    let (_, rest) = body.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| short_code(code))
}

/// The error of one entry of a batch, or of one PartiQL statement: a code inside an answer of status 200.
pub fn classify_entry(operation: &'static str, effect: Effect, code: &str, message: &str) -> CallError {
    let code = short_code(code);
    CallError {
        class: class_of_code(operation, effect, &code, None),
        operation,
        code: Some(code),
        message: message.to_owned(),
        request_id: None,
    }
}

/// The code without namespace (`com.amazonaws.iot#`, `AWS.SimpleQueueService.`), as people know it.
fn short_code(code: &str) -> String {
    let code = code.rsplit('#').next().unwrap_or(code);
    let code = code.split(':').next().unwrap_or(code);
    code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code).to_owned()
}

fn class_of_code(operation: &str, effect: Effect, code: &str, status: Option<u16>) -> Class {
    let bare = code.strip_suffix("Exception").unwrap_or(code);
    // `KMS.ThrottlingException` of SQS, `KMSThrottling` of SNS: the key, not the queue; a key that refuses is a broken account (P7).
    let lower = bare.to_ascii_lowercase();
    if lower.starts_with("kms") {
        return if lower.contains("throttl") { Class::Throttled } else { Class::Denied };
    }
    if THROTTLES.contains(&bare) || status == Some(429) {
        return Class::Throttled;
    }
    if DENIALS.iter().any(|denial| bare.starts_with(denial)) {
        return Class::Denied;
    }
    if matches!(bare, "NonExistentQueue" | "QueueDoesNotExist" | "TableNotFound") {
        return Class::Denied;
    }
    if matches!(bare, "ResourceNotFound" | "NotFound") {
        return if DEPLOYMENT_OPERATIONS.contains(&operation) { Class::Denied } else { Class::Gone };
    }
    // Another write to the same item was under way; this one certainly was not made.
    if matches!(bare, "TransactionConflict" | "ReplicatedWriteConflict") {
        return Class::Transient;
    }
    if FAILURES.contains(&bare) {
        return effect.when_lost();
    }
    match status {
        Some(500..) => effect.when_lost(),
        _ => Class::Permanent,
    }
}

/// The class of an answer without a code: a proxy's or a load balancer's, or one that could not be read.
fn class_of_status(effect: Effect, status: u16) -> Class {
    match status {
        401 | 403 | 407 => Class::Denied,
        408 => effect.when_lost(),
        429 => Class::Throttled,
        400..=499 => Class::Permanent,
        // A 2xx that cannot be read took effect or not: nobody knows. Neither is a 3xx, or none at all, an answer.
        _ => effect.when_lost(),
    }
}

/// What the chain of causes tells of a request that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// No credentials could be had.
    Credentials,
    /// The connection was never made, so nothing was sent.
    NotConnected,
    /// Anything else: it may have been sent.
    Other,
}

fn chain_of(error: &(dyn Error + 'static)) -> Cause {
    let mut next = Some(error);
    while let Some(link) = next {
        if link.downcast_ref::<CredentialsError>().is_some() {
            return Cause::Credentials;
        }
        // hyper's connector says so in words only: its error type is private to the SDK's HTTP client.
        let refused =
            link.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused);
        if refused || link.to_string().contains("client error (Connect)") {
            return Cause::NotConnected;
        }
        next = link.source();
    }
    Cause::Other
}

fn class_of_undelivered(effect: Effect, cause: Cause) -> Class {
    match cause {
        Cause::Credentials => Class::Denied,
        Cause::NotConnected => Class::Transient,
        Cause::Other => effect.when_lost(),
    }
}

/// A request that could not be built. Signing without credentials also ends here.
fn class_of_unsent(debug: &str, cause: Cause) -> Class {
    if cause == Cause::Credentials || debug.contains("CredentialsError") { Class::Denied } else { Class::Permanent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sqs::error::{ConnectorError, ErrorMetadata};
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    #[derive(Debug)]
    struct Wire(ErrorMetadata);
    impl std::fmt::Display for Wire {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("unhandled error")
        }
    }
    impl Error for Wire {}
    impl ProvideErrorMetadata for Wire {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    fn answer(status: u16, code: Option<&str>) -> SdkError<Wire, HttpResponse> {
        let mut meta = ErrorMetadata::builder();
        if let Some(code) = code {
            meta = meta.code(code).message("words");
        }
        let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        response.headers_mut().insert("x-amzn-requestid", "request-1");
        SdkError::service_error(Wire(meta.build()), response)
    }

    #[test]
    fn a_code_on_the_wire_decides_before_the_status() {
        use Class::{Denied, Gone, Permanent, Throttled, Transient, Unknown};
        use Effect::{Read, Write};
        let table = [
            // operation, effect, status, code, class
            ("UpdateCertificate", Write, 400, "ThrottlingException", Throttled),
            ("SetV2LoggingOptions", Write, 400, "ThrottlingException", Throttled),
            ("ReceiveMessage", Read, 403, "OverLimit", Throttled),
            ("ReceiveMessage", Read, 403, "RequestThrottled", Throttled),
            ("ReceiveMessage", Read, 400, "KMS.ThrottlingException", Throttled),
            ("ReceiveMessage", Read, 400, "KMS.AccessDeniedException", Denied),
            ("Publish", Write, 400, "KMSDisabled", Denied),
            ("BatchExecuteStatement", Write, 400, "ProvisionedThroughputExceededException", Throttled),
            ("BatchExecuteStatement", Write, 400, "TooManyRequestsException", Throttled),
            ("StartOnDemandAuditTask", Write, 410, "LimitExceededException", Permanent),
            ("UpdateCertificate", Write, 401, "UnauthorizedException", Denied),
            ("UpdateCertificate", Write, 403, "AccessDeniedException", Denied),
            ("ReceiveMessage", Read, 403, "InvalidClientTokenId", Denied),
            ("ReceiveMessage", Read, 403, "SignatureDoesNotMatch", Denied),
            ("UpdateItem", Write, 400, "ExpiredTokenException", Denied),
            ("UpdateItem", Write, 400, "UnrecognizedClientException", Denied),
            ("UpdateItem", Write, 400, "MissingAuthenticationTokenException", Denied),
            ("Publish", Write, 403, "AuthorizationError", Denied),
            ("ReceiveMessage", Read, 400, "AWS.SimpleQueueService.NonExistentQueue", Denied),
            ("ReceiveMessage", Read, 400, "com.amazonaws.sqs#QueueDoesNotExist", Denied),
            ("GetItem", Read, 400, "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", Denied),
            ("Publish", Write, 404, "NotFound", Gone),
            ("DescribeCertificate", Read, 404, "ResourceNotFoundException", Gone),
            ("DeletePolicyVersion", Write, 404, "ResourceNotFoundException", Gone),
            ("UpdateCertificate", Write, 406, "CertificateStateException", Permanent),
            ("CreatePolicyVersion", Write, 409, "VersionsLimitExceededException", Permanent),
            ("UpdateItem", Write, 400, "TransactionConflictException", Transient),
            ("GetPolicy", Read, 500, "InternalFailureException", Transient),
            ("CreatePolicyVersion", Write, 500, "InternalFailureException", Unknown),
            ("CreatePolicyVersion", Write, 503, "ServiceUnavailableException", Unknown),
            ("Publish", Write, 500, "NobodyKnowsThis", Unknown),
            ("Publish", Write, 429, "NobodyKnowsThis", Throttled),
            ("Publish", Write, 400, "InvalidParameter", Permanent),
        ];
        for (operation, effect, status, code, class) in table {
            let error = classify(operation, effect, answer(status, Some(code)));
            assert_eq!(error.class, class, "{operation} {status} {code}");
            assert_eq!(error.request_id.as_deref(), Some("request-1"));
            assert_eq!(error.message, "words");
        }
    }

    #[test]
    fn a_status_decides_where_there_is_no_code() {
        let class = |effect, status| classify("Publish", effect, answer(status, None)).class;
        assert_eq!(class(Effect::Write, 403), Class::Denied);
        assert_eq!(class(Effect::Write, 407), Class::Denied, "a proxy that wants credentials stops the line");
        assert_eq!(class(Effect::Write, 429), Class::Throttled);
        assert_eq!(class(Effect::Write, 502), Class::Unknown);
        assert_eq!(class(Effect::Read, 502), Class::Transient);
        assert_eq!(class(Effect::Read, 413), Class::Permanent);
    }

    #[test]
    fn a_write_without_an_answer_is_unknown_unless_it_certainly_was_not_sent() {
        let timeout = || SdkError::<Wire, HttpResponse>::timeout_error("no answer");
        assert_eq!(classify("Publish", Effect::Write, timeout()).class, Class::Unknown);
        assert_eq!(classify("GetPolicy", Effect::Read, timeout()).class, Class::Transient);

        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "refused");
        let unsent = SdkError::<Wire, HttpResponse>::dispatch_failure(ConnectorError::io(refused.into()));
        assert_eq!(classify("Publish", Effect::Write, unsent).class, Class::Transient);

        let reset = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset");
        let lost = SdkError::<Wire, HttpResponse>::dispatch_failure(ConnectorError::io(reset.into()));
        assert_eq!(classify("Publish", Effect::Write, lost).class, Class::Unknown);
    }

    #[test]
    fn missing_credentials_stop_the_line_and_a_malformed_request_is_permanent() {
        let none = CredentialsError::not_loaded("no provider");
        let error = SdkError::<Wire, HttpResponse>::dispatch_failure(ConnectorError::other(none.into(), None));
        assert_eq!(classify("Publish", Effect::Write, error).class, Class::Denied);
        let error = SdkError::<Wire, HttpResponse>::construction_failure("topic_arn is missing");
        assert_eq!(classify("Publish", Effect::Write, error).class, Class::Permanent);
    }

    #[test]
    fn a_code_inside_a_successful_answer_is_classified_alike() {
        let class = |code| classify_entry("BatchExecuteStatement", Effect::Write, code, "").class;
        assert_eq!(class("ThrottlingError"), Class::Throttled);
        assert_eq!(class("AccessDenied"), Class::Denied);
        assert_eq!(class("ResourceNotFound"), Class::Denied);
        assert_eq!(class("InternalServerError"), Class::Unknown);
        assert_eq!(class("ValidationError"), Class::Permanent);
        let class = |code| classify_entry("DeleteMessageBatch", Effect::Write, code, "").class;
        assert_eq!(class("ReceiptHandleIsInvalid"), Class::Permanent);
        assert_eq!(class("InternalError"), Class::Unknown);
    }
}

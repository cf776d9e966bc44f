//! Errors as AWS IoT sends them: a code, an HTTP status and a message.

use std::fmt;

/// One error reply of the IoT API. On the wire the code travels in the header `x-amzn-errortype` and the message in the
/// JSON body. Statuses are those of the service model (botocore `iot/2015-05-28`); note `ThrottlingException` 400 and
/// `LimitExceededException` 410.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IotError {
    /// The error code, for instance `ResourceNotFoundException`.
    pub code: &'static str,
    /// The HTTP status that goes with the code.
    pub status: u16,
    /// A sentence for people.
    pub message: String,
}

impl IotError {
    fn new(code: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into() }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", 404, message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidRequestException", 400, message)
    }

    pub(super) fn exists(message: impl Into<String>) -> Self {
        Self::new("ResourceAlreadyExistsException", 409, message)
    }

    pub(super) fn version_conflict(message: impl Into<String>) -> Self {
        Self::new("VersionConflictException", 409, message)
    }

    pub(super) fn certificate_state(message: impl Into<String>) -> Self {
        Self::new("CertificateStateException", 406, message)
    }

    pub(super) fn versions_limit(message: impl Into<String>) -> Self {
        Self::new("VersionsLimitExceededException", 409, message)
    }

    pub(super) fn delete_conflict(message: impl Into<String>) -> Self {
        Self::new("DeleteConflictException", 409, message)
    }

    pub(super) fn malformed_policy(message: impl Into<String>) -> Self {
        Self::new("MalformedPolicyException", 400, message)
    }

    pub(super) fn limit(message: impl Into<String>) -> Self {
        Self::new("LimitExceededException", 410, message)
    }

    pub(super) fn task_exists(message: impl Into<String>) -> Self {
        Self::new("TaskAlreadyExistsException", 400, message)
    }

    pub(super) fn not_configured(message: impl Into<String>) -> Self {
        Self::new("NotConfiguredException", 404, message)
    }

    /// For an operation that the sandbox does not have. Deliberately not `ResourceNotFoundException`, which a caller
    /// may rightly take for "the resource is gone".
    pub(super) fn unknown_operation(method: &str, path: &str) -> Self {
        Self::new(
            "UnknownOperationException",
            404,
            format!(
                "the sandbox does not have the operation behind {method} {path}; it has the IoT registry, certificate, \
                 policy, thing group, logging and Device Defender audit operations only"
            ),
        )
    }

    pub(super) fn throttled() -> Self {
        Self::new("ThrottlingException", 400, "Rate exceeded")
    }

    pub(super) fn internal() -> Self {
        Self::new("InternalFailureException", 500, "An unexpected error has occurred.")
    }

    pub(super) fn unavailable() -> Self {
        Self::new("ServiceUnavailableException", 503, "The service is temporarily unavailable.")
    }

    pub(super) fn denied(operation: &str) -> Self {
        Self::new(
            "AccessDeniedException",
            403,
            format!(
                "User: arn:aws:sts::sandbox:assumed-role/sandbox/sandbox is not authorized to perform: iot:{operation}"
            ),
        )
    }
}

impl fmt::Display for IotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for IotError {}

//! One error for every call to AWS, classified for the caller by wire code, never by SDK variant: some operations throw
//! errors that their model does not list (`SetV2LoggingOptions` has no throttling error).

use std::error::Error;
use std::fmt;

/// What the caller should do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The call had no effect and may succeed when repeated: a 5xx of a read, a connection that could not be made.
    Transient,
    /// Somebody used the quota up. No attempt of the finding is spent; take a new slot.
    Throttled,
    /// The resource does not exist (any more).
    Gone,
    /// Repeating cannot help: a malformed request, a conflicting state, a permanent limit (HTTP 410).
    Permanent,
    /// This account cannot do it at all: missing permission, expired credentials, a missing table or queue (P7).
    Denied,
    /// A write was sent and no answer came: read back before anything else (P2).
    Unknown,
}

impl Class {
    /// `transient`, `throttled`, ...: as logged and counted.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Gone => "gone",
            Self::Permanent => "permanent",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A call to AWS (or to its in-memory twin) that did not succeed. Reads as a sentence after "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("call {operation}: {}{message}", code_prefix(code))]
pub struct CallError {
    /// What to do about it.
    pub class: Class,
    /// AWS's name of the operation: `UpdateCertificate`.
    pub operation: &'static str,
    /// The error code on the wire, without namespace: `ThrottlingException`.
    pub code: Option<String>,
    /// What the service, or the connection, said.
    pub message: String,
    /// AWS's request id, for a support case.
    pub request_id: Option<String>,
}

fn code_prefix(code: &Option<String>) -> String {
    code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default()
}

impl CallError {
    /// An error without code or request id.
    pub fn new(class: Class, operation: &'static str, message: impl Into<String>) -> Self {
        Self { class, operation, code: None, message: message.into(), request_id: None }
    }

    /// What an operator can do about it, a clause to be put behind a colon; `None` where there is nothing general to say.
    pub fn advice(&self) -> Option<String> {
        match (self.class, &self.code) {
            (Class::Denied, None) => {
                Some("configure credentials (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)".to_owned())
            }
            (Class::Denied, Some(_)) => {
                Some(format!("allow these credentials to call {}, or renew them", self.operation))
            }
            (Class::Transient, None) => Some("check the network, AWS_ENDPOINT_URL and AWS_REGION".to_owned()),
            _ => None,
        }
    }

    /// Whether the credentials themselves are refused, whatever they may do: unknown, expired, or signed with at the wrong time. Every
    /// other call with them fails alike.
    pub fn refuses_credentials(&self) -> bool {
        const CODES: [&str; 13] = [
            "AuthFailure",
            "ExpiredToken",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSecurity",
            "InvalidSignature",
            "InvalidToken",
            "MissingAuthentication",
            "RequestExpired",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "UnrecognizedClient",
        ];
        self.code.as_deref().is_some_and(|code| CODES.iter().any(|beginning| code.starts_with(beginning)))
    }

    /// Whether a call that may be repeated whatever became of it (one that sets values) is worth repeating.
    pub fn may_pass(&self) -> bool {
        matches!(self.class, Class::Transient | Class::Throttled | Class::Unknown)
    }

    /// The same error with its wire code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }
}

/// An error and its causes in one line, outermost first, each once.
pub(crate) fn said(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(link) = next {
        let text = link.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = link.source();
    }
    parts.join(": ")
}

//! What the series of a metric differ in. Every value comes from a closed set, so that their number is bounded whatever messages say (P8).

use super::metrics::camel_case;
use crate::finding::{ActionType, RejectReason, catalogue};
use crate::ledger::{Step, StepOutcome};

/// What stands for a name that the catalogue does not know: the API's check names are free strings.
const OTHER: &str = "other";

/// What stands for the check of an audit summary.
const NONE: &str = "none";

/// A label of Prometheus, a dimension of CloudWatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    /// A check of the catalogue.
    Check,
    /// A status of the ledger.
    Status,
    /// One of the six action types.
    Action,
    /// How a step went.
    Outcome,
    /// Why a message was given up.
    Reason,
    /// Why a message was given back.
    Why,
    /// An operation of AWS.
    Operation,
    /// A service of AWS.
    Service,
    /// What a failed call means.
    Class,
    /// The program's version.
    Version,
    /// The policy's mode.
    Mode,
}

impl Label {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Check,
        Self::Status,
        Self::Action,
        Self::Outcome,
        Self::Reason,
        Self::Why,
        Self::Operation,
        Self::Service,
        Self::Class,
        Self::Version,
        Self::Mode,
    ];

    /// Its name in Prometheus.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Status => "status",
            Self::Action => "action",
            Self::Outcome => "outcome",
            Self::Reason => "reason",
            Self::Why => "why",
            Self::Operation => "operation",
            Self::Service => "service",
            Self::Class => "class",
            Self::Version => "version",
            Self::Mode => "mode",
        }
    }

    /// Its name as a dimension of CloudWatch.
    pub fn dimension(self) -> String {
        camel_case(self.as_str())
    }

    /// Which values it takes.
    pub fn values(self) -> &'static str {
        match self {
            Self::Check => {
                "the 17 checks by their modern names; `other` for a name that this version does not know, `none` for an audit summary"
            }
            Self::Status => {
                "`mitigated`, `compliant`, `observed`, `suppressed`, `expanded`, `held`, `waiting`, `dead`: as in the ledger"
            }
            Self::Action => "the six action types, as Device Defender names them",
            Self::Outcome => "`changed`, `in_order`, `gone`, `stale`, `failed`, `skipped`: as in the record's steps",
            Self::Reason => "the reasons of dead letters (OPERATING.md names them); every one is there from the start",
            Self::Why => {
                "`budget` (its API quota cannot serve it soon), `busy` (claimed elsewhere, or a retry not due), `retry` (an attempt failed), `postponed` (throttled, or the resource is in another finding's hands), `paused` (the breaker is open), `stopping`, `call_failed` (queue, ledger, or SNS's certificate), `claim_lost`, `panicked`"
            }
            Self::Operation => "AWS's name of the call: `UpdateCertificate`",
            Self::Service => "`SQS`, `DynamoDB`, `IoT`, `SNS`, `Service Quotas`",
            Self::Class => "`transient`, `throttled`, `gone`, `permanent`, `denied`",
            Self::Version => "as `fleetwarden --version` says",
            Self::Mode => "`observe`, `enforce`",
        }
    }
}

/// Reasons of dead letters besides those of [`RejectReason`].
const GIVEN_UP: [&str; 15] = [
    "action_does_not_fit",
    "attempts_exhausted",
    "delegated_action_failed",
    "delegation_canceled",
    "no_such_thing_group",
    "no_such_topic",
    "not_authentic",
    "not_recordable",
    "not_sendable",
    "outcome_unknown",
    "payload_mismatch",
    "permanent_error",
    "too_many_certificates",
    "too_many_things",
    OTHER,
];

/// Every reason that a dead letter may have.
pub(super) fn reasons() -> impl Iterator<Item = &'static str> {
    RejectReason::ALL.into_iter().map(RejectReason::as_str).chain(GIVEN_UP)
}

/// A reason as a label.
pub(super) fn reason(reason: &str) -> &'static str {
    reasons().find(|known| *known == reason).unwrap_or(OTHER)
}

/// A check as a label.
pub(super) fn check(name: &str) -> &'static str {
    match name {
        "" => NONE,
        name => catalogue::check(name).map_or(OTHER, |check| check.name),
    }
}

/// What a step counts as: action and outcome. `None` for one that is no action (a task, a check that failed), or has no outcome yet.
pub(super) fn action(step: &Step) -> Option<(&'static str, &'static str)> {
    let action = ActionType::ALL.into_iter().find(|action| action.as_str() == step.action)?;
    let outcome = match step.outcome {
        StepOutcome::Intended => return None,
        StepOutcome::Changed => "changed",
        StepOutcome::InOrder => "in_order",
        StepOutcome::Gone => "gone",
        StepOutcome::Stale => "stale",
        StepOutcome::Failed => "failed",
        StepOutcome::Skipped => "skipped",
    };
    Some((action.as_str(), outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_catalogue_does_not_know_share_a_value() {
        assert_eq!(check("LOGGING_DISABLED_CHECK"), "LOGGING_DISABLED_CHECK");
        assert_eq!(check("REVOKED_CA_CERT_CHECK"), "REVOKED_CA_CERTIFICATE_STILL_ACTIVE_CHECK");
        assert_eq!((check("MADE_UP_17"), check("MADE_UP_18"), check("")), (OTHER, OTHER, NONE));
        assert_eq!((reason("not_json"), reason("attempts_exhausted")), ("not_json", "attempts_exhausted"));
        assert_eq!(reason("whatever"), OTHER);
    }

    #[test]
    fn every_reason_is_in_the_documentation() {
        let page = include_str!("../../docs/OPERATING.md");
        for reason in reasons().filter(|reason| *reason != OTHER) {
            assert!(page.contains(&format!("`{reason}`")), "docs/OPERATING.md does not name {reason}");
        }
    }

    #[test]
    fn a_step_without_an_outcome_and_a_step_that_is_no_action_do_not_count() {
        let step = |action: &str, outcome| Step {
            action: action.to_owned(),
            target: "c".to_owned(),
            prior: None,
            outcome,
            detail: String::new(),
            at: 0,
            request_id: None,
        };
        let changed = step("UPDATE_DEVICE_CERTIFICATE", StepOutcome::Changed);
        assert_eq!(action(&changed), Some(("UPDATE_DEVICE_CERTIFICATE", "changed")));
        assert_eq!(action(&step("UPDATE_DEVICE_CERTIFICATE", StepOutcome::Intended)), None);
        assert_eq!(action(&step("DELEGATE", StepOutcome::Changed)), None);
    }
}

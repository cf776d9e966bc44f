//! Faults on demand for SQS, SNS, DynamoDB and Service Quotas (`/_sandbox/aws-faults`).
//!
//! AWS IoT has its own switchboard under the other `/_sandbox/` paths.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::reply::{Reply, dynamodb_error, sqs_error, xml_error};
use super::service_quotas;

/// A service whose calls can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AwsService {
    /// Amazon SQS.
    Sqs,
    /// Amazon SNS.
    Sns,
    /// Amazon DynamoDB.
    Dynamodb,
    /// Service Quotas.
    ServiceQuotas,
}

/// How often the calls of one service fail, and how. Each call meets at most one of the first three, so these add up to at most
/// 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceFaults {
    /// Share of calls, 0.0 to 1.0, that are answered with the service's internal error (5xx) and not run.
    pub error_rate: f64,
    /// Share of calls whose connection is closed before they run.
    pub drop_rate: f64,
    /// Share of calls that run and whose connection is then closed without a reply.
    pub lost_reply_rate: f64,
    /// Share of the entries of a batch that fail with an internal error inside a reply of 200, and are not run. Apart from the
    /// other rates; SQS's batches and DynamoDB's `BatchExecuteStatement` have it.
    pub entry_error_rate: f64,
    /// Every call is refused for lack of permission (4xx).
    pub denied: bool,
}

/// All faults in force. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AwsFaults {
    /// Faults by service; a service that is not named works.
    pub services: BTreeMap<AwsService, ServiceFaults>,
    /// Seeds the choice of calls that fail.
    pub seed: u64,
}

impl AwsFaults {
    /// Says what is wrong with the rates, if anything.
    fn complaint(&self) -> Option<String> {
        self.services.iter().find_map(|(service, faults)| {
            let rates = [faults.error_rate, faults.drop_rate, faults.lost_reply_rate];
            let fits = rates.iter().all(|rate| (0.0..=1.0).contains(rate))
                && rates.iter().sum::<f64>() <= 1.0
                && (0.0..=1.0).contains(&faults.entry_error_rate);
            (!fits).then(|| {
                format!(
                    "each rate of {service:?} must be 0.0 to 1.0, and those of error, drop and lost reply together at most 1.0"
                )
            })
        })
    }
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Run,
    Fail,
    Deny,
    Drop,
    LoseReply,
}

/// Decides the fate of each call.
#[derive(Debug)]
pub(super) struct FaultInjector {
    state: Mutex<(AwsFaults, fastrand::Rng)>,
}

impl Default for FaultInjector {
    fn default() -> Self {
        Self { state: Mutex::new((AwsFaults::default(), fastrand::Rng::with_seed(0))) }
    }
}

impl FaultInjector {
    /// Puts `faults` in force from the next call on; refuses rates that are no rates.
    pub(super) fn set(&self, faults: AwsFaults) -> Result<(), String> {
        if let Some(complaint) = faults.complaint() {
            return Err(complaint);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rng = fastrand::Rng::with_seed(faults.seed);
        *state = (faults, rng);
        Ok(())
    }

    /// The faults in force.
    pub(super) fn current(&self) -> AwsFaults {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Whether entries of batches of `service` fail at all.
    pub(super) fn fails_entries(&self, service: AwsService) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.services.get(&service).is_some_and(|faults| faults.entry_error_rate > 0.0)
    }

    /// Whether the next entry of a batch of `service` fails.
    pub(super) fn entry_fails(&self, service: AwsService) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (faults, rng) = &mut *state;
        let rate = faults.services.get(&service).map_or(0.0, |faults| faults.entry_error_rate);
        rng.f64() < rate
    }

    /// The fate of the next call of `service`.
    pub(super) fn verdict(&self, service: AwsService) -> Verdict {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (faults, rng) = &mut *state;
        let Some(faults) = faults.services.get(&service) else {
            return Verdict::Run;
        };
        if faults.denied {
            return Verdict::Deny;
        }
        let roll = rng.f64();
        if roll < faults.error_rate {
            Verdict::Fail
        } else if roll < faults.error_rate + faults.drop_rate {
            Verdict::Drop
        } else if roll < faults.error_rate + faults.drop_rate + faults.lost_reply_rate {
            Verdict::LoseReply
        } else {
            Verdict::Run
        }
    }
}

/// The internal error of a service.
pub(super) fn internal_error(service: AwsService) -> Reply {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let message = "We encountered an internal error. Please try again.";
    match service {
        AwsService::Sqs => sqs_error(status, "InternalError", "InternalError", message),
        AwsService::Sns => xml_error(status, "InternalError", message),
        AwsService::Dynamodb => dynamodb_error(status, "InternalServerError", message, None),
        AwsService::ServiceQuotas => service_quotas::error("ServiceException", message),
    }
}

/// The refusal of a service for lack of permission. SNS has a name of its own for it.
pub(super) fn access_denied(service: AwsService) -> Reply {
    let message = "User: arn:aws:sts::sandbox:assumed-role/sandbox/sandbox is not authorized to perform this action";
    match service {
        AwsService::Sqs => sqs_error(StatusCode::FORBIDDEN, "AccessDeniedException", "AccessDenied", message),
        AwsService::Sns => xml_error(StatusCode::FORBIDDEN, "AuthorizationError", message),
        AwsService::Dynamodb => dynamodb_error(StatusCode::BAD_REQUEST, "AccessDeniedException", message, None),
        AwsService::ServiceQuotas => service_quotas::error("AccessDeniedException", message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(faults: ServiceFaults) -> AwsFaults {
        AwsFaults { services: BTreeMap::from([(AwsService::Sqs, faults)]), seed: 7 }
    }

    #[test]
    fn faults_come_at_their_rates_and_the_same_seed_repeats_them() {
        let injector = FaultInjector::default();
        let faults =
            with(ServiceFaults { error_rate: 0.2, drop_rate: 0.1, lost_reply_rate: 0.3, ..Default::default() });
        let run = || {
            injector.set(faults.clone()).unwrap();
            (0..10_000).map(|_| injector.verdict(AwsService::Sqs)).collect::<Vec<_>>()
        };
        let verdicts = run();
        let share = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
        assert!((1_900..2_100).contains(&share(Verdict::Fail)), "{}", share(Verdict::Fail));
        assert!((900..1_100).contains(&share(Verdict::Drop)), "{}", share(Verdict::Drop));
        assert!((2_900..3_100).contains(&share(Verdict::LoseReply)), "{}", share(Verdict::LoseReply));
        assert_eq!(verdicts, run());
        assert_eq!(injector.verdict(AwsService::Dynamodb), Verdict::Run);
    }

    #[test]
    fn rates_that_are_no_rates_are_refused_and_leave_what_was_in_force() {
        let injector = FaultInjector::default();
        let complaint = injector.set(with(ServiceFaults { error_rate: 0.7, drop_rate: 0.7, ..Default::default() }));
        assert!(complaint.unwrap_err().contains("together at most 1.0"));
        assert_eq!(injector.current(), AwsFaults::default());
    }
}

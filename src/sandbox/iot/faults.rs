//! What goes wrong on purpose, for tests and demonstrations.

use serde::{Deserialize, Serialize};

/// The faults in force. Over HTTP: `{"seed": 7, "rules": [{"operation": "*", "rate": 0.1, "kind": "throttled"}]}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Makes the choice of calls repeatable.
    pub seed: u64,
    /// Tried in order; the first that fires decides.
    pub rules: Vec<FaultRule>,
}

/// One kind of fault, on some calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// AWS's name of an operation, or `*` for all.
    pub operation: String,
    /// Share of the calls that are hit, 0 to 1.
    pub rate: f64,
    /// What happens to them.
    pub kind: FaultKind,
    /// The rule ends after so many hits; without it, never.
    #[serde(default)]
    pub times: Option<u32>,
}

impl FaultRule {
    /// A rule that never ends.
    pub fn new(operation: &str, rate: f64, kind: FaultKind) -> Self {
        Self { operation: operation.to_owned(), rate, kind, times: None }
    }

    /// The same rule, ending after so many hits.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

/// A kind of fault. In JSON a word, such as `"lost_reply"`, or `{"hang": {"ms": 30000}}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// `InternalFailureException` 500; the operation does not run.
    InternalFailure,
    /// `ServiceUnavailableException` 503; the operation does not run.
    Unavailable,
    /// `ThrottlingException` 400; the operation does not run.
    Throttled,
    /// `AccessDeniedException` 403; the operation does not run.
    Denied,
    /// The connection closes without a reply; the operation does not run.
    Dropped,
    /// The operation runs; the connection closes without a reply.
    LostReply,
    /// No reply for so many milliseconds, then the connection closes; the operation does not run.
    Hang {
        /// Milliseconds.
        ms: u64,
    },
}

/// Decides which call is hit.
#[derive(Debug)]
pub(super) struct FaultInjector {
    rules: Vec<FaultRule>,
    dice: fastrand::Rng,
}

impl FaultInjector {
    pub fn new(faults: Faults) -> Self {
        Self { rules: faults.rules, dice: fastrand::Rng::with_seed(faults.seed) }
    }

    /// The fault that hits this call, if any.
    pub fn roll(&mut self, operation: &str) -> Option<FaultKind> {
        let dice = &mut self.dice;
        let rule = self.rules.iter_mut().find(|rule| {
            let meant = rule.operation == "*" || rule.operation == operation;
            meant && rule.times != Some(0) && dice.f64() < rule.rate
        })?;
        rule.times = rule.times.map(|times| times - 1);
        Some(rule.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_hits_its_operation_at_its_rate_and_the_same_calls_for_the_same_seed() {
        let seed = 11;
        println!("seed {seed}");
        let faults = Faults { seed, rules: vec![FaultRule::new("UpdateCertificate", 0.3, FaultKind::Throttled)] };
        let hits = |faults: &Faults| {
            let mut injector = FaultInjector::new(faults.clone());
            (0..1000).map(|_| injector.roll("UpdateCertificate").is_some()).collect::<Vec<_>>()
        };
        let first = hits(&faults);
        let count = first.iter().filter(|hit| **hit).count();
        assert!((250..350).contains(&count), "{count} of 1000 calls were hit");
        assert_eq!(first, hits(&faults));
        assert_eq!(FaultInjector::new(faults).roll("GetPolicy"), None);
    }

    #[test]
    fn a_rule_ends_after_its_number_of_hits() {
        let rule = FaultRule::new("*", 1.0, FaultKind::LostReply).times(2);
        let mut injector = FaultInjector::new(Faults { seed: 1, rules: vec![rule] });
        let hits = (0..5).filter(|_| injector.roll("GetPolicy").is_some()).count();
        assert_eq!(hits, 2);
    }

    #[test]
    fn faults_are_read_from_json_and_unknown_members_refused() {
        let text = r#"{"seed":1,"rules":[{"operation":"*","rate":1,"kind":{"hang":{"ms":5}}},{"operation":"GetPolicy","rate":0.5,"kind":"lost_reply"}]}"#;
        let faults: Faults = serde_json::from_str(text).unwrap();
        assert_eq!(faults.rules[0].kind, FaultKind::Hang { ms: 5 });
        assert!(serde_json::from_str::<Faults>(r#"{"rule":[]}"#).is_err());
        assert!(
            serde_json::from_str::<Faults>(r#"{"rules":[{"operation":"*","rate":1,"kind":"denied","every":2}]}"#)
                .is_err()
        );
    }
}

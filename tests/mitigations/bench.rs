//! One finding on the bench: a twin, a notebook for a journal, and what came out.

use fleetwarden::aws::{CallError, Class, Fate, Script};
use fleetwarden::clock::Clock;
use fleetwarden::finding::{Finding, Resource, ResourceIdentifier, Severity};
use fleetwarden::ledger::{Step, StepOutcome, WriteError};
use fleetwarden::mitigation::{ActionError, Effect, Job, Journal, MemoryIot, apply};
use fleetwarden::policy::Action;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub const CERTIFICATE: &str = "03204de92e11fc8c528139be419065920eb83dbff1a4663bbea455aa6e9702bd";
pub const SECOND: &str = "13204de92e11fc8c528139be419065920eb83dbff1a4663bbea455aa6e9702bd";
pub const ACCOUNT: &str = "123456789012";
pub const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:Escalations";

/// What an action came to.
pub type Came = (Vec<Step>, Result<Effect, ActionError>);

/// A journal that keeps every entry.
#[derive(Default)]
pub struct Notebook {
    pub entries: Mutex<Vec<Vec<Step>>>,
    pub lost: AtomicBool,
    /// The claim is lost as soon as something was written down: a crash between the intent and the change.
    pub crash_after_record: AtomicBool,
    pub failure: Mutex<Option<WriteError>>,
}

impl Journal for Notebook {
    async fn record(&self, steps: &[Step]) -> Result<(), WriteError> {
        if let Some(error) = self.failure.lock().unwrap().take() {
            return Err(error);
        }
        self.entries.lock().unwrap().push(steps.to_vec());
        self.lost.fetch_or(self.crash_after_record.load(Ordering::SeqCst), Ordering::SeqCst);
        Ok(())
    }

    fn is_ours(&self) -> bool {
        !self.lost.load(Ordering::SeqCst)
    }
}

impl Notebook {
    /// What a takeover would find in the ledger.
    pub fn last(&self) -> Vec<Step> {
        self.entries.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

pub struct Bench {
    pub iot: MemoryIot,
    pub notebook: Notebook,
    pub read_back: bool,
    pub forced: bool,
}

impl Bench {
    pub fn new() -> Self {
        Self { iot: MemoryIot::new(), notebook: Notebook::default(), read_back: false, forced: false }
    }

    /// The next claim, in another process: nothing is left of the one before but the ledger and the account.
    pub fn restarted(&self) -> Self {
        Self { iot: self.iot.clone(), notebook: Notebook::default(), read_back: self.read_back, forced: self.forced }
    }

    pub async fn run(&self, finding: &Finding, action: &Action) -> Came {
        self.go(&self.iot, finding, std::slice::from_ref(action), Vec::new()).await
    }

    pub async fn continued(&self, finding: &Finding, action: &Action, earlier: Vec<Step>) -> Came {
        self.go(&self.iot, finding, std::slice::from_ref(action), earlier).await
    }

    pub async fn meeting(&self, fate: (&'static str, Fate), finding: &Finding, action: &Action) -> Came {
        let script = Arc::new(Script::new([fate]));
        let iot = self.iot.with_fates(script.clone());
        let came = self.go(&iot, finding, std::slice::from_ref(action), Vec::new()).await;
        assert_eq!(script.remaining(), 0, "the fate {fate:?} was never met");
        came
    }

    pub async fn go(&self, iot: &MemoryIot, finding: &Finding, actions: &[Action], earlier: Vec<Step>) -> Came {
        let clock = Clock::virtual_at("2026-11-22T12:00:00Z".parse().unwrap());
        let (journal, read_back) = (&self.notebook, self.read_back);
        // Whatever is on record was done before.
        let forced = self.forced.then_some(i64::MAX);
        apply(&Job { finding, iot, journal, clock: &clock, read_back, forced }, actions, earlier).await
    }

    /// Writes made of an operation, whether or not the reply came through.
    pub fn effects(&self, operation: &str) -> usize {
        self.iot.effects(operation).len()
    }

    /// Calls of an operation, refused ones included.
    pub fn calls(&self, operation: &str) -> usize {
        self.iot.history().iter().filter(|call| call.operation == operation).count()
    }
}

pub fn finding(check: &str, kind: &str, identifier: ResourceIdentifier) -> Finding {
    Finding {
        finding_id: "f-1".into(),
        account: ACCOUNT.into(),
        region: "us-east-1".into(),
        task_id: Some("t-1".into()),
        check: check.into(),
        reason_code: "CODE".into(),
        reason: "Words.".into(),
        severity: Severity::Critical,
        resource: Resource { kind: kind.into(), identifier, additional_info: BTreeMap::new() },
        related: Vec::new(),
        suppressed: false,
        found_at: Some(1_791_014_401_000),
        audit_started_at: Some(1_791_014_400_000),
    }
}

pub fn device_finding() -> Finding {
    let identifier = ResourceIdentifier::DeviceCertificate(CERTIFICATE.into());
    finding("DEVICE_CERTIFICATE_SHARED_CHECK", "DEVICE_CERTIFICATE", identifier)
}

pub fn policy_finding(version: &str) -> Finding {
    let identifier = ResourceIdentifier::PolicyVersion { policy: "Wide".into(), version: version.into() };
    finding("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", "IOT_POLICY", identifier)
}

pub fn issuer_finding() -> Finding {
    let identifier = ResourceIdentifier::IssuerCertificate {
        subject: "CN=Intermediate".into(),
        issuer_id: "ab".into(),
        serial: "01".into(),
    };
    let check = "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK";
    finding(check, "ISSUER_CERTIFICATE", identifier)
}

pub fn related(id: &str) -> Resource {
    Resource {
        kind: "DEVICE_CERTIFICATE".into(),
        identifier: ResourceIdentifier::DeviceCertificate(id.into()),
        additional_info: BTreeMap::new(),
    }
}

pub fn only(came: &Came) -> &Step {
    assert_eq!(came.0.len(), 1, "{came:?}");
    &came.0[0]
}

pub fn outcome(came: &Came) -> StepOutcome {
    only(came).outcome
}

pub fn class(came: &Came) -> Class {
    match &came.1 {
        Err(ActionError::Call(CallError { class, .. })) => *class,
        other => panic!("no failed call: {other:?}"),
    }
}

pub fn refusal(came: &Came) -> &'static str {
    match &came.1 {
        Err(ActionError::Refused { reason, .. }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

pub fn is_mitigated(came: &Came) -> bool {
    matches!(came.1, Ok(Effect::Mitigated { .. }))
}

pub fn is_compliant(came: &Came) -> bool {
    matches!(came.1, Ok(Effect::Compliant { .. }))
}

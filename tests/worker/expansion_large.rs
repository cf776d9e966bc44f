//! An audit of 100,000 findings: expanded with a page of them in memory, inside the budget, wherever it is cut off.

use crate::house::*;
use fleetwarden::aws::{CallError, Fates};
use fleetwarden::budget::{BudgetConfig, Budgets, Operation};
use fleetwarden::defender::Expansion;
use fleetwarden::finding::{AuditSummary, CheckSummary, Severity};
use fleetwarden::ledger::{Claim, ClaimOutcome, ClaimRef, ClaimRequest, Ledger, MemoryLedger, ReplayMode, Subject};
use fleetwarden::mitigation::{ActionError, MemoryIot, Paced};
use fleetwarden::queue::{BATCH, Depth, Outgoing, Queue, Received};
use fleetwarden::telemetry::Telemetry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const FINDINGS: usize = 100_000;
const PAGE: usize = 250;
const LEASE: Duration = Duration::from_secs(60);

/// Counts what it is sent, and keeps nothing of it.
#[derive(Clone, Default)]
struct Counting {
    sent: Arc<AtomicUsize>,
}

impl Queue for Counting {
    async fn receive(&self, _: usize, _: Duration, _: Duration) -> Result<Vec<Received>, CallError> {
        Ok(Vec::new())
    }

    async fn delete(&self, handles: &[String]) -> Result<Vec<Result<(), CallError>>, CallError> {
        Ok(handles.iter().map(|_| Ok(())).collect())
    }

    async fn change_visibility(&self, entries: &[(String, Duration)]) -> Result<Vec<Result<(), CallError>>, CallError> {
        Ok(entries.iter().map(|_| Ok(())).collect())
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<String, CallError>>, CallError> {
        assert!((1..=BATCH).contains(&messages.len()));
        self.sent.fetch_add(messages.len(), Ordering::SeqCst);
        Ok(messages.iter().map(|_| Ok("id".to_owned())).collect())
    }

    async fn depth(&self) -> Result<Depth, CallError> {
        Ok(Depth::default())
    }
}

/// At each page: whatever was on those before it is on the queue.
fn watching(sent: &Arc<AtomicUsize>) -> (Arc<dyn Fates>, Arc<AtomicUsize>) {
    let (sent, pages) = (Arc::clone(sent), Arc::new(AtomicUsize::new(0)));
    let asked = Arc::clone(&pages);
    let fates = Arc::new(move |call: &'static str| {
        assert_eq!(call, "iot.list_audit_findings");
        let before = asked.fetch_add(1, Ordering::SeqCst);
        assert_eq!(sent.load(Ordering::SeqCst), before * PAGE, "a page is asked for when the one before is sent");
        fleetwarden::aws::Fate::Proceed
    });
    (fates, pages)
}

fn summary() -> AuditSummary {
    let check = CheckSummary {
        check: CLIENTS.into(),
        status: "COMPLETED_NON_COMPLIANT".into(),
        non_compliant: FINDINGS as u64,
        suppressed: 0,
        total: FINDINGS as u64,
        error_code: None,
        message: None,
    };
    AuditSummary {
        account: ACCOUNT.into(),
        region: REGION.into(),
        task_id: "audit-1".into(),
        task_status: "COMPLETED".into(),
        task_type: "ON_DEMAND_AUDIT_TASK".into(),
        scheduled_audit: None,
        started_at: None,
        checks: vec![check],
        replay_id: None,
    }
}

async fn claim(ledger: &MemoryLedger, now: i64) -> Claim {
    let subject = Subject {
        key: "expansion#audit-1".into(),
        account: ACCOUNT.into(),
        region: REGION.into(),
        task_id: Some("audit-1".into()),
        check: String::new(),
        reason_code: String::new(),
        severity: Severity::Unknown,
        resource_type: "AUDIT".into(),
        resource_id: "audit-1".into(),
        fingerprint: "audit-1".into(),
        payload: "{}".into(),
    };
    let request = ClaimRequest { subject, replay: ReplayMode::Fresh, lineage: None };
    match ledger.claim(&[request], "worker", now, LEASE).await.unwrap().remove(0).unwrap() {
        ClaimOutcome::Ours(claim) => *claim,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_summary_of_100_000_findings_is_expanded_a_page_at_a_time_at_8_pages_a_second_also_after_a_crash() {
    let house = House::new();
    let iot = MemoryIot::new();
    (0..FINDINGS as u64).for_each(|n| iot.put_finding(&client_finding(n)));
    let queue = Counting::default();
    let (fates, pages) = watching(&queue.sent);
    let budgets = Arc::new(Budgets::new(&BudgetConfig::default()));
    let paced = Paced::new(iot.with_fates(fates), Arc::clone(&budgets), LEASE, 1);
    let telemetry = Telemetry::default();
    let began = Instant::now();
    // The first worker loses its claim after 150 pages, the second goes on from there.
    for most in [150, usize::MAX] {
        let claim = claim(&house.ledger, house.clock.now_ms()).await;
        let claim_ref = ClaimRef { key: claim.record.subject.key.clone(), epoch: claim.record.epoch };
        let expansion = Expansion {
            iot: &paced,
            queue: &queue,
            ledger: &house.ledger,
            telemetry: &telemetry,
            clock: &house.clock,
            lease: LEASE,
            claim: &claim_ref,
            steps: &[],
            replay: None,
        };
        let is_ours = || pages.load(Ordering::SeqCst) < most;
        let came = expansion.run(&summary(), claim.record.cursor.as_deref(), is_ours).await;
        match came {
            Err(ActionError::LostClaim) => seconds(LEASE.as_secs()).await,
            Ok(detail) => assert_eq!(detail, "100000 findings of 1 checks went on the queue"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((queue.sent.load(Ordering::SeqCst), pages.load(Ordering::SeqCst)), (FINDINGS, FINDINGS / PAGE));
    let took = began.elapsed() - LEASE;
    assert!((49.0..51.0).contains(&took.as_secs_f64()), "400 pages at 8 a second took {took:?}");
    assert_eq!(budgets.usage()[&Operation::ListAuditFindings].taken, 400);
}

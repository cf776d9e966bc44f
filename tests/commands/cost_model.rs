//! What `fleetwarden cost` estimates, held against a real worker: the calls that it makes, and the size of what it writes.

use super::cost_bench::{About, LIFTED, Load, Seen, work};
use fleetwarden::cost::{Charge, Estimate, Line, Part, Workload, estimate};
use fleetwarden::finding::ActionType;
use std::collections::BTreeSet;

/// The workload that the worker had, at the batch fill that it saw.
fn workload(seen: &Seen, actions: &[ActionType]) -> Workload {
    Workload {
        findings: seen.findings,
        duplicates: 1.0 - seen.findings / seen.messages,
        batch_fill: seen.messages / seen.calls_of("SQS", "ReceiveMessage"),
        actions: actions.to_vec(),
        ..Workload::default()
    }
}

fn policy(check: &str, actions: &str) -> String {
    format!("version: 1\nmode: enforce\nrules: [{{ name: all, match: {{ check: {check} }}, actions: {actions} }}]\n")
}

/// The lines of a worker's own calls that come with the findings, rather than with the time.
fn own(estimate: &Estimate) -> impl Iterator<Item = &Line> {
    estimate.lines.iter().filter(|line| matches!(line.part, Part::Work | Part::Action))
}

fn units(estimate: &Estimate, why: &str) -> f64 {
    let lines: Vec<_> = estimate.lines.iter().filter(|line| line.why.starts_with(why)).collect();
    assert_eq!(lines.len(), 1, "{why}");
    lines[0].units
}

/// Holds an estimate against what a worker did. How many statements share a request, and how many deletes, hangs on the moment; all
/// else is told exactly, but for the first findings, which ask Device Defender by themselves or for a page too many.
fn holds(seen: &Seen, actions: &[ActionType]) {
    let workload = workload(seen, actions);
    assert!(workload.batch_fill > 1.5, "batches of {} show nothing", workload.batch_fill);
    let estimate = estimate(&workload);
    let mut kinds: BTreeSet<(String, String)> = seen.calls.keys().cloned().collect();
    kinds.extend(own(&estimate).map(|line| (line.service.to_owned(), line.call.to_owned())));
    for (service, call) in kinds {
        let lines = own(&estimate).filter(|line| (line.service, line.call) == (&service, &call));
        let (expected, called) = (lines.fold(0.0, |sum, line| sum + line.requests), seen.calls_of(&service, &call));
        println!("{service}.{call}: {called} calls, {expected:.1} estimated");
        let (part, calls) = match call.as_str() {
            "BatchExecuteStatement" => (0.45, 12.0),
            "DeleteMessageBatch" => (0.3, 12.0),
            "ListAuditFindings" | "DescribeAuditFinding" => (0.0, 8.0),
            // Heartbeats: when it comes, every 20 s, and when it goes.
            "UpdateItem" => (0.0, 8.0),
            _ => (0.0, 0.01),
        };
        assert!((called - expected).abs() <= expected * part + calls, "{service}.{call}: {called}, not {expected}");
    }
    the_sizes_hold(seen, &estimate);
}

fn the_sizes_hold(seen: &Seen, estimate: &Estimate) {
    assert!(seen.body * 10 <= 64 * 1024, "ten messages of {} bytes are more than one request", seen.body);
    let mean = seen.records.iter().sum::<usize>() as f64 / seen.findings;
    println!("a record has {mean:.0} bytes, a message {}", seen.body);
    let written: usize = seen.records.iter().map(|bytes| bytes.div_ceil(1024)).sum();
    assert_eq!(seen.records.len() as f64, seen.findings);
    assert_eq!(units(estimate, "ends: UPDATE"), written as f64, "write units of records such as {}", seen.records[0]);
    // 100 bytes for each item, 120 days of 730/24 days.
    let gb_months = seen.findings * (mean + 100.0) / f64::from(1 << 30) * 120.0 * 24.0 / 730.0;
    let stored = units(estimate, "records, ");
    assert!((stored / gb_months - 1.0).abs() < 0.1, "{stored} GB-months, not {gb_months}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_calls_what_is_estimated_for_the_batch_fill_that_it_saw() {
    let policy = policy("DEVICE_CERTIFICATE_SHARED_CHECK", "[{ type: UPDATE_DEVICE_CERTIFICATE }]");
    let about = About::Certificates;
    let seen = work(&Load { about, policy: &policy, findings: 490, again: 210, scale: LIFTED, seed: 7 }).await;
    holds(&seen, &[ActionType::UpdateDeviceCertificate]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_only_records_calls_nobody_but_queue_and_ledger() {
    let (about, policy) = (About::Certificates, "version: 1\nmode: enforce\nrules: []\n");
    let seen = work(&Load { about, policy, findings: 300, again: 0, scale: LIFTED, seed: 8 }).await;
    holds(&seen, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_that_are_announced_and_call_the_registry_or_a_topic_are_estimated_with_that() {
    let actions = "[{ type: ADD_THINGS_TO_THING_GROUP, thing_groups: [Quarantine] }, { type: UPDATE_DEVICE_CERTIFICATE }, \
                   { type: PUBLISH_FINDING_TO_SNS, topic_arn: 'arn:aws:sns:us-east-1:123456789012:told' }]";
    let (about, policy) = (About::Certificates, policy("DEVICE_CERTIFICATE_SHARED_CHECK", actions));
    let seen = work(&Load { about, policy: &policy, findings: 150, again: 0, scale: LIFTED, seed: 9 }).await;
    let actions =
        [ActionType::AddThingsToThingGroup, ActionType::UpdateDeviceCertificate, ActionType::PublishFindingToSns];
    holds(&seen, &actions);
    let registry = estimate(&workload(&seen, &actions));
    let registry = registry.lines.iter().filter(|line| line.charge == Charge::IotRegistry);
    assert_eq!(registry.map(|line| line.requests).sum::<f64>(), 3.0 * seen.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policys_lock_is_estimated_as_two_writes() {
    let actions = "[{ type: REPLACE_DEFAULT_POLICY_VERSION, template: BLANK_POLICY }]";
    let (about, policy) = (About::Policies, policy("IOT_POLICY_OVERLY_PERMISSIVE_CHECK", actions));
    let seen = work(&Load { about, policy: &policy, findings: 150, again: 0, scale: LIFTED, seed: 10 }).await;
    holds(&seen, &[ActionType::ReplaceDefaultPolicyVersion]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_budget_paces_the_work_findings_end_one_by_one_which_a_batch_fill_of_one_estimates() {
    let policy = policy("DEVICE_CERTIFICATE_SHARED_CHECK", "[{ type: UPDATE_DEVICE_CERTIFICATE }]");
    let about = About::Certificates;
    // 16 certificates a second.
    let seen = work(&Load { about, policy: &policy, findings: 80, again: 0, scale: 2.0, seed: 11 }).await;
    let deletes = seen.calls_of("SQS", "DeleteMessageBatch");
    assert!(deletes > 0.5 * seen.findings, "{deletes} deletes");
    let one_by_one = Workload { findings: seen.findings, batch_fill: 1.0, ..Workload::default() };
    let one_by_one = estimate(&one_by_one);
    let expected = own(&one_by_one).filter(|line| line.service == "SQS").map(|line| line.requests).sum::<f64>();
    let of_sqs = seen.calls.iter().filter(|((service, _), _)| service == "SQS");
    let called: f64 = of_sqs.map(|(_, calls)| calls).sum();
    assert!(called <= expected, "{called} requests to SQS, not at most {expected}");
}

//! What became of every finding.

use super::load::Load;
use fleetwarden::finding::ResourceIdentifier;
use fleetwarden::ledger::{DynamoLedger, Filter, Ledger, Record, Status};
use fleetwarden::queue::{BATCH, Queue, SqsQueue};
use fleetwarden::sandbox::iot::CertificateStatus;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// P1, P2: panics where they do not hold, and prints what there was.
pub async fn check(load: &Load) {
    assert_eq!(load.bench.depths().await.0, 0, "P1: messages are left");
    let records = records(load).await;
    let letters = letters(load).await;
    let published = published(load).await;

    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in load.all() {
        let id = &finding.finding_id;
        let record = records.get(id).unwrap_or_else(|| panic!("P1: {id} is lost"));
        let reason = letters.get(id);
        let ended = record.status.is_terminal() || record.status == Status::Dead && reason.is_some();
        assert!(ended, "P1: {id} came to no end, dead letter {reason:?}: {record:?}");
        *ends.entry(reason.map_or(record.status.as_str(), String::as_str)).or_default() += 1;
    }
    assert_eq!(records.len(), load.all().count(), "one record for each finding");

    for finding in &load.devices {
        let ResourceIdentifier::DeviceCertificate(id) = &finding.resource.identifier else {
            panic!("no certificate: {finding:?}")
        };
        let status = load.bench.sandbox.iot().with_fleet(|fleet| fleet.certificate(id).unwrap().status);
        let record = &records[&finding.finding_id];
        assert!(status == CertificateStatus::Inactive || record.status == Status::Dead, "P1: active: {record:?}");
    }
    load.bench.sandbox.iot().with_fleet(|fleet| {
        for n in 0..load.policies.len() / 2 {
            let policy = fleet.policy(&format!("Policy{n}")).unwrap();
            // Numbers are never used again: a second effect would show as version 3.
            let versions: Vec<_> = policy.versions.keys().copied().collect();
            assert!(versions == [1, 2] && policy.is_blank(), "P2: Policy{n} has the versions {versions:?}");
        }
    });
    for finding in &load.clients {
        let id = &finding.finding_id;
        let times = published.get(id).copied().unwrap_or(0);
        let record = &records[id];
        assert!(times <= 1, "P2: {id} was published {times} times: {record:?}");
        assert!(times == 1 || record.status == Status::Dead, "P1: {id} was never published: {record:?}");
    }
    let calls = load.bench.sandbox.iot().calls();
    let failed: u64 = calls.values().map(|calls| calls.failed + calls.throttled).sum();
    let all: u64 = calls.values().map(|calls| calls.ok).sum::<u64>() + failed;
    let created = calls["CreatePolicyVersion"].ok;
    assert_eq!(created as usize, load.policies.len() / 2, "P2: one new version for each policy");
    eprintln!(
        "chaos: {ends:?}; {} publications; {created} policy versions; {all} calls, {failed} of them failed",
        published.values().sum::<usize>()
    );
}

async fn records(load: &Load) -> BTreeMap<String, Record> {
    let ledger = DynamoLedger::new(load.bench.clients.dynamodb.clone(), &load.bench.made.table);
    let (mut records, mut next) = (BTreeMap::new(), None);
    loop {
        let page = ledger.list(&Filter::default(), 1000, next).await.unwrap();
        let id = |record: &Record| record.subject.key.strip_prefix("finding#").expect("a finding").to_owned();
        records.extend(page.records.into_iter().map(|record| (id(&record), record)));
        next = page.next;
        if next.is_none() {
            return records;
        }
    }
}

/// The reason of each dead letter by finding.
async fn letters(load: &Load) -> BTreeMap<String, String> {
    let queue = SqsQueue::new(load.bench.clients.sqs.clone(), &load.bench.made.dead_letter_queue_url);
    let mut letters = BTreeMap::new();
    for message in drain(&queue).await {
        letters.insert(message.attributes["findingId"].clone(), message.attributes["reason"].clone());
    }
    letters
}

/// How often each finding was published.
async fn published(load: &Load) -> BTreeMap<String, usize> {
    let mut published = BTreeMap::new();
    for message in drain(&load.escalations).await {
        let finding: Value = serde_json::from_str(&message.body).unwrap();
        *published.entry(finding["findingId"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    published
}

async fn drain(queue: &SqsQueue) -> Vec<fleetwarden::queue::Received> {
    let mut all = Vec::new();
    loop {
        let batch = queue.receive(BATCH, Duration::ZERO, Duration::from_secs(600)).await.unwrap();
        if batch.is_empty() {
            return all;
        }
        all.extend(batch);
    }
}

//! What a queue brings besides fresh findings: duplicates and poison; and what the dead letters say afterwards.

use super::defender;
use super::options::DemoError;
use crate::mitigation::IotControl;
use crate::queue::{BATCH, Outgoing, Queue};
use aws_sdk_sns::Client;
use aws_sdk_sns::error::DisplayErrorContext;
use aws_sdk_sns::types::PublishBatchRequestEntry;
use std::collections::BTreeMap;
use std::time::Duration;

/// Bodies that no worker can use, each with the reason it must be given up with.
pub(super) const POISON: &[(&str, &str)] = &[
    ("this is not JSON", "not_json"),
    (r#"{"findingId": "#, "not_json"),
    (r#"{"hello":"world"}"#, "unknown_message"),
    ("[1,2,3]", "unknown_message"),
    (r#"{"Records":[]}"#, "empty_records"),
    (
        r#"{"Type":"SubscriptionConfirmation","MessageId":"m","Token":"t","TopicArn":"arn:aws:sns:us-east-1:123456789012:topic","Message":"You have chosen to subscribe","SubscribeURL":"https://example.invalid/","Timestamp":"2026-10-03T12:00:00.000Z"}"#,
        "subscription_confirmation",
    ),
    (r#"{"violationId":"v-1","violationEventType":"in-alarm","thingName":"SensorDevice01"}"#, "detect_violation"),
    (
        r#"{"findingId":"f-1","checkName":42,"reasonForNonComplianceCode":"X","nonCompliantResource":{"resourceType":"CLIENT_ID","resourceIdentifier":{"clientId":"c"}}}"#,
        "invalid_finding",
    ),
    // Well-formed, but Device Defender knows nothing of it: somebody tries to have a device disconnected.
    (
        r#"{"findingId":"00000000-0000-4000-8000-000000000000","findingTime":1791014401456,"severity":"CRITICAL","taskStartTime":1791014400123,"nonCompliantResource":{"resourceType":"DEVICE_CERTIFICATE","resourceIdentifier":{"deviceCertificateId":"00000000000000000000000000000000000000000000000000000000deadbeef"}},"taskId":"0f1e2d3c4b5a69788796a5b4c3d2e1f0","checkName":"REVOKED_DEVICE_CERTIFICATE_STILL_ACTIVE_CHECK","reasonForNonComplianceCode":"CERTIFICATE_REVOKED_BY_ISSUER","reasonForNonCompliance":"forged"}"#,
        "not_authentic",
    ),
];

/// Publishes about `part` of the audit's findings once more. How many.
pub(super) async fn duplicate(
    iot: &impl IotControl,
    sns: &Client,
    topic_arn: &str,
    audit: &defender::Audit,
    part: f64,
    rng: &mut fastrand::Rng,
) -> Result<u64, DemoError> {
    let mut sent = 0;
    defender::findings(iot, audit, async |findings| {
        let again: Vec<String> =
            findings.iter().filter(|_| rng.f64() < part).map(|finding| finding.to_native().to_string()).collect();
        for batch in again.chunks(BATCH) {
            publish(sns, topic_arn, batch).await?;
            sent += batch.len() as u64;
        }
        Ok(())
    })
    .await?;
    Ok(sent)
}

async fn publish(sns: &Client, topic_arn: &str, messages: &[String]) -> Result<(), DemoError> {
    let fail = DemoError::at("publish duplicates");
    let mut request = sns.publish_batch().topic_arn(topic_arn);
    for (i, message) in messages.iter().enumerate() {
        let entry = PublishBatchRequestEntry::builder().id(i.to_string()).message(message).build();
        request = request.publish_batch_request_entries(entry.map_err(|error| fail(error.to_string()))?);
    }
    let reply = request.send().await.map_err(|error| fail(DisplayErrorContext(error).to_string()))?;
    match reply.failed().first() {
        Some(entry) => Err(fail(format!("{}: {}", entry.code(), entry.message().unwrap_or_default()))),
        None => Ok(()),
    }
}

/// Puts the poison among the findings.
pub(super) async fn poison(queue: &impl Queue) -> Result<(), DemoError> {
    let fail = DemoError::at("send poison");
    let messages: Vec<Outgoing> =
        POISON.iter().map(|(body, _)| Outgoing { body: (*body).to_owned(), ..Outgoing::default() }).collect();
    for batch in messages.chunks(BATCH) {
        for sent in queue.send(batch).await.map_err(|error| fail(error.to_string()))? {
            sent.map_err(|error| fail(error.to_string()))?;
        }
    }
    Ok(())
}

/// Counts the dead letters by reason. They stay where they are, hidden for a moment.
pub(super) async fn dead_letters(queue: &impl Queue) -> Result<BTreeMap<String, u64>, DemoError> {
    let fail = DemoError::at("read the dead letters");
    let mut reasons = BTreeMap::new();
    loop {
        let messages = queue
            .receive(BATCH, Duration::ZERO, Duration::from_secs(30))
            .await
            .map_err(|error| fail(error.to_string()))?;
        if messages.is_empty() {
            return Ok(reasons);
        }
        for message in messages {
            let reason = message.attributes.get("reason").cloned().unwrap_or_else(|| "(none)".to_owned());
            *reasons.entry(reason).or_default() += 1;
        }
    }
}

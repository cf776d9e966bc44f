//! Signed notifications at the worker: who passes, who dies, who waits. What was signed is in `tests/signatures/fixtures`.

use crate::house::*;
use fleetwarden::aws::{Class, Fate, MemoryCertificates, Script};
use fleetwarden::finding::{Content, Finding, Origin, Replay, decode, encode_replay};
use fleetwarden::ledger::Status;
use fleetwarden::worker::Ended;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Where the fixtures say that their certificate is.
const URL: &str = "https://sns.us-east-1.amazonaws.com/signing.pem";
const SIGNED: &str = "11111111-1111-4111-8111-111111111111";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)).unwrap()
}

fn signed(name: &str) -> String {
    read(&format!("signatures/fixtures/{name}.json"))
}

fn here() -> Origin {
    Origin { account: Some(ACCOUNT.into()), region: Some(REGION.into()) }
}

/// The findings in a message.
fn findings(body: &str) -> Vec<Finding> {
    let content = decode(body, &here()).into_iter().map(|arrival| arrival.content.unwrap());
    content.filter_map(|content| if let Content::Finding(finding) = content { Some(*finding) } else { None }).collect()
}

/// A house whose policy asks for signatures, with the certificate where it should be, and with Device Defender knowing all
/// findings of the fixtures: nothing but the signature can stop them.
fn house() -> House {
    with_certificates(MemoryCertificates::default())
}

fn with_certificates(certificates: MemoryCertificates) -> House {
    let mut house = House::new();
    certificates.serve(URL, read("signatures/fixtures/signing.pem"));
    house.certificates = Arc::new(certificates);
    house.policy.verify_signature = true;
    house.iot.put_policy("ExamplePolicy", &[WIDE]);
    for finding in findings(&signed("bundle")) {
        house.iot.put_finding(&finding);
    }
    house
}

/// With another finding in it than SNS signed, which Device Defender knows.
fn forged(house: &House, n: usize) -> String {
    let id = format!("forged-{n}");
    let mut envelope: Value = serde_json::from_str(&signed("version_2")).unwrap();
    envelope["Message"] = json!(envelope["Message"].as_str().unwrap().replace(SIGNED, &id));
    let body = envelope.to_string();
    house.iot.put_finding(&findings(&body)[0]);
    body
}

fn reasons(house: &House) -> Vec<String> {
    house.dead_letters().into_iter().map(|(reason, _)| reason).collect()
}

fn error(house: &House) -> String {
    house.dead.contents()[0].attributes["error"].clone()
}

#[tokio::test(start_paused = true)]
async fn genuine_notifications_of_both_versions_pass() {
    for name in ["version_1", "version_2", "with_subject_1", "with_subject_2"] {
        let house = house();
        house.send(&signed(name)).await;
        house.work().await;
        assert_eq!(house.status(&findings(&signed(name))[0]), Status::Mitigated, "{name}");
        assert!(house.dead.contents().is_empty(), "{name}");
        assert_eq!(house.telemetry.counts().verified, 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn forged_ones_die_before_they_are_on_record_while_others_go_on() {
    let house = house();
    let others: Vec<_> = (0..20).map(|n| house.device(n)).collect();
    for (n, other) in others.iter().enumerate() {
        house.publish(other).await;
        house.send(&forged(&house, n)).await;
    }
    house.send(&signed("version_1")).await;
    house.work().await;
    let letters = house.dead_letters();
    assert_eq!(letters.len(), 20);
    for (n, (reason, finding)) in letters.iter().enumerate() {
        assert_eq!(reason, "bad_signature", "{n}");
        assert!(finding.starts_with("forged-"), "{finding}");
    }
    let said = error(&house);
    assert!(said.contains("not what SNS signed") && said.contains("find out who sent it"), "{said}");
    assert_eq!(house.ledger.records().len(), 21, "what was forged is not on record");
    assert!(others.iter().all(|finding| house.status(finding) == Status::Mitigated));
}

#[tokio::test(start_paused = true)]
async fn each_forgery_is_told_by_what_is_wrong() {
    let change = |member: &str, value: Value| {
        let mut envelope: Value = serde_json::from_str(&signed("version_2")).unwrap();
        envelope[member] = value;
        envelope.to_string()
    };
    let cases = [
        (signed("foreign_account"), "a topic of account 999999999999"),
        (signed("foreign_region"), "in eu-west-1"),
        (change("Signature", Value::Null), "Signature is missing"),
        (change("SignatureVersion", json!("3")), "neither 1 nor 2"),
        (
            change("SigningCertURL", json!("https://sns.us-east-1.amazonaws.com.evil.com/a.pem")),
            "SigningCertURL is not",
        ),
        (change("SigningCertURL", json!("http://sns.us-east-1.amazonaws.com/signing.pem")), "SigningCertURL is not"),
        (change("SigningCertURL", json!("https://sns.us-east-1.amazonaws.com/invented.pem")), "does not exist"),
        (
            json!({ "Type": "Notification", "TopicArn": TOPIC, "Message": read("fixtures/finding_iot_policy.json") })
                .to_string(),
            "is missing",
        ),
    ];
    for (body, said) in cases {
        let house = house();
        house.send(&body).await;
        house.work().await;
        assert_eq!(house.dead_letters(), [("bad_signature".to_owned(), SIGNED.to_owned())], "{said}");
        assert!(error(&house).contains(said), "{}", error(&house));
        assert_eq!(house.dead.contents()[0].body, body, "it is given up unchanged");
        assert!(house.ledger.records().is_empty() && house.iot.effects("CreatePolicyVersion").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_bad_outside_its_time_or_when_it_is_none() {
    let mut late = house();
    late.clock = fleetwarden::clock::Clock::virtual_at("2126-06-01T00:00:00Z".parse().unwrap());
    let (html, other) = (house(), house());
    html.certificates.serve(URL, "<html>sign in to the network</html>");
    other.certificates.serve(URL, read("signatures/fixtures/other_key.pem"));
    for (house, said) in [(late, "valid from"), (html, "not a certificate in PEM"), (other, "does not fit")] {
        house.send(&signed("version_2")).await;
        house.work().await;
        assert_eq!(reasons(&house), ["bad_signature"], "{said}");
        assert!(error(&house).contains(said), "{}", error(&house));
    }
}

#[tokio::test(start_paused = true)]
async fn unless_the_policy_asks_nothing_is_checked_or_fetched() {
    let mut house = house();
    house.policy.verify_signature = false;
    house.send(&forged(&house, 1)).await;
    house.work().await;
    assert!(house.dead.contents().is_empty());
    assert_eq!((house.certificates.fetched(), house.telemetry.counts().verified), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_no_topic_wrapped_goes_on_to_device_defender() {
    let house = house();
    let unknown = read("fixtures/finding_role_alias.json").replace("88888888", "99999999");
    house.send(&read("fixtures/finding_iot_policy.json")).await;
    house.send(&unknown.replace("ROLE_ALIAS_OVERLY", "POLICY_OVERLY")).await;
    house.publish(&house.device(1)).await;
    house.work().await;
    assert_eq!(house.certificates.fetched(), 0);
    assert_eq!(house.status(&findings(&signed("version_1"))[0]), Status::Mitigated);
    assert!(reasons(&house).iter().all(|reason| reason != "bad_signature"), "{:?}", reasons(&house));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_messages_cost_one_fetch() {
    let slow = Script::new([("certificates.fetch", Fate::Late(Duration::from_secs(2)))]);
    let house = with_certificates(MemoryCertificates::new(Arc::new(slow)));
    for _ in 0..1000 {
        house.send(&signed("version_1")).await;
    }
    house.work().await;
    assert_eq!(house.certificates.fetched(), 1);
    assert_eq!(house.telemetry.counts().verified, 1000);
    assert!(house.dead.contents().is_empty() && house.queue.contents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_until_its_certificate_can_be_fetched_and_no_attempt_is_spent() {
    let away = Arc::new(AtomicBool::new(true));
    let house = with_certificates(MemoryCertificates::new(while_on(&away, "certificates", Class::Transient)));
    for _ in 0..50 {
        house.send(&signed("version_2")).await;
    }
    let other = house.device(1);
    house.publish(&other).await;
    let running = start_for_good(house.worker("worker"));
    // Longer than the policy's four attempts would last.
    let an_hour = 3600;
    seconds(an_hour).await;
    assert_eq!(house.status(&other), Status::Mitigated, "others go on");
    assert!(house.dead.contents().is_empty(), "{:?}", house.dead_letters());
    let (fetched, received) = (house.certificates.fetched(), house.telemetry.counts().received);
    assert!(fetched > 10 && fetched <= an_hour as usize, "{fetched} fetches in an hour");
    assert!(received < 50 * 40, "{received} receives in an hour: it spins");
    away.store(false, SeqCst);
    seconds(600).await;
    running.end().await;
    let record = house.record(&findings(&signed("version_2"))[0]);
    assert_eq!((record.status, record.attempts), (Status::Mitigated, 0));
    assert!(house.queue.contents().is_empty() && house.dead.contents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_hangs_holds_up_neither_others_nor_the_drain() {
    let house = with_certificates(MemoryCertificates::new(always("certificates.fetch", Fate::Late(FOR_EVER))));
    house.send(&signed("version_2")).await;
    let others: Vec<_> = (0..50).map(|n| house.device(n)).collect();
    for other in &others {
        house.publish(other).await;
    }
    let running = start_for_good(house.worker("worker"));
    seconds(60).await;
    assert!(others.iter().all(|finding| house.status(finding) == Status::Mitigated));
    let asked = tokio::time::Instant::now();
    assert_eq!(finish(running.end()).await, Ended::Drained);
    assert!(asked.elapsed() < Duration::from_secs(5), "drained in {:?}", asked.elapsed());
    assert_eq!(house.queue.contents().len(), 1, "it was given back");
    assert_eq!(house.depth().await.visible, 1, "at once");
}

#[tokio::test(start_paused = true)]
async fn a_signed_bundle_is_checked_whole_and_its_entries_go_on_alone() {
    let house = house();
    house.send(&signed("bundle")).await;
    house.work().await;
    assert!(house.dead.contents().is_empty(), "{:?}", house.dead_letters());
    for finding in findings(&signed("bundle")) {
        assert!(matches!(house.status(&finding), Status::Mitigated | Status::Observed));
    }
}

#[tokio::test(start_paused = true)]
async fn the_entries_of_a_forged_bundle_die_and_none_slips_through_alone_or_replayed() {
    let house = house();
    house.send(&signed("bundle").replace("ExamplePolicy", "AnotherPolicy")).await;
    house.work().await;
    assert_eq!(reasons(&house), ["bad_signature", "bad_signature"]);
    let letters = house.dead.contents();
    let replay = Replay { id: Some("replay-1".to_owned()), force: true, ..Replay::default() };
    for letter in &letters {
        house.send(&letter.body).await;
        house.send(&encode_replay(&letter.body, &replay)).await;
    }
    house.work().await;
    assert_eq!(reasons(&house), ["bad_signature"; 6]);
    assert!(house.ledger.records().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_forged_record_harms_no_other_in_its_bundle() {
    let house = house();
    let forged = forged(&house, 1);
    let records: Vec<_> = [signed("version_1"), forged.clone(), read("fixtures/finding_role_alias.json")]
        .into_iter()
        .map(|body| json!({ "body": body }))
        .collect();
    house.send(&json!({ "Records": records }).to_string()).await;
    house.work().await;
    assert_eq!(house.dead_letters(), [("bad_signature".to_owned(), "forged-1".to_owned())]);
    assert_eq!(house.ledger.records().len(), 2);
    assert_eq!(house.status(&findings(&signed("version_1"))[0]), Status::Mitigated);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_was_genuine_is_genuine_when_it_is_replayed() {
    let mut house = house();
    house.policy.rules.clear();
    house.send(&signed("version_1")).await;
    house.work().await;
    let replay = Replay { id: Some("replay-1".to_owned()), ..Replay::default() };
    house.send(&encode_replay(&signed("version_1"), &replay)).await;
    house.work().await;
    assert_eq!(house.telemetry.counts().verified, 2);
    assert!(house.dead.contents().is_empty());
    assert_eq!(house.record(&findings(&signed("version_1"))[0]).replayed.map(|replayed| replayed.times), Some(1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_dies_of_that_and_asks_for_no_certificate() {
    let house = house();
    let mut envelope: Value = serde_json::from_str(&signed("version_2")).unwrap();
    envelope["Message"] = json!("{\"violationId\": \"x\"}");
    house.send(&envelope.to_string()).await;
    let _ = finish(house.worker("worker").run(CancellationToken::new())).await;
    assert_eq!(reasons(&house), ["detect_violation"]);
    assert_eq!(house.certificates.fetched(), 0);
}

//! Whatever a queue message holds, the decoder says what it is, and what it accepts it can write and read again.
//!
//! Each input is decoded twice, with and without a configured origin; see [`check`] for what must hold.

#![no_main]

use fleetwarden::finding::{
    Arrival, AuditSummary, Content, Finding, Origin, Rejected, Replay, decode, decode_sealed, encode_message,
    encode_own, encode_replay, keys,
};
use libfuzzer_sys::{Corpus, fuzz_target};

/// SQS carries no larger message.
const MAX_BODY: usize = 1 << 20;
/// The decoder's own bound, over all lists of a message.
const MAX_RECORDS: usize = 1000;
/// The decoder cuts a sentence to 1000 characters and marks the cut.
const MAX_SENTENCE: usize = 1001;

fuzz_target!(|data: &[u8]| -> Corpus {
    // SQS refuses bodies that are not UTF-8.
    let Ok(body) = std::str::from_utf8(data) else { return Corpus::Reject };
    let here = Origin { account: Some("123456789012".into()), region: Some("us-east-1".into()) };
    check(body, &here);
    check(body, &Origin::default());
    Corpus::Keep
});

fn check(body: &str, origin: &Origin) {
    let arrivals = decode(body, origin);
    let mut sealed = decode_sealed(body, origin);
    sealed.iter_mut().for_each(|arrival| arrival.seals.clear());
    assert_eq!(sealed, arrivals, "reading signatures changes nothing else");
    assert!((1..=MAX_RECORDS).contains(&arrivals.len()), "{} arrivals", arrivals.len());
    for arrival in &arrivals {
        match &arrival.content {
            Ok(Content::Finding(finding)) => finding_holds(finding, arrival.replay.as_ref()),
            Ok(Content::Summary(summary)) => summary_holds(summary),
            Err(rejected) => rejection_holds(rejected),
        }
        if arrivals.len() == 1 {
            assert_eq!(arrival.source, body, "a dead letter has the original body");
        } else if arrival.source.len() <= MAX_BODY {
            assert_same(arrival, &only(decode(&arrival.source, origin)));
        }
        replay_holds(arrival, origin);
    }
}

/// Ids and names fit where they go, and the finding round-trips.
fn finding_holds(finding: &Finding, replay: Option<&Replay>) {
    let id = finding.finding_id.as_str();
    assert!((1..=128).contains(&id.len()), "{id}");
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{id}");
    assert!(finding.account.len() == 12 && finding.account.bytes().all(|byte| byte.is_ascii_digit()));
    assert!(!finding.region.is_empty() && finding.region.len() <= 32);
    for name in [&finding.check, &finding.reason_code, &finding.resource.kind] {
        assert!((1..=256).contains(&name.chars().count()), "{name}");
    }
    let lock = finding.resource.lock_key(&finding.account, &finding.region);
    for key in [finding.business_key(), finding.resource_key(), lock] {
        assert!((1..=keys::MAX_KEY).contains(&key.len()), "{key}");
    }
    assert!(!finding.resource_id().is_empty());
    let fingerprint = finding.fingerprint();
    assert!(fingerprint.len() == 32 && fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()), "{fingerprint}");

    let native = Finding::from_native(&finding.to_native(), &finding.account, &finding.region);
    assert_eq!(native.as_ref(), Ok(finding), "from its native payload");
    let own = encode_own(finding, replay);
    if own.len() <= MAX_BODY {
        let again = only(decode(&own, &Origin::default()));
        assert_eq!(again.replay.as_ref(), replay, "{own}");
        match again.content {
            Ok(Content::Finding(again)) => {
                assert_eq!(*again, *finding, "from our own envelope");
                assert_eq!(again.fingerprint(), fingerprint);
            }
            other => panic!("{other:?} instead of {finding:?}"),
        }
    }
}

fn summary_holds(summary: &AuditSummary) {
    assert!(summary.account.len() == 12 && !summary.region.is_empty());
    assert!((1..=40).contains(&summary.task_id.len()), "{}", summary.task_id);
    let own = encode_message(Some((&summary.account, &summary.region)), None, &summary.to_native());
    if own.len() <= MAX_BODY {
        assert_eq!(only(decode(&own, &Origin::default())).content, Ok(Content::Summary(summary.clone())));
    }
}

/// All of it fits in the attributes of a dead letter.
fn rejection_holds(rejected: &Rejected) {
    assert!((1..=MAX_SENTENCE).contains(&rejected.message.chars().count()), "{}", rejected.message);
    for name in [&rejected.finding_id, &rejected.check].into_iter().flatten() {
        assert!((1..=256).contains(&name.len()), "{name}");
    }
}

/// A dead letter that is replayed is what it was, with what the replay asks for.
fn replay_holds(arrival: &Arrival, origin: &Origin) {
    let replay =
        Replay { force: true, replay_of: Some("message-1".into()), by: Some("ops".into()), ..Replay::default() };
    let body = encode_replay(&arrival.source, &replay);
    if arrival.content.is_ok() && body.len() <= MAX_BODY {
        let again = only(decode(&body, origin));
        assert_eq!(again.content, arrival.content, "replayed as {body}");
        assert_eq!(again.replay, Some(replay));
    }
}

fn only(mut arrivals: Vec<Arrival>) -> Arrival {
    assert_eq!(arrivals.len(), 1, "{arrivals:?}");
    arrivals.remove(0)
}

/// An entry is the same as a message of its own; only, a refusal may word differently where it stands.
fn assert_same(entry: &Arrival, message: &Arrival) {
    assert_eq!(entry.replay, message.replay);
    match (&entry.content, &message.content) {
        (Err(entry), Err(message)) => assert_eq!(entry.reason, message.reason),
        (entry, message) => assert_eq!(entry, message),
    }
}

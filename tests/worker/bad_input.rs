//! What cannot be understood: one dead letter each, with a reason, and nothing else is stopped by it.

use crate::house::*;
use fleetwarden::finding::{Arrival, Content, Origin, RejectReason, decode};
use fleetwarden::ledger::Status;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The six attributes of every dead letter.
const ATTRIBUTES: [&str; 6] = ["attempts", "checkName", "error", "findingId", "firstSeen", "reason"];

/// Members that nobody reads or that may be anything, by the end of their pointer: AWS may put there what it likes.
const UNREAD: &[&str] = &[
    // SNS
    "/MessageId",
    "/Timestamp",
    "/SignatureVersion",
    "/Signature",
    "/SigningCertURL",
    "/SigningCertUrl",
    "/UnsubscribeURL",
    "/UnsubscribeUrl",
    "/Subject",
    "/MessageAttributes",
    "/SubscribeURL",
    "/Token",
    // the Lambda wrappers
    "/EventSource",
    "/EventVersion",
    "/EventSubscriptionArn",
    "/messageId",
    "/receiptHandle",
    "/attributes",
    "/messageAttributes",
    "/md5OfBody",
    "/eventSource",
    // a kind of resource that this version does not know is kept as it is
    "/someFutureIdentifier",
    // the counts of a summary, which follow from its checks
    "/failedChecksCount",
    "/canceledChecksCount",
    "/nonCompliantChecksCount",
    "/compliantChecksCount",
    "/totalChecksCount",
];

fn here() -> Origin {
    Origin { account: Some(ACCOUNT.into()), region: Some(REGION.into()) }
}

/// Name and text of every fixture.
fn fixtures() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut fixtures: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    fixtures.sort();
    fixtures
}

/// Sends the bodies and works: eight at a time between two good findings, as one receive brings ten. Exactly these bodies are dead
/// letters afterwards, each once and unchanged, with all six attributes and this reason; and every good finding is mitigated.
async fn each_is_one_dead_letter(poison: Vec<(String, RejectReason)>) {
    let house = House::new();
    let mut good = Vec::new();
    for (n, bodies) in (0..).zip(poison.chunks(8)) {
        good.extend([house.device(2 * n), house.device(2 * n + 1)]);
        house.publish(&good[good.len() - 2]).await;
        for (body, _) in bodies {
            house.send(body).await;
        }
        house.publish(&good[good.len() - 1]).await;
    }
    let began = house.clock.now_ms();
    house.work().await;
    assert!(house.queue.contents().is_empty());
    for finding in &good {
        assert_eq!(house.status(finding), Status::Mitigated, "{}", finding.finding_id);
    }
    let mut letters: Vec<_> = house
        .dead
        .contents()
        .into_iter()
        .map(|letter| {
            let names: Vec<_> = letter.attributes.keys().map(String::as_str).collect();
            assert_eq!(names, ATTRIBUTES, "{}", letter.body);
            let attribute = |name: &str| letter.attributes[name].clone();
            assert!(attribute("error").chars().count() > 10, "{:?}", letter.attributes);
            assert_eq!(attribute("attempts"), "0");
            assert!(attribute("firstSeen").parse::<i64>().unwrap() >= began);
            (letter.body.clone(), attribute("reason"))
        })
        .collect();
    let mut expected: Vec<_> = poison.into_iter().map(|(body, reason)| (body, reason.as_str().to_owned())).collect();
    letters.sort();
    expected.sort();
    assert_eq!(letters.len(), expected.len());
    for (letter, expected) in letters.into_iter().zip(expected) {
        assert_eq!(letter, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_body_is_one_dead_letter_and_stops_nothing_else() {
    let mut poison: Vec<_> = ["}{", "no json", "\"", "{\"findingId\":\"half", "\u{1F4A3}", "{}{}", "nul", "NaN"]
        .map(|body| (body.to_owned(), RejectReason::NotJson))
        .into();
    poison.extend(
        ["7", "null", "true", "\"a text\"", "[]", "[{}]"].map(|body| (body.to_owned(), RejectReason::UnknownMessage)),
    );
    // Cut off in the middle, as a sender with too small a buffer would.
    for (_, body) in fixtures() {
        let cut = body.floor_char_boundary(body.len() / 2);
        poison.push((body[..cut].to_owned(), RejectReason::NotJson));
    }
    each_is_one_dead_letter(poison).await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_of_records_is_one_dead_letter_and_stops_nothing_else() {
    let empty = json!({ "Records": [] });
    let inside = json!({ "Type": "Notification", "TopicArn": TOPIC, "Message": empty.to_string() });
    let poison = [empty, inside].map(|body| (body.to_string(), RejectReason::EmptyRecords));
    each_is_one_dead_letter(poison.into()).await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_envelope_is_one_dead_letter_and_stops_nothing_else() {
    let poison = [
        json!({}),
        json!({ "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} }),
        json!({ "Records": [{ "s3": { "bucket": { "name": "b" } } }] }),
        json!({ "Records": [{ "kinesis": { "data": "e30=" } }] }),
        json!({ "Records": {} }),
        json!({ "Type": "Surprise", "TopicArn": TOPIC, "Message": "{}" }),
        json!({ "fleetwarden": { "version": 2 }, "message": {} }),
        json!({ "message": { "findingId": "f" } }),
    ];
    each_is_one_dead_letter(poison.map(|body| (body.to_string(), RejectReason::UnknownMessage)).into()).await;
}

#[tokio::test(start_paused = true)]
async fn a_mebibyte_of_nesting_is_one_dead_letter_and_stops_nothing_else() {
    // Room for the attributes: with them a message may have a mebibyte.
    let size = (1 << 20) - 2048;
    let lists = "[".repeat(size / 2) + &"]".repeat(size / 2);
    let objects = "{\"a\":".repeat(size / 5);
    let text = serde_json::to_string(&"[".repeat(size - 200)).unwrap();
    let inside = format!("{{\"Type\":\"Notification\",\"TopicArn\":\"{TOPIC}\",\"Message\":{text}}}");
    let poison = [lists, objects, "[".repeat(size), inside].map(|body| (body, RejectReason::TooDeep));
    each_is_one_dead_letter(poison.into()).await;
}

/// Every value in `value`, by pointer.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut below = |name: &str, value: &Value| {
        let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        found.push(at.clone());
        pointers(value, &at, found);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| below(name, value)),
        Value::Array(entries) => entries.iter().enumerate().for_each(|(index, value)| below(&index.to_string(), value)),
        _ => {}
    }
}

/// A value of every type but that of `value`.
fn of_other_types(value: &Value) -> Vec<Value> {
    let all = [json!("text"), json!(7), json!(true), json!([7]), json!({ "unexpected": 7 })];
    all.into_iter().filter(|other| std::mem::discriminant(other) != std::mem::discriminant(value)).collect()
}

/// The body with each of its members, and each member of a JSON text inside it, changed to each other type: where, and what came out.
fn mutations(body: &str) -> Vec<(String, String)> {
    let Ok(value) = serde_json::from_str::<Value>(body) else { return Vec::new() };
    let mut all = Vec::new();
    pointers(&value, "", &mut all);
    let mut mutated = Vec::new();
    for pointer in all {
        let old = value.pointer(&pointer).unwrap();
        let mut put = |at: String, new: Value| {
            let mut value = value.clone();
            *value.pointer_mut(&pointer).unwrap() = new;
            mutated.push((at, value.to_string()));
        };
        for new in of_other_types(old) {
            put(pointer.clone(), new);
        }
        if let Some(text) = old.as_str().filter(|text| text.starts_with('{')) {
            for (at, text) in mutations(text) {
                put(format!("{pointer}{at}"), Value::from(text));
            }
        }
    }
    mutated
}

fn reason(arrival: &Arrival) -> Option<RejectReason> {
    arrival.content.as_ref().err().map(|rejected| rejected.reason)
}

#[test]
fn a_wrong_type_in_any_member_that_is_read_is_refused() {
    let mut accepted = Vec::new();
    for (name, body) in fixtures() {
        let entries = decode(&body, &here());
        if entries.iter().any(|entry| entry.content.is_err()) {
            continue;
        }
        for (at, mutated) in mutations(&body) {
            let unread = UNREAD.iter().any(|member| at.ends_with(member) || at.contains(&format!("{member}/")));
            let refused = decode(&mutated, &here()).iter().filter(|arrival| arrival.content.is_err()).count();
            match (unread, refused) {
                (true, 0) | (false, 1) => {}
                (false, 0) => accepted.push(format!("{name}{at}")),
                _ => panic!("{refused} entries of {name} are refused for {at}"),
            }
        }
    }
    assert!(accepted.is_empty(), "accepted are\n{}", accepted.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_wrong_type_in_any_member_is_one_dead_letter_and_stops_nothing_else() {
    for (_, body) in fixtures() {
        let poison: Vec<_> = mutations(&body)
            .into_iter()
            .filter_map(|(_, mutated)| match decode(&mutated, &here()).as_slice() {
                [only] => Some((mutated, reason(only)?)),
                _ => None,
            })
            .collect();
        each_is_one_dead_letter(poison).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_among_good_ones_is_one_dead_letter_whatever_is_wrong_with_it() {
    let house = House::new();
    let good: Vec<_> = (0..3).map(|n| house.device(n)).collect();
    good.iter().for_each(|finding| house.iot.put_finding(finding));
    let body = |n: usize| json!({ "body": fleetwarden::finding::encode_own(&good[n], None) });
    let bad = [json!(7), json!({ "body": 7 }), json!({ "Sns": [] }), json!({ "body": "{}" }), json!(null)];
    let mut records = vec![body(0)];
    records.extend(bad.clone());
    records.extend([body(1), body(2)]);
    house.send(&json!({ "Records": records }).to_string()).await;
    house.work().await;
    assert!(good.iter().all(|finding| house.status(finding) == Status::Mitigated));
    let mut letters: Vec<String> = house.dead.contents().into_iter().map(|letter| letter.body).collect();
    let mut expected = bad.map(|record| json!({ "Records": [record] }).to_string());
    letters.sort();
    expected.sort();
    assert_eq!(letters, expected);
    assert!(letters.iter().all(|letter| !matches!(decode(letter, &here())[0].content, Ok(Content::Finding(_)))));
}

//! SNS's signatures, against notifications that another implementation signed (`fixtures/make.py`).
#![expect(clippy::unwrap_used, reason = "tests")]

use fleetwarden::finding::{Arrival, Content, Origin, Seal, SigningCertificate, decode, decode_sealed, encode_replay};
use fleetwarden::finding::{RejectReason, Replay};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::Path;

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/signatures/fixtures").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn envelope(name: &str) -> Value {
    serde_json::from_str(&fixture(&format!("{name}.json"))).unwrap()
}

fn here() -> Origin {
    Origin { account: Some("123456789012".to_owned()), region: Some("us-east-1".to_owned()) }
}

fn certificate(name: &str) -> SigningCertificate {
    SigningCertificate::from_pem(fixture(name).as_bytes()).unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn only(body: &str) -> Arrival {
    let mut arrivals = decode_sealed(body, &here());
    assert_eq!(arrivals.len(), 1);
    arrivals.remove(0)
}

/// The one signature around the one finding of a message.
fn seal(body: &str) -> Result<Seal, String> {
    let arrival = only(body);
    assert!(matches!(arrival.content, Ok(Content::Finding(_))), "{:?}", arrival.content);
    let [seal] = arrival.seals.as_slice() else { panic!("{} seals", arrival.seals.len()) };
    seal.as_ref().clone()
}

/// What a worker of the account in us-east-1 makes of it.
fn verify(body: &str) -> Result<(), String> {
    let seal = seal(body)?;
    seal.certificate_url(&here())?;
    certificate("signing.pem").verify(&seal, now())
}

#[test]
fn both_versions_are_verified_with_and_without_a_subject() {
    for name in ["version_1", "version_2", "with_subject_1", "with_subject_2"] {
        assert_eq!(verify(&fixture(&format!("{name}.json"))), Ok(()), "{name}");
    }
}

#[test]
fn every_signed_member_is_signed() {
    for name in ["with_subject_1", "with_subject_2"] {
        let tampered = |change: &dyn Fn(&mut Value)| {
            let mut envelope = envelope(name);
            change(&mut envelope);
            verify(&envelope.to_string())
        };
        assert_eq!(tampered(&|_| {}), Ok(()));
        let message = envelope(name)["Message"].as_str().unwrap().replace("ExamplePolicy", "AnotherPolicy");
        let wrong = [
            ("Message", json!(message)),
            ("MessageId", json!("165545c9-2a5c-472c-8df2-7ff2be2b3b1c")),
            ("Subject", json!("another")),
            ("Subject", json!("")),
            ("Subject", Value::Null),
            ("Timestamp", json!("2026-10-01T12:00:01.457Z")),
            ("TopicArn", json!("arn:aws:sns:us-east-1:123456789012:AnotherTopic")),
        ];
        for (member, value) in wrong {
            let said = tampered(&|envelope| envelope[member] = value.clone()).unwrap_err();
            assert!(said.contains("not what SNS signed"), "{name} {member}: {said}");
        }
    }
}

#[test]
fn a_subject_that_was_not_signed_is_noticed() {
    let mut envelope = envelope("version_2");
    envelope["Subject"] = json!("urgent");
    assert!(verify(&envelope.to_string()).is_err());
    envelope["Subject"] = Value::Null;
    assert_eq!(verify(&envelope.to_string()), Ok(()), "as Lambda writes one that is not there");
}

#[test]
fn one_version_is_not_taken_for_the_other() {
    for (name, other) in [("version_1", "2"), ("version_2", "1")] {
        let mut envelope = envelope(name);
        envelope["SignatureVersion"] = json!(other);
        assert!(verify(&envelope.to_string()).is_err(), "{name}");
    }
}

#[test]
fn another_key_or_another_signature_does_not_do() {
    let seal = seal(&fixture("version_2.json")).unwrap();
    assert!(certificate("other_key.pem").verify(&seal, now()).is_err());
    let mut envelope = envelope("version_2");
    for wrong in ["", "AAAA", &"A".repeat(344)] {
        envelope["Signature"] = json!(wrong);
        assert!(verify(&envelope.to_string()).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_missing_or_malformed_is_told_with_its_place() {
    let mut cases = Vec::new();
    for member in ["Signature", "SignatureVersion", "SigningCertURL", "MessageId", "Timestamp", "TopicArn"] {
        cases.push((member, None, member.to_owned()));
    }
    cases.push(("SignatureVersion", Some(json!("3")), "SignatureVersion is neither 1 nor 2".to_owned()));
    cases.push(("SignatureVersion", Some(json!(2)), "SignatureVersion is a number, not a text".to_owned()));
    cases.push(("Signature", Some(json!("signed by nobody!")), "Signature is not a signature in Base64".to_owned()));
    cases.push(("Signature", Some(json!("A".repeat(5000))), "Signature is not a signature in Base64".to_owned()));
    cases.push(("SigningCertURL", Some(json!("x".repeat(300))), "longer than 256 bytes".to_owned()));
    cases.push(("Timestamp", Some(json!(5)), "Timestamp is a number, not a text".to_owned()));
    for (member, value, said) in cases {
        let mut envelope = envelope("version_2");
        match &value {
            Some(value) => envelope[member] = value.clone(),
            None => drop(envelope.as_object_mut().unwrap().remove(member)),
        }
        let error = seal(&envelope.to_string()).unwrap_err();
        assert!(error.contains(&said), "{member} {value:?}: {error}");
    }
}

#[test]
fn a_genuine_signature_of_somebody_elses_topic_does_not_do() {
    for (name, place) in [("foreign_account", "account 999999999999 in us-east-1"), ("foreign_region", "in eu-west-1")]
    {
        let seal = seal(&fixture(&format!("{name}.json"))).unwrap();
        assert_eq!(certificate("signing.pem").verify(&seal, now()), Ok(()), "{name} is signed well");
        let said = seal.certificate_url(&here()).unwrap_err();
        assert!(said.starts_with("TopicArn is a topic of") && said.contains(place), "{said}");
    }
}

#[test]
fn a_topic_is_compared_only_with_what_is_configured() {
    let seal = seal(&fixture("version_2.json")).unwrap();
    for origin in [Origin::default(), Origin { region: None, ..here() }, Origin { account: None, ..here() }] {
        assert!(seal.certificate_url(&origin).unwrap_err().contains("are not configured"));
    }
}

#[test]
fn the_certificate_of_another_region_does_not_do() {
    let mut envelope = envelope("version_2");
    envelope["SigningCertURL"] = json!("https://sns.eu-west-1.amazonaws.com/signing.pem");
    let said = verify(&envelope.to_string()).unwrap_err();
    assert!(said.starts_with("SigningCertURL is not `https://sns.us-east-1.amazonaws.com/<name>.pem`"), "{said}");
}

#[test]
fn a_certificate_is_good_from_its_first_to_its_last_second() {
    let seal = seal(&fixture("version_1.json")).unwrap();
    let at = |time: &str| certificate("signing.pem").verify(&seal, time.parse().unwrap());
    assert!(at("2026-01-01T00:00:00Z").is_ok() && at("2126-01-01T00:00:00Z").is_ok());
    for time in ["2025-12-31T23:59:59Z", "2126-01-01T00:00:01Z"] {
        let said = at(time).unwrap_err();
        assert!(said.contains("valid from 2026-01-01T00:00:00Z to 2126-01-01T00:00:00Z only"), "{said}");
    }
}

#[test]
fn what_cannot_sign_for_sns_is_no_certificate() {
    let read = |text: &str| SigningCertificate::from_pem(text.as_bytes()).unwrap_err();
    assert!(read(&fixture("elliptic_key.pem")).contains("has no RSA key"));
    assert!(read("").contains("not a certificate in PEM"));
    assert!(read("<html></html>").contains("not a certificate in PEM"));
    let key = fixture("signing.pem").replace("CERTIFICATE", "PRIVATE KEY");
    assert!(read(&key).contains("not a certificate in PEM"));
    let cut = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", "A".repeat(64));
    assert!(read(&cut).contains("not an X.509 certificate"));
    // A key that is too short to mean anything verifies nothing.
    let seal = seal(&fixture("version_1.json")).unwrap();
    assert!(certificate("short_key.pem").verify(&seal, now()).is_err());
}

#[test]
fn a_signature_survives_the_envelopes_around_it() {
    let text = fixture("with_subject_2.json");
    let mut lambda = envelope("with_subject_2");
    let members = lambda.as_object_mut().unwrap();
    let url = members.remove("SigningCertURL").unwrap();
    members.insert("SigningCertUrl".to_owned(), url);
    let replay = Replay { id: Some("replay-1".to_owned()), ..Replay::default() };
    let wrapped = [
        ("replay", encode_replay(&text, &replay)),
        ("replay of a replay", encode_replay(&encode_replay(&text, &replay), &replay)),
        ("SNS to Lambda", json!({ "Records": [{ "EventSource": "aws:sns", "Sns": lambda }] }).to_string()),
        ("SQS to Lambda", json!({ "Records": [{ "body": text }] }).to_string()),
        ("reprinted", envelope("with_subject_2").to_string()),
    ];
    for (how, body) in wrapped {
        assert_eq!(verify(&body), Ok(()), "{how}");
        assert_eq!(verify(&only(&body).source), Ok(()), "{how}, as a dead letter");
    }
}

#[test]
fn what_no_topic_wrapped_has_no_signature() {
    let raw =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/finding_iot_policy.json"));
    let raw = raw.unwrap();
    let replay = Replay { id: Some("replay-1".to_owned()), ..Replay::default() };
    let wrapped = json!({ "Records": [{ "body": raw }] }).to_string();
    for body in [raw.clone(), encode_replay(&raw, &replay), wrapped] {
        assert_eq!(only(&body).seals, []);
    }
}

#[test]
fn each_topic_around_a_message_has_its_own_signature() {
    let outer = json!({ "Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:123456789012:outer",
        "Message": fixture("version_2.json") });
    let arrival = only(&outer.to_string());
    let [outer, inner] = arrival.seals.as_slice() else { panic!("{:?}", arrival.seals) };
    assert!(outer.as_ref().as_ref().unwrap_err().contains("nothing that SNS has signed"));
    assert!(inner.is_ok());
}

#[test]
fn all_entries_of_a_signed_bundle_have_its_signature() {
    let arrivals = decode_sealed(&fixture("bundle.json"), &here());
    assert_eq!(arrivals.len(), 2);
    for arrival in arrivals {
        let [seal] = arrival.seals.as_slice() else { panic!("{:?}", arrival.seals) };
        assert_eq!(certificate("signing.pem").verify(seal.as_ref().as_ref().unwrap(), now()), Ok(()));
        // Alone it is not what SNS signed.
        assert!(only(&arrival.source).seals[0].is_err());
    }
}

#[test]
fn no_change_of_one_byte_makes_another_finding_pass() {
    let certificate = certificate("signing.pem");
    for name in ["version_1.json", "with_subject_2.json"] {
        let body = fixture(name).into_bytes();
        let genuine = only(&fixture(name)).content;
        let mut passed = 0;
        for at in 0..body.len() {
            for change in [1, 2, 0x20] {
                let mut changed = body.clone();
                changed[at] ^= change;
                let Ok(changed) = String::from_utf8(changed) else { continue };
                for arrival in decode_sealed(&changed, &here()) {
                    if arrival.content.is_err() {
                        continue;
                    }
                    let [seal] = arrival.seals.as_slice() else { panic!("without its signature: {changed}") };
                    let Ok(seal) = seal.as_ref() else { continue };
                    if seal.certificate_url(&here()).is_ok() && certificate.verify(seal, now()).is_ok() {
                        assert_eq!(arrival.content, genuine, "{changed}");
                        passed += 1;
                    }
                }
            }
        }
        // White space, links, and the name of the certificate are not signed.
        assert!(passed > 0);
    }
}

#[test]
fn signatures_are_read_only_where_they_are_asked_for_and_change_nothing_else() {
    for name in ["version_1.json", "with_subject_2.json", "bundle.json"] {
        let plain = decode(&fixture(name), &here());
        assert!(plain.iter().all(|arrival| arrival.seals.is_empty()));
        let mut sealed = decode_sealed(&fixture(name), &here());
        sealed.iter_mut().for_each(|arrival| arrival.seals.clear());
        assert_eq!(plain, sealed);
    }
}

#[test]
fn a_bad_signature_is_a_reason_to_filter_on() {
    assert!(RejectReason::ALL.contains(&RejectReason::BadSignature));
    assert_eq!(RejectReason::BadSignature.to_string(), "bad_signature");
}

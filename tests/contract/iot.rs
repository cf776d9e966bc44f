//! What every `IotControl` does, whoever serves it. `make` gives a fixture in an account of its own, or one in which nobody else
//! touches the logging options.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::run::unique;
use fleetwarden::aws::{CallError, Class};
use fleetwarden::finding::Finding;
use fleetwarden::mitigation::{IotControl, LoggingOptions};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// More things than one page holds (250).
const MANY_THINGS: usize = 255;

/// More findings than one page holds (250).
const MANY_FINDINGS: usize = 255;

/// The check whose findings are listed.
pub const PERMISSIVE: &str = "IOT_POLICY_OVERLY_PERMISSIVE_CHECK";

/// What that check finds.
const WIDE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;

/// What the cases need and the port does not offer: making resources, and reading state back by another way.
pub trait IotFixture {
    /// The implementation under test.
    type Control: IotControl;
    /// The implementation under test.
    fn control(&self) -> &Self::Control;
    /// Makes an active certificate: its id and its ARN.
    async fn create_certificate(&self) -> (String, String);
    /// The id of an active CA certificate that no other case uses.
    fn ca_certificate(&self) -> &str;
    /// Makes a policy whose version 1 has this document.
    async fn create_policy(&self, name: &str, document: &str);
    /// Makes a thing.
    async fn create_thing(&self, name: &str);
    /// Makes a static thing group.
    async fn create_group(&self, name: &str);
    /// Attaches the certificate to the thing.
    async fn attach(&self, thing: &str, certificate_arn: &str);
    /// Makes a topic: its ARN.
    async fn create_topic(&self, name: &str) -> String;
    /// The certificate's status.
    async fn certificate_status(&self, id: &str) -> String;
    /// The members of a group.
    async fn things_in_group(&self, name: &str) -> Vec<String>;
    /// The id of an audit of [`PERMISSIVE`] alone, which found these policies; the first of them is suppressed.
    async fn audit(&self, policies: &[String]) -> String;
}

/// Runs every case of this file against an implementation; see `run.rs`.
macro_rules! iot_contract {
    ($($implementation:tt)*) => {
        contract_tests!(iot, [
            a_certificate_is_deactivated_and_once_more_changes_nothing,
            a_ca_certificate_is_deactivated_and_once_more_changes_nothing,
            an_unknown_certificate_is_gone,
            an_unknown_ca_certificate_is_gone,
            a_new_default_policy_version_is_in_force_and_the_old_one_is_kept,
            a_sixth_policy_version_is_refused_until_one_is_deleted,
            the_default_policy_version_cannot_be_deleted,
            a_deleted_policy_version_is_gone,
            an_unknown_policy_is_gone,
            a_policy_document_that_is_not_json_is_refused_and_makes_no_version,
            a_thing_joins_groups_and_joining_again_changes_nothing,
            an_unknown_thing_or_group_is_gone,
            the_things_of_a_certificate_are_listed_over_all_pages,
            logging_is_none_until_it_is_set_and_then_reads_as_set,
            an_unknown_audit_finding_is_gone,
            an_audits_findings_are_listed_over_all_pages_suppressed_ones_too_and_marked,
            an_unknown_audit_has_no_findings,
            each_publication_has_its_own_message_id,
            an_unknown_topic_is_gone,
        ], $($implementation)*);
    };
}

#[track_caller]
fn assert_gone<T: std::fmt::Debug>(outcome: Result<T, CallError>) {
    let error = outcome.unwrap_err();
    assert_eq!(error.class, Class::Gone, "{error}");
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, CallError>, code: &str) {
    let error = outcome.unwrap_err();
    assert_eq!((error.class, error.code.as_deref()), (Class::Permanent, Some(code)), "{error}");
}

fn document(topic: &str) -> String {
    let resource = format!("arn:aws:iot:us-east-1:123456789012:topic/{topic}");
    let statement = json!({ "Effect": "Allow", "Action": ["iot:Publish"], "Resource": [resource] });
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

/// A service may format a document anew.
fn parsed(document: &str) -> Value {
    serde_json::from_str(document).unwrap()
}

async fn policy<F: IotFixture>(fixture: &F) -> String {
    let name = unique("policy");
    fixture.create_policy(&name, &document("first")).await;
    name
}

async fn version_ids<F: IotFixture>(fixture: &F, policy: &str) -> BTreeSet<String> {
    let versions = fixture.control().list_policy_versions(policy).await.unwrap();
    versions.into_iter().map(|version| version.id).collect()
}

pub async fn a_certificate_is_deactivated_and_once_more_changes_nothing<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let control = fixture.control();
    let (id, _) = fixture.create_certificate().await;
    let (other, _) = fixture.create_certificate().await;
    assert!(control.describe_certificate(&id).await.unwrap().is_active());
    for _ in 0..2 {
        control.deactivate_certificate(&id).await.unwrap();
        assert_eq!(control.describe_certificate(&id).await.unwrap().status, "INACTIVE");
        assert_eq!(fixture.certificate_status(&id).await, "INACTIVE");
    }
    assert_eq!(fixture.certificate_status(&other).await, "ACTIVE");
}

pub async fn a_ca_certificate_is_deactivated_and_once_more_changes_nothing<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let (control, id) = (fixture.control(), fixture.ca_certificate());
    assert!(control.describe_ca_certificate(id).await.unwrap().is_active());
    for _ in 0..2 {
        control.deactivate_ca_certificate(id).await.unwrap();
        assert_eq!(control.describe_ca_certificate(id).await.unwrap().status, "INACTIVE");
    }
}

pub async fn an_unknown_certificate_is_gone<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let id = "0f".repeat(32);
    assert_gone(fixture.control().describe_certificate(&id).await);
    assert_gone(fixture.control().deactivate_certificate(&id).await);
}

pub async fn an_unknown_ca_certificate_is_gone<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let id = "0f".repeat(32);
    assert_gone(fixture.control().describe_ca_certificate(&id).await);
    assert_gone(fixture.control().deactivate_ca_certificate(&id).await);
}

pub async fn a_new_default_policy_version_is_in_force_and_the_old_one_is_kept<F: IotFixture>(
    make: impl AsyncFn() -> F,
) {
    let fixture = make().await;
    let control = fixture.control();
    let name = policy(&fixture).await;
    let first = control.get_policy(&name).await.unwrap();
    assert_eq!((first.default_version.as_str(), parsed(&first.document)), ("1", parsed(&document("first"))));

    let id = control.create_default_policy_version(&name, &document("second")).await.unwrap().id;
    assert_eq!(id, "2");
    let second = control.get_policy(&name).await.unwrap();
    assert_eq!((second.default_version, parsed(&second.document)), (id.clone(), parsed(&document("second"))));
    let old = control.get_policy_version(&name, "1").await.unwrap();
    assert_eq!(parsed(&old), parsed(&document("first")));
    let versions = control.list_policy_versions(&name).await.unwrap();
    let defaults: Vec<_> = versions.iter().filter(|version| version.is_default).map(|version| &version.id).collect();
    assert_eq!((versions.len(), defaults), (2, vec![&id]));
}

pub async fn a_sixth_policy_version_is_refused_until_one_is_deleted<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let control = fixture.control();
    let name = policy(&fixture).await;
    for number in 2..=5 {
        control.create_default_policy_version(&name, &document(&number.to_string())).await.unwrap();
    }
    let sixth = control.create_default_policy_version(&name, &document("sixth")).await;
    assert_refused(sixth, "VersionsLimitExceededException");
    assert_eq!(control.get_policy(&name).await.unwrap().default_version, "5");

    control.delete_policy_version(&name, "1").await.unwrap();
    let id = control.create_default_policy_version(&name, &document("sixth")).await.unwrap().id;
    assert_eq!(id, "6", "a number is not used twice");
    let expected = ["2", "3", "4", "5", "6"].map(str::to_owned);
    assert_eq!(version_ids(&fixture, &name).await, expected.into());
}

pub async fn the_default_policy_version_cannot_be_deleted<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let name = policy(&fixture).await;
    let default = fixture.control().create_default_policy_version(&name, &document("second")).await.unwrap().id;
    assert_refused(fixture.control().delete_policy_version(&name, &default).await, "DeleteConflictException");
    assert_eq!(version_ids(&fixture, &name).await, ["1", "2"].map(str::to_owned).into());
}

pub async fn a_deleted_policy_version_is_gone<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let control = fixture.control();
    let name = policy(&fixture).await;
    control.create_default_policy_version(&name, &document("second")).await.unwrap();
    control.delete_policy_version(&name, "1").await.unwrap();
    assert_gone(control.delete_policy_version(&name, "1").await);
    assert_gone(control.get_policy_version(&name, "1").await);
    assert_eq!(version_ids(&fixture, &name).await, BTreeSet::from(["2".to_owned()]));
}

pub async fn an_unknown_policy_is_gone<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let control = fixture.control();
    let name = unique("no-policy");
    assert_gone(control.get_policy(&name).await);
    assert_gone(control.list_policy_versions(&name).await);
    assert_gone(control.get_policy_version(&name, "1").await);
    assert_gone(control.create_default_policy_version(&name, &document("first")).await);
    assert_gone(control.delete_policy_version(&name, "1").await);
}

pub async fn a_policy_document_that_is_not_json_is_refused_and_makes_no_version<F: IotFixture>(
    make: impl AsyncFn() -> F,
) {
    let fixture = make().await;
    let name = policy(&fixture).await;
    let outcome = fixture.control().create_default_policy_version(&name, "{ not JSON").await;
    assert_refused(outcome, "MalformedPolicyException");
    assert_eq!(version_ids(&fixture, &name).await, BTreeSet::from(["1".to_owned()]));
}

pub async fn a_thing_joins_groups_and_joining_again_changes_nothing<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let control = fixture.control();
    let (thing, groups) = (unique("thing"), [unique("group"), unique("group")]);
    fixture.create_thing(&thing).await;
    for group in &groups {
        fixture.create_group(group).await;
    }
    assert!(control.list_groups_of_thing(&thing, None).await.unwrap().items.is_empty());
    for group in groups.iter().chain(&groups) {
        control.add_thing_to_group(&thing, group, false).await.unwrap();
    }
    let mut listed = control.list_groups_of_thing(&thing, None).await.unwrap().items;
    listed.sort();
    let mut expected = groups.to_vec();
    expected.sort();
    assert_eq!(listed, expected);
    for group in &groups {
        assert_eq!(fixture.things_in_group(group).await, std::slice::from_ref(&thing));
    }
}

pub async fn an_unknown_thing_or_group_is_gone<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let control = fixture.control();
    let (thing, group) = (unique("thing"), unique("group"));
    fixture.create_thing(&thing).await;
    fixture.create_group(&group).await;
    assert_gone(control.add_thing_to_group(&unique("no-thing"), &group, true).await);
    assert_gone(control.add_thing_to_group(&thing, &unique("no-group"), true).await);
    assert_gone(control.list_groups_of_thing(&unique("no-thing"), None).await);
    assert!(fixture.things_in_group(&group).await.is_empty());
}

pub async fn the_things_of_a_certificate_are_listed_over_all_pages<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let (_, arn) = fixture.create_certificate().await;
    let (_, unattached) = fixture.create_certificate().await;
    let names: BTreeSet<_> = (0..MANY_THINGS).map(|_| unique("thing")).collect();
    // Eight at a time: hundreds of round trips one after another would take a slow peer too long.
    stream::iter(&names)
        .for_each_concurrent(8, |name| {
            let (fixture, arn) = (&fixture, &arn);
            async move {
                fixture.create_thing(name).await;
                fixture.attach(name, arn).await;
            }
        })
        .await;

    let pages = |arn: String| {
        let control = fixture.control();
        stream::try_unfold(Some(None), move |next: Option<Option<String>>| {
            let arn = arn.clone();
            async move {
                let Some(next) = next else { return Ok::<_, CallError>(None) };
                let page = control.list_principal_things(&arn, next).await?;
                Ok(Some((page.items, page.next.map(Some))))
            }
        })
    };
    let listed: Vec<_> = pages(arn).try_concat().await.unwrap();
    assert_eq!(listed.len(), MANY_THINGS, "each thing once");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), names);
    assert_eq!(pages(unattached).try_concat().await.unwrap(), Vec::<String>::new());
}

pub async fn logging_is_none_until_it_is_set_and_then_reads_as_set<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let control = fixture.control();
    assert_eq!(control.get_logging_options().await.unwrap(), None);
    let role_arn = Some("arn:aws:iam::123456789012:role/logging".to_owned());
    for (level, disable_all_logs) in [("ERROR", false), ("ERROR", false), ("DISABLED", true), ("INFO", false)] {
        let options =
            LoggingOptions { role_arn: role_arn.clone(), default_log_level: Some(level.to_owned()), disable_all_logs };
        control.set_logging_options(&options).await.unwrap();
        assert_eq!(control.get_logging_options().await.unwrap(), Some(options));
    }
}

pub async fn an_unknown_audit_finding_is_gone<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let id = unique("finding");
    assert_gone(fixture.control().describe_audit_finding(&id).await);
    assert_gone(fixture.control().list_related_resources(&id, None).await);
}

pub async fn an_audits_findings_are_listed_over_all_pages_suppressed_ones_too_and_marked<F: IotFixture>(
    make: impl AsyncFn() -> F,
) {
    let fixture = make().await;
    let policies: Vec<_> = (0..MANY_FINDINGS).map(|_| unique("policy")).collect();
    for name in &policies {
        fixture.create_policy(name, WIDE).await;
    }
    let task = fixture.audit(&policies).await;
    let (mut findings, mut pages, mut next) = (Vec::new(), 0, None);
    loop {
        let page = fixture.control().list_audit_findings(&task, PERMISSIVE, next).await.unwrap();
        findings.extend(page.items);
        pages += 1;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!((findings.len(), pages), (MANY_FINDINGS, 2), "each once, 250 a page");
    let suppressed: Vec<_> = findings.iter().filter(|finding| finding.suppressed).map(Finding::resource_id).collect();
    assert_eq!(suppressed, [policies[0].as_str()]);
    let found: BTreeSet<_> = findings.iter().map(Finding::resource_id).collect();
    assert_eq!(found, policies.into_iter().collect());
    for finding in [&findings[0], &findings[MANY_FINDINGS - 1]] {
        let alone = fixture.control().describe_audit_finding(&finding.finding_id).await.unwrap();
        assert_eq!(alone.authenticity_digest(), finding.authenticity_digest(), "both calls say the same");
        assert_eq!((alone.suppressed, alone.task_id.as_ref()), (finding.suppressed, Some(&task)));
    }
    let other = fixture.control().list_audit_findings(&task, "DEVICE_CERTIFICATE_SHARED_CHECK", None).await.unwrap();
    assert_eq!((other.items.len(), other.next), (0, None), "of a check that was not audited");
}

pub async fn an_unknown_audit_has_no_findings<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let page = fixture.control().list_audit_findings(&unique("audit"), PERMISSIVE, None).await.unwrap();
    assert_eq!((page.items.len(), page.next), (0, None));
}

pub async fn each_publication_has_its_own_message_id<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let topic = fixture.create_topic(&unique("topic")).await;
    let first = fixture.control().publish(&topic, "{\"text\":\"Grüße & 'quotes'\"}").await.unwrap().id;
    let second = fixture.control().publish(&topic, "{\"text\":\"Grüße & 'quotes'\"}").await.unwrap().id;
    assert!(!first.is_empty() && first != second, "{first} and {second}");
}

pub async fn an_unknown_topic_is_gone<F: IotFixture>(make: impl AsyncFn() -> F) {
    let fixture = make().await;
    let topic = fixture.create_topic(&unique("topic")).await;
    assert_gone(fixture.control().publish(&format!("{topic}-not-there"), "{}").await);
}

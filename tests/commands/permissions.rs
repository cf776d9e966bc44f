//! `fleetwarden policy permissions`, held against what a worker really calls.

use super::bench::Bench;
use fleetwarden::sandbox::iot::defects::Defect;
use serde_json::Value;
use std::collections::BTreeSet;

/// Every action, a rule by thing group, rules that delegate, and quotas from Service Quotas.
const EVERYTHING: &str = "
version: 1
mode: enforce
read_back: true
quotas: service-quotas
rules:
  - name: by-group
    match: { check: [DEVICE_CERTIFICATE_SHARED_CHECK], thing_group: [Nobody] }
    actions: []
  - name: issuers
    match: { check: [INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK] }
    actions: [{ type: UPDATE_DEVICE_CERTIFICATE }]
  - name: shared
    match: { check: [DEVICE_CERTIFICATE_SHARED_CHECK] }
    actions:
      - { type: ADD_THINGS_TO_THING_GROUP, thing_groups: [Quarantine] }
      - { type: UPDATE_DEVICE_CERTIFICATE }
      - { type: PUBLISH_FINDING_TO_SNS, topic_arn: 'TOPIC' }
  - name: authorities
    match: { check: [CA_CERTIFICATE_EXPIRING_CHECK] }
    actions: [{ type: UPDATE_CA_CERTIFICATE }]
  - name: policies
    match: { check: [IOT_POLICY_OVERLY_PERMISSIVE_CHECK] }
    actions: [{ type: REPLACE_DEFAULT_POLICY_VERSION, template: BLANK_POLICY }]
  - name: logging
    match: { check: [LOGGING_DISABLED_CHECK] }
    actions: [{ type: ENABLE_IOT_LOGGING, role_arn: 'arn:aws:iam::123456789012:role/IoTLogging', level: ERROR }]
  - name: delegated
    match: { check: [DEVICE_CERTIFICATE_KEY_QUALITY_CHECK, CA_CERTIFICATE_KEY_QUALITY_CHECK] }
    delegate: [Tell]
";

/// Plants a defect for every rule, audits, and has the audit's summary on the queue.
async fn audited() -> (Bench, String) {
    let bench = Bench::new().await;
    let topic = bench.made.topic_arn.clone().unwrap();
    let iot = &bench.clients.iot;
    let other = bench.clients.sns.create_topic().name("told").send().await.unwrap().topic_arn.unwrap();
    iot.create_thing_group().thing_group_name("Quarantine").send().await.unwrap();
    let tell = ["actions", "create", "Tell", "--type", "PUBLISH_FINDING_TO_SNS", "--topic", &other];
    let role = ["--role", "arn:aws:iam::123456789012:role/Tell"];
    let made = bench.run(&[&tell[..], &role].concat()).await;
    assert_eq!(made.code, 0, "{made:?}");
    for check in [
        "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK",
        "CA_CERTIFICATE_EXPIRING_CHECK",
        "DEVICE_CERTIFICATE_KEY_QUALITY_CHECK",
    ] {
        let defect = Defect { check: check.to_owned(), reason: None, resource: None, devices: None };
        bench.sandbox.iot().with_fleet(|fleet| fleet.plant_defect(&defect).unwrap());
    }
    // A policy whose versions are all taken: the oldest has to go.
    let versions = iot.list_policy_versions().policy_name("ExamplePolicy").send().await.unwrap();
    for _ in versions.policy_versions.unwrap().len()..5 {
        let create = iot.create_policy_version().policy_name("ExamplePolicy");
        let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
        create.policy_document(document).send().await.unwrap();
    }
    bench.sandbox.iot().with_fleet(|fleet| fleet.enable_audits(Some(&topic)));
    let audit = bench.run(&["audit", "start", "--all-enabled", "--wait"]).await;
    assert_eq!(audit.code, 0, "{audit:?}");
    let policy = bench.file("policy.yaml", &EVERYTHING.replace("TOPIC", &other));
    (bench, policy)
}

/// The actions that a document allows.
fn allowed(document: &str) -> BTreeSet<String> {
    let document: Value = serde_json::from_str(document).unwrap();
    let statements = document["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_worker_calls_nothing_that_the_listed_permissions_do_not_allow_and_nearly_all_that_they_do() {
    for mode in ["observe", "enforce"] {
        let (bench, policy) = audited().await;
        let listed = bench.run(&["policy", "permissions", &policy, "--mode", mode, "--output", "json"]).await;
        assert_eq!(listed.code, 0, "{listed:?}");
        let allowed = allowed(&listed.out);

        let before = bench.sandbox.permissions();
        let ran = bench.run(&["run", "--policy", &policy, "--mode", mode, "--until-empty"]).await;
        assert_eq!((ran.code, bench.depths().await), (0, (0, 0)), "{ran:?}");
        let after = bench.sandbox.permissions();
        let called = after.iter().filter(|(action, count)| before.get(*action) != Some(count));
        let called: BTreeSet<String> = called.map(|(action, _)| action.clone()).collect();

        let forbidden: Vec<_> = called.difference(&allowed).collect();
        assert!(forbidden.is_empty(), "{mode}: called, but not listed: {forbidden:?}");
        let unused: Vec<_> = allowed.difference(&called).map(String::as_str).collect();
        // Messages are parked, and an existing claim is read, only where workers meet or tasks take their time.
        let meeting = ["dynamodb:BatchGetItem", "sqs:ChangeMessageVisibility"];
        let expected: &[&str] = match mode {
            // It is SetV2LoggingOptions that passes a role; executions are listed of tasks that failed in part.
            "enforce" => &["iam:PassRole", "iot:ListAuditMitigationActionsExecutions"],
            // Nothing was handed over by an earlier run.
            _ => &[
                "iot:DescribeAuditMitigationActionsTask",
                "iot:DescribeMitigationAction",
                "iot:ListAuditMitigationActionsExecutions",
            ],
        };
        let unused: Vec<_> = unused.into_iter().filter(|action| !meeting.contains(action)).collect();
        assert_eq!(unused, expected, "{mode}: listed, but not called");
    }
}

#[tokio::test]
async fn without_a_worker_or_an_account_the_list_is_told_with_gaps_and_a_document_is_refused() {
    let bench = Bench::new().await;
    let policy =
        bench.file("policy.yaml", EVERYTHING.replace("TOPIC", "arn:aws:sns:us-east-1:123456789012:t").as_str());
    let command = |arguments: &[&str]| {
        let mut command = bench.command();
        command.env_remove("FLEETWARDEN_QUEUE_URL").env_remove("FLEETWARDEN_DEAD_LETTER_QUEUE_URL");
        command.args(["policy", "permissions", &policy]).args(arguments);
        command
    };
    let table = super::bench::ran(&mut command(&[])).await;
    assert_eq!(table.code, 0, "{table:?}");
    assert!(table.out.contains("arn:aws:iot:us-east-1:ACCOUNT:cert/*"), "{}", table.out);
    assert!(table.out.contains("rule issuers"), "{}", table.out);
    for refused in [&["--output", "json"][..], &["--parameters"]] {
        let refused = super::bench::ran(&mut command(refused)).await;
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.err.contains("give --account (12 digits), or --queue-url"), "{refused:?}");
    }
    let parameters = super::bench::ran(&mut command(&["--parameters", "--account", "123456789012"])).await;
    assert_eq!(parameters.code, 0, "{parameters:?}");
    let expected = "DelegateActionArns=arn:aws:iot:us-east-1:123456789012:mitigationaction/Tell\n";
    assert!(parameters.out.contains(expected), "{}", parameters.out);
    let elsewhere = ["--queue-url", "https://sqs.eu-west-1.amazonaws.com/210987654321/q", "--output", "json"];
    let elsewhere = super::bench::ran(command(&elsewhere).env_remove("AWS_REGION")).await;
    assert_eq!(elsewhere.code, 0, "{elsewhere:?}");
    assert!(elsewhere.out.contains("arn:aws:sqs:eu-west-1:210987654321:q"), "{}", elsewhere.out);
    assert!(elsewhere.out.contains("arn:aws:dynamodb:eu-west-1:210987654321:table/fleetwarden"), "{}", elsewhere.out);
    let wrong = super::bench::ran(&mut command(&["--queue-url", "q"])).await;
    assert!(wrong.code == 2 && wrong.err.contains("--queue-url is \"q\"; write the URL of a queue"), "{wrong:?}");
}

//! `fleetwarden actions`: Device Defender's own mitigation actions, from the role to the deletion.

use super::bench::*;
use fleetwarden::sandbox::iot::{FaultKind, FaultRule, Faults};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::123456789012:role/MitigationRole";
const LOGGING_ROLE: &str = "arn:aws:iam::123456789012:role/IoTLogging";
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:DeviceDefenderFindings";

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// `actions create NAME` with these arguments, then `--role` and `--output json`.
async fn create(bench: &Bench, name: &str, arguments: &[&str]) -> Ran {
    let head = ["actions", "create", name, "--role", ROLE, "--output", "json", "--type"];
    bench.run(&[&head[..], arguments].concat()).await
}

fn refused(ran: &Ran, fragments: &[&str]) {
    assert_eq!(ran.code, 2, "{ran:?}");
    for fragment in fragments {
        assert!(ran.err.contains(fragment), "`{fragment}` is not in: {}", ran.err);
    }
}

fn calls(bench: &Bench, operation: &str) -> u64 {
    bench.sandbox.iot().calls().get(operation).map_or(0, |count| count.ok + count.throttled + count.failed)
}

#[tokio::test]
async fn all_six_types_are_made_with_the_request_bodies_that_aws_documents() {
    let bench = Bench::new().await;
    let documented: Value =
        serde_json::from_str(include_str!("../fixtures/api_CreateMitigationAction_request_bodies.json")).unwrap();
    let cases: [(&str, &[&str]); 6] = [
        ("UPDATE_DEVICE_CERTIFICATE", &[]),
        ("UPDATE_CA_CERTIFICATE", &[]),
        ("ADD_THINGS_TO_THING_GROUP", &["--group", "Quarantine", "--override-dynamic-groups"]),
        ("REPLACE_DEFAULT_POLICY_VERSION", &["--template", "BLANK_POLICY"]),
        ("ENABLE_IOT_LOGGING", &["--level", "ERROR", "--logging-role", LOGGING_ROLE]),
        ("PUBLISH_FINDING_TO_SNS", &["--topic", TOPIC]),
    ];
    for (kind, arguments) in cases {
        let ran = create(&bench, kind, &[&[kind], arguments].concat()).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let made = json(&ran);
        assert_eq!((&made["outcome"], &made["type"]), (&json!("created"), &json!(kind)));
        let known = bench.sandbox.iot().with_fleet(|fleet| fleet.mitigation_action(kind).unwrap().clone());
        assert_eq!(known.params, documented[kind]["actionParams"], "{kind}");
        assert_eq!(known.role_arn, documented[kind]["roleArn"], "{kind}");
    }
    let listed = bench.run(&["actions", "list", "--output", "json"]).await;
    let listed = json(&listed);
    assert_eq!(listed.as_array().unwrap().len(), 6);
    for action in listed.as_array().unwrap() {
        assert_eq!(action["name"], action["type"], "each was named after its type");
        assert!(!action["checks"].as_array().unwrap().is_empty());
    }
    let one = bench.run(&["actions", "list", "--type", "ENABLE_IOT_LOGGING"]).await;
    assert!(one.out.contains("LOGGING_DISABLED_CHECK") && one.out.contains("1 mitigation action"), "{one:?}");
    let shown = bench.run(&["actions", "show", "ENABLE_IOT_LOGGING"]).await;
    assert!(shown.out.contains(LOGGING_ROLE) && shown.out.contains("ERROR"), "{shown:?}");
}

#[tokio::test]
async fn an_action_that_is_there_as_described_is_done_and_one_that_differs_is_refused_with_what_differs() {
    let bench = Bench::new().await;
    let groups = ["ADD_THINGS_TO_THING_GROUP", "--group", "A,B"];
    assert_eq!(create(&bench, "Quarantine", &groups).await.code, 0);
    let again = create(&bench, "Quarantine", &["ADD_THINGS_TO_THING_GROUP", "--group", "B", "--group", "A"]).await;
    assert_eq!((again.code, &json(&again)["outcome"]), (0, &json!("already there")), "{again:?}");
    let other = create(&bench, "Quarantine", &["ADD_THINGS_TO_THING_GROUP", "--group", "A"]).await;
    refused(&other, &["its groups are A, B, not A", "fleetwarden actions update Quarantine"]);
    let retyped = create(&bench, "Quarantine", &["UPDATE_CA_CERTIFICATE"]).await;
    refused(&retyped, &["its type is ADD_THINGS_TO_THING_GROUP", "fleetwarden actions delete Quarantine"]);
    assert_eq!(calls(&bench, "CreateMitigationAction"), 1);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once_and_before_any_call() {
    let bench = Bench::new().await;
    let wrong: [(&str, &[&str], &[&str]); 9] = [
        ("bad name", &["UPDATE_CA_CERTIFICATE", "--topic", "x"], &["`bad name` is no name", "--topic is for PUBLISH"]),
        ("N", &["ADD_THINGS_TO_THING_GROUP"], &["needs --group", "--group Quarantine"]),
        ("N", &["ADD_THINGS_TO_THING_GROUP", "--group", "a b,c,c"], &["`a b` is no name of a thing group", "twice"]),
        ("N", &["ADD_THINGS_TO_THING_GROUP", "--group", "1,2,3,4,5,6,7,8,9,10,11"], &["names 11", "10 at most"]),
        ("N", &["ENABLE_IOT_LOGGING", "--level", "DISABLED"], &["needs --logging-role", "would turn logging off"]),
        ("N", &["ENABLE_IOT_LOGGING", "--logging-role", "x"], &["--logging-role `x`", "needs --level"]),
        ("N", &["PUBLISH_FINDING_TO_SNS", "--topic", "arn:aws:sqs:us-east-1:123456789012:Q"], &["standard topic"]),
        ("N", &["REPLACE_DEFAULT_POLICY_VERSION", "--template", "MINE"], &["BLANK_POLICY"]),
        ("N", &["SHUT_DOWN"], &["`SHUT_DOWN` is no action type", "UPDATE_DEVICE_CERTIFICATE"]),
    ];
    for (name, arguments, fragments) in wrong {
        refused(&create(&bench, name, arguments).await, fragments);
    }
    let logging = ["ENABLE_IOT_LOGGING", "--level", "INFO", "--logging-role", "arn:aws:iam::999999999999:role/L"];
    refused(&create(&bench, "N", &logging).await, &["account 123456789012", "account 999999999999"]);
    let no_role = bench.run(&["actions", "create", "N", "--type", "UPDATE_CA_CERTIFICATE"]).await;
    refused(&no_role, &["needs --role", "--print-role"]);
    let role = ["actions", "create", "N", "--type", "UPDATE_CA_CERTIFICATE", "--role", "MitigationRole"];
    refused(&bench.run(&role).await, &["--role `MitigationRole` is not the ARN of a role"]);
    refused(&bench.run(&["actions", "update", "N"]).await, &["nothing is to be changed"]);
    let called = bench.sandbox.iot().calls();
    assert!(called.is_empty(), "{called:?}");
}

#[tokio::test]
async fn the_printed_role_can_be_made_as_it_is_and_nothing_is_created() {
    let bench = Bench::new().await;
    let print = |more: &[&'static str]| {
        [&["actions", "create", "Publish", "--type", "PUBLISH_FINDING_TO_SNS", "--topic", TOPIC, "--print-role"], more]
            .concat()
    };
    let ran = bench.run(&print(&["--output", "json"])).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let role = json(&ran);
    assert_eq!(role["permissionsPolicy"]["Statement"][0]["Resource"], TOPIC);
    assert_eq!(role["trustPolicy"]["Statement"][0]["Principal"]["Service"], "iot.amazonaws.com");
    let commands: Vec<&str> = role["commands"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    // A shell gives each command its documents whole.
    for (command, document) in commands.iter().zip([&role["trustPolicy"], &role["permissionsPolicy"]]) {
        let shell = tokio::process::Command::new("sh")
            .args(["-c", &command.replacen("aws ", "printf '%s\\n' ", 1)])
            .output()
            .await
            .unwrap();
        let words = String::from_utf8(shell.stdout).unwrap();
        let given: Value = serde_json::from_str(words.lines().last().unwrap()).unwrap();
        assert_eq!(given, *document);
    }
    // The last one makes the action, with this program.
    let arguments: Vec<&str> = commands[2].split(' ').skip(1).collect();
    assert_eq!(calls(&bench, "CreateMitigationAction"), 0);
    let made = bench.run(&arguments).await;
    assert_eq!(made.code, 0, "{made:?}");
    let table = bench.run(&print(&[])).await;
    assert!(table.out.contains("aws iam create-role --role-name Fleetwarden-Publish "), "{table:?}");
    let unknown = ["actions", "create", "N", "--type", "UPDATE_CA_CERTIFICATE", "--print-role"];
    refused(&bench.run(&unknown).await, &["say --account, 12 digits"]);
    let told = [&unknown[..], &["--account", "12"]].concat();
    refused(&bench.run(&told).await, &["an account id has 12 digits"]);
}

#[tokio::test]
async fn an_update_changes_what_it_says_and_keeps_the_rest() {
    let bench = Bench::new().await;
    let logging = ["ENABLE_IOT_LOGGING", "--level", "ERROR", "--logging-role", LOGGING_ROLE];
    assert_eq!(create(&bench, "Log", &logging).await.code, 0);
    let ran = bench.run(&["actions", "update", "Log", "--level", "WARN", "--output", "json"]).await;
    assert_eq!((ran.code, &json(&ran)["outcome"]), (0, &json!("updated")), "{ran:?}");
    let expected = json!({ "enableIoTLoggingParams": { "roleArnForLogging": LOGGING_ROLE, "logLevel": "WARN" } });
    let known = bench.sandbox.iot().with_fleet(|fleet| fleet.mitigation_action("Log").unwrap().params.clone());
    assert_eq!(known, expected);
    let same = bench.run(&["actions", "update", "Log", "--level", "WARN"]).await;
    assert!(same.code == 0 && same.out.contains("like that already"), "{same:?}");
    assert_eq!(calls(&bench, "UpdateMitigationAction"), 1);
    let topic = bench.run(&["actions", "update", "Log", "--topic", TOPIC]).await;
    refused(&topic, &["--topic is for PUBLISH_FINDING_TO_SNS; leave it out for ENABLE_IOT_LOGGING"]);
    refused(&bench.run(&["actions", "update", "Nope", "--level", "WARN"]).await, &["no mitigation action Nope"]);
}

#[tokio::test]
async fn a_deletion_is_asked_about_and_without_anybody_to_ask_nothing_is_deleted() {
    let bench = Bench::new().await;
    assert_eq!(create(&bench, "Deactivate", &["UPDATE_DEVICE_CERTIFICATE"]).await.code, 0);
    refused(&bench.run(&["actions", "delete", "Deactivate"]).await, &["add --yes"]);
    assert_eq!(calls(&bench, "DeleteMitigationAction"), 0);
    assert_eq!(bench.run(&["actions", "delete", "Deactivate", "--yes"]).await.code, 0);
    refused(&bench.run(&["actions", "delete", "Deactivate", "--yes"]).await, &["no mitigation action Deactivate"]);
    refused(&bench.run(&["actions", "show", "Deactivate"]).await, &["no mitigation action Deactivate"]);
}

#[tokio::test]
async fn an_account_that_is_full_is_told_with_what_to_do() {
    let bench = Bench::new().await;
    let params = json!({ "updateCACertificateParams": { "action": "DEACTIVATE" } });
    bench.sandbox.iot().with_fleet(|fleet| {
        for n in 0..100 {
            fleet.create_mitigation_action(&format!("action-{n}"), ROLE, &params).unwrap();
        }
    });
    let ran = create(&bench, "OneMore", &["UPDATE_CA_CERTIFICATE"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("LimitExceededException") && ran.err.contains("at most 100"), "{ran:?}");
    // A hundred actions are listed with their types in seven calls.
    let listed = bench.run(&["actions", "list", "--output", "json"]).await;
    let listed = json(&listed);
    assert_eq!(listed.as_array().unwrap().len(), 100);
    assert!(listed.as_array().unwrap().iter().all(|action| action["type"] == "UPDATE_CA_CERTIFICATE"));
    assert_eq!(calls(&bench, "ListMitigationActions"), 7);
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_read_back_and_not_repeated() {
    let bench = Bench::new().await;
    let lost = |operation| FaultRule::new(operation, 1.0, FaultKind::LostReply).times(1);
    bench.sandbox.iot().set_faults(Faults { seed: 1, rules: vec![lost("CreateMitigationAction")] });
    let ran = create(&bench, "Deactivate", &["UPDATE_DEVICE_CERTIFICATE"]).await;
    assert_eq!((ran.code, &json(&ran)["outcome"]), (0, &json!("created")), "{ran:?}");
    assert_eq!(calls(&bench, "CreateMitigationAction"), 1);
    bench.sandbox.iot().set_faults(Faults { seed: 1, rules: vec![lost("DeleteMitigationAction")] });
    let ran = bench.run(&["actions", "delete", "Deactivate", "--yes"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    // Denied is told with what to do, and throttles pass.
    let throttled = FaultRule::new("ListMitigationActions", 1.0, FaultKind::Throttled).times(1);
    bench.sandbox.iot().set_faults(Faults { seed: 1, rules: vec![throttled] });
    assert_eq!(bench.run(&["actions", "list"]).await.code, 0);
    let denied = FaultRule::new("ListMitigationActions", 1.0, FaultKind::Denied);
    bench.sandbox.iot().set_faults(Faults { seed: 1, rules: vec![denied] });
    let ran = bench.run(&["actions", "list"]).await;
    assert!(ran.code == 1 && ran.err.contains("allow these credentials to call ListMitigationActions"), "{ran:?}");
}

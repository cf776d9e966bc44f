//! `replay`, as a person runs it after a bad deployment.

use super::bench::Bench;
use fleetwarden::clock::Clock;
use fleetwarden::sandbox::iot::seed;
use serde_json::{Value, json};
use std::process::Stdio;

/// A bad deployment: the group does not exist.
const BROKEN: &str = "
version: 1
mode: enforce
rules:
  - name: quarantine
    match: { check: [DEVICE_CERTIFICATE_SHARED_CHECK] }
    actions:
      - { type: ADD_THINGS_TO_THING_GROUP, thing_groups: [NoSuchGroup] }
";

const MENDED: &str = "
version: 1
mode: enforce
rules:
  - name: quarantine
    match: { check: [DEVICE_CERTIFICATE_SHARED_CHECK] }
    actions:
      - { type: UPDATE_DEVICE_CERTIFICATE }
";

const SHARED: &str = "DEVICE_CERTIFICATE_SHARED_CHECK";

/// The findings of an audit of a fleet with defects, on the queue; their ids.
async fn audit(bench: &Bench) -> Vec<String> {
    let iot = &bench.clients.iot;
    bench.sandbox.iot().with_fleet(|fleet| drop(seed::defective_fleet(fleet, 30, 7)));
    let task = iot.start_on_demand_audit_task().target_check_names(SHARED).send().await.unwrap().task_id.unwrap();
    let running = async || iot.describe_audit_task().task_id(&task).send().await.unwrap().task_status.unwrap();
    while running().await.as_str() != "COMPLETED" {
        tokio::task::yield_now().await;
    }
    let listed = iot.list_audit_findings().task_id(&task).max_results(250).send().await.unwrap();
    let findings = listed.findings.unwrap();
    let ids = findings.iter().map(|finding| finding.finding_id.clone().unwrap()).collect();
    let details = json!([{ "checkName": SHARED, "checkRunStatus": "COMPLETED_NON_COMPLIANT",
        "nonCompliantResourcesCount": findings.len(), "totalResourcesCount": findings.len() }]);
    let summary = json!({
        "accountId": "123456789012", "taskId": task, "taskStatus": "COMPLETED", "taskType": "ON_DEMAND_AUDIT_TASK",
        "failedChecksCount": 0, "canceledChecksCount": 0, "nonCompliantChecksCount": 1, "compliantChecksCount": 0,
        "totalChecksCount": 1, "taskStartTime": Clock::system().now_ms(), "auditDetails": details });
    bench.publish(&summary.to_string()).await;
    ids
}

async fn document(bench: &Bench, arguments: &[&str]) -> Value {
    let ran = bench.run(&[arguments, &["--output", "json"]].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

async fn work(bench: &Bench, policy: &str) -> Value {
    document(bench, &["run", "--until-empty", "--policy", policy]).await["counts"].take()
}

#[tokio::test]
async fn what_a_bad_deployment_gave_up_is_replayed_and_mitigated_when_the_policy_is_mended() {
    let bench = Bench::new().await;
    let (broken, mended) = (bench.file("broken.yaml", BROKEN), bench.file("mended.yaml", MENDED));
    let findings = audit(&bench).await;
    let n = findings.len();
    assert!(n > 6, "{n}");
    assert_eq!(work(&bench, &broken).await["dead"], n);
    assert_eq!(bench.depths().await, (0, n as i64));

    let plan = document(&bench, &["replay", "dlq", "--dry-run"]).await;
    let group = json!({ "reason": "no_such_thing_group", "check": SHARED, "messages": n });
    assert_eq!((&plan["chosen"], &plan["sent"], &plan["groups"]), (&json!(n), &json!(0), &json!([group])));
    let table = bench.run(&["replay", "dlq", "--dry-run"]).await;
    assert!(table.out.contains("no_such_thing_group") && table.out.contains("would go"), "{table:?}");
    assert_eq!(bench.depths().await, (0, n as i64), "looked at, and nothing else");

    let asked = bench.run(&["replay", "dlq"]).await;
    assert_eq!(asked.code, 2, "{asked:?}");
    assert!(asked.err.contains("--yes"), "{asked:?}");
    let none = document(&bench, &["replay", "dlq", "--reason", "not_json"]).await;
    assert_eq!((&none["sent"], &none["lookedAt"]), (&json!(0), &json!(n)));
    let one = bench.file("ids.txt", &format!("# the first\n{}\n", findings[0]));
    let one = document(&bench, &["replay", "dlq", "--ids-from", &one, "--by", "ops"]).await;
    assert_eq!((&one["sent"], &one["by"]), (&json!(1), &json!("ops")));
    assert_eq!(bench.depths().await, (1, n as i64 - 1));

    let ran = bench.run(&["replay", "dlq", "--yes", "--id", "second-chance"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains(&format!("{0} of {0} letters sent", n - 1)), "{ran:?}");
    assert!(ran.out.contains("replay second-chance"), "{ran:?}");
    assert_eq!(work(&bench, &mended).await["mitigated"], n);
    assert_eq!(bench.depths().await, (0, 0));

    let shown = document(&bench, &["findings", "show", &findings[1]]).await;
    assert_eq!((&shown["status"], &shown["replayed"]["times"]), (&json!("mitigated"), &json!(1)));
    assert_eq!(shown["replayed"]["id"], "second-chance");
    assert!(shown["replayed"]["of"].is_string() && shown["replayed"]["at"].is_string(), "{shown}");
    let shown = bench.run(&["findings", "show", &findings[0]]).await;
    assert!(shown.out.contains("replayed") && shown.out.contains("by ops"), "{shown:?}");
}

#[tokio::test]
async fn a_replay_that_is_interrupted_says_how_to_go_on_and_hides_nothing() {
    let bench = Bench::new().await;
    let (broken, mended) = (bench.file("broken.yaml", BROKEN), bench.file("mended.yaml", MENDED));
    let n = audit(&bench).await.len() as i64;
    work(&bench, &broken).await;
    let replay = ["replay", "dlq", "--yes", "--rate", "1", "--id", "r-1"];
    let child = bench.command().args(replay).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id().unwrap().to_string();
    while bench.depths().await.0 < 2 {
        tokio::task::yield_now().await;
    }
    assert!(tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("go on with --id r-1"), "{ended:?}");
    let (sent, left) = bench.depths().await;
    assert_eq!(sent + left, n);

    let rest = document(&bench, &["replay", "dlq", "--yes", "--id", "r-1"]).await;
    assert_eq!((&rest["sent"], &rest["ended"]), (&json!(left), &json!("done")), "nothing was left hidden");
    assert_eq!(work(&bench, &mended).await["mitigated"], n);
    assert_eq!(bench.depths().await, (0, 0));
}

#[tokio::test]
async fn observed_findings_are_replayed_from_the_ledger_into_a_policy_that_acts() {
    let bench = Bench::new().await;
    let mended = bench.file("mended.yaml", MENDED);
    let n = audit(&bench).await.len();
    let observed = document(&bench, &["run", "--until-empty", "--policy", &mended, "--mode", "observe"]).await;
    assert_eq!(observed["counts"]["observed"], n);
    let replay = ["replay", "ledger", "--status", "observed", "--check", SHARED, "--since", "1h"];
    assert_eq!(document(&bench, &[&replay[..], &["--dry-run"]].concat()).await["chosen"], n);
    let replayed = document(&bench, &[&replay[..], &["--yes", "--id", "r-1"]].concat()).await;
    assert_eq!((&replayed["sent"], &replayed["ended"]), (&json!(n), &json!("done")));
    assert_eq!(work(&bench, &mended).await["mitigated"], n);

    let mitigated = ["replay", "ledger", "--status", "mitigated", "--yes"];
    let skipped = document(&bench, &mitigated).await;
    assert_eq!((&skipped["sent"], &skipped["skipped"]["mitigated"]), (&json!(0), &json!(n)));
    let resumed = document(&bench, &[&mitigated[..], &["--force", "--id", "r-1"]].concat()).await;
    assert_eq!((&resumed["sent"], &resumed["skipped"]["replayedAlready"]), (&json!(0), &json!(n)));
}

#[tokio::test]
async fn everything_may_be_moved_back_by_sqs_itself() {
    let bench = Bench::new().await;
    let (broken, mended) = (bench.file("broken.yaml", BROKEN), bench.file("mended.yaml", MENDED));
    let findings = audit(&bench).await;
    work(&bench, &broken).await;
    let moved = document(&bench, &["replay", "dlq", "--all", "--native", "--yes", "--rate", "500"]).await;
    assert_eq!((&moved["moved"], &moved["ended"]), (&json!(findings.len()), &json!("completed")));
    assert_eq!(work(&bench, &mended).await["mitigated"], findings.len());
    let shown = document(&bench, &["findings", "show", &findings[0]]).await;
    assert_eq!(shown["replayed"]["of"], "dead-letter queue");
}

#[tokio::test]
async fn a_replay_says_what_is_wrong_with_its_arguments_before_it_touches_anything() {
    let bench = Bench::new().await;
    let dead_letters = bench.made.dead_letter_queue_url.as_str();
    let ids = bench.file("ids.txt", "fine-1\nnot an id\n");
    for (arguments, sentence) in [
        (&["replay", "dlq", "--ids-from", ids.as_str()][..], "line 2 is not a finding id"),
        (&["replay", "dlq", "--ids-from", "/no/such/file"], "cannot read --ids-from"),
        (&["replay", "dlq", "--since", "yesterday"], "2h for two hours ago"),
        (&["replay", "dlq", "--native"], "--all"),
        (&["replay", "dlq", "--all", "--native", "--rate", "501"], "at most 500"),
        (&["replay", "dlq", "--all", "--check", SHARED], "cannot be used with"),
        (&["replay", "ledger", "--status", "claimed"], "in hand"),
        (&["replay", "ledger", "--status", "lost"], "write one of dead"),
        (&["replay", "dlq", "--queue-url", "http://127.0.0.1:1/no/such"], "--queue-url"),
        (&["replay", "dlq", "--dead-letter-queue-url", &bench.made.queue_url], "name two queues"),
        (
            &["replay", "dlq", "--queue-url", dead_letters, "--dead-letter-queue-url", &bench.made.queue_url],
            "is not a dead-letter queue",
        ),
    ] {
        let ran = bench.run(arguments).await;
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains(sentence), "{ran:?}");
    }
}

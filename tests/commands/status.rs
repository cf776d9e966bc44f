//! What `status` tells of the fleet.

use super::bench::{Bench, ENFORCE};
use super::stopping::{Load, Process};
use fleetwarden::budget::{Operation, timeline_key};
use fleetwarden::clock::Clock;
use fleetwarden::ledger::{Calls, Change, Changed, DynamoLedger, Presence, Timelines, WorkerHealth, WorkerNote};
use fleetwarden::sandbox::{AwsFaults, AwsService, ServiceFaults};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

const HOUR: i64 = 3_600_000_000;

/// A timeline in the table, reserved and then cut at those times, to those rates.
async fn seed(bench: &Bench, operation: Operation, at: i64, cuts: &[(i64, f64)]) {
    let ledger = DynamoLedger::new(bench.clients.dynamodb.clone(), &bench.made.table);
    let key = timeline_key("us-east-1", operation);
    let started = ledger.change(&key, Change::Start { seen: None, to: at + 1_000_000 }, at).await.unwrap();
    assert_eq!(started, Changed::From(None));
    for (count, (at, rate)) in cuts.iter().enumerate() {
        let cut = Change::Cut { rate: *rate, at: *at, cuts: count as u64 };
        assert!(matches!(ledger.change(&key, cut, *at).await.unwrap(), Changed::From(Some(_))));
    }
}

async fn status(bench: &Bench) -> Value {
    let ran = bench.run(&["status", "--output", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

/// What a worker says that is well.
fn note(id: &str, seen_at: i64) -> WorkerNote {
    WorkerNote {
        id: id.to_owned(),
        version: "0.1.0".to_owned(),
        mode: "observe".to_owned(),
        policy: None,
        started_at: seen_at,
        seen_at,
        every: 20_000,
        health: WorkerHealth::Well,
        in_flight: 0,
        finished: 0,
        oldest_message: None,
        calls: BTreeMap::new(),
    }
}

/// The table's row that begins with this cell.
fn row<'a>(out: &'a str, first: &str) -> Option<Vec<&'a str>> {
    let rows = out.lines().map(|line| line.split(['│', '┆']).map(str::trim).filter(|cell| !cell.is_empty()).collect());
    rows.into_iter().find(|cells: &Vec<&str>| cells.first() == Some(&first))
}

#[tokio::test]
async fn status_shows_the_budgets_that_the_fleet_uses_how_they_were_cut_and_what_is_in_force() {
    let bench = Bench::new().await;
    let now = Clock::system().now().as_microsecond();
    // The fleet's clock is that of its fastest worker, here an hour ahead: nothing recovers while this test runs.
    let ahead = now + HOUR;
    seed(&bench, Operation::UpdateCertificate, ahead - 9_000_000, &[(ahead - 2_000_000, 0.7), (ahead, 0.49)]).await;
    seed(&bench, Operation::GetPolicy, now - 2 * HOUR, &[(now - HOUR, 0.7)]).await;
    seed(&bench, Operation::DescribeAuditFinding, now, &[]).await;

    let time = |at: i64| jiff::Timestamp::from_microsecond(at).unwrap();
    // Two workers, each with its part of what is used.
    let ledger = DynamoLedger::new(bench.clients.dynamodb.clone(), &bench.made.table);
    for (id, per_second) in [("one", 2.0), ("two", 1.5)] {
        let calls = BTreeMap::from([("UpdateCertificate".to_owned(), Calls { per_second, budget: 8.0 })]);
        ledger.announce(&WorkerNote { calls, ..note(id, now / 1000) }).await.unwrap();
    }
    let status = status(&bench).await;
    let budgets = status["budgets"].as_array().unwrap();
    assert_eq!(budgets.len(), 3, "{budgets:?}");
    for expected in [
        json!({ "operation": "UpdateCertificate", "perSecond": 8.0, "used": 3.5, "inForce": 0.49, "rate": 0.49, "cuts": 2,
            "cutAt": time(ahead).to_string(), "writtenAt": time(ahead).to_string() }),
        json!({ "operation": "GetPolicy", "perSecond": null, "used": null, "inForce": 1.0, "rate": 0.7, "cuts": 1,
            "cutAt": time(now - HOUR).to_string(), "writtenAt": time(now - HOUR).to_string() }),
        json!({ "operation": "DescribeAuditFinding", "perSecond": null, "used": null, "inForce": 1.0, "rate": 1.0, "cuts": 0,
            "cutAt": null, "writtenAt": time(now).to_string() }),
    ] {
        assert!(budgets.contains(&expected), "{expected} is not among {budgets:?}");
    }

    let ran = bench.run(&["status"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    for cells in [
        ["UpdateCertificate", "3.9", "49%", "3.5", "2", "0 s ago"],
        ["DescribeAuditFinding", "-", "100%", "-", "0", "-"],
    ] {
        assert_eq!(row(&ran.out, cells[0]).as_deref(), Some(&cells[..]), "{}", ran.out);
    }
    assert_eq!(row(&ran.out, "GetPolicy"), None, "{}", ran.out);
    assert!(ran.out.contains("1 operation not called lately, budget whole"), "{}", ran.out);
    assert_eq!(row(&ran.out, "UpdateCACertificate"), None, "nobody called it: {}", ran.out);
}

#[tokio::test]
async fn status_says_nothing_of_budgets_that_nobody_has_used_here() {
    let bench = Bench::new().await;
    let elsewhere = timeline_key("eu-west-1", Operation::UpdateCertificate);
    let ledger = DynamoLedger::new(bench.clients.dynamodb.clone(), &bench.made.table);
    ledger.change(&elsewhere, Change::Start { seen: None, to: 1 }, 1).await.unwrap();
    assert_eq!(status(&bench).await["budgets"], json!([]));
    let ran = bench.run(&["status"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.out.contains("in force") && !ran.out.contains("UpdateCertificate"), "{}", ran.out);
    assert!(ran.out.contains("the ledger is empty"), "a timeline is no finding: {}", ran.out);
}

#[tokio::test]
async fn a_ledger_that_does_not_answer_hides_no_queue() {
    let bench = Bench::new().await;
    bench.publish(include_str!("../fixtures/finding_iot_policy.json")).await;
    let ran = bench.run(&["status", "--table", "elsewhere"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("│ queue        ┆       1 ┆") && !ran.out.contains("worker"), "{ran:?}");
    assert!(ran.err.contains("--table"), "{ran:?}");
    let ran = bench.run(&["status", "--table", "elsewhere", "--output", "json"]).await;
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &told["queue"]["visible"]), (1, &json!(1)), "{ran:?}");
    assert!(told["error"].as_str().unwrap().contains("--table"), "{ran:?}");
}

#[tokio::test]
async fn status_tells_workers_that_live_from_one_that_was_killed_and_one_that_ended_and_how_old_what_they_receive_is() {
    let load = Load::new(1).await;
    load.hang();
    let (bench, policy) = (&load.bench, load.bench.file("policy.yaml", ENFORCE));
    let worker = |id: &str| {
        let mut command = bench.command();
        command.args(["--log", "debug", "run", "--worker-id", id, "--policy", &policy, "--drain", "1s"]);
        Process::start(command)
    };
    let mut holder = worker("holder");
    holder.says("claimed", 1).await;
    let (mut killed, mut ended) = (worker("killed"), worker("ended"));
    for process in [&mut killed, &mut ended] {
        process.says("worker started", 1).await;
    }
    let ledger = DynamoLedger::new(bench.clients.dynamodb.clone(), &bench.made.table);
    while ledger.workers(0).await.unwrap().len() < 3 {}
    ended.terminate().await;
    assert_eq!(ended.ends().await, Some(0));
    killed.kill().await;
    // As it will be found two minutes later.
    let mut notes = ledger.workers(0).await.unwrap();
    let last = notes.iter_mut().find(|note| note.id == "killed").unwrap();
    last.seen_at -= 120_000;
    ledger.announce(last).await.unwrap();

    let status = status(bench).await;
    let workers = status["workers"].as_array().unwrap();
    let standing: Vec<_> = workers.iter().map(|worker| [&worker["id"], &worker["standing"]]).collect();
    assert_eq!(json!(standing), json!([["holder", "alive"], ["killed", "lost"], ["ended", "gone"]]));
    assert_eq!((&workers[0]["mode"], &workers[0]["health"]), (&json!("enforce"), &json!({ "state": "well" })));
    assert!(workers[0]["policy"].as_str().unwrap().starts_with("policy.yaml "), "{}", workers[0]);
    assert!(workers[0]["seenAt"].as_str().unwrap().ends_with('Z'), "{}", workers[0]);
    assert_eq!(status["breaker"], json!({ "open": false, "reasons": [] }));
    for key in ["queue", "deadLetters", "ledger", "checks", "failedChecks", "budgets"] {
        assert!(!status[key].is_null(), "{key} is missing: {status}");
    }

    let ran = bench.run(&["status"]).await;
    assert_eq!((ran.code, row(&ran.out, "killed").unwrap()[5]), (0, "lost"), "{ran:?}");
    assert_eq!(row(&ran.out, "killed").unwrap()[3], "2 m ago", "{}", ran.out);
    assert_eq!((row(&ran.out, "holder").unwrap()[5], row(&ran.out, "ended")), ("well", None), "{}", ran.out);
    assert!(ran.out.contains("1 worker alive, 1 lost, 1 ended lately; policy policy.yaml "), "{}", ran.out);
}

#[tokio::test]
async fn status_says_why_breakers_are_open() {
    let bench = Bench::new().await;
    let ledger = DynamoLedger::new(bench.clients.dynamodb.clone(), &bench.made.table);
    let now = Clock::system().now_ms();
    let reason = "failed to call UpdateCertificate: not authorized".to_owned();
    let health = WorkerHealth::Broken { reason: reason.clone(), until: now + 3_600_000 };
    ledger.announce(&WorkerNote { health, oldest_message: Some(192_000), ..note("one", now) }).await.unwrap();
    ledger.announce(&note("two", now)).await.unwrap();
    let status = status(&bench).await;
    let told = &status["breaker"]["reasons"][0];
    assert_eq!((&told["reason"], &told["workers"]), (&json!(reason), &json!(1)));
    assert_eq!(status["oldestReceivedSeconds"], 192.0);
    let ran = bench.run(&["status"]).await;
    assert!(ran.out.contains(&format!("breaker open on 1 of 2: {reason}; tried again at ")), "{}", ran.out);
    assert_eq!(row(&ran.out, "one").unwrap()[5], "paused", "{}", ran.out);
    assert!(ran.out.contains("3 m 12 s"), "{}", ran.out);
}

/// A `status --watch 1` that prints into a pipe.
fn watch(bench: &Bench, output: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut command = bench.command();
    command.args(["status", "--watch", "1", "--output", output]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

#[tokio::test]
async fn a_watch_prints_a_document_a_line_tells_a_look_that_fails_and_goes_on_until_it_is_interrupted() {
    let bench = Bench::new().await;
    let (mut child, mut lines) = watch(&bench, "json");
    let mut next = async || serde_json::from_str::<Value>(&lines.next_line().await.unwrap().unwrap()).unwrap();
    let first = next().await;
    assert_eq!((&first["ledger"], &first["error"], &first["queue"]["visible"]), (&json!({}), &json!(null), &json!(0)));
    let denied = ServiceFaults { denied: true, ..ServiceFaults::default() };
    let faults = AwsFaults { services: [(AwsService::Sqs, denied)].into(), seed: 1 };
    bench.sandbox.set_faults(faults).unwrap();
    let mut document = next().await;
    while document["error"].is_null() {
        document = next().await;
    }
    assert!(document["error"].as_str().unwrap().contains("not authorized"), "{document}");
    // What the workers say is what one wants to know then.
    assert_eq!((&document["queue"], &document["workers"]), (&json!(null), &json!([])));
    let ran = bench.run(&["status"]).await;
    assert!(ran.code == 1 && ran.err.contains("not authorized"), "{ran:?}");
    assert!(ran.out.contains("no worker has been here") && ran.out.contains("the ledger is empty"), "{ran:?}");
    bench.sandbox.set_faults(AwsFaults::default()).unwrap();
    while !document["error"].is_null() {
        document = next().await;
    }
    assert_eq!(document["queue"]["visible"], 0);
    let pid = child.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_watch_into_a_pipe_prints_one_block_after_the_other_without_a_word_to_a_terminal() {
    let bench = Bench::new().await;
    let (mut child, mut lines) = watch(&bench, "table");
    let (mut heads, mut all) = (0, String::new());
    while heads < 2 {
        let line = lines.next_line().await.unwrap().unwrap();
        heads += usize::from(line.contains("table fleetwarden; every 1 s"));
        all.push_str(&line);
    }
    assert!(!all.contains('\u{1b}') && all.contains("the ledger is empty"), "{all}");
    // As `| head` does.
    drop(lines);
    assert_eq!(child.wait().await.unwrap().code(), Some(0), "it goes on although nobody reads");
}

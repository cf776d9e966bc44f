//! What `status` tells of the fleet's budgets.

use super::bench::Bench;
use fleetwarden::budget::{Operation, timeline_key};
use fleetwarden::clock::Clock;
use fleetwarden::ledger::{Change, Changed, DynamoLedger, Timelines};
use serde_json::{Value, json};

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
    let status = status(&bench).await;
    let budgets = status["budgets"].as_array().unwrap();
    assert_eq!(budgets.len(), 3, "{budgets:?}");
    for expected in [
        json!({ "operation": "UpdateCertificate", "inForce": 0.49, "rate": 0.49, "cuts": 2,
            "cutAt": time(ahead).to_string(), "writtenAt": time(ahead).to_string() }),
        json!({ "operation": "GetPolicy", "inForce": 1.0, "rate": 0.7, "cuts": 1,
            "cutAt": time(now - HOUR).to_string(), "writtenAt": time(now - HOUR).to_string() }),
        json!({ "operation": "DescribeAuditFinding", "inForce": 1.0, "rate": 1.0, "cuts": 0,
            "cutAt": null, "writtenAt": time(now).to_string() }),
    ] {
        assert!(budgets.contains(&expected), "{expected} is not among {budgets:?}");
    }

    let ran = bench.run(&["status"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let shown = |at: i64| time(at).strftime("%Y-%m-%d %H:%M:%S").to_string();
    for [operation, in_force, cuts, cut_at, written_at] in [
        ["UpdateCertificate", "49%", "2", &shown(ahead), &shown(ahead)],
        ["GetPolicy", "100%", "1", &shown(now - HOUR), &shown(now - HOUR)],
        ["DescribeAuditFinding", "100%", "0", "-", &shown(now)],
    ] {
        let row = row(&ran.out, operation);
        assert_eq!(row.as_deref(), Some(&[operation, in_force, cuts, cut_at, written_at][..]), "{}", ran.out);
    }
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

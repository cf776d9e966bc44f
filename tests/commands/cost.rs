//! `fleetwarden cost` as a person asks it; and the pages that show what it prints.

use super::bench::{Ran, ran};
use serde_json::Value;
use std::path::Path;
use tokio::process::Command;

async fn cost(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetwarden"));
    ran(command.env_clear().arg("cost").args(arguments)).await
}

async fn reckoned(arguments: &[&str]) -> Value {
    let ran = cost(&[arguments, &["--output", "json"]].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

fn total(document: &Value) -> f64 {
    document["total"]["usd"].as_f64().unwrap()
}

#[tokio::test]
async fn the_sums_are_those_of_the_lines_and_each_line_is_its_units_at_its_price() {
    let document = reckoned(&["--findings", "1e6", "--duplicates", "0.3", "--batch-fill", "8"]).await;
    let close = |one: f64, other: f64| (one - other).abs() < 1e-3;
    let lines = document["lines"].as_array().unwrap();
    assert!(close(lines.iter().map(|line| line["usd"].as_f64().unwrap()).sum(), total(&document)));
    for service in document["services"].as_array().unwrap() {
        let of = lines.iter().filter(|line| line["service"] == service["service"]);
        let (requests, usd): (Vec<_>, Vec<_>) =
            of.map(|line| (line["requests"].as_f64().unwrap(), line["usd"].as_f64().unwrap())).unzip();
        assert!(close(requests.iter().sum(), service["requests"].as_f64().unwrap()), "{service}");
        assert!(close(usd.iter().sum(), service["usd"].as_f64().unwrap()), "{service}");
    }
    // By hand: 1e6 / 0.7 messages, 8 to a receive, $0.40 a million.
    let receives = lines.iter().find(|line| line["call"] == "ReceiveMessage").unwrap();
    assert!(close(receives["requests"].as_f64().unwrap(), 178_571.428_571), "{receives}");
    assert!(close(receives["usd"].as_f64().unwrap(), 0.071_428), "{receives}");
    // Two write units for each claim, $0.625 a million.
    let claims = lines.iter().find(|line| line["why"] == "claims: INSERT").unwrap();
    assert!(close(claims["usd"].as_f64().unwrap(), 1.25), "{claims}");
    assert!(document["prices"].as_array().unwrap().iter().all(|price| !price["source"].as_str().unwrap().is_empty()));
}

#[tokio::test]
async fn what_there_is_more_of_costs_more() {
    let plain = total(&reckoned(&[]).await);
    for dearer in [
        &["--duplicates", "0.3"][..],
        &["--batch-fill", "1"],
        &["--worker-hours", "730"],
        &["--action", "ADD_THINGS_TO_THING_GROUP"],
        &["--action", "UPDATE_DEVICE_CERTIFICATE", "--action", "PUBLISH_FINDING_TO_SNS"],
        &["--price", "sqs-request=0.8"],
        &["--price", "iot-call=1"],
    ] {
        let dearer_total = total(&reckoned(dearer).await);
        assert!(dearer_total > plain * 1.01, "{dearer:?}: {dearer_total}, not more than {plain}");
    }
    for cheaper in [&["--arrival", "summary"][..], &["--action", "none"], &["--batch-fill", "10"]] {
        let cheaper_total = total(&reckoned(cheaper).await);
        assert!(cheaper_total < plain, "{cheaper:?}: {cheaper_total}, not less than {plain}");
    }
    let tenfold = total(&reckoned(&["--findings", "10_000_000"]).await);
    assert!((tenfold / plain - 10.0).abs() < 1e-6, "{tenfold}");
}

#[tokio::test]
async fn bad_input_is_refused_with_a_sentence_for_each_option() {
    for (arguments, sentence) in [
        (&["--findings", "0"][..], "--findings is 0: write a whole number from 1"),
        (&["--findings", "many"], "write a number such as 1e6"),
        (&["--duplicates", "1"], "--duplicates is 1: write the part of all messages"),
        (&["--duplicates", "-0.5"], "--duplicates is -0.5"),
        (&["--batch-fill", "11"], "--batch-fill is 11: write the messages of one receive, from 1 to 10"),
        (&["--worker-hours", "-1"], "--worker-hours is -1"),
        (&["--action", "REVOKE"], "`REVOKE` is no action type"),
        (&["--action", "none", "--action", "UPDATE_CA_CERTIFICATE"], "--action none stands alone"),
        (&["--price", "sqs=1"], "`sqs` is no price; write one of sns-publish"),
    ] {
        let ran = cost(arguments).await;
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(sentence), "{arguments:?}: {}", ran.err);
    }
    let both = cost(&["--duplicates", "2", "--batch-fill", "0"]).await;
    assert!(both.err.contains("--duplicates is 2") && both.err.contains("--batch-fill is 0"), "{}", both.err);
}

/// What a page shows of a command: the block of text after its line.
fn shown(page: &str, command: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let after = text.split_once(command).unwrap_or_else(|| panic!("{page} does not show `{command}`")).1;
    let block = after.split_once("```text\n").unwrap().1;
    block.split_once("\n```").unwrap().0.to_owned()
}

#[tokio::test]
async fn the_pages_show_what_the_command_prints() {
    for (page, command) in [
        ("README.md", "cost --findings 1e6 --duplicates 0.3 --batch-fill 8 --by service\n"),
        ("infra/README.md", "cost --findings 1e6 --duplicates 0.3 --batch-fill 8\n"),
    ] {
        let arguments: Vec<_> = command.split_whitespace().skip(1).collect();
        let ran = cost(&arguments).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let now = ran.out.trim_end();
        assert_eq!(shown(page, command), now, "{page} is out of date; put this in its place:\n{now}");
    }
}

/// Cells of a row of the guide's table of a month.
fn row(page: &str, begins: &str) -> Vec<f64> {
    let row = page.lines().find(|line| line.starts_with(begins)).unwrap_or_else(|| panic!("no row `{begins}`"));
    let cells = row.trim_matches(['|', ' ']).split('|').skip(2);
    cells.map(|cell| cell.trim_matches([' ', '*']).parse().unwrap()).collect()
}

#[tokio::test]
async fn the_months_of_the_guide_are_what_the_command_reckons_and_add_up() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/README.md");
    let page = std::fs::read_to_string(path).unwrap();
    let page = page.split_once("A month of a deployment").unwrap().1;
    let mut months = Vec::new();
    for findings in ["1", "300_000", "30e6"] {
        let standing = ["--action", "none", "--arrival", "summary", "--worker-hours", "730", "--findings", findings];
        months.push((total(&reckoned(&standing).await) * 100.0).round() / 100.0);
    }
    assert_eq!(row(page, "| one task, queue and ledger"), months, "what `fleetwarden cost` reckons");

    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| |") && !line.starts_with("| **all**");
    let table = page.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows: Vec<_> = table.filter(is_row).map(|line| row(page, line)).collect();
    for (column, sum) in row(page, "| **all**").into_iter().enumerate() {
        let added: f64 = rows.iter().map(|row| row[column]).sum();
        assert!((added - sum).abs() < 0.005, "column {column}: {added:.2}, not {sum}");
    }
}

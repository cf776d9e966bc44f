//! `fleetwarden cost` as a person asks it; and the pages that show what it prints.

use super::bench::{Ran, ran};
use serde_json::Value;
use std::path::Path;
use tokio::process::Command;

async fn cost(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetwarden"));
    ran(command.env_clear().arg("cost").args(arguments)).await
}

async fn estimated(arguments: &[&str]) -> Value {
    let ran = cost(&[arguments, &["--output", "json"]].concat()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

fn total(document: &Value) -> f64 {
    document["total"]["usd"].as_f64().unwrap()
}

#[tokio::test]
async fn the_sums_are_those_of_the_lines_and_each_line_is_its_units_at_its_price() {
    let document = estimated(&["--findings", "1e6", "--duplicates", "0.3", "--batch-fill", "8"]).await;
    let close = |one: f64, other: f64| (one - other).abs() < 1e-3;
    let lines = document["lines"].as_array().unwrap();
    let prices = document["prices"].as_array().unwrap();
    for line in lines {
        let price = prices.iter().find(|price| price["priceKey"] == line["priceKey"]).unwrap();
        let [units, per, usd] = [&line["units"], &price["perUnits"], &price["usd"]].map(|n| n.as_f64().unwrap());
        assert!(close(units / per * usd, line["usd"].as_f64().unwrap()), "{line} at {price}");
        assert!(!price["unit"].as_str().unwrap().contains("million"), "the unit is a single one: {price}");
    }
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
    assert!(prices.iter().all(|price| !price["source"].as_str().unwrap().is_empty()));
}

#[tokio::test]
async fn what_there_is_more_of_costs_more() {
    let plain = total(&estimated(&[]).await);
    for dearer in [
        &["--duplicates", "0.3"][..],
        &["--batch-fill", "1"],
        &["--worker-hours", "730"],
        &["--action", "ADD_THINGS_TO_THING_GROUP"],
        &["--action", "UPDATE_DEVICE_CERTIFICATE", "--action", "PUBLISH_FINDING_TO_SNS"],
        &["--price", "sqs-request=0.8"],
        &["--price", "iot-call=1"],
    ] {
        let dearer_total = total(&estimated(dearer).await);
        assert!(dearer_total > plain * 1.01, "{dearer:?}: {dearer_total}, not more than {plain}");
    }
    for cheaper in [&["--arrival", "summary"][..], &["--action", "none"], &["--batch-fill", "10"]] {
        let cheaper_total = total(&estimated(cheaper).await);
        assert!(cheaper_total < plain, "{cheaper:?}: {cheaper_total}, not less than {plain}");
    }
    let tenfold = total(&estimated(&["--findings", "10_000_000"]).await);
    assert!((tenfold / plain - 10.0).abs() < 1e-6, "{tenfold}");
}

#[tokio::test]
async fn bad_input_is_refused_with_a_sentence_for_each_option() {
    for (arguments, sentence) in [
        (&["--findings", "0"][..], "--findings is 0, which costs nothing: write 1 or more, or --worker-hours"),
        (&["--findings", "0.5"], "--findings is 0.5: write a whole number from 0 to 1e12"),
        (&["--findings", "many"], "write a number such as 1e6"),
        (&["--duplicates", "1"], "--duplicates is 1: write the part of all messages"),
        (&["--duplicates", "-0.5"], "--duplicates is -0.5"),
        (
            &["--duplicates", "30%"],
            "write the part of all messages that are duplicates as a number, such as 0.3 for 30 %",
        ),
        (&["--batch-fill", "x"], "write the messages of one receive as a number, such as 8"),
        (&["--worker-hours", "a month"], "write hours as a number, such as 730"),
        (&["--worker-hours", "1e300"], "--worker-hours is 1e300: write hours from 0"),
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

#[tokio::test]
async fn a_month_without_findings_costs_what_standing_by_costs_and_says_nothing_by_the_finding() {
    let month = ["--findings", "0", "--worker-hours", "730"];
    let document = estimated(&month).await;
    assert!(total(&document) > 7.0 && document["total"]["usdPerMillion"].is_null(), "{document}");
    assert_eq!((document["workerHours"].as_f64(), document["idleHours"].as_f64()), (Some(730.0), Some(730.0)));
    assert_eq!(document["saving"]["by"], "fewer worker hours");
    for line in document["lines"].as_array().unwrap() {
        assert!(line["part"] == "time" && line["usdPerMillion"].is_null(), "{line}");
    }
    let table = cost(&month).await;
    assert!(table.out.contains("no findings") && table.out.contains("MinTasks=0"), "{}", table.out);
    for wrong in ["per finding", "per million", "million findings", "NaN", "inf"] {
        assert!(!table.out.contains(wrong), "{wrong}: {}", table.out);
    }
}

#[tokio::test]
async fn idle_hours_are_not_multiplied_to_a_million_findings() {
    let standing = estimated(&["--findings", "300_000", "--worker-hours", "730"]).await;
    assert!(standing["total"]["usdPerMillion"].is_null(), "{standing}");
    let busy = estimated(&["--findings", "300_000", "--worker-hours", "5"]).await;
    assert!(busy["workerHours"].as_f64() > Some(5.0), "the work takes longer than that");
    let [of_some, of_a_million] =
        [busy, estimated(&[]).await].map(|document| document["total"]["usdPerMillion"].as_f64().unwrap());
    assert!((of_some - of_a_million).abs() < 1e-3, "{of_some}, not {of_a_million}");
}

#[tokio::test]
async fn what_is_paced_is_told_as_costing_what_a_batch_fill_of_one_does() {
    let document = estimated(&["--batch-fill", "8"]).await;
    let alone = total(&estimated(&["--batch-fill", "1"]).await);
    assert_eq!(document["oneByOne"]["usd"].as_f64(), Some(alone));
    assert_eq!(document["atLeastSeconds"].as_f64(), Some(125_000.0), "8 of a million a second");
    let table = cost(&["--batch-fill", "8"]).await.out;
    let sentence =
        format!("findings end one by one: expect ${alone:.2}, not ${:.2} (--batch-fill 1)", total(&document));
    assert!(table.contains(&sentence), "{sentence}: {table}");
    let recorded = estimated(&["--action", "none"]).await;
    assert!(recorded["oneByOne"].is_null() && recorded["atLeastSeconds"].is_null() && recorded["limitedBy"] == "cpu");
}

#[tokio::test]
async fn one_finding_is_not_told_as_many() {
    let table = cost(&["--findings", "1"]).await.out;
    assert!(table.contains("1 finding in 1 message,") && !table.contains("$<"), "{table}");
}

#[tokio::test]
async fn the_change_that_saves_most_saves_what_is_told() {
    let (with, without) = (estimated(&[]).await, estimated(&["--arrival", "summary"]).await);
    assert_eq!(with["saving"]["by"], "--arrival summary");
    let saved = with["saving"]["usd"].as_f64().unwrap();
    assert!((total(&with) - total(&without) - saved).abs() < 1e-5, "{saved}");
    assert!(without["saving"].is_null(), "it has that already");
}

#[tokio::test]
async fn tables_fit_into_80_columns() {
    for arguments in [
        &[][..],
        &["--by", "kind", "--duplicates", "0.3"],
        &["--by", "kind", "--findings", "0", "--worker-hours", "730"],
        &["--by", "kind", "--arrival", "summary", "--action", "REPLACE_DEFAULT_POLICY_VERSION"],
        &["--by", "kind", "--action", "ADD_THINGS_TO_THING_GROUP", "--action", "PUBLISH_FINDING_TO_SNS"],
        &["--findings", "1e12"],
    ] {
        let out = cost(arguments).await.out;
        for line in out.lines().filter(|line| line.starts_with(['│', '┌'])) {
            assert!(line.chars().count() <= 80, "{arguments:?}: {line}");
        }
    }
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
        ("README.md", "cost --findings 1e6 --duplicates 0.3 --batch-fill 8\n"),
        ("infra/README.md", "cost --findings 1e6 --duplicates 0.3 --batch-fill 8 --by kind\n"),
        ("infra/README.md", "cost --findings 30_000 --action none --arrival summary --worker-hours 730\n"),
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
async fn the_months_of_the_guide_are_what_the_command_prints_and_add_up() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/README.md");
    let page = std::fs::read_to_string(path).unwrap();
    let page = page.split_once("A month of a deployment").unwrap().1;
    let mut months = Vec::new();
    for findings in ["0", "300_000", "30e6"] {
        let standing = ["--action", "none", "--arrival", "summary", "--worker-hours", "730", "--findings", findings];
        months.push((total(&estimated(&standing).await) * 100.0).round() / 100.0);
    }
    assert_eq!(row(page, "| one task, queue and ledger"), months, "what `fleetwarden cost` prints");

    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| |") && !line.starts_with("| **all**");
    let table = page.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows: Vec<_> = table.filter(is_row).map(|line| row(page, line)).collect();
    for (column, sum) in row(page, "| **all**").into_iter().enumerate() {
        let added: f64 = rows.iter().map(|row| row[column]).sum();
        assert!((added - sum).abs() < 0.005, "column {column}: {added:.2}, not {sum}");
    }
}

//! The README and the pages in docs/ say what the code does: their tables are held against it.
#![expect(clippy::unwrap_used, reason = "tests")]

use fleetwarden::finding::{ActionType, RejectReason, catalogue};
use fleetwarden::policy::Policy;
use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The rows that the page must have, one for each check that more can be done about than publishing it.
fn action_table() -> String {
    let mut rows = vec!["| check | severity | actions besides publishing |".to_owned(), "|---|---|---|".to_owned()];
    for check in catalogue::CHECKS {
        let others = check.actions.iter().filter(|action| **action != ActionType::PublishFindingToSns);
        let actions: Vec<String> = others.map(|action| format!("`{action}`")).collect();
        let actions = if actions.is_empty() { "none".to_owned() } else { actions.join(", ") };
        rows.push(format!("| {} | {} | {actions} |", check.name, check.severity));
    }
    rows.join("\n")
}

#[test]
fn the_table_of_checks_and_actions_is_the_catalogue() {
    let readme = read("docs/POLICY.md");
    let begin = readme.find("<!-- actions").and_then(|at| Some(at + readme[at..].find('\n')? + 1)).unwrap();
    let end = readme.find("<!-- end of actions -->").unwrap();
    let table = action_table();
    assert_eq!(readme[begin..end].trim(), table, "put this between the two comments of docs/POLICY.md:\n{table}");
}

#[test]
fn the_example_policy_loads() {
    let readme = read("README.md");
    let begin = readme.find("```yaml\n").unwrap() + "```yaml\n".len();
    let end = begin + readme[begin..].find("```").unwrap();
    let policy = Policy::load(&readme[begin..end], "README.md");
    assert!(policy.is_ok(), "{}", policy.unwrap_err());
}

#[test]
fn every_dependency_has_its_reason() {
    let readme = read("README.md");
    let begin = readme.find("## Dependencies").unwrap();
    let section = &readme[begin..begin + readme[begin..].find("\nThe sandbox is a default feature").unwrap()];
    let explained: BTreeSet<&str> = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| crate"))
        .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split(','))
        .map(str::trim)
        .collect();
    let manifest = read("Cargo.toml");
    let mut depended: BTreeSet<&str> = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]" || line == "[dev-dependencies]";
        } else if inside && let Some((name, _)) = line.split_once(" = ") {
            depended.insert(name);
        }
    }
    assert_eq!(explained, depended);
}

#[test]
fn every_reason_to_refuse_a_message_is_named() {
    let page = read("docs/OPERATING.md");
    for reason in RejectReason::ALL {
        assert!(
            page.contains(&format!("`{}`", reason.as_str())),
            "docs/OPERATING.md does not name {}",
            reason.as_str()
        );
    }
}

#[test]
fn the_page_of_metrics_is_the_table_in_the_code() {
    let same = read("docs/METRICS.md").trim_end() == fleetwarden::telemetry::markdown().trim_end();
    assert!(same, "docs/METRICS.md is out of date; write it anew: cargo run -- metrics --markdown > docs/METRICS.md");
}

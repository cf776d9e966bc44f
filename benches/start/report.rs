//! A table for people, JSON for everything else.

use crate::figures::{Figure, Outcome};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde_json::{Value, json};

/// The columns, by key; several figures in one cell stand side by side.
const COLUMNS: &[(&str, &[&str])] = &[
    ("start to\nfirst receive", &["start_least", "start_middle", "start_most"]),
    ("to the\nfirst request", &["first_request_least", "first_request_middle", "first_request_most"]),
    (
        "from there to\nthe first receive",
        &["receive_after_it_least", "receive_after_it_middle", "receive_after_it_most"],
    ),
    ("requests\nbefore it", &["requests"]),
    ("in round\ntrips", &["round_trips"]),
    ("memory,\nidle", &["idle_memory"]),
    ("at most\nuntil then", &["peak_memory"]),
];

/// What was run, as a table.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut table = Table::new();
    let headings = std::iter::once("case").chain(COLUMNS.iter().map(|(heading, _)| *heading)).chain(["pass"]);
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
    for outcome in outcomes {
        let cells = COLUMNS.iter().map(|(_, keys)| {
            let figures = keys.iter().filter_map(|key| outcome.figure(key)).map(Figure::to_string);
            figures.collect::<Vec<_>>().join(" / ")
        });
        let pass = if outcome.pass() { "yes" } else { "NO" };
        table.add_row(std::iter::once(outcome.case.clone()).chain(cells).chain([pass.to_owned()]));
    }
    for column in 1..=COLUMNS.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let program = program_bytes().map(|bytes| {
        // What ships has no sandbox and is measured where it is built: `.ci/container`.
        format!("\nthe program that was started, with the sandbox and its symbols: {:.1} MB", bytes as f64 / 1e6)
    });
    format!("{table}{}", program.unwrap_or_default())
}

/// `{runs, programBytes, cases, pass}`.
pub fn document(outcomes: &[Outcome], runs: u16) -> Value {
    let cases: Vec<_> = outcomes.iter().map(Outcome::json).collect();
    let pass = outcomes.iter().all(Outcome::pass);
    json!({ "runs": runs, "programBytes": program_bytes(), "cases": cases, "pass": pass })
}

fn program_bytes() -> Option<u64> {
    std::fs::metadata(env!("CARGO_BIN_EXE_fleetwarden")).ok().map(|file| file.len())
}

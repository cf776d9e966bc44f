//! A table for people, JSON for everything else.

use crate::figures::{Figure, Outcome};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde_json::{Value, json};

/// The columns of their own, by key; a row that has no such figure shows none. Everything else goes in the last one.
const COLUMNS: &[(&str, &[&str])] = &[
    ("used", &["used"]),
    ("seconds\nover quota", &["seconds_over_quota"]),
    ("calls", &["calls"]),
    ("throttled", &["throttled", "throttled_part"]),
    ("ledger\nwrites/s", &["writes"]),
    ("reads/s", &["reads"]),
];

/// What was run, as a table.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut table = Table::new();
    let headings = COLUMNS.iter().map(|(heading, _)| *heading);
    let headings = std::iter::once("case").chain(headings).chain(["besides", "pass"]);
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled).set_header(headings);
    for outcome in outcomes {
        let cells = COLUMNS.iter().map(|(_, keys)| {
            let figure = keys.iter().find_map(|key| outcome.figure(key));
            figure.map_or_else(|| "·".to_owned(), Figure::to_string)
        });
        let own = |figure: &&Figure| COLUMNS.iter().any(|(_, keys)| keys.contains(&figure.key));
        let besides = outcome.figures.iter().filter(|figure| !own(figure));
        let besides = besides.map(|figure| format!("{}: {figure}", figure.key.replace('_', " ")));
        let besides = besides.collect::<Vec<_>>().join("\n");
        let pass = if outcome.pass() { "yes" } else { "NO" };
        table.add_row(std::iter::once(outcome.case.clone()).chain(cells).chain([besides, pass.to_owned()]));
    }
    for column in 1..=COLUMNS.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// `{seed, cases, pass}`.
pub fn document(seed: u64, outcomes: &[Outcome]) -> Value {
    let cases: Vec<_> = outcomes.iter().map(Outcome::json).collect();
    json!({ "seed": seed, "cases": cases, "pass": outcomes.iter().all(Outcome::pass) })
}

//! A table for people, JSON for everything else.

use crate::bench::Row;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde_json::{Value, json};

/// What was run, as a table.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["stage", "kind", "time", "allocations", "bytes"]);
    for row in rows {
        let time = row.nanoseconds.map_or_else(|| "·".to_owned(), |ns| format!("{:.2} µs", ns / 1000.0));
        let allocations = format!("{:.0}", row.allocations);
        table.add_row([
            row.stage.to_owned(),
            row.kind.replace('_', " "),
            time,
            allocations,
            format!("{:.0}", row.bytes),
        ]);
    }
    for column in 2..=4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

/// `{optimized, cases: [{stage, kind, nanoseconds, allocations, bytes}]}`.
pub fn document(rows: &[Row]) -> Value {
    let cases: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "stage": row.stage,
                "kind": row.kind,
                "nanoseconds": row.nanoseconds.map(f64::round),
                "allocations": row.allocations,
                "bytes": row.bytes,
            })
        })
        .collect();
    json!({ "optimized": !cfg!(debug_assertions), "cases": cases })
}

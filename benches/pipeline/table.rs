//! The figures of all cases as one table: a row for each figure, a column for each case.

use crate::figures::{Figure, Outcome};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// Every figure that some case has, in the order in which they first come.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut keys: Vec<&str> = Vec::new();
    for figure in outcomes.iter().flat_map(|outcome| &outcome.figures) {
        if !keys.contains(&figure.key) {
            keys.push(figure.key);
        }
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(std::iter::once("").chain(outcomes.iter().map(|outcome| outcome.case.as_str())));
    for key in keys {
        let cells = outcomes.iter().map(|outcome| outcome.figure(key).map_or_else(String::new, Figure::to_string));
        table.add_row(std::iter::once(key.replace('_', " ")).chain(cells));
    }
    for column in 1..=outcomes.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

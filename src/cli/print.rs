//! What the commands print with.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table};
use std::borrow::Cow;
use std::io::Write;

/// An empty table with these headings. Every column after the first is aligned right if its cells are numbers.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic).set_header(headings);
    table
}

/// Aligns these columns, counted from 0, to the right.
pub(super) fn right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Never breaks the texts of this column, counted from 0, however narrow the terminal.
pub(super) fn whole(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
}

/// A line on standard output. A reader that has gone (`| head`) is no error of ours.
pub(super) fn line(text: &str) {
    let _ = line_read(text);
}

/// As [`line`], and whether anybody still reads: what goes on printing for ever may then end.
pub(super) fn line_read(text: &str) -> bool {
    writeln!(std::io::stdout().lock(), "{}", harmless(text)).is_ok()
}

/// The text without the means to command a terminal: names of checks, things and reasons come from whoever can send a message. Control
/// characters other than line breaks are escaped as in JSON, so that a JSON document says the same as before.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    let commands = |c: char| c.is_control() && c != '\n';
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if commands(c) {
            safe.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// One JSON document on standard output.
pub(super) fn json(value: &serde_json::Value) {
    line(&format!("{value:#}"));
}

/// So many of them: `1 finding`, `2 findings`.
pub(super) fn counted(n: impl Into<u64>, noun: &str) -> String {
    let n = n.into();
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// A moment as people read it; a dash for none.
pub(super) fn moment(ms: Option<i64>) -> String {
    ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// At most `most` characters, with an ellipsis where something was cut.
pub(super) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_messages_say_cannot_command_a_terminal_and_json_says_the_same() {
        let name = "E\u{1b}[2J\u{9b}1m\u{7}\u{7f}";
        let table = harmless(name);
        assert_eq!(table, "E\\u001b[2J\\u009b1m\\u0007\\u007f");
        let document = serde_json::json!({ "check": name, "lines": "a\nb" });
        let printed = format!("{document:#}");
        let printed = harmless(&printed);
        assert!(!printed.contains(|c: char| c.is_control() && c != '\n'), "{printed}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), document);
        assert!(matches!(harmless("a table\n┌─┐"), Cow::Borrowed(_)));
    }
}

//! How dead letters are printed.

use super::print;
use crate::ledger::Record;
use crate::replay::{By, End, Group, Letter, Pass, Purged};
use serde_json::{Value, json};

/// Attributes that have rows of their own.
const OWN: [&str; 6] = ["reason", "error", "findingId", "checkName", "attempts", "firstSeen"];

/// `1 letter`, `2 letters`.
pub(super) fn number(count: usize) -> String {
    let noun = if count == 1 { "letter" } else { "letters" };
    format!("{count} {noun}")
}

/// How much of the queue a pass saw, in words.
pub(super) fn counted(pass: Pass) -> String {
    let others = match pass.depth.in_flight {
        0 => String::new(),
        n => format!("; about {n} more are in other hands"),
    };
    let of = match pass.end {
        // Letters whose delivery got lost on its way, or that others were quicker to take, are hidden for a while.
        End::Whole if pass.depth.visible > pass.looked as u64 => format!(
            "{} looked at, although the queue said that it has about {}: look again in two minutes",
            number(pass.looked),
            pass.depth.visible
        ),
        End::Whole | End::Enough | End::Stopped => format!("{} looked at", number(pass.looked)),
        End::Bounds => {
            let about = pass.depth.visible.max(pass.looked as u64);
            format!("the first {} of about {about}, see --limit", number(pass.looked))
        }
    };
    format!("{of}{others}")
}

/// A row for each group; below it a line for each example, which a table would squeeze.
pub(super) fn table(groups: &[Group], by: By) -> String {
    let mut headings = Vec::new();
    let columns = [(by.reason, "reason"), (by.check, "check")];
    headings.extend(columns.iter().filter(|(shown, _)| *shown).map(|(_, heading)| *heading));
    let first = headings.len();
    headings.extend(["letters", "oldest (UTC)", "newest (UTC)"]);
    let mut table = print::table(&headings);
    let mut examples = Vec::new();
    for group in groups {
        let mut names = Vec::new();
        names.extend(by.reason.then(|| group.reason.clone().unwrap_or_default()));
        names.extend(by.check.then(|| group.check.clone().unwrap_or_else(|| "-".to_owned())));
        let figures = [group.count.to_string(), print::moment(group.oldest), print::moment(group.newest)];
        table.add_row(names.iter().cloned().chain(figures));
        let known = names.iter().filter(|name| *name != "-").cloned().collect::<Vec<_>>().join(", ");
        examples.extend(group.examples.iter().map(|example| {
            let id = example.finding_id.as_ref().unwrap_or(&example.message_id);
            let parts = [known.as_str(), id, &print::short(&example.error, 200)];
            let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            format!("\n  {}", parts.join(": "))
        }));
    }
    print::right(&mut table, [first]);
    let examples = examples.concat();
    let heading = if examples.is_empty() { "" } else { "\nfor example" };
    format!("{table}{heading}{examples}")
}

/// What `dlq list` found.
pub(super) fn survey_json(groups: &[Group], pass: Pass) -> Value {
    json!({
        "looked": pass.looked,
        "about": pass.depth.visible,
        "inOtherHands": pass.depth.in_flight,
        "whole": pass.end == End::Whole,
        "hidden": pass.hidden,
        "groups": groups.iter().map(group_json).collect::<Vec<_>>(),
    })
}

/// What `dlq purge` did.
pub(super) fn purged_json(purged: &Purged) -> Value {
    json!({
        "looked": purged.pass.looked,
        "about": purged.pass.depth.visible,
        "whole": purged.pass.end == End::Whole,
        "selected": purged.selected,
        "deleted": purged.deleted,
        "failed": purged.errors.len(),
        "errors": purged.errors.iter().map(ToString::to_string).collect::<std::collections::BTreeSet<_>>(),
        "hidden": purged.pass.hidden,
        "groups": purged.groups.iter().map(group_json).collect::<Vec<_>>(),
    })
}

fn group_json(group: &Group) -> Value {
    let examples = group.examples.iter().map(
        |example| json!({ "messageId": example.message_id, "findingId": example.finding_id, "error": example.error }),
    );
    json!({
        "reason": group.reason,
        "check": group.check,
        "count": group.count,
        "oldest": time(group.oldest),
        "newest": time(group.newest),
        "examples": examples.collect::<Vec<_>>(),
    })
}

/// One letter; `record` is where the ledger says that it stands, or why the ledger does not say.
pub(super) fn letter_json(letter: &Letter, record: &Result<Option<Record>, String>) -> Value {
    let ledger = match record {
        Ok(Some(record)) => json!({
            "key": record.subject.key,
            "status": record.status,
            "detail": record.detail,
            "attempts": record.attempts,
            "updatedAt": time(Some(record.updated_at)),
        }),
        Ok(None) => Value::Null,
        Err(why) => json!({ "error": why }),
    };
    json!({
        "messageId": letter.message_id,
        "reason": letter.reason,
        "error": letter.error,
        "findingId": letter.finding_id,
        "check": letter.check,
        "attempts": letter.attempts,
        "firstSeen": time(letter.first_seen),
        "sentAt": time(letter.sent_at),
        "receiveCount": letter.receive_count,
        "attributes": letter.attributes,
        "ledger": ledger,
        "body": letter.body,
    })
}

/// One letter for people: a table of what is known of it, then its body, indented if it is JSON.
pub(super) fn print_letter(letter: &Letter, record: &Result<Option<Record>, String>) {
    let dash = |text: Option<&str>| text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned();
    let ledger = match record {
        Ok(Some(record)) => format!(
            "{} since {} UTC{}{}",
            record.status,
            print::moment(Some(record.updated_at)),
            if record.detail.is_empty() { "" } else { ": " },
            record.detail
        ),
        Ok(None) => "has no record of it".to_owned(),
        Err(why) => format!("does not answer: {why}"),
    };
    let mut table = print::table(&["dead letter", &letter.message_id]);
    let rows = [
        ("reason", letter.reason.clone()),
        ("error", dash(Some(&letter.error))),
        ("finding", dash(letter.finding_id.as_deref())),
        ("check", dash(letter.check.as_deref())),
        ("attempts", letter.attempts.to_string()),
        ("first seen (UTC)", print::moment(letter.first_seen)),
        ("sent (UTC)", print::moment(letter.sent_at)),
        ("received", format!("{} times, this look included", letter.receive_count)),
        ("the ledger", ledger),
    ];
    for (name, value) in rows {
        table.add_row([name.to_owned(), value]);
    }
    for (name, value) in letter.attributes.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        table.add_row([format!("attribute {name}"), value.clone()]);
    }
    print::line(&table.to_string());
    match serde_json::from_str::<Value>(&letter.body) {
        Ok(body) => print::json(&body),
        Err(_) => print::line(&letter.body),
    }
}

fn time(ms: Option<i64>) -> Value {
    ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).map_or(Value::Null, |at| json!(at.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Depth;

    fn pass(looked: usize, visible: u64, in_flight: u64, end: End) -> Pass {
        Pass { depth: Depth { visible, in_flight, delayed: 0 }, looked, end, hidden: 0 }
    }

    #[test]
    fn a_pass_tells_what_it_did_not_see() {
        assert_eq!(counted(pass(1, 1, 0, End::Whole)), "1 letter looked at");
        assert_eq!(counted(pass(12, 9, 3, End::Whole)), "12 letters looked at; about 3 more are in other hands");
        assert_eq!(counted(pass(10, 52, 0, End::Bounds)), "the first 10 letters of about 52, see --limit");
        let fewer = counted(pass(25, 35, 0, End::Whole));
        assert!(fewer.starts_with("25 letters looked at, although the queue said that it has about 35"), "{fewer}");
    }
}

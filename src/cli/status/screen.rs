//! What `status` found, for people: one screen of 80 columns, what is urgent before what is long.

use super::super::{failed_checks, print};
use super::document::by_check;
use super::fleet::Fleet;
use super::look::{Budget, Counted, Look};
use crate::finding::catalogue;
use crate::ledger::{Status, Tally, WorkerHealth, WorkerNote};
use crate::queue::Depth;
use comfy_table::{ContentArrangement, Table};
use std::collections::BTreeSet;

/// Workers that have a row: those who need attention before those who are well.
const WORKERS: usize = 10;

/// A budget has a row if it was reserved from within this, milliseconds, or is cut.
const LATELY: i64 = 15 * 60 * 1000;

/// Checks that this version does not know have so many rows, and one for the others: their names are what messages say.
const UNKNOWN: usize = 5;

/// Names are not cut below so many characters, however narrow the terminal.
const SHORTEST: usize = 12;

/// The tables, for a terminal of this width; `None` is as wide as they come.
pub(super) fn screen(look: &Look, counted: Option<&Counted>, width: Option<usize>) -> String {
    let parts = [
        depths(look),
        workers(look, width),
        budgets(look, width),
        counted.map(|counted| findings(&counted.tally, width)),
        counted.and_then(|counted| failed_checks::table(&counted.failed)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// `HH:MM:SS` of a moment in milliseconds since the epoch, UTC.
pub(super) fn time_of_day(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| "-".to_owned(), |at| at.strftime("%H:%M:%S").to_string())
}

/// A span in its two largest units: `4 s`, `3 m 12 s`, `2 h 5 m`, `3 d 4 h`.
fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// How long ago that was, in its largest unit: `4 s ago`, `6 m ago`.
fn ago(ms: i64) -> String {
    let span = span(ms);
    let largest: Vec<&str> = span.split(' ').take(2).collect();
    format!("{} ago", largest.join(" "))
}

/// Calls per second: as exact as people care for.
fn rate(calls: f64) -> String {
    let text = if calls < 1.0 { format!("{calls:.2}") } else { format!("{calls:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The queues that were asked for and answered.
pub(super) fn depths(look: &Look) -> Option<String> {
    let oldest = look.fleet.oldest_message().map_or_else(|| "-".to_owned(), span);
    let queues = [("queue", look.queue, oldest), ("dead letters", look.dead_letters, String::new())];
    let mut table = print::table(&["queue", "waiting", "in flight or parked", "delayed", "oldest received"]);
    for (name, depth, oldest) in queues {
        let Some(Depth { visible, in_flight, delayed }) = depth else { continue };
        table.add_row([name.to_owned(), visible.to_string(), in_flight.to_string(), delayed.to_string(), oldest]);
    }
    print::right(&mut table, 1..5);
    (table.row_count() > 0).then(|| table.to_string())
}

fn workers(look: &Look, width: Option<usize>) -> Option<String> {
    let Fleet { alive, lost, gone } = &look.fleet;
    if alive.is_empty() && lost.is_empty() && gone.is_empty() {
        return Some("no worker has been here within the last hour".to_owned());
    }
    let urgency = |note: &&WorkerNote| match note.health {
        WorkerHealth::Broken { .. } => 0,
        WorkerHealth::Draining | WorkerHealth::Gone => 1,
        WorkerHealth::Well => 2,
    };
    let mut living: Vec<&WorkerNote> = alive.iter().collect();
    living.sort_by_key(urgency);
    let rows: Vec<(&WorkerNote, &str)> =
        lost.iter().map(|note| (note, "lost")).chain(living.into_iter().map(|note| (note, health(note)))).collect();
    let build = |longest: usize| {
        let mut table = print::table(&["worker", "version", "mode", "seen", "in flight", "health"]);
        for (note, health) in rows.iter().take(WORKERS) {
            table.add_row([
                middle_cut(&note.id, longest),
                note.version.clone(),
                note.mode.clone(),
                ago(look.at.saturating_sub(note.seen_at)),
                note.in_flight.to_string(),
                (*health).to_owned(),
            ]);
        }
        print::right(&mut table, 3..5);
        table
    };
    let longest = rows.iter().take(WORKERS).map(|(note, _)| note.id.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    if !rows.is_empty() {
        lines.push(fitting(width, longest, build));
    }
    lines.push(summary(&look.fleet, rows.len().saturating_sub(WORKERS)));
    lines.extend(breakers(&look.fleet, look.at));
    Some(lines.join("\n"))
}

fn health(note: &WorkerNote) -> &'static str {
    match note.health {
        WorkerHealth::Well => "well",
        WorkerHealth::Broken { .. } => "paused",
        WorkerHealth::Draining => "draining",
        WorkerHealth::Gone => "gone",
    }
}

fn summary(fleet: &Fleet, not_shown: usize) -> String {
    let mut line = format!("{} alive", print::counted(fleet.alive.len() as u64, "worker"));
    if !fleet.lost.is_empty() {
        line.push_str(&format!(", {} lost", fleet.lost.len()));
    }
    if !fleet.gone.is_empty() {
        line.push_str(&format!(", {} ended lately", fleet.gone.len()));
    }
    if not_shown > 0 {
        line.push_str(&format!("; {not_shown} not shown"));
    }
    let policies: Vec<&str> = fleet.policies().into_iter().collect();
    match policies.as_slice() {
        [] => {}
        [policy] => line.push_str(&format!("; policy {policy}")),
        several => line.push_str(&format!("; their policies differ: {}", several.join(", "))),
    }
    line
}

fn breakers(fleet: &Fleet, now: i64) -> Vec<String> {
    let of = fleet.alive.len();
    let each = fleet.broken().into_iter().map(|broken| {
        let next = match broken.until > now {
            true => format!("tried again at {} UTC", time_of_day(broken.until)),
            false => "a message a second is tried".to_owned(),
        };
        format!("breaker open on {} of {of}: {}; {next}", broken.workers, broken.reason)
    });
    let open: Vec<String> = each.collect();
    if open.is_empty() && of > 0 { vec!["breaker closed".to_owned()] } else { open }
}

fn budgets(look: &Look, width: Option<usize>) -> Option<String> {
    let used = |budget: &Budget| look.fleet.calls(budget.operation.as_str());
    let shown = |budget: &&Budget| {
        let written = budget.timeline.written_at.div_euclid(1000);
        budget.in_force < 1.0
            || look.at.saturating_sub(written) < LATELY
            || used(budget).is_some_and(|calls| calls.per_second > 0.0)
    };
    let (rows, idle): (Vec<&Budget>, Vec<&Budget>) = look.budgets.iter().partition(shown);
    if look.budgets.is_empty() {
        return None;
    }
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let build = |longest: usize| {
        let mut table = print::table(&["budget", "per second", "in force", "used", "cuts", "last cut"]);
        for budget in &rows {
            let calls = used(budget);
            let cut_at = budget.timeline.cut_at.map(|at| look.at.saturating_sub(at.div_euclid(1000)));
            table.add_row([
                middle_cut(budget.operation.as_str(), longest),
                or_dash(calls.map(|calls| rate(calls.budget * budget.in_force))),
                format!("{:.0}%", budget.in_force * 100.0),
                or_dash(calls.map(|calls| rate(calls.per_second))),
                budget.timeline.cuts.to_string(),
                or_dash(cut_at.map(ago)),
            ]);
        }
        print::right(&mut table, 1..6);
        table
    };
    let mut lines = Vec::new();
    if !rows.is_empty() {
        let longest = rows.iter().map(|budget| budget.operation.as_str().len()).max().unwrap_or(0);
        lines.push(fitting(width, longest, build));
    }
    if !idle.is_empty() {
        let operations = print::counted(idle.len() as u64, "operation");
        lines.push(format!("{operations} not called lately, budget whole"));
    }
    Some(lines.join("\n"))
}

/// A row for each check, a column for each status that occurs.
fn findings(tally: &Tally, width: Option<usize>) -> String {
    let occurring: BTreeSet<Status> = tally.keys().map(|(_, status)| *status).collect();
    let statuses: Vec<Status> = Status::ALL.into_iter().filter(|status| occurring.contains(status)).collect();
    if statuses.is_empty() {
        return "the ledger is empty".to_owned();
    }
    let mut headings = vec!["check", "found"];
    headings.extend(statuses.iter().map(|status| status.as_str()));
    let build = |longest: usize| {
        let mut table = print::table(&headings);
        let mut totals = vec![0; statuses.len()];
        let (mut unknown, mut others) = (0, vec![0; statuses.len()]);
        for (check, counts) in by_check(tally) {
            let row: Vec<u64> = statuses.iter().map(|status| counts.get(status).copied().unwrap_or(0)).collect();
            add(&mut totals, &row);
            unknown += usize::from(catalogue::check(check).is_none());
            if unknown > UNKNOWN && catalogue::check(check).is_none() {
                add(&mut others, &row);
            } else {
                table.add_row(numbers(&check_name(check, longest), &row));
            }
        }
        if unknown > UNKNOWN {
            table.add_row(numbers(&format!("{} more", unknown - UNKNOWN), &others));
        }
        table.add_row(numbers("all", &totals));
        print::right(&mut table, 1..statuses.len() + 2);
        table
    };
    let longest = tally.keys().map(|(check, _)| check.chars().count()).max().unwrap_or(0);
    fitting(width, longest, build)
}

fn add(sums: &mut [u64], row: &[u64]) {
    sums.iter_mut().zip(row).for_each(|(sum, n)| *sum += n);
}

/// Without what all checks' names end in, where there is no room for it.
fn check_name(check: &str, most: usize) -> String {
    if check.chars().count() <= most {
        return check.to_owned();
    }
    middle_cut(check.strip_suffix("_CHECK").unwrap_or(check), most)
}

fn numbers(name: &str, counts: &[u64]) -> Vec<String> {
    let found: u64 = counts.iter().sum();
    let mut row = vec![name.to_owned(), found.to_string()];
    row.extend(counts.iter().map(|n| if *n == 0 { "·".to_owned() } else { n.to_string() }));
    row
}

/// The table whose names have at most as many characters as leave it within `width`; a row that is broken over two lines is harder to
/// read than a name that is cut.
fn fitting(width: Option<usize>, longest: usize, build: impl Fn(usize) -> Table) -> String {
    let whole = |longest| {
        let mut table = build(longest);
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.to_string()
    };
    let text = whole(longest);
    let wide = text.lines().next().map_or(0, |line| line.chars().count());
    match width {
        Some(width) if wide > width => whole(longest.saturating_sub(wide - width).max(SHORTEST)),
        _ => text,
    }
}

/// At most `most` characters, with an ellipsis in the middle: names of workers and of checks differ at their ends.
fn middle_cut(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let tail = most.saturating_sub(1) / 2;
    let head = most.saturating_sub(1) - tail;
    let (head, tail): (String, String) = (text.chars().take(head).collect(), text.chars().skip(count - tail).collect());
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::super::fleet::tests::note;
    use super::*;
    use crate::budget::Operation;
    use crate::ledger::{Calls, Timeline};
    use std::time::Duration;

    const NOW: i64 = 1_795_348_800_000;

    fn budget(operation: Operation, in_force: f64, cut_at: Option<i64>) -> Budget {
        let micros = |at: i64| at * 1000;
        let cut_at = cut_at.map(micros);
        let timeline = Timeline {
            next_free: 0,
            written_at: micros(NOW - 1_000),
            rate: 0.49,
            cut_at,
            cuts: u64::from(cut_at.is_some()),
        };
        Budget { operation, timeline, in_force }
    }

    /// A bad day: a worker in trouble, one lost, one that drains, and as many well as fit, all with names as ECS gives them.
    fn look() -> Look {
        let name = |n: usize| format!("ip-10-0-101-{n}.eu-central-1.compute.internal-1-19b2c3d4{n:03x}");
        let denied = "failed to call UpdateCertificate: AccessDeniedException: not authorized";
        let mut notes: Vec<_> = (0..9).map(|n| note(&name(n), NOW - 4_000, WorkerHealth::Well)).collect();
        notes[7].health = WorkerHealth::Broken { reason: denied.into(), until: NOW + 5_000 };
        notes[8].health = WorkerHealth::Draining;
        notes[6].oldest_message = Some(192_000);
        notes[0].calls.insert("UpdateCertificate".into(), Calls { per_second: 3.75, budget: 8.0 });
        notes.push(note(&name(11), NOW - 400_000, WorkerHealth::Well));
        notes.push(note(&name(12), NOW - 400_000, WorkerHealth::Gone));
        Look {
            at: NOW,
            queue: Some(Depth { visible: 48_211, in_flight: 2_560, delayed: 0 }),
            dead_letters: Some(Depth { visible: 9, in_flight: 0, delayed: 0 }),
            fleet: Fleet::of(notes, NOW),
            budgets: vec![
                budget(Operation::UpdateCertificate, 0.49, Some(NOW - 12_000)),
                budget(Operation::AddThingToThingGroup, 1.0, None),
                budget(Operation::ListRelatedResourcesForAuditFinding, 1.0, None),
            ],
            problem: None,
        }
    }

    fn counted() -> Counted {
        let checks = [
            "INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK",
            "DEVICE_CERTIFICATE_SHARED_CHECK",
            "DEVICE_CERTIFICATE_EXPIRING_CHECK",
            "LOGGING_DISABLED_CHECK",
        ];
        let statuses = [Status::Mitigated, Status::Compliant, Status::Observed, Status::Dead, Status::Waiting];
        let tally = checks.iter().flat_map(|check| statuses.map(|status| (((*check).to_owned(), status), 12_345)));
        Counted { at: NOW, took: Duration::ZERO, tally: tally.collect(), failed: Vec::new() }
    }

    #[test]
    fn a_bad_day_fits_on_80_columns_and_40_rows_with_every_word_that_matters() {
        let screen = screen(&look(), Some(&counted()), Some(80));
        println!("{screen}");
        assert!(screen.lines().count() <= 40, "{} rows", screen.lines().count());
        let sentences = ["workers alive", "breaker open on"];
        let tables = screen.lines().filter(|line| !sentences.iter().any(|words| line.contains(words)));
        for line in tables {
            assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        }
        let squeezed = screen.replace(['│', '┆'], "|").split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "| queue | 48211 | 2560 | 0 | 3 m 12 s |",
            "| enforce | 6 m ago | 3 | lost |",
            "| enforce | 4 s ago | 3 | draining |",
            "9 workers alive, 1 lost, 1 ended lately; policy policy.yaml 0011aabb",
            "breaker open on 1 of 9: failed to call UpdateCertificate",
            "tried again at 12:00:05 UTC",
            "| UpdateCertificate | 3.9 | 49% | 3.8 | 1 | 12 s ago |",
            "…SHARED | 61725 |",
            "…PIRING | 61725 |",
            "| all | 246900 | 49380 |",
        ] {
            assert!(squeezed.contains(words), "`{words}` is not there: {squeezed}");
        }
    }

    #[test]
    fn names_of_checks_that_messages_make_up_do_not_fill_the_screen() {
        let made_up = (0..1_000).map(|n| (format!("MADE_UP_{n:03}"), Status::Observed));
        let known = ("ZZZ".to_owned(), Status::Dead);
        let logging = ("LOGGING_DISABLED_CHECK".to_owned(), Status::Observed);
        let tally: Tally = made_up.chain([known, logging]).map(|key| (key, 2)).collect();
        let table = findings(&tally, None);
        let squeezed = table.replace(['│', '┆'], "|").split_whitespace().collect::<Vec<_>>().join(" ");
        for row in ["| LOGGING_DISABLED_CHECK | 2 |", "| MADE_UP_004 | 2 |", "| 996 more | 1992 |", "| all | 2004 |"] {
            assert!(squeezed.contains(row), "`{row}` is not there: {table}");
        }
        assert!(table.lines().count() < 15, "{table}");
    }

    #[test]
    fn without_a_terminal_names_are_whole() {
        let screen = screen(&look(), Some(&counted()), None);
        assert!(screen.contains("INTERMEDIATE_CA_REVOKED_FOR_ACTIVE_DEVICE_CERTIFICATES_CHECK"), "{screen}");
        assert!(screen.contains("ip-10-0-101-7.eu-central-1.compute.internal-1-19b2c3d4007"), "{screen}");
    }

    #[test]
    fn of_many_workers_those_who_need_attention_are_shown_and_the_others_counted() {
        let mut notes: Vec<_> = (0..30).map(|n| note(&format!("w{n:02}"), NOW, WorkerHealth::Well)).collect();
        notes[29].health = WorkerHealth::Draining;
        let fleet = Fleet::of(notes, NOW);
        let look = Look { at: NOW, queue: None, dead_letters: None, fleet, budgets: Vec::new(), problem: None };
        let screen = screen(&look, None, None);
        assert!(screen.contains("w29") && screen.contains("w08") && !screen.contains("w09"), "{screen}");
        assert!(screen.contains("30 workers alive; 20 not shown"), "{screen}");
    }

    #[test]
    fn spans_and_rates_are_as_exact_as_people_care_for() {
        let spans =
            [(-5, "0 s"), (59_999, "59 s"), (192_000, "3 m 12 s"), (7_500_000, "2 h 5 m"), (273_600_000, "3 d 4 h")];
        for (ms, text) in spans {
            assert_eq!(span(ms), text);
        }
        for (calls, text) in [(0.0, "0"), (0.05, "0.05"), (0.5, "0.5"), (3.92, "3.9"), (8.0, "8"), (280.0, "280")] {
            assert_eq!(rate(calls), text);
        }
    }
}

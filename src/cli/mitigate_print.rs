//! What `mitigate` prints: the plan, and what came of it.

use super::{OutputFormat, print};
use crate::budget::BudgetConfig;
use crate::defender::by_hand::{Enqueued, Plan, What};
use crate::defender::console::Audit;
use crate::finding::ActionType;
use crate::replay::Order;
use crate::worker::Results;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) fn print_plan(plan: &Plan, audit: &Audit, budget: &BudgetConfig, dry_run: bool, output: OutputFormat) {
    if output == OutputFormat::Json {
        let mut document = plan_json(plan, budget);
        document["audit"] = json!(audit.task_id);
        document["dryRun"] = json!(dry_run);
        return print::json(&document);
    }
    let mut table = print::table(&["check", "reason", "what is done", "rule", "findings", "for example"]);
    for row in plan.rows() {
        table.add_row([
            row.check.clone(),
            row.reason.clone(),
            words(&row.what),
            row.rule.clone().unwrap_or_else(|| "-".to_owned()),
            row.findings.to_string(),
            print::short(&row.example.1, 40),
        ]);
    }
    print::right(&mut table, 4..5);
    if table.row_count() > 0 {
        print::line(&table.to_string());
    }
    let suppressed = match plan.suppressed {
        0 => String::new(),
        1 => "; 1 more is suppressed and left alone".to_owned(),
        n => format!("; {n} more are suppressed and left alone"),
    };
    let findings = print::counted(plan.findings(), "finding");
    print::line(&match plan.findings() {
        0 => format!("0 findings match: nothing to do{suppressed}"),
        _ => format!("{findings}, {} of them to be acted on{suppressed}", plan.acts_on()),
    });
    if let Some((operation, rate, time)) = plan.least_time(budget) {
        print::line(&format!("at least {}, by {operation} at {rate:.1} calls a second", duration(time)));
    }
    if plan.findings() > 0 && plan.acts_on() == 0 {
        print::line(
            "nothing would be changed: no rule acts on these findings, or the policy only observes (see --policy, --mode)",
        );
    }
}

pub(super) fn print_enqueued(enqueued: Enqueued, plan: &Plan, order: &Order, output: OutputFormat) {
    match output {
        OutputFormat::Json => print::json(&json!({
            "sent": enqueued.sent,
            "of": plan.findings(),
            "suppressed": plan.suppressed,
            "replayId": order.id,
        })),
        OutputFormat::Table => {
            print::line(&format!(
                "{} of {} on the queue ({})",
                enqueued.sent,
                print::counted(plan.findings(), "finding"),
                order.id
            ));
            print::line(
                "follow them with `fleetwarden status` and `fleetwarden findings list`; what is mitigated already stays as it is",
            );
        }
    }
}

/// What programs are told when there was nothing to send, or to hand over: the members they know. People have read the plan.
pub(super) fn print_nothing(plan: &Plan, enqueues: bool, output: OutputFormat) {
    let document = match enqueues {
        true => json!({ "sent": 0, "of": 0, "suppressed": plan.suppressed, "replayId": null }),
        false => json!({ "byStatus": {}, "before": 0, "troubled": [], "replayId": null }),
    };
    if output == OutputFormat::Json {
        print::json(&document);
    }
}

pub(super) fn print_delegated(results: &Results, audit: &Audit, order: &Order, output: OutputFormat) {
    if output == OutputFormat::Json {
        let troubled = results
            .troubled
            .iter()
            .map(|(id, status, detail)| json!({ "findingId": id, "status": status, "detail": detail }));
        return print::json(&json!({
            "byStatus": results.by_status,
            "before": results.before,
            "troubled": troubled.collect::<Vec<_>>(),
            "replayId": order.id,
        }));
    }
    let mut table = print::table(&["status", "findings"]);
    for (status, n) in &results.by_status {
        table.add_row([status.to_string(), n.to_string()]);
    }
    print::right(&mut table, 1..2);
    print::line(&table.to_string());
    if results.before > 0 {
        let (were, was) = if results.before == 1 { ("was", "is") } else { ("were", "are") };
        print::line(&format!(
            "{} {were} so before, and {was} left alone: `fleetwarden findings verify --audit {}` tells whether that holds",
            print::counted(results.before, "finding"),
            audit.task_id
        ));
    }
    if !results.troubled.is_empty() {
        let mut table = print::table(&["finding", "status", "why"]);
        for (id, status, detail) in &results.troubled {
            table.add_row([id.clone(), status.to_string(), print::short(detail, 160)]);
        }
        print::line(&table.to_string());
    }
}

fn plan_json(plan: &Plan, budget: &BudgetConfig) -> Value {
    let rows = plan.rows().map(|row| {
        let (actions, delegate): (&[ActionType], &[String]) = match &row.what {
            What::Actions(actions) => (actions, &[]),
            What::Delegate(names) => (&[], names),
            What::RecordOnly { would, would_delegate } => (would, would_delegate),
        };
        json!({
            "check": row.check,
            "reason": row.reason,
            "rule": row.rule,
            "actions": actions,
            "delegate": delegate,
            "recordOnly": matches!(row.what, What::RecordOnly { .. }),
            "findings": row.findings,
            "example": { "findingId": row.example.0, "resource": row.example.1 },
        })
    });
    let least = plan.least_time(budget).map(|(operation, rate, time)| {
        json!({ "seconds": time.as_secs_f64(), "operation": operation.as_str(), "callsPerSecond": rate })
    });
    json!({
        "plan": rows.collect::<Vec<_>>(),
        "findings": plan.findings(),
        "actsOn": plan.acts_on(),
        "suppressed": plan.suppressed,
        "leastTime": least,
    })
}

fn words(what: &What) -> String {
    match what {
        What::Actions(actions) => list(actions),
        What::Delegate(names) => format!("Device Defender's {}", names.join(", ")),
        What::RecordOnly { would, .. } if !would.is_empty() => format!("recorded only; enforcing: {}", list(would)),
        What::RecordOnly { would_delegate, .. } if !would_delegate.is_empty() => {
            format!("recorded only; enforcing: Device Defender's {}", would_delegate.join(", "))
        }
        What::RecordOnly { .. } => "recorded only".to_owned(),
    }
}

fn list(actions: &[ActionType]) -> String {
    actions.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(", ")
}

/// `1 h 5 min`, `5 min 3 s`, `3 s`: rounded up.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

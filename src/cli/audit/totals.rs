//! How an audit is printed: its head, and its totals per check.

use crate::cli::{OutputFormat, print};
use crate::defender::console::Audit;
use crate::finding::CheckSummary;
use serde_json::{Value, json};

/// A word of AWS as people say it: `IN_PROGRESS` is `in progress`.
pub(super) fn spoken(status: &str) -> String {
    status.to_lowercase().replace('_', " ")
}

/// `on demand`, or the schedule's name.
pub(super) fn kind(audit: &Audit) -> String {
    match &audit.scheduled_audit {
        Some(name) => format!("scheduled, {name}"),
        None => spoken(audit.task_type.trim_end_matches("_AUDIT_TASK")),
    }
}

/// The audit as it stands, with why it is no full answer if it is none.
pub(super) fn print_audit(audit: &Audit, output: OutputFormat) {
    match output {
        OutputFormat::Json => print::json(&as_json(audit)),
        OutputFormat::Table => {
            print_totals(audit);
            print_troubles(audit);
            print::line(&sentence(audit));
        }
    }
}

/// A row for each check. Two columns: the names of checks are long, terminals are not.
pub(super) fn print_totals(audit: &Audit) {
    let mut table = print::table(&["check", "result"]);
    for check in &audit.checks {
        table.add_row([check.check.clone(), result(check)]);
    }
    print::line(&table.to_string());
}

/// Why some checks failed.
pub(super) fn print_troubles(audit: &Audit) {
    for trouble in audit.troubles() {
        print::line(&trouble);
    }
}

/// What came of a check, or how far it is.
pub(super) fn result(check: &CheckSummary) -> String {
    let CheckSummary { status, suppressed, total, error_code, .. } = check;
    let suppressed = if *suppressed > 0 { format!(", {suppressed} suppressed") } else { String::new() };
    match (status.as_str(), error_code) {
        ("COMPLETED_COMPLIANT", _) => format!("compliant: {}{suppressed}", print::counted(*total, "resource")),
        ("COMPLETED_NON_COMPLIANT", _) => format!("{} of {total} non-compliant{suppressed}", check.objected()),
        ("WAITING_FOR_DATA_COLLECTION", _) => "waiting for data".to_owned(),
        (status, Some(code)) => format!("{}: {code}", spoken(status)),
        (status, None) => spoken(status),
    }
}

/// How an audit ended that is no full answer, and why; `None` if all went well.
pub(in crate::cli) fn trouble(audit: &Audit) -> Option<String> {
    let troubles = audit.troubles().join("; ");
    let how = match audit.status.as_str() {
        "COMPLETED" => "completed, but ".to_owned(),
        status => format!("ended {}: ", spoken(status)),
    };
    (!troubles.is_empty()).then(|| format!("audit {} {how}{troubles}", audit.task_id))
}

/// Where it stands, in a line.
pub(super) fn sentence(audit: &Audit) -> String {
    let id = &audit.task_id;
    let begun = print::moment(audit.started_at);
    let of = audit.checks.len();
    if audit.is_in_progress() {
        return format!(
            "audit {id} ({}), begun {begun} UTC, is in progress: {} of {of} checks done",
            kind(audit),
            audit.checks_done()
        );
    }
    let count = |status: &str| audit.checks.iter().filter(|check| check.status == status).count();
    let wrong: u64 = audit.checks.iter().map(CheckSummary::objected).sum();
    let failed = match count("FAILED") {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    format!(
        "audit {id} ({}), begun {begun} UTC, is {}: {of} checks, {} compliant, {} non-compliant{failed}; {} not in order",
        kind(audit),
        spoken(&audit.status),
        count("COMPLETED_COMPLIANT"),
        count("COMPLETED_NON_COMPLIANT"),
        print::counted(wrong, "resource"),
    )
}

/// The audit for programs.
pub(super) fn as_json(audit: &Audit) -> Value {
    let checks = audit.checks.iter().map(|check| {
        json!({
            "check": check.check,
            "status": check.status,
            "resources": check.total,
            "nonCompliant": check.non_compliant,
            "suppressed": check.suppressed,
            "errorCode": check.error_code,
            "message": check.message,
        })
    });
    json!({
        "taskId": audit.task_id,
        "status": audit.status,
        "type": audit.task_type,
        "scheduledAudit": audit.scheduled_audit,
        "startedAt": time(audit.started_at),
        "checks": checks.collect::<Vec<_>>(),
    })
}

/// A time for programs.
pub(super) fn time(ms: Option<i64>) -> Value {
    ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).map_or(Value::Null, |at| json!(at.to_string()))
}

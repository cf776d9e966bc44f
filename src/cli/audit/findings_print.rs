//! How findings are printed: a table for each check and reason code, or one JSON document that is written as the pages come.

use super::totals;
use crate::cli::print;
use crate::defender::console::{Audit, FindingFilter, Walk};
use crate::finding::{Finding, Severity};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};

/// Names of things in a cell; a certificate can be shared by thousands.
const NAMES: usize = 5;

/// A finding, and the things that use its certificate if they were looked up.
#[derive(Debug)]
struct Listed {
    finding: Finding,
    things: Option<Vec<String>>,
}

/// What the table will show.
#[derive(Debug, Default)]
pub(super) struct TableReport {
    /// By check, severity and reason code.
    groups: BTreeMap<(String, Severity, String), Vec<Listed>>,
    kept: usize,
}

impl TableReport {
    /// Findings kept.
    pub fn len(&self) -> usize {
        self.kept
    }

    /// Keeps a finding, with the things that use its certificate.
    pub fn add(&mut self, finding: Finding, things: Option<Vec<String>>) {
        self.kept += 1;
        let group = (finding.check.clone(), finding.severity, finding.reason_code.clone());
        self.groups.entry(group).or_default().push(Listed { finding, things });
    }

    /// The audit's totals, a table for each group, and what is left out.
    pub fn print(&self, audit: &Audit, walk: &Walk<'_>, filter: &FindingFilter, things_left_out: usize) {
        totals::print_totals(audit);
        totals::print_troubles(audit);
        for ((check, severity, reason), findings) in &self.groups {
            print::line(&format!("\n{check} ({severity}): {reason}"));
            print::line(&group(findings, filter.suppressed));
        }
        print::line(&self.counted(walk, filter));
        let meant = audit.checks.iter().filter(|check| filter.check.as_ref().is_none_or(|meant| *meant == check.check));
        let suppressed: u64 = meant.map(|check| check.suppressed).sum();
        if suppressed > 0 && !filter.suppressed {
            print::line(&format!("{} not shown, see --suppressed", print::counted(suppressed, "suppressed resource")));
        }
        if things_left_out > 0 {
            print::line(&format!(
                "of {things_left_out} more shared certificates the things were not looked up, raise --things"
            ));
        }
    }

    fn counted(&self, walk: &Walk<'_>, filter: &FindingFilter) -> String {
        let (shown, matching) = (self.kept as u64, walk.matching);
        let noun = if matching == 1 { "finding" } else { "findings" };
        if matching == 0 && walk.seen > 0 {
            let seen: Vec<_> = walk.reasons.iter().map(|(reason, n)| format!("{reason} ({n})")).collect();
            return format!(
                "no finding has the reason code {}; there are {}",
                filter.reasons.join(" or "),
                seen.join(", ")
            );
        }
        if shown == matching {
            return format!("{matching} {noun}");
        }
        format!(
            "{shown} of {matching} {noun} shown, {} are left out: raise --limit, narrow with --check or --reason, or take --output json",
            matching - shown
        )
    }
}

fn group(findings: &[Listed], suppressed: bool) -> String {
    let with_things = findings.iter().any(|listed| listed.things.is_some());
    let mut headings = vec!["finding", "resource"];
    headings.extend(with_things.then_some("used by"));
    headings.extend(suppressed.then_some("suppressed"));
    let mut table = print::table(&headings);
    for Listed { finding, things } in findings {
        let mut row = vec![finding.finding_id.clone(), resource_of(finding)];
        if with_things {
            row.push(things.as_deref().map_or_else(|| "not looked up".to_owned(), names));
        }
        if suppressed {
            row.push(if finding.suppressed { "yes" } else { "no" }.to_owned());
        }
        table.add_row(row);
    }
    // An id that is broken in two cannot be copied.
    print::whole(&mut table, 0);
    table.to_string()
}

/// The resource as people know it; of a policy, with the version that was looked at.
fn resource_of(finding: &Finding) -> String {
    use crate::finding::ResourceIdentifier::PolicyVersion;
    match &finding.resource.identifier {
        PolicyVersion { policy, version } => format!("{policy}:{version}"),
        _ => finding.resource_id(),
    }
}

fn names(things: &[String]) -> String {
    if things.is_empty() {
        return "no thing".to_owned();
    }
    let first = things.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    match things.len().saturating_sub(NAMES) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Writes the document piece by piece.
#[derive(Default)]
pub(super) struct JsonReport {
    out: Option<BufWriter<std::io::Stdout>>,
    first: bool,
}

impl JsonReport {
    /// The audit, and the beginning of the list, once.
    pub fn begin(&mut self, audit: &Audit) {
        if self.out.is_some() {
            return;
        }
        let mut out = BufWriter::new(std::io::stdout());
        // A reader that has gone (`| head`) is no error of ours; so it is everywhere below.
        let _ = write!(out, "{{\n  \"audit\": {},\n  \"findings\": [", totals::as_json(audit));
        (self.out, self.first) = (Some(out), true);
    }

    /// One finding, in a line.
    pub fn add(&mut self, finding: &Finding, things: Option<&[String]>) {
        let Some(out) = &mut self.out else { return };
        let comma = if std::mem::take(&mut self.first) { "" } else { "," };
        let _ = write!(out, "{comma}\n    {}", as_json(finding, things));
    }

    /// The end of the document.
    pub fn end(mut self, walk: &Walk<'_>, things_left_out: usize) {
        let Some(mut out) = self.out.take() else { return };
        let figures = [("matching", walk.matching), ("seen", walk.seen), ("thingsLeftOut", things_left_out as u64)];
        let figures = figures.map(|(name, n)| format!("  \"{name}\": {n}")).join(",\n");
        let _ = writeln!(out, "\n  ],\n{figures}\n}}");
        let _ = out.flush();
    }
}

fn as_json(finding: &Finding, things: Option<&[String]>) -> Value {
    let mut document = json!({
        "findingId": finding.finding_id,
        "check": finding.check,
        "reasonCode": finding.reason_code,
        "reason": finding.reason,
        "severity": finding.severity,
        "resourceType": finding.resource.kind,
        "resource": resource_of(finding),
        "resourceIdentifier": finding.resource.identifier.to_json(),
        "suppressed": finding.suppressed,
        "foundAt": totals::time(finding.found_at),
    });
    if let Some(things) = things {
        document["things"] = json!(things);
    }
    document
}

//! `fleetwarden findings verify`: does what was done still hold?

use super::bar::Bar;
use super::findings::{id_of, ledger_error};
use super::random::seed;
use super::{CliError, OutputFormat, print};
use crate::aws::{CallError, Class, Clients};
use crate::budget::{BudgetConfig, Budgets, Fleet};
use crate::clock::Clock;
use crate::ledger::{DynamoLedger, Filter, Ledger, Record, Status};
use crate::mitigation::{AwsIot, Paced, Verdict, Verified, verify};
use crate::telemetry::Telemetry;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Records that one request of the ledger looks at.
const PAGE: usize = 1000;

/// Findings that are verified at a time. The budgets set the pace, 8 a second for certificates; this many keep it full at a second a
/// call.
const AT_A_TIME: usize = 16;

/// A slot that does not come within this is told as a throttle. With others at work on the same budget a slot may take a while.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rows that a terminal gets to see; JSON has them all.
const ROWS: usize = 100;

/// How long AWS IoT may go by a policy that was replaced: "within 6-8 minutes", its developer guide says of its cache.
const POLICY_CACHE_MS: i64 = 8 * 60 * 1000;

/// A finding and what was found of it; or why its state could not be read.
type Told = (Record, Result<Verified, CallError>);

/// Verifies one finding.
pub(super) async fn one(
    clients: &Clients,
    ledger: &DynamoLedger,
    id: &str,
    output: OutputFormat,
) -> Result<(), CliError> {
    let key = if id.contains('#') { id.to_owned() } else { format!("finding#{id}") };
    let record = ledger.get(&key).await.map_err(|error| ledger_error(&error))?;
    let Some(record) = record.filter(is_finding) else {
        return Err(CliError::Usage(format!(
            "the ledger has no finding {id}; look for it with `fleetwarden findings list`, or in the dead letters"
        )));
    };
    let iot = account(clients, ledger, &record)?;
    let verified = verify(&iot, &record).await.map_err(|error| failed(&error))?;
    let note = note(verified.policy_changed_at(), Clock::system().now_ms());
    match output {
        OutputFormat::Json => {
            let mut document = finding_json(&record, &Ok(verified.clone()));
            document["note"] = json!(note);
            print::json(&document);
        }
        OutputFormat::Table => {
            print_one(&record, &verified);
            note.iter().for_each(|note| print::line(note));
        }
    }
    match verified.verdict {
        Verdict::Reverted => Err(CliError::Failed(format!("what was done about finding {id} does not hold any more"))),
        _ => Ok(()),
    }
}

/// Verifies every finding of an audit.
pub(super) async fn audit(
    clients: &Clients,
    ledger: &DynamoLedger,
    task: &str,
    output: OutputFormat,
) -> Result<(), CliError> {
    let filter = Filter { task_id: Some(task.to_owned()), ..Filter::default() };
    let mut bar = Bar::new("findings verified");
    let told = read_all(clients, ledger, &filter, &mut bar).await;
    bar.clear();
    let survey = told?;
    if survey.total() == 0 {
        return Err(CliError::Usage(format!(
            "the ledger has no finding of audit {task}; check the id, and whether its findings have reached the workers"
        )));
    }
    let note = note(survey.policy_changed_at, Clock::system().now_ms());
    match output {
        OutputFormat::Json => {
            let mut document = survey_json(task, &survey);
            document["note"] = json!(note);
            print::json(&document);
        }
        OutputFormat::Table => {
            print_survey(task, &survey);
            note.iter().for_each(|note| print::line(note));
        }
    }
    let (reverted, unread) = (survey.of(Verdict::Reverted), survey.unread());
    let total = print::counted(survey.total(), "finding");
    let verb = if reverted == 1 { "does" } else { "do" };
    match (reverted, unread) {
        (0, 0) => Ok(()),
        (0, _) => Err(CliError::Failed(format!(
            "{} could not be read; give the command again",
            print::counted(unread, "finding")
        ))),
        (_, 0) => Err(CliError::Failed(format!("of {total} {reverted} {verb} not hold any more"))),
        _ => Err(CliError::Failed(format!(
            "of {total} {reverted} {verb} not hold any more, and {unread} could not be read"
        ))),
    }
}

/// AWS IoT inside the budgets that the workers share: whoever verifies thousands of findings must not throttle those at work.
fn account(clients: &Clients, ledger: &DynamoLedger, record: &Record) -> Result<Paced<AwsIot>, CliError> {
    let subject = &record.subject;
    if subject.region != clients.region {
        return Err(CliError::Usage(format!(
            "finding {} is of region {}, and AWS_REGION is {}: set AWS_REGION={}",
            id_of(record),
            subject.region,
            clients.region,
            subject.region
        )));
    }
    let seed = seed()?;
    let fleet = Fleet {
        timelines: Arc::new(ledger.clone()),
        region: clients.region.clone(),
        clock: Clock::system(),
        telemetry: Arc::new(Telemetry::default()),
        seed,
    };
    let budgets = Arc::new(Budgets::shared(&BudgetConfig::default(), &fleet));
    let iot = AwsIot::new(clients.iot.clone(), clients.sns.clone(), &subject.account, &subject.region);
    Ok(Paced::new(iot, budgets, PATIENCE, seed))
}

fn failed(error: &CallError) -> CliError {
    let advice = error.advice().map(|advice| format!(": {advice}")).unwrap_or_default();
    CliError::Failed(format!("failed to {error}{advice}"))
}

fn is_finding(record: &Record) -> bool {
    record.status != Status::Expanded && record.subject.resource_type != "AUDIT"
}

/// What was found of the findings of an audit.
#[derive(Debug, Default)]
struct Survey {
    /// By check: how many of each verdict, and how many could not be read.
    checks: BTreeMap<String, (BTreeMap<Verdict, u64>, u64)>,
    /// Findings that nothing was done about, by status.
    idle: BTreeMap<&'static str, u64>,
    /// Those that do not hold, or of which that cannot be told.
    telling: Vec<Told>,
    policy_changed_at: Option<i64>,
}

impl Survey {
    fn add(&mut self, told: Told) {
        let (record, result) = &told;
        let (verdicts, unread) = self.checks.entry(record.subject.check.clone()).or_default();
        match result {
            Ok(verified) => {
                *verdicts.entry(verified.verdict).or_default() += 1;
                self.policy_changed_at = self.policy_changed_at.max(verified.policy_changed_at());
                match verified.verdict {
                    Verdict::Holds => return,
                    Verdict::NothingDone => {
                        *self.idle.entry(record.status.as_str()).or_default() += 1;
                        return;
                    }
                    Verdict::Reverted | Verdict::Gone | Verdict::CannotBeTold => {}
                }
            }
            Err(_) => *unread += 1,
        }
        self.telling.push(told);
    }

    fn of(&self, verdict: Verdict) -> u64 {
        self.checks.values().filter_map(|(verdicts, _)| verdicts.get(&verdict)).sum()
    }

    fn unread(&self) -> u64 {
        self.checks.values().map(|(_, unread)| unread).sum()
    }

    fn total(&self) -> u64 {
        Verdict::ALL.iter().map(|verdict| self.of(*verdict)).sum::<u64>() + self.unread()
    }
}

/// Goes through the ledger page by page, so that a page is all that is held of what holds.
async fn read_all(
    clients: &Clients,
    ledger: &DynamoLedger,
    filter: &Filter,
    bar: &mut Bar,
) -> Result<Survey, CliError> {
    let mut survey = Survey::default();
    let mut iot: Option<Paced<AwsIot>> = None;
    let (mut done, mut seen) = (0, 0);
    let mut next = None;
    loop {
        let page = ledger.list(filter, PAGE, next).await.map_err(|error| ledger_error(&error))?;
        let records: Vec<Record> = page.records.into_iter().filter(is_finding).collect();
        seen += records.len() as u64;
        if iot.is_none()
            && let Some(first) = records.first()
        {
            iot = Some(account(clients, ledger, first)?);
        }
        if let Some(iot) = &iot {
            let each = stream::iter(records).map(|record| async move {
                let verified = verify(iot, &record).await;
                (record, verified)
            });
            let mut each = std::pin::pin!(each.buffer_unordered(AT_A_TIME));
            while let Some(told) = each.next().await {
                // What one read is denied, all are.
                if let (_, Err(error)) = &told
                    && error.class == Class::Denied
                {
                    return Err(failed(error));
                }
                survey.add(told);
                done += 1;
                bar.at(done, seen);
            }
        }
        next = page.next;
        if next.is_none() {
            survey.telling.sort_by_key(|(record, told)| (rank(told), record.subject.check.clone()));
            return Ok(survey);
        }
    }
}

/// What a person looks for first.
fn rank(told: &Result<Verified, CallError>) -> u8 {
    match told.as_ref().map(|verified| verified.verdict) {
        Ok(Verdict::Reverted) => 0,
        Err(_) => 1,
        Ok(Verdict::CannotBeTold) => 2,
        Ok(_) => 3,
    }
}

/// What is to be known of policies that were changed.
fn note(changed_at: Option<i64>, now: i64) -> Option<String> {
    let changed_at = changed_at?;
    let rule = "policy changes take 6 to 8 minutes to reach devices, since AWS IoT caches policies";
    let until = changed_at + POLICY_CACHE_MS;
    Some(match until > now {
        true => format!(
            "{rule}: the latest was made at {} UTC, and until {} UTC devices may still go by the old one",
            print::moment(Some(changed_at)),
            print::moment(Some(until))
        ),
        false => format!("{rule}; the latest was made at {} UTC, so it has", print::moment(Some(changed_at))),
    })
}

fn print_one(record: &Record, verified: &Verified) {
    let mut table = print::table(&["finding", id_of(record)]);
    let why = if verified.why.is_empty() { String::new() } else { format!(": {}", verified.why) };
    for (name, value) in [
        ("check", record.subject.check.clone()),
        ("resource", format!("{} {}", record.subject.resource_type, record.subject.resource_id)),
        ("status", record.status.to_string()),
        ("verdict", format!("{}{why}", verified.verdict.as_str())),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    print::line(&table.to_string());
    if verified.steps.is_empty() {
        return;
    }
    let mut steps = print::table(&["action", "target", "done", "verdict", "now", "last changed (UTC)"]);
    for verified in &verified.steps {
        steps.add_row([
            verified.step.action.clone(),
            verified.step.target.clone(),
            format!("{} UTC: {}", print::moment(Some(verified.step.at)), verified.step.detail),
            verified.found.verdict.as_str().to_owned(),
            verified.found.now.clone(),
            print::moment(verified.found.since),
        ]);
    }
    print::line(&steps.to_string());
}

fn print_survey(task: &str, survey: &Survey) {
    let mut headings = vec!["check", "findings"];
    headings.extend(Verdict::ALL.iter().map(|verdict| verdict.as_str()));
    headings.push("not read");
    let mut table = print::table(&headings);
    let mut add = |name: &str, verdicts: &dyn Fn(Verdict) -> u64, unread: u64| {
        let each: Vec<u64> = Verdict::ALL.iter().map(|verdict| verdicts(*verdict)).chain([unread]).collect();
        let all: u64 = each.iter().sum();
        let mut row = vec![name.to_owned(), all.to_string()];
        row.extend(each.iter().map(|n| if *n == 0 { "·".to_owned() } else { n.to_string() }));
        table.add_row(row);
    };
    for (check, (verdicts, unread)) in &survey.checks {
        add(check, &|verdict| verdicts.get(&verdict).copied().unwrap_or(0), *unread);
    }
    if survey.checks.len() > 1 {
        add("all", &|verdict| survey.of(verdict), survey.unread());
    }
    print::right(&mut table, 1..headings.len());
    print::line(&table.to_string());
    if !survey.telling.is_empty() {
        let mut table = print::table(&["finding", "check", "resource", "verdict", "now", "last changed (UTC)"]);
        for (record, told) in survey.telling.iter().take(ROWS) {
            let (verdict, now, since) = in_short(told);
            table.add_row([
                id_of(record).to_owned(),
                record.subject.check.clone(),
                print::short(&record.subject.resource_id, 24),
                verdict,
                now,
                print::moment(since),
            ]);
        }
        print::line(&table.to_string());
        if survey.telling.len() > ROWS {
            print::line(&format!("and {} more; --output json has them all", survey.telling.len() - ROWS));
        }
    }
    let idle: Vec<String> = survey.idle.iter().map(|(status, n)| format!("{n} {status}")).collect();
    let idle = if idle.is_empty() { String::new() } else { format!("; nothing was done about {}", idle.join(", ")) };
    let (total, holds) = (print::counted(survey.total(), "finding"), survey.of(Verdict::Holds));
    let verb = if holds == 1 { "holds" } else { "hold" };
    print::line(&format!("audit {task}: of {total} {holds} {verb}{idle}"));
}

/// A finding in one row: what decided.
fn in_short(told: &Result<Verified, CallError>) -> (String, String, Option<i64>) {
    match told {
        Err(error) => ("not read".to_owned(), format!("failed to {error}"), None),
        Ok(verified) => {
            let deciding = verified.steps.iter().filter(|step| step.found.verdict == verified.verdict);
            let mut now: Vec<String> = deciding.clone().map(|step| step.found.now.clone()).collect();
            now.extend((!verified.why.is_empty()).then(|| verified.why.clone()));
            let since = deciding.filter_map(|step| step.found.since).max();
            (verified.verdict.as_str().to_owned(), print::short(&now.join("; "), 120), since)
        }
    }
}

fn time(ms: Option<i64>) -> Value {
    ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).map_or(Value::Null, |at| json!(at.to_string()))
}

fn finding_json(record: &Record, told: &Result<Verified, CallError>) -> Value {
    let subject = &record.subject;
    let mut document = json!({
        "findingId": id_of(record),
        "check": subject.check,
        "resourceType": subject.resource_type,
        "resource": subject.resource_id,
        "status": record.status,
    });
    match told {
        Err(error) => {
            document["verdict"] = Value::Null;
            document["error"] = json!(error.to_string());
        }
        Ok(verified) => {
            document["verdict"] = json!(verified.verdict);
            document["why"] = json!(Some(&verified.why).filter(|why| !why.is_empty()));
            let steps = verified.steps.iter().map(|verified| {
                json!({
                    "action": verified.step.action,
                    "target": verified.step.target,
                    "outcome": verified.step.outcome,
                    "done": verified.step.detail,
                    "at": time(Some(verified.step.at)),
                    "verdict": verified.found.verdict,
                    "now": verified.found.now,
                    "lastChanged": time(verified.found.since),
                })
            });
            document["steps"] = steps.collect();
        }
    }
    document
}

fn survey_json(task: &str, survey: &Survey) -> Value {
    let counts = |of: &dyn Fn(Verdict) -> u64, unread: u64| {
        let mut counts: serde_json::Map<String, Value> = Verdict::ALL
            .iter()
            .map(|verdict| (json!(verdict).as_str().unwrap_or_default().to_owned(), json!(of(*verdict))))
            .collect();
        counts.insert("not_read".to_owned(), json!(unread));
        Value::Object(counts)
    };
    let checks = survey.checks.iter().map(|(check, (verdicts, unread))| {
        let mut row = counts(&|verdict| verdicts.get(&verdict).copied().unwrap_or(0), *unread);
        row["check"] = json!(check);
        row
    });
    json!({
        "taskId": task,
        "findings": survey.total(),
        "counts": counts(&|verdict| survey.of(verdict), survey.unread()),
        "checks": checks.collect::<Vec<_>>(),
        "nothingDone": survey.idle,
        "notHolding": survey.telling.iter().map(|(record, told)| finding_json(record, told)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_was_just_changed_is_told_with_the_moment_from_which_devices_know() {
        assert_eq!(note(None, 0), None);
        let fresh = note(Some(0), 60_000).unwrap();
        assert!(fresh.contains("6 to 8 minutes") && fresh.contains("until 1970-01-01 00:08:00 UTC"), "{fresh}");
        let old = note(Some(0), POLICY_CACHE_MS).unwrap();
        assert!(old.ends_with("so it has"), "{old}");
    }
}

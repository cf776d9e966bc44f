//! Scheduled audits: the rules, and their five operations. `recurrence.rs` knows their days.

use serde_json::{Map, Value, json};

use super::call::{Call, page_reply};
use super::defender::Effect;
use super::error::IotError;
use super::fleet::Fleet;
use super::identifiers::check_identifier;
use super::recurrence::Recurrence;
use super::tags::tags_of;

/// AWS General Reference, Device Defender limits.
const MAX_SCHEDULES: usize = 5;

type Reply = Result<Value, IotError>;

/// A scheduled audit.
#[derive(Clone, Debug)]
pub struct ScheduledAudit {
    /// Its days.
    pub recurrence: Recurrence,
    /// `targetCheckNames`.
    pub checks: Vec<String>,
    /// When the next audit starts, epoch milliseconds.
    pub next_ms: i64,
    /// When the last one started, epoch milliseconds.
    pub last_ms: Option<i64>,
    /// Changes with every change, so that who waits for an earlier state of it can tell.
    pub(super) revision: u64,
}

impl Fleet {
    /// `CreateScheduledAudit`: at most five; every check must be enabled. The service starts its audits
    /// ([`Effect::AwaitSchedule`]).
    pub fn create_scheduled_audit(
        &mut self,
        name: &str,
        recurrence: Recurrence,
        checks: Vec<String>,
    ) -> Result<(), IotError> {
        check_identifier("scheduledAuditName", name)?;
        self.require_schedulable(&checks)?;
        if self.defender.schedules.contains_key(name) {
            return Err(IotError::exists(format!("Scheduled audit {name} already exists")));
        }
        if self.defender.schedules.len() >= MAX_SCHEDULES {
            return Err(IotError::limit(format!(
                "the account has {MAX_SCHEDULES} scheduled audits, which is the limit"
            )));
        }
        let next_ms = recurrence.first_after(self.now_ms());
        let schedule = ScheduledAudit { recurrence, checks, next_ms, last_ms: None, revision: 0 };
        self.defender.schedules.insert(name.to_owned(), schedule);
        self.await_schedule(name);
        Ok(())
    }

    /// `UpdateScheduledAudit`: what is not given stays. A new recurrence counts from now on.
    pub fn update_scheduled_audit(
        &mut self,
        name: &str,
        recurrence: Option<Recurrence>,
        checks: Option<Vec<String>>,
    ) -> Result<(), IotError> {
        let before = self.scheduled_audit(name)?.recurrence;
        if let Some(checks) = &checks {
            self.require_schedulable(checks)?;
        }
        let now = self.now_ms();
        if let Some(schedule) = self.defender.schedules.get_mut(name) {
            if let Some(checks) = checks {
                schedule.checks = checks;
            }
            if let Some(recurrence) = recurrence.filter(|recurrence| *recurrence != before) {
                schedule.recurrence = recurrence;
                schedule.next_ms = recurrence.first_after(now);
            }
        }
        self.await_schedule(name);
        Ok(())
    }

    /// `DescribeScheduledAudit`.
    pub fn scheduled_audit(&self, name: &str) -> Result<&ScheduledAudit, IotError> {
        let schedule = self.defender.schedules.get(name);
        schedule.ok_or_else(|| IotError::not_found(format!("Scheduled audit {name} does not exist")))
    }

    /// `DeleteScheduledAudit`. An audit that it has started goes on.
    pub fn delete_scheduled_audit(&mut self, name: &str) -> Result<(), IotError> {
        self.scheduled_audit(name)?;
        self.defender.schedules.remove(name);
        let arn = self.arn("scheduledaudit", name);
        self.tags.remove(&arn);
        Ok(())
    }

    /// Starts an audit of a schedule at once, whatever its day; its days stay as they are. Returns the task id.
    pub fn run_scheduled_audit(&mut self, name: &str) -> Result<String, IotError> {
        let schedule = self.scheduled_audit(name)?;
        let (checks, last_ms, now) = (schedule.checks.clone(), schedule.last_ms, self.now_ms());
        if let Some(schedule) = self.defender.schedules.get_mut(name) {
            schedule.last_ms = Some(now);
        }
        Ok(self.begin_audit(&checks, Some(name.to_owned()), last_ms))
    }

    /// When this state of a schedule is due, epoch milliseconds; `None` once it has changed or is gone.
    pub(super) fn schedule_due(&self, name: &str, revision: u64) -> Option<i64> {
        let schedule = self.defender.schedules.get(name).filter(|schedule| schedule.revision == revision)?;
        Some(schedule.next_ms)
    }

    /// Starts the audit of a schedule that is due, and moves it to its next day.
    pub(super) fn start_due_audit(&mut self, name: &str, revision: u64) {
        let now = self.now_ms();
        let due = self.schedule_due(name, revision).filter(|due| *due <= now);
        if let (Some(due), Some(schedule)) = (due, self.defender.schedules.get_mut(name)) {
            schedule.next_ms = schedule.recurrence.next_after(due, now);
            // It exists: it was found just now.
            let _task_id = self.run_scheduled_audit(name);
        }
    }

    /// The scheduled audit that uses a check, if any.
    pub(super) fn schedule_using(&self, check: &str) -> Option<&String> {
        let uses = |schedule: &ScheduledAudit| schedule.checks.iter().any(|used| used == check);
        self.defender.schedules.iter().find(|(_, schedule)| uses(schedule)).map(|(name, _)| name)
    }

    fn require_schedulable(&self, checks: &[String]) -> Result<(), IotError> {
        if checks.is_empty() {
            return Err(IotError::invalid("targetCheckNames must name at least one check"));
        }
        self.require_enabled(checks)
    }

    /// Has the service wait for the schedule as it is now, and no longer for what it was.
    fn await_schedule(&mut self, name: &str) {
        self.defender.schedule_revisions += 1;
        let revision = self.defender.schedule_revisions;
        if let Some(schedule) = self.defender.schedules.get_mut(name) {
            schedule.revision = revision;
            self.defender.effects.push(Effect::AwaitSchedule { name: name.to_owned(), revision });
        }
    }
}

fn arn_reply(fleet: &Fleet, name: &str) -> Value {
    json!({ "scheduledAuditArn": fleet.arn("scheduledaudit", name) })
}

pub(super) fn create_scheduled_audit(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("scheduledAuditName")?;
    let recurrence =
        Recurrence::parse(call.required_text("frequency")?, call.text("dayOfWeek")?, call.text("dayOfMonth")?)?;
    let checks = call.texts("targetCheckNames")?;
    let checks = checks.ok_or_else(|| IotError::invalid("targetCheckNames is required"))?;
    let tags = tags_of(call)?;
    fleet.create_scheduled_audit(name, recurrence, checks)?;
    let arn = fleet.arn("scheduledaudit", name);
    fleet.tag(&arn, tags);
    Ok(arn_reply(fleet, name))
}

pub(super) fn update_scheduled_audit(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("scheduledAuditName")?;
    let before = fleet.scheduled_audit(name)?.recurrence;
    let (frequency, week, month) = (call.text("frequency")?, call.text("dayOfWeek")?, call.text("dayOfMonth")?);
    let given = frequency.is_some() || week.is_some() || month.is_some();
    let recurrence = given.then(|| {
        let frequency = frequency.unwrap_or(before.frequency());
        let kept_month = before.day_of_month();
        // A day that was set before is kept if the frequency still has one of its kind.
        let week = week.or(before.day_of_week().filter(|_| matches!(frequency, "WEEKLY" | "BIWEEKLY")));
        let month = month.or(kept_month.as_deref().filter(|_| frequency == "MONTHLY"));
        Recurrence::parse(frequency, week, month)
    });
    fleet.update_scheduled_audit(name, recurrence.transpose()?, call.texts("targetCheckNames")?)?;
    Ok(arn_reply(fleet, name))
}

fn show(fleet: &Fleet, name: &str, schedule: &ScheduledAudit) -> Map<String, Value> {
    let recurrence = schedule.recurrence;
    let mut shown = Map::new();
    shown.insert("scheduledAuditName".to_owned(), json!(name));
    shown.insert("scheduledAuditArn".to_owned(), json!(fleet.arn("scheduledaudit", name)));
    shown.insert("frequency".to_owned(), json!(recurrence.frequency()));
    if let Some(day) = recurrence.day_of_week() {
        shown.insert("dayOfWeek".to_owned(), json!(day));
    }
    if let Some(day) = recurrence.day_of_month() {
        shown.insert("dayOfMonth".to_owned(), json!(day));
    }
    shown
}

pub(super) fn describe_scheduled_audit(fleet: &mut Fleet, call: &Call) -> Reply {
    let name = call.label("scheduledAuditName")?;
    let schedule = fleet.scheduled_audit(name)?;
    let mut shown = show(fleet, name, schedule);
    shown.insert("targetCheckNames".to_owned(), json!(schedule.checks));
    Ok(Value::Object(shown))
}

pub(super) fn list_scheduled_audits(fleet: &mut Fleet, call: &Call) -> Reply {
    let show = |name: &String, schedule: &ScheduledAudit| Value::Object(show(fleet, name, schedule));
    let page = call.token_page()?.of_map(&fleet.defender.schedules, |_| true, show);
    Ok(page_reply("scheduledAudits", page, "nextToken"))
}

pub(super) fn delete_scheduled_audit(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.delete_scheduled_audit(call.label("scheduledAuditName")?)?;
    Ok(json!({}))
}

//! Scheduled audits: which checks run by themselves, and how often. AWS allows five of an account, and chooses the hour.

use super::Console;
use crate::aws::{CallError, Class, Effect, classify};
use crate::finding::catalogue;
use aws_sdk_iot::types::{AuditFrequency, DayOfWeek};
use std::fmt;

/// The days of a week, as AWS spells them.
pub const DAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];

/// How often a scheduled audit runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frequency {
    /// `DAILY`, `WEEKLY`, `BIWEEKLY` or `MONTHLY` (free string).
    pub every: String,
    /// `MON` to `SUN`; of weekly and biweekly ones.
    pub day_of_week: Option<String>,
    /// `1` to `31` or `LAST`; of monthly ones. In a month that is too short it is the last day.
    pub day_of_month: Option<String>,
}

impl Frequency {
    /// Every day.
    pub fn daily() -> Self {
        Self { every: "DAILY".to_owned(), day_of_week: None, day_of_month: None }
    }

    /// Every week, or every second one, on a day such as `mon`, `MONDAY`.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub fn weekly(day: &str, biweekly: bool) -> Result<Self, String> {
        const NAMES: [&str; 7] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
        let upper = day.trim().to_ascii_uppercase();
        let meant = DAYS.iter().zip(NAMES).find(|(short, long)| upper == **short || upper == *long);
        let (day, _) =
            meant.ok_or_else(|| format!("`{day}` is not a day of the week; write one of {}", DAYS.join(", ")))?;
        let every = if biweekly { "BIWEEKLY" } else { "WEEKLY" };
        Ok(Self { every: every.to_owned(), day_of_week: Some((*day).to_owned()), day_of_month: None })
    }

    /// Every month, on the `1`st to `31`st, or its `LAST` day.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub fn monthly(day: &str) -> Result<Self, String> {
        let upper = day.trim().to_ascii_uppercase();
        let number = upper.parse::<u8>().ok().filter(|day| (1..=31).contains(day)).map(|day| day.to_string());
        let day = number.or_else(|| Some(upper).filter(|day| day == "LAST"));
        let day = day.ok_or_else(|| "write a day of the month, 1 to 31, or LAST".to_owned())?;
        Ok(Self { every: "MONTHLY".to_owned(), day_of_week: None, day_of_month: Some(day) })
    }
}

impl fmt::Display for Frequency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every = self.every.to_lowercase();
        match (&self.day_of_week, &self.day_of_month) {
            (Some(day), _) if self.every != "MONTHLY" && self.every != "DAILY" => write!(f, "{every} on {day}"),
            (_, Some(day)) if self.every == "MONTHLY" && day == "LAST" => write!(f, "{every} on the last day"),
            (_, Some(day)) if self.every == "MONTHLY" => write!(f, "{every} on day {day}"),
            _ => f.write_str(&every),
        }
    }
}

/// A scheduled audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// `[a-zA-Z0-9_-]{1,128}`
    pub name: String,
    /// As AWS names it; absent in what is to be made.
    pub arn: Option<String>,
    /// How often.
    pub frequency: Frequency,
    /// Its checks by their modern names, sorted.
    pub checks: Vec<String>,
}

/// What is to change about a scheduled audit; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleUpdate {
    /// How often.
    pub frequency: Option<Frequency>,
    /// All of its checks.
    pub checks: Option<Vec<String>>,
}

/// Whether a scheduled audit may have this name.
///
/// # Errors
///
/// A sentence.
pub fn check_name_of_schedule(name: &str) -> Result<(), String> {
    let fits = (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if fits {
        return Ok(());
    }
    Err(format!("`{name}` cannot be the name of a schedule: write 1 to 128 letters, digits, _ and -"))
}

/// The schedules that use one of the checks, each with those that it uses.
pub fn using<'a>(schedules: &'a [Schedule], checks: &[String]) -> Vec<(&'a str, Vec<&'a str>)> {
    let used = schedules.iter().map(|schedule| {
        let used = schedule.checks.iter().filter(|check| checks.contains(check)).map(String::as_str);
        (schedule.name.as_str(), used.collect::<Vec<_>>())
    });
    used.filter(|(_, checks)| !checks.is_empty()).collect()
}

impl Console {
    /// `ListScheduledAudits`, all pages, and `DescribeScheduledAudit` of each, which alone tells the checks. By name.
    ///
    /// # Errors
    ///
    /// Those of the calls.
    pub async fn schedules(&self) -> Result<Vec<Schedule>, CallError> {
        let mut names: Vec<String> = Vec::new();
        let mut next = None;
        loop {
            let page = self.call(|| async {
                let call = self.iot().list_scheduled_audits().max_results(super::PAGE).set_next_token(next.clone());
                call.send().await.map_err(|error| classify("ListScheduledAudits", Effect::Read, error))
            });
            let page = page.await?;
            let listed = page.scheduled_audits.unwrap_or_default().into_iter();
            names.extend(listed.filter_map(|schedule| schedule.scheduled_audit_name));
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                break;
            }
        }
        names.sort_unstable();
        let mut schedules = Vec::with_capacity(names.len());
        for name in names {
            match self.schedule(&name).await {
                Ok(schedule) => schedules.push(schedule),
                // Deleted since it was listed.
                Err(error) if error.class == Class::Gone => {}
                Err(error) => return Err(error),
            }
        }
        Ok(schedules)
    }

    /// `DescribeScheduledAudit`.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is none of that name.
    pub async fn schedule(&self, name: &str) -> Result<Schedule, CallError> {
        self.call(|| async {
            let answer = self.iot().describe_scheduled_audit().scheduled_audit_name(name).send().await;
            let answer = answer.map_err(|error| classify("DescribeScheduledAudit", Effect::Read, error))?;
            let checks = answer.target_check_names.unwrap_or_default().into_iter();
            let mut checks: Vec<String> = checks.map(|check| catalogue::modern_name(&check).to_owned()).collect();
            checks.sort_unstable();
            Ok(Schedule {
                name: name.to_owned(),
                arn: answer.scheduled_audit_arn,
                frequency: Frequency {
                    every: answer.frequency.map(|every| every.as_str().to_owned()).unwrap_or_default(),
                    day_of_week: answer.day_of_week.map(|day| day.as_str().to_owned()),
                    day_of_month: answer.day_of_month,
                },
                checks,
            })
        })
        .await
    }

    /// `CreateScheduledAudit`. Two of one name cannot be, so one whose answer is lost is made again, and what then exists already is
    /// compared.
    ///
    /// # Errors
    ///
    /// Code `ResourceAlreadyExistsException` when the name is taken, `LimitExceededException` when there are five.
    pub async fn create_schedule(&self, schedule: &Schedule) -> Result<(), CallError> {
        let (answer, in_doubt) = self
            .set(|| async {
                let call = self.iot().create_scheduled_audit().scheduled_audit_name(&schedule.name);
                let call = call.set_target_check_names(Some(schedule.checks.clone()));
                let call = call.frequency(AuditFrequency::from(schedule.frequency.every.as_str()));
                let call = call.set_day_of_week(schedule.frequency.day_of_week.as_deref().map(DayOfWeek::from));
                let call = call.set_day_of_month(schedule.frequency.day_of_month.clone());
                let answer = call.send().await;
                answer.map(drop).map_err(|error| classify("CreateScheduledAudit", Effect::Write, error))
            })
            .await;
        match answer {
            Err(error) if in_doubt && is_there_already(&error) => {
                let there = self.schedule(&schedule.name).await?;
                let same = there.frequency == schedule.frequency && there.checks == schedule.checks;
                if same { Ok(()) } else { Err(error) }
            }
            answer => answer,
        }
    }

    /// `UpdateScheduledAudit`: sets values.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is none of that name.
    pub async fn update_schedule(&self, name: &str, update: &ScheduleUpdate) -> Result<(), CallError> {
        let (answer, _) = self
            .set(|| async {
                let call = self.iot().update_scheduled_audit().scheduled_audit_name(name);
                let call = call.set_target_check_names(update.checks.clone());
                let frequency = update.frequency.as_ref();
                let call =
                    call.set_frequency(frequency.map(|frequency| AuditFrequency::from(frequency.every.as_str())));
                let day = frequency.and_then(|frequency| frequency.day_of_week.as_deref());
                let call = call.set_day_of_week(day.map(DayOfWeek::from));
                let call = call.set_day_of_month(frequency.and_then(|frequency| frequency.day_of_month.clone()));
                let answer = call.send().await;
                answer.map(drop).map_err(|error| classify("UpdateScheduledAudit", Effect::Write, error))
            })
            .await;
        answer
    }

    /// `DeleteScheduledAudit`.
    ///
    /// # Errors
    ///
    /// Class `Gone` when there is none of that name.
    pub async fn delete_schedule(&self, name: &str) -> Result<(), CallError> {
        let (answer, in_doubt) = self
            .set(|| async {
                let answer = self.iot().delete_scheduled_audit().scheduled_audit_name(name).send().await;
                answer.map(drop).map_err(|error| classify("DeleteScheduledAudit", Effect::Write, error))
            })
            .await;
        match answer {
            Err(error) if in_doubt && error.class == Class::Gone => Ok(()),
            answer => answer,
        }
    }
}

/// Whether AWS refused to make something since one of that name is there.
pub fn is_there_already(error: &CallError) -> bool {
    error.code.as_deref() == Some("ResourceAlreadyExistsException")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_people_write_them() {
        assert_eq!(Frequency::weekly("monday", false).unwrap().to_string(), "weekly on MON");
        assert_eq!(Frequency::weekly("Sun", true).unwrap().to_string(), "biweekly on SUN");
        assert_eq!(Frequency::monthly("last").unwrap().to_string(), "monthly on the last day");
        assert_eq!(Frequency::monthly("07").unwrap().day_of_month.as_deref(), Some("7"));
        assert_eq!(Frequency::daily().to_string(), "daily");
        assert!(Frequency::weekly("someday", false).unwrap_err().contains("write one of MON, TUE"));
        for wrong in ["0", "32", "first", "-1", ""] {
            assert!(Frequency::monthly(wrong).unwrap_err().contains("1 to 31, or LAST"), "{wrong}");
        }
    }

    #[test]
    fn a_name_that_the_api_would_refuse_is_refused() {
        assert!(check_name_of_schedule("Nightly_1-a").is_ok());
        for wrong in ["", "a b", "ä", &"x".repeat(129)] {
            assert!(check_name_of_schedule(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_schedules_that_use_a_check_are_found() {
        let schedule = |name: &str, checks: &[&str]| Schedule {
            name: name.to_owned(),
            arn: None,
            frequency: Frequency::daily(),
            checks: checks.iter().map(|check| (*check).to_owned()).collect(),
        };
        let schedules = [schedule("a", &["X", "Y"]), schedule("b", &["Z"]), schedule("c", &["Y"])];
        let used = using(&schedules, &["Y".to_owned(), "X".to_owned()]);
        assert_eq!(used, [("a", vec!["X", "Y"]), ("c", vec!["Y"])]);
    }
}

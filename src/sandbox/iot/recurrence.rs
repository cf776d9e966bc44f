//! When a scheduled audit takes place. Pure.
//!
//! AWS says that "the start time of each audit is determined by the system". Here that is 00:00 UTC of the day.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use super::error::IotError;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Any day of a month comes again within two months.
const DAYS_AHEAD: i64 = 62;

/// The days of a scheduled audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recurrence {
    /// `DAILY`.
    Daily,
    /// `WEEKLY`, with a `dayOfWeek`.
    Weekly(Weekday),
    /// `BIWEEKLY`, with a `dayOfWeek`: the first such day, and every fourteenth from there.
    Biweekly(Weekday),
    /// `MONTHLY`, with a `dayOfMonth`.
    Monthly(DayOfMonth),
}

/// `dayOfMonth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayOfMonth {
    /// `"1"` to `"31"`; in a shorter month its last day (botocore, `CreateScheduledAuditRequest`).
    Day(i8),
    /// `"LAST"`.
    Last,
}

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("SUN", Weekday::Sunday),
    ("MON", Weekday::Monday),
    ("TUE", Weekday::Tuesday),
    ("WED", Weekday::Wednesday),
    ("THU", Weekday::Thursday),
    ("FRI", Weekday::Friday),
    ("SAT", Weekday::Saturday),
];

impl Recurrence {
    /// Reads the three members of a request. A day that does not belong to the frequency is refused (AWS's answer to that
    /// is UNCONFIRMED).
    pub fn parse(frequency: &str, day_of_week: Option<&str>, day_of_month: Option<&str>) -> Result<Self, IotError> {
        match frequency {
            "DAILY" | "MONTHLY" if day_of_week.is_some() => {
                return Err(IotError::invalid(format!(
                    "dayOfWeek is for WEEKLY and BIWEEKLY audits, not for {frequency}"
                )));
            }
            "DAILY" | "WEEKLY" | "BIWEEKLY" if day_of_month.is_some() => {
                return Err(IotError::invalid(format!("dayOfMonth is for MONTHLY audits, not for {frequency}")));
            }
            _ => {}
        }
        match frequency {
            "DAILY" => Ok(Self::Daily),
            "WEEKLY" => Ok(Self::Weekly(weekday(frequency, day_of_week)?)),
            "BIWEEKLY" => Ok(Self::Biweekly(weekday(frequency, day_of_week)?)),
            "MONTHLY" => Ok(Self::Monthly(month_day(day_of_month)?)),
            other => {
                Err(IotError::invalid(format!("frequency must be DAILY, WEEKLY, BIWEEKLY or MONTHLY, not {other:?}")))
            }
        }
    }

    /// As the API spells it.
    pub fn frequency(self) -> &'static str {
        match self {
            Self::Daily => "DAILY",
            Self::Weekly(_) => "WEEKLY",
            Self::Biweekly(_) => "BIWEEKLY",
            Self::Monthly(_) => "MONTHLY",
        }
    }

    /// `dayOfWeek`, if the frequency has one.
    pub fn day_of_week(self) -> Option<&'static str> {
        match self {
            Self::Weekly(day) | Self::Biweekly(day) => {
                WEEKDAYS.iter().find(|(_, known)| *known == day).map(|(name, _)| *name)
            }
            Self::Daily | Self::Monthly(_) => None,
        }
    }

    /// `dayOfMonth`, if the frequency has one.
    pub fn day_of_month(self) -> Option<String> {
        match self {
            Self::Monthly(DayOfMonth::Day(day)) => Some(day.to_string()),
            Self::Monthly(DayOfMonth::Last) => Some("LAST".to_owned()),
            Self::Daily | Self::Weekly(_) | Self::Biweekly(_) => None,
        }
    }

    /// The first time after `now_ms`, epoch milliseconds.
    pub fn first_after(self, now_ms: i64) -> i64 {
        let tomorrow = now_ms.div_euclid(DAY_MS) + 1;
        let day = (tomorrow..tomorrow + DAYS_AHEAD).find(|day| self.falls_on(*day));
        day.map_or(i64::MAX, |day| day * DAY_MS)
    }

    /// The time that follows the one at `due_ms` and is not over at `now_ms`, epoch milliseconds: what was missed is left
    /// out.
    pub fn next_after(self, due_ms: i64, now_ms: i64) -> i64 {
        match self {
            Self::Biweekly(_) => {
                let fortnights = (now_ms - due_ms).div_euclid(14 * DAY_MS).max(0) + 1;
                due_ms + fortnights * 14 * DAY_MS
            }
            _ => self.first_after(now_ms.max(due_ms)),
        }
    }

    /// Whether the audit takes place on this day, counted from 1970-01-01. (Of every fourteen days two match `BIWEEKLY`;
    /// `next_after` leaves one of them out.)
    fn falls_on(self, day: i64) -> bool {
        let Some(date) = date(day) else {
            return false;
        };
        match self {
            Self::Daily => true,
            Self::Weekly(weekday) | Self::Biweekly(weekday) => date.weekday() == weekday,
            Self::Monthly(DayOfMonth::Day(day)) => date.day() == day.min(date.days_in_month()),
            Self::Monthly(DayOfMonth::Last) => date.day() == date.days_in_month(),
        }
    }
}

fn date(day: i64) -> Option<Date> {
    Timestamp::from_millisecond(day * DAY_MS).ok().map(|midnight| midnight.to_zoned(TimeZone::UTC).date())
}

fn weekday(frequency: &str, day: Option<&str>) -> Result<Weekday, IotError> {
    let day = day.ok_or_else(|| IotError::invalid(format!("dayOfWeek is required when frequency is {frequency}")))?;
    let known = WEEKDAYS.iter().find(|(name, _)| *name == day).map(|(_, weekday)| *weekday);
    known
        .ok_or_else(|| IotError::invalid(format!("dayOfWeek must be SUN, MON, TUE, WED, THU, FRI or SAT, not {day:?}")))
}

fn month_day(day: Option<&str>) -> Result<DayOfMonth, IotError> {
    let day = day.ok_or_else(|| IotError::invalid("dayOfMonth is required when frequency is MONTHLY"))?;
    if day == "LAST" {
        return Ok(DayOfMonth::Last);
    }
    // The pattern of the service model has no leading zeros and no signs.
    let number = day.parse::<i8>().ok().filter(|number| (1..=31).contains(number) && number.to_string() == day);
    number
        .map(DayOfMonth::Day)
        .ok_or_else(|| IotError::invalid(format!("dayOfMonth must be 1 to 31 or LAST, not {day:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn days(recurrence: Recurrence, from: &str, count: usize) -> Vec<String> {
        let mut due = recurrence.first_after(at(from));
        let mut days = Vec::new();
        for _ in 0..count {
            days.push(Timestamp::from_millisecond(due).unwrap().to_string());
            due = recurrence.next_after(due, due);
        }
        days
    }

    #[test]
    fn audits_start_at_midnight_utc_of_their_days() {
        // A Sunday.
        let from = "2026-11-22T19:30:00Z";
        let monthly = |day| Recurrence::Monthly(day);
        for (recurrence, expected) in [
            (Recurrence::Daily, ["2026-11-23", "2026-11-24", "2026-11-25"]),
            (Recurrence::Weekly(Weekday::Sunday), ["2026-11-29", "2026-12-06", "2026-12-13"]),
            (Recurrence::Biweekly(Weekday::Monday), ["2026-11-23", "2026-12-07", "2026-12-21"]),
            (monthly(DayOfMonth::Day(1)), ["2026-12-01", "2027-01-01", "2027-02-01"]),
            (monthly(DayOfMonth::Day(31)), ["2026-11-30", "2026-12-31", "2027-01-31"]),
            (monthly(DayOfMonth::Last), ["2026-11-30", "2026-12-31", "2027-01-31"]),
        ] {
            assert_eq!(days(recurrence, from, 3), expected.map(|day| format!("{day}T00:00:00Z")), "{recurrence:?}");
        }
        let thirtieth = days(monthly(DayOfMonth::Day(30)), "2028-01-30T00:00:00Z", 2);
        assert_eq!(thirtieth, ["2028-02-29T00:00:00Z", "2028-03-30T00:00:00Z"], "the last day of a shorter month");
    }

    #[test]
    fn what_was_missed_is_left_out_and_a_fortnight_keeps_its_rhythm() {
        let biweekly = Recurrence::Biweekly(Weekday::Monday);
        let due = at("2026-11-23T00:00:00Z");
        assert_eq!(biweekly.next_after(due, at("2026-12-30T12:00:00Z")), at("2027-01-04T00:00:00Z"));
        assert_eq!(Recurrence::Daily.next_after(due, at("2026-12-30T12:00:00Z")), at("2026-12-31T00:00:00Z"));
    }

    #[test]
    fn a_frequency_wants_its_own_day_and_no_other() {
        for (frequency, week, month) in [
            ("HOURLY", None, None),
            ("DAILY", Some("MON"), None),
            ("DAILY", None, Some("1")),
            ("WEEKLY", None, None),
            ("WEEKLY", Some("Monday"), None),
            ("BIWEEKLY", Some("MON"), Some("1")),
            ("MONTHLY", None, None),
            ("MONTHLY", None, Some("0")),
            ("MONTHLY", None, Some("32")),
            ("MONTHLY", None, Some("01")),
            ("MONTHLY", None, Some("+1")),
            ("MONTHLY", Some("MON"), Some("1")),
        ] {
            let error = Recurrence::parse(frequency, week, month).unwrap_err();
            assert_eq!(error.code, "InvalidRequestException", "{frequency} {week:?} {month:?}");
        }
        let parsed = Recurrence::parse("MONTHLY", None, Some("LAST")).unwrap();
        assert_eq!((parsed.frequency(), parsed.day_of_month().as_deref()), ("MONTHLY", Some("LAST")));
    }
}

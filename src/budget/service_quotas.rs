//! The account's own quotas, read from the Service Quotas API.
//!
//! AWS publishes the throttle limits of AWS IoT under two service codes, one quota for each operation, named
//! `UpdateCertificate API TPS`, with unit `None`: those of AWS IoT Core under `iotcore`, those of Device Defender under `iot`
//! (source: the console links in "AWS IoT Device Defender endpoints and quotas", and published listings of `iotcore`).
//! UNCONFIRMED: whether these quotas carry a `Period`; with one it is obeyed, without one the value is per second, as the name
//! says. Device Management's quotas, also under `iot`, are named `UpdateJob throttle limit`, so that wording is understood too.

use super::config::{HIGHEST_QUOTA, is_quota};
use super::operation::Operation;
use crate::aws::{CallError, Class, Effect, classify};
use aws_sdk_servicequotas::Client;
use aws_sdk_servicequotas::types::{PeriodUnit, QuotaPeriod, ServiceQuota};
use std::collections::BTreeMap;
use std::time::Duration;

/// AWS's name of the one call that is made.
const LIST: &str = "ListServiceQuotas";

/// AWS IoT Core; and AWS IoT, where Device Defender's quotas are.
const SERVICE_CODES: [&str; 2] = ["iotcore", "iot"];

/// As many quotas a page as the API gives. Each service has fewer than three hundred: three round trips.
const PAGE: i32 = 100;

/// All pages of both services (they are read side by side), retries included. A start that waits longer for figures that have
/// defaults would be worse than the defaults.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the Service Quotas API told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AppliedQuotas {
    /// Calls per second; each is a quota by [`is_quota`].
    pub rates: BTreeMap<Operation, f64>,
    /// What could not be read or not be understood, as sentences.
    pub problems: Vec<String>,
}

/// Reads the quotas that AWS applies to this account and region. It never fails: what cannot be read within 5 s is left out, with
/// the reason among the problems.
pub async fn read_service_quotas(client: &Client) -> AppliedQuotas {
    let [core, defender] = SERVICE_CODES;
    let (core, defender) = tokio::join!(list(client, core), list(client, defender));
    let mut listed = Vec::new();
    let mut unread = Vec::new();
    for (code, answer) in SERVICE_CODES.into_iter().zip([core, defender]) {
        match answer {
            Ok(quotas) => listed.extend(quotas),
            Err(error) => unread.push((code, error)),
        }
    }
    let mut applied = understand(&listed);
    applied.problems.extend(unreadable(&unread));
    applied
}

async fn list(client: &Client, service_code: &str) -> Result<Vec<ServiceQuota>, CallError> {
    let pages = client.list_service_quotas().service_code(service_code).into_paginator().page_size(PAGE).items().send();
    match tokio::time::timeout(PATIENCE, pages.collect::<Result<Vec<_>, _>>()).await {
        Ok(answer) => answer.map_err(|error| classify(LIST, Effect::Read, error)),
        Err(_) => Err(CallError::new(Class::Transient, LIST, format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// One sentence about the services whose quotas could not be read, by the first one's error.
fn unreadable(unread: &[(&str, CallError)]) -> Option<String> {
    let (_, error) = unread.first()?;
    let codes: Vec<_> = unread.iter().map(|(code, _)| format!("`{code}`")).collect();
    let advice = match (error.class, &error.code) {
        (Class::Denied, Some(_)) => "allow servicequotas:ListServiceQuotas, or write the quotas into the policy",
        _ => "where they differ, write them into the policy, or start again when Service Quotas answers",
    };
    Some(format!(
        "failed to read the quotas of {} from Service Quotas: failed to {error}; in force for them are AWS's defaults, but for \
         what --quota and the policy say: {advice}",
        codes.join(" and ")
    ))
}

/// The calls per second that quotas as AWS lists them allow of each operation; of several, the lowest.
fn understand(listed: &[ServiceQuota]) -> AppliedQuotas {
    let mut applied = AppliedQuotas::default();
    for quota in listed {
        let name = quota.quota_name().unwrap_or_default();
        let operations: Vec<_> =
            Operation::ALL.iter().copied().filter(|operation| has_word(name, operation.as_str())).collect();
        if operations.is_empty() || !is_rate(quota) {
            continue;
        }
        let per_second = quota.value().zip(seconds(quota.period())).map(|(value, seconds)| value / seconds);
        match per_second {
            Some(rate) if is_quota(rate) => {
                for operation in operations {
                    let lowest = applied.rates.get(&operation).map_or(rate, |other| other.min(rate));
                    applied.rates.insert(operation, lowest);
                }
            }
            _ => applied.problems.push(format!(
                "Service Quotas gives `{name}` no usable value ({}); it is passed over: a quota is above 0 and up to \
                 {HIGHEST_QUOTA} calls per second",
                told(quota)
            )),
        }
    }
    applied
}

/// Whether the quota limits calls in a time, by its period, its unit, or its name. Sizes, counts and retention times do not.
fn is_rate(quota: &ServiceQuota) -> bool {
    let name = quota.quota_name().unwrap_or_default();
    let named = ["TPS", "throttle", "throttling", "rate", "second"].iter().any(|word| has_word(name, word));
    match quota.unit() {
        Some("Count/Second") => true,
        None | Some("" | "None" | "Count") => quota.period().is_some() || named,
        // Megabytes, Percent, Seconds ...
        Some(_) => false,
    }
}

/// Whether `word` stands in `text` by itself, whatever its case: `CreatePolicy` does not stand in `CreatePolicyVersion API TPS`.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric()).any(|other| other.eq_ignore_ascii_case(word))
}

/// The seconds of a period; one if there is none. `None` for a period that is none.
fn seconds(period: Option<&QuotaPeriod>) -> Option<f64> {
    let Some(period) = period else { return Some(1.0) };
    let unit = match period.period_unit()? {
        PeriodUnit::Microsecond => 1e-6,
        PeriodUnit::Millisecond => 1e-3,
        PeriodUnit::Second => 1.0,
        PeriodUnit::Minute => 60.0,
        PeriodUnit::Hour => 3600.0,
        PeriodUnit::Day => 86_400.0,
        PeriodUnit::Week => 604_800.0,
        _ => return None,
    };
    let value = f64::from(period.period_value().unwrap_or(1));
    (value > 0.0).then_some(value * unit)
}

/// The value and its period, for people.
fn told(quota: &ServiceQuota) -> String {
    let value = quota.value().map_or_else(|| "none".to_owned(), |value| value.to_string());
    let Some(period) = quota.period() else { return value };
    let unit = period.period_unit().map_or("of no unit", PeriodUnit::as_str);
    format!("{value} in {} {unit}", period.period_value().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;

    /// As `iotcore` and `iot` list theirs.
    fn quota(name: &str, value: f64) -> ServiceQuota {
        ServiceQuota::builder()
            .service_code("iotcore")
            .quota_code("L-77B523DC")
            .quota_name(name)
            .value(value)
            .unit("None")
            .adjustable(true)
            .global_quota(false)
            .build()
    }

    fn with_period(name: &str, value: f64, n: i32, unit: PeriodUnit) -> ServiceQuota {
        let mut quota = quota(name, value);
        quota.period = Some(QuotaPeriod::builder().period_value(n).period_unit(unit).build());
        quota
    }

    fn rates(listed: &[ServiceQuota]) -> Vec<(Operation, f64)> {
        let applied = understand(listed);
        assert_eq!(applied.problems, Vec::<String>::new());
        applied.rates.into_iter().collect()
    }

    #[test]
    fn a_quota_belongs_to_the_operation_that_its_name_says_and_to_no_other() {
        let listed = [
            quota("UpdateCertificate API TPS", 50.0),
            quota("UpdateCACertificate API TPS", 20.0),
            quota("CreatePolicy API TPS", 99.0),
            quota("API throttling limit: GetPolicyVersion", 30.0),
            quota("ListAuditFindings throttle limit", 11.0),
            quota("Rate of AddThingToThingGroup requests", 60.0),
        ];
        let expected = [
            (Operation::UpdateCertificate, 50.0),
            (Operation::UpdateCaCertificate, 20.0),
            (Operation::GetPolicyVersion, 30.0),
            (Operation::AddThingToThingGroup, 60.0),
            (Operation::ListAuditFindings, 11.0),
        ];
        assert_eq!(rates(&listed), expected);
    }

    #[test]
    fn of_several_quotas_of_one_operation_the_lowest_holds_and_a_shared_one_holds_for_each() {
        let listed = [
            quota("UpdateCertificate API TPS", 50.0),
            quota("UpdateCertificate/DescribeCertificate throttle limit", 40.0),
            quota("UpdateCertificate rate", 60.0),
        ];
        let expected = [(Operation::UpdateCertificate, 40.0), (Operation::DescribeCertificate, 40.0)];
        assert_eq!(rates(&listed), expected);
    }

    #[test]
    fn what_limits_no_calls_is_no_rate() {
        let mut size = quota("GetPolicy rate", 2.0);
        size.unit = Some("Kilobytes".to_owned());
        let listed = [size, quota("Certificates of UpdateCertificate", 100.0), quota("JobId Length", 64.0)];
        assert_eq!(rates(&listed), []);
    }

    #[test]
    fn a_period_is_converted_to_seconds() {
        let listed = [
            with_period("UpdateCertificate API TPS", 20.0, 1, PeriodUnit::Second),
            with_period("GetPolicy requests", 600.0, 1, PeriodUnit::Minute),
            with_period("ListPolicyVersions requests", 7200.0, 2, PeriodUnit::Hour),
            with_period("ListAuditFindings requests", 3.0, 500, PeriodUnit::Millisecond),
        ];
        let expected = [
            (Operation::UpdateCertificate, 20.0),
            (Operation::GetPolicy, 10.0),
            (Operation::ListPolicyVersions, 1.0),
            (Operation::ListAuditFindings, 6.0),
        ];
        assert_eq!(rates(&listed), expected);
    }

    #[test]
    fn values_that_cannot_be_quotas_are_passed_over_with_a_sentence_each() {
        let mut none = quota("GetPolicyVersion API TPS", 1.0);
        none.value = None;
        let listed = [
            quota("UpdateCertificate API TPS", 0.0),
            quota("GetPolicy API TPS", f64::NAN),
            quota("ListPrincipalThings API TPS", 100_001.0),
            with_period("ListAuditFindings API TPS", 5.0, 0, PeriodUnit::Second),
            with_period("DescribeAuditFinding API TPS", 5.0, 1, PeriodUnit::from("FORTNIGHT")),
            none,
        ];
        let applied = understand(&listed);
        assert!(applied.rates.is_empty(), "{:?}", applied.rates);
        assert_eq!(applied.problems.len(), listed.len(), "{:#?}", applied.problems);
        assert!(
            applied.problems[0].contains("`UpdateCertificate API TPS` no usable value (0)"),
            "{:?}",
            applied.problems
        );
        assert!(applied.problems[3].contains("(5 in 0 SECOND)"), "{:?}", applied.problems);
    }

    #[test]
    fn a_denial_is_told_once_for_both_services_with_what_to_allow() {
        let denied = CallError::new(Class::Denied, LIST, "not you").with_code("AccessDeniedException");
        let sentence = unreadable(&[("iotcore", denied.clone()), ("iot", denied)]).unwrap();
        for part in
            ["`iotcore` and `iot`", "AccessDeniedException: not you", "AWS's defaults", "allow servicequotas:List"]
        {
            assert!(sentence.contains(part), "`{part}` is not in: {sentence}");
        }
        assert_eq!(unreadable(&[]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_accepts_and_never_answers_costs_five_seconds_and_a_sentence() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(format!("http://{}", listener.local_addr().unwrap()))
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
                Credentials::from_keys("a", "b", None),
            ))
            .build();
        let clients = crate::aws::Clients::new(&config);
        let begun = tokio::time::Instant::now();
        let applied = read_service_quotas(&clients.service_quotas).await;
        assert!(begun.elapsed() <= PATIENCE + Duration::from_millis(10), "{:?}", begun.elapsed());
        assert!(applied.rates.is_empty());
        assert_eq!(applied.problems.len(), 1, "{:?}", applied.problems);
        assert!(applied.problems[0].contains("AWS's defaults"), "{:?}", applied.problems);
    }
}

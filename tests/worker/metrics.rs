//! What a worker tells Prometheus, held against what it did.

use crate::house::*;
use fleetwarden::aws::{Class, Fate, Script};
use fleetwarden::finding::{Finding, ResourceIdentifier};
use fleetwarden::ledger::Status;
use fleetwarden::policy::Action;
use fleetwarden::telemetry::Telemetry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// The series of a metric, by the values of its labels.
fn series(telemetry: &Telemetry, name: &str) -> BTreeMap<Vec<String>, f64> {
    let text = telemetry.prometheus();
    let mut series = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (of, value) = line.rsplit_once(' ').unwrap();
        let (found, labels) = of.split_once('{').unwrap_or((of, "}"));
        if found == name {
            let values = labels.split('"').skip(1).step_by(2).map(str::to_owned).collect();
            series.insert(values, value.parse().unwrap());
        }
    }
    series
}

fn value(telemetry: &Telemetry, name: &str) -> f64 {
    series(telemetry, name)[&Vec::new()]
}

fn labels<const N: usize>(values: [&str; N]) -> Vec<String> {
    values.map(str::to_owned).to_vec()
}

fn unknown(n: u64) -> Finding {
    let identifier = ResourceIdentifier::ClientId(format!("client {n}"));
    finding(&format!("unknown-{n}"), &format!("FUTURE_CHECK_{n}"), "CLIENT_ID", identifier)
}

#[tokio::test(start_paused = true)]
async fn outcomes_and_actions_by_check_are_those_of_the_ledger() {
    let mut house = House::new();
    // A second action that fails at first: what the first attempt did is on record, and counted, once.
    house.policy.rules[0].actions.push(Action::PublishFindingToSns { topic_arn: TOPIC.into() });
    for n in 0..4 {
        house.publish(&house.device(n)).await;
    }
    house.iot.put_certificate(&certificate(2), "INACTIVE");
    house.iot.put_policy("wide", &[WIDE]);
    house.publish(&policy_finding("policy", PERMISSIVE, "wide")).await;
    house.publish(&client_finding(1)).await;
    house.publish(&unknown(1)).await;
    house.publish(&unknown(2)).await;
    house.send("no json").await;
    // Five findings are published, with four tries in an attempt.
    let script = Script::new([("iot.publish", Fate::Fail(Class::Transient)); 20]);
    let worker = meeting(house.worker("worker"), Arc::new(script));
    finish(worker.run(CancellationToken::new())).await;

    let known = |check: &str| if check.starts_with("FUTURE") { "other".to_owned() } else { check.to_owned() };
    let (mut outcomes, mut actions) = (BTreeMap::new(), BTreeMap::new());
    for record in house.ledger.records() {
        let check = known(&record.subject.check);
        *outcomes.entry(vec![check.clone(), record.status.to_string()]).or_insert(0.0) += 1.0;
        for step in record.steps {
            let outcome = serde_json::to_value(step.outcome).unwrap().as_str().unwrap().to_owned();
            // In the order in which Prometheus prints labels: by name.
            *actions.entry(vec![step.action, check.clone(), outcome]).or_insert(0.0) += 1.0;
        }
    }
    let mut counted = series(&house.telemetry, "fleetwarden_outcomes_total");
    counted.retain(|labels, _| labels[1] != "waiting");
    assert_eq!(counted, outcomes);
    assert_eq!(series(&house.telemetry, "fleetwarden_actions_total"), actions);
    assert_eq!(actions[&labels(["UPDATE_DEVICE_CERTIFICATE", SHARED, "changed"])], 3.0);
    assert_eq!(actions[&labels(["UPDATE_DEVICE_CERTIFICATE", SHARED, "in_order"])], 1.0);
    assert_eq!(outcomes[&labels(["other", "observed"])], 2.0);

    let counts = house.telemetry.counts();
    assert_eq!((counts.mitigated, counts.observed, counts.dead), (6, 2, 1));
    assert_eq!(counts.waiting, 5, "the publications that failed");
    assert_eq!(series(&house.telemetry, "fleetwarden_messages_parked_total"), [(labels(["retry"]), 5.0)].into());
    let letters = series(&house.telemetry, "fleetwarden_dead_letters_total");
    assert_eq!((letters[&labels(["not_json"])], letters[&labels(["attempts_exhausted"])]), (1.0, 0.0));
    assert_eq!(value(&house.telemetry, "fleetwarden_time_to_mitigate_seconds_count"), 6.0);
    assert_eq!(value(&house.telemetry, "fleetwarden_message_age_at_claim_seconds_count"), counts.claimed as f64);
    for (operation, usage) in house.budgets.usage() {
        let calls = series(&house.telemetry, "fleetwarden_budget_calls_total");
        assert_eq!(calls[&labels([operation.as_str()])], usage.taken as f64);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_and_whether_the_breaker_is_open_is_read_off_the_workers_that_run() {
    let house = House::new();
    let telemetry = &house.telemetry;
    let broken = Arc::new(AtomicBool::new(true));
    let mut worker = house.worker("worker");
    worker.iot = house.iot.with_fates(while_on(&broken, "iot.deactivate_certificate", Class::Denied));
    let running = start_for_good(worker);
    until(|| value(telemetry, "fleetwarden_messages_in_flight_limit") > 0.0).await;
    assert_eq!(value(telemetry, "fleetwarden_breaker_open"), 0.0);
    let finding = house.device(1);
    house.publish(&finding).await;
    until(|| value(telemetry, "fleetwarden_messages_in_flight") == 1.0).await;
    until(|| value(telemetry, "fleetwarden_breaker_open") == 1.0).await;
    broken.store(false, Ordering::SeqCst);
    until(|| value(telemetry, "fleetwarden_breaker_open") == 0.0).await;
    assert_eq!(house.status(&finding), Status::Mitigated);
    running.end().await;
    assert_eq!(value(telemetry, "fleetwarden_messages_in_flight_limit"), 0.0);
    assert!(value(telemetry, "fleetwarden_breaker_trips_total") >= 1.0);
    let info = series(telemetry, "fleetwarden_build_info");
    assert_eq!(info, [(labels(["enforce", env!("CARGO_PKG_VERSION")]), 1.0)].into());
}

#[tokio::test(start_paused = true)]
async fn workers_that_share_their_budgets_do_not_count_them_twice() {
    let house = House::new();
    for n in 0..40 {
        house.publish(&house.device(n)).await;
    }
    let (one, two) = (house.worker("one"), house.worker("two"));
    let most = one.config.max_in_flight as f64;
    let (one, two) = (start(one), start(two));
    let (mut seen, mut together) = (0.0, 0.0);
    until(|| {
        together = f64::max(together, value(&house.telemetry, "fleetwarden_messages_in_flight_limit"));
        let calls = series(&house.telemetry, "fleetwarden_budget_calls_total");
        let now = calls.get(&labels(["UpdateCertificate"])).copied().unwrap_or(0.0);
        assert!(now >= seen, "a counter never falls");
        seen = now;
        one.task.is_finished() && two.task.is_finished()
    })
    .await;
    assert_eq!((seen, together), (40.0, 2.0 * most));
}

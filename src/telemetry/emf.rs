//! The metrics for CloudWatch: lines of JSON in its Embedded Metric Format, from which CloudWatch Logs makes metrics.
//!
//! Source: "Specification: Embedded metric format", Amazon CloudWatch User Guide. It knows numbers and lists of up to 100 of them; that a
//! member may also be an object of `Values` and `Counts`, as in `PutMetricData`, is what AWS's own exporter for OpenTelemetry relies on
//! (`awsemfexporter`), and the only way to tell of a thousand durations in one line.
//!
//! CloudWatch charges for every combination of name and dimensions that was sent in an hour, so what goes there is chosen in the table of
//! metrics, and combinations to which nothing happened are left out, those of the table name alone excepted: alarms look at them.

use super::facts::Telemetry;
use super::labels::Label;
use super::metrics::{Kind, METRICS, Metric};
use crate::clock::Clock;
use prometheus::proto::{self, MetricFamily};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// CloudWatch's name for where all of them are.
const NAMESPACE: &str = "Fleetwarden";

/// The dimension that every metric has: the ledger's table tells deployments of one account apart.
const TABLE: &str = "Table";

/// CloudWatch's own resolution.
const PERIOD: Duration = Duration::from_secs(60);

/// Metrics that one line may define.
const MOST: usize = 100;

/// The metrics since the last time, as lines of JSON.
#[derive(Debug)]
pub struct Emf {
    telemetry: Arc<Telemetry>,
    clock: Clock,
    table: String,
    told: BTreeMap<Series, Sample>,
}

/// Which metric, in which of its dimension sets, with which values.
type Series = (&'static str, &'static [Label], Vec<String>);

/// Dimension names and values of one line, and the metrics in it: name, unit, value.
type Line = (Vec<(String, String)>, Vec<(String, &'static str, Value)>);

#[derive(Debug, Clone, Default, PartialEq)]
struct Sample {
    /// Of a counter or a gauge.
    value: f64,
    /// Of a histogram: how many, by bucket; the last is beyond every bound.
    counts: Vec<u64>,
    sum: f64,
}

impl Emf {
    /// Nothing was told yet. `table` is the ledger's.
    pub fn new(telemetry: Arc<Telemetry>, clock: Clock, table: impl Into<String>) -> Self {
        Self { telemetry, clock, table: table.into(), told: BTreeMap::new() }
    }

    /// Runs `work`, and has the lines printed every minute and once more when it is done.
    pub async fn during<T>(mut self, work: impl Future<Output = T>, print: impl Fn(&str)) -> T {
        tokio::pin!(work);
        let mut minutes = tokio::time::interval_at(tokio::time::Instant::now() + PERIOD, PERIOD);
        loop {
            let done = tokio::select! {
                biased;
                done = &mut work => Some(done),
                _ = minutes.tick() => None,
            };
            self.lines().iter().for_each(|line| print(line));
            if let Some(done) = done {
                return done;
            }
        }
    }

    /// What is to be told now: of counters and histograms what was added since the last time, of gauges how they stand.
    pub fn lines(&mut self) -> Vec<String> {
        let families = self.telemetry.gather();
        let mut lines: BTreeMap<(usize, Vec<(String, String)>), Line> = BTreeMap::new();
        for metric in METRICS {
            let series = families.iter().find(|family| family.name() == metric.name).map(MetricFamily::get_metric);
            for &dimensions in metric.emf {
                for (values, now) in by_dimensions(metric, dimensions, series.unwrap_or_default()) {
                    let told = self.told.insert((metric.name, dimensions, values.clone()), now.clone());
                    let Some(value) = value(metric, dimensions, &now, &told.unwrap_or_default()) else { continue };
                    let names = dimensions.iter().map(|label| label.dimension());
                    let pairs: Vec<_> = names.zip(values).collect();
                    let line = lines.entry((pairs.len(), pairs.clone())).or_insert_with(|| (pairs, Vec::new()));
                    line.1.push((metric.cloudwatch_name(), metric.kind.unit(), value));
                }
            }
        }
        let at = self.clock.now_ms();
        let lines = lines.into_values();
        lines
            .flat_map(|(pairs, metrics)| {
                metrics.chunks(MOST).map(|some| self.line(at, &pairs, some)).collect::<Vec<_>>()
            })
            .collect()
    }

    fn line(&self, at: i64, pairs: &[(String, String)], metrics: &[(String, &str, Value)]) -> String {
        let dimensions: Vec<&str> = [TABLE].into_iter().chain(pairs.iter().map(|(name, _)| name.as_str())).collect();
        let defined: Vec<_> = metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
        let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": defined });
        let mut line = Map::new();
        line.insert("_aws".to_owned(), json!({ "Timestamp": at, "CloudWatchMetrics": [directive] }));
        line.insert(TABLE.to_owned(), json!(self.table));
        line.extend(pairs.iter().map(|(name, value)| (name.clone(), json!(value))));
        line.extend(metrics.iter().map(|(name, _, value)| (name.clone(), value.clone())));
        Value::Object(line).to_string()
    }
}

/// The series of a metric, those that agree in `dimensions` added up.
fn by_dimensions(metric: &Metric, dimensions: &[Label], series: &[proto::Metric]) -> BTreeMap<Vec<String>, Sample> {
    let mut sums: BTreeMap<Vec<String>, Sample> = BTreeMap::new();
    if dimensions.is_empty() {
        // Told of before it ever happened.
        sums.insert(Vec::new(), Sample::default());
    }
    for one in series {
        let value_of = |label: &Label| {
            let pair = one.get_label().iter().find(|pair| pair.name() == label.as_str());
            pair.map(|pair| pair.value().to_owned()).unwrap_or_default()
        };
        let sum = sums.entry(dimensions.iter().map(value_of).collect()).or_default();
        match metric.kind {
            Kind::Counter => sum.value += one.get_counter().get_value(),
            Kind::Gauge => sum.value += one.get_gauge().get_value(),
            Kind::Histogram(bounds) => {
                let histogram = one.get_histogram();
                sum.sum += histogram.get_sample_sum();
                sum.counts.resize(bounds.len() + 1, 0);
                let ends = histogram.get_bucket().iter().map(|bucket| bucket.cumulative_count());
                let mut below = 0;
                for (count, end) in sum.counts.iter_mut().zip(ends.chain([histogram.get_sample_count()])) {
                    *count += end.saturating_sub(below);
                    below = end;
                }
            }
        }
    }
    sums
}

/// What is told of a series; `None` for one to which nothing happened.
fn value(metric: &Metric, dimensions: &[Label], now: &Sample, told: &Sample) -> Option<Value> {
    match metric.kind {
        Kind::Gauge => Some(json!(now.value)),
        Kind::Counter => {
            let added = now.value - told.value;
            (added > 0.0 || dimensions.is_empty()).then(|| json!(added))
        }
        Kind::Histogram(bounds) => distribution(bounds, now, told),
    }
}

/// Each bucket as so many samples in its middle; what is beyond the last bound, at that bound.
fn distribution(bounds: &[f64], now: &Sample, told: &Sample) -> Option<Value> {
    let before = |bucket: usize| told.counts.get(bucket).copied().unwrap_or(0);
    let lower = |bucket: usize| bucket.checked_sub(1).and_then(|below| bounds.get(below)).copied().unwrap_or(0.0);
    let upper = |bucket: usize| bounds.get(bucket).copied().unwrap_or_else(|| lower(bucket));
    let added = now.counts.iter().enumerate().map(|(bucket, count)| (bucket, count.saturating_sub(before(bucket))));
    let added: Vec<(usize, u64)> = added.filter(|(_, count)| *count > 0).collect();
    let (least, most) = (added.first()?.0, added.last()?.0);
    Some(json!({
        "Values": added.iter().map(|(bucket, _)| f64::midpoint(lower(*bucket), upper(*bucket))).collect::<Vec<_>>(),
        "Counts": added.iter().map(|(_, count)| count).collect::<Vec<_>>(),
        "Min": lower(least),
        "Max": upper(most),
        "Count": added.iter().map(|(_, count)| count).sum::<u64>(),
        "Sum": now.sum - told.sum,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::{CallObserver, Class};

    fn emf() -> Emf {
        let clock = Clock::virtual_at("2026-11-22T12:00:00Z".parse().unwrap());
        Emf::new(Arc::default(), clock, "findings")
    }

    /// The lines, each held against the specification.
    fn told(emf: &mut Emf) -> Vec<Value> {
        let lines: Vec<Value> = emf.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &lines {
            assert_eq!(line["_aws"]["Timestamp"], 1_795_348_800_000_i64);
            let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
            let [directive] = directives.as_slice() else { panic!("{line}") };
            assert_eq!(directive["Namespace"], "Fleetwarden");
            let [dimensions] = directive["Dimensions"].as_array().unwrap().as_slice() else { panic!("{line}") };
            let dimensions = dimensions.as_array().unwrap();
            assert!(dimensions.len() <= 30 && dimensions[0] == "Table");
            assert!(dimensions.iter().all(|name| line[name.as_str().unwrap()].as_str().is_some_and(|v| !v.is_empty())));
            let metrics = directive["Metrics"].as_array().unwrap();
            assert!((1..=MOST).contains(&metrics.len()));
            for metric in metrics {
                match &line[metric["Name"].as_str().unwrap()] {
                    Value::Number(_) => {}
                    value => {
                        let (values, counts) =
                            (value["Values"].as_array().unwrap(), value["Counts"].as_array().unwrap());
                        assert!(values.len() == counts.len() && values.len() <= 100);
                    }
                }
            }
            assert_eq!(line.as_object().unwrap().len(), 1 + dimensions.len() + metrics.len());
        }
        lines
    }

    fn line<'a>(lines: &'a [Value], dimensions: &[(&str, &str)]) -> Option<&'a Value> {
        let names: Vec<_> = ["Table"].into_iter().chain(dimensions.iter().map(|(name, _)| *name)).collect();
        let of_these = |line: &&Value| {
            line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0] == json!(names)
                && dimensions.iter().all(|(name, value)| line[*name] == *value)
        };
        lines.iter().find(of_these)
    }

    #[tokio::test(start_paused = true)]
    async fn counters_tell_what_was_added_and_zeros_only_of_the_whole() {
        let mut emf = emf();
        let telemetry = Arc::clone(&emf.telemetry);
        telemetry.messages_received(7);
        telemetry.dead_lettered("not_json", ("", "", None), None, "");
        telemetry.dead_lettered("made up", ("", "", None), None, "");
        telemetry.dead_lettered("not_json", ("", "", None), None, "");
        let lines = told(&mut emf);
        let whole = line(&lines, &[]).unwrap();
        assert_eq!((&whole["MessagesReceived"], &whole["DeadLetters"]), (&json!(7.0), &json!(3.0)));
        assert_eq!(
            (&whole["Outcomes"], &whole["BreakerOpen"]),
            (&json!(0.0), &json!(0.0)),
            "told before they happened"
        );
        assert_eq!(line(&lines, &[("Reason", "not_json")]).unwrap()["DeadLetters"], 2.0);
        assert_eq!(line(&lines, &[("Reason", "other")]).unwrap()["DeadLetters"], 1.0);
        assert_eq!(lines.len(), 3);
        telemetry.messages_received(1);
        let lines = told(&mut emf);
        assert_eq!(lines.len(), 1, "nothing is told twice");
        assert_eq!((&lines[0]["MessagesReceived"], &lines[0]["DeadLetters"]), (&json!(1.0), &json!(0.0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_distribution_tells_the_samples_since_the_last_time_in_the_middle_of_their_buckets() {
        let mut emf = emf();
        let telemetry = Arc::clone(&emf.telemetry);
        let age = &telemetry.metrics.message_age;
        for seconds in [0.05, 0.05, 0.3, 1e9] {
            age.observe(seconds);
        }
        let lines = told(&mut emf);
        let told_once = &line(&lines, &[]).unwrap()["MessageAgeAtClaim"];
        assert_eq!(told_once["Values"], json!([0.05, 0.375, 345_600.0]));
        assert_eq!(told_once["Counts"], json!([2, 1, 1]));
        assert_eq!((&told_once["Min"], &told_once["Max"]), (&json!(0.0), &json!(345_600.0)));
        assert_eq!((&told_once["Count"], &told_once["Sum"]), (&json!(4), &json!(1e9 + 0.4)));
        assert!(line(&told(&mut emf), &[]).unwrap().get("MessageAgeAtClaim").is_none());
        age.observe(0.3);
        assert_eq!(line(&told(&mut emf), &[]).unwrap()["MessageAgeAtClaim"]["Counts"], json!([1]));
    }

    #[tokio::test(start_paused = true)]
    async fn series_that_differ_in_what_does_not_go_to_cloudwatch_are_added_up() {
        let mut emf = emf();
        let telemetry = Arc::clone(&emf.telemetry);
        let moment = Duration::from_millis(1);
        telemetry.attempted("SQS", "ReceiveMessage", moment, Some(Class::Throttled));
        telemetry.attempted("IoT", "UpdateCertificate", moment, Some(Class::Throttled));
        telemetry.attempted("IoT", "UpdateCertificate", moment, Some(Class::Denied));
        telemetry.attempted("IoT", "UpdateCertificate", moment, None);
        let lines = told(&mut emf);
        assert_eq!(line(&lines, &[]).unwrap()["AwsCallErrors"], 3.0);
        assert_eq!(line(&lines, &[("Class", "throttled")]).unwrap()["AwsCallErrors"], 2.0);
        assert_eq!(line(&lines, &[("Class", "denied")]).unwrap()["AwsCallErrors"], 1.0);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_come_every_minute_and_once_more_when_the_work_is_done() {
        let emf = emf();
        let telemetry = Arc::clone(&emf.telemetry);
        let printed = std::cell::RefCell::new(Vec::new());
        let work = async {
            tokio::time::sleep(Duration::from_secs(150)).await;
            telemetry.messages_received(3);
            "done"
        };
        let print = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            printed.borrow_mut().push((line["_aws"]["Timestamp"].as_i64().unwrap(), line["MessagesReceived"].clone()));
        };
        assert_eq!(emf.during(work, print).await, "done");
        let at = |second: i64, n: f64| (1_795_348_800_000 + second * 1000, json!(n));
        assert_eq!(printed.into_inner(), [at(60, 0.0), at(120, 0.0), at(150, 3.0)]);
    }
}

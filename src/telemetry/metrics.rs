//! Every metric, named once: the table below is what is registered, what `fleetwarden metrics` lists and what `docs/METRICS.md` says. A
//! metric that is not in it has no field to be counted in.
//!
//! Names follow Prometheus: prefix `fleetwarden_`, base units, `_total` for counters.

use super::labels::Label;
use prometheus::core::{MetricVec, MetricVecBuilder};
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, Result,
};

/// What all names begin with.
const PREFIX: &str = "fleetwarden_";

/// One metric, as it is documented.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What its series differ in.
    pub labels: &'static [Label],
    /// The dimension sets under which it goes to CloudWatch, besides `Table`; summed over all other labels. None: it does not go there,
    /// where every series costs money.
    pub emf: &'static [&'static [Label]],
    /// A sentence.
    pub help: &'static str,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// A reading.
    Gauge,
    /// A distribution of seconds, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

impl Kind {
    /// As Prometheus calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }

    /// As CloudWatch calls its unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Counter => "Count",
            Self::Gauge => "None",
            Self::Histogram(_) => "Seconds",
        }
    }
}

impl Metric {
    /// Its name in CloudWatch, in CloudWatch's manner: `fleetwarden_dead_letters_total` is `DeadLetters`.
    pub fn cloudwatch_name(&self) -> String {
        let name = self.name.trim_start_matches(PREFIX).trim_end_matches("_total").trim_end_matches("_seconds");
        camel_case(name)
    }
}

/// `claims_lost` as `ClaimsLost`.
pub(super) fn camel_case(name: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        first.to_uppercase() + rest
    };
    name.split('_').map(capital).collect()
}

/// Seconds of one call: from a warm connection in the same zone to the longest timeout, which is that of a long poll.
const CALL: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];

/// Seconds of a finding's way: from at once to the 12 hours for which a message can be kept invisible, and on to a queue's four days.
const WAY: &[f64] = &[
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0,
    86_400.0, 345_600.0,
];

/// The series of one metric, by the values of its labels.
pub(super) struct Family<V, const N: usize>(V);

impl<B: MetricVecBuilder, const N: usize> Family<MetricVec<B>, N> {
    /// The series of these values. They come from closed sets only (see [`Label`]), never from a message: P8. Costs no allocation but
    /// the first time.
    pub fn of(&self, values: [&str; N]) -> B::M {
        self.0.with_label_values(&values)
    }

    #[cfg(test)]
    fn collect(&self) -> Vec<prometheus::proto::MetricFamily> {
        prometheus::core::Collector::collect(&self.0)
    }

    /// All of its series.
    pub fn vec(&self) -> &MetricVec<B> {
        &self.0
    }
}

/// What can be made and registered from its line in the table.
trait Register: Sized {
    fn register(metric: &Metric, registry: &Registry) -> Result<Self>;
}

macro_rules! register {
    ($($kind:ident $of_labels:ident $opts:ident;)+) => {
        $(
            impl Register for $kind {
                fn register(metric: &Metric, registry: &Registry) -> Result<Self> {
                    let made = $kind::with_opts($opts(metric))?;
                    registry.register(Box::new(made.clone()))?;
                    Ok(made)
                }
            }

            impl<const N: usize> Register for Family<$of_labels, N> {
                fn register(metric: &Metric, registry: &Registry) -> Result<Self> {
                    let labels: Vec<_> = metric.labels.iter().map(|label| label.as_str()).collect();
                    let made = $of_labels::new($opts(metric), &labels)?;
                    registry.register(Box::new(made.clone()))?;
                    Ok(Self(made))
                }
            }
        )+
    };
}

register! {
    IntCounter IntCounterVec plain;
    Gauge GaugeVec plain;
    Histogram HistogramVec buckets;
}

fn plain(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn buckets(metric: &Metric) -> HistogramOpts {
    let bounds = if let Kind::Histogram(bounds) = metric.kind { bounds.to_vec() } else { Vec::new() };
    HistogramOpts::new(metric.name, metric.help).buckets(bounds)
}

macro_rules! handle {
    (Counter) => { IntCounter };
    (Gauge) => { Gauge };
    (Histogram) => { Histogram };
    (Counter $($label:ident)+) => { Family<IntCounterVec, { [$(Label::$label),+].len() }> };
    (Gauge $($label:ident)+) => { Family<GaugeVec, { [$(Label::$label),+].len() }> };
    (Histogram $($label:ident)+) => { Family<HistogramVec, { [$(Label::$label),+].len() }> };
}

macro_rules! metrics {
    ($($field:ident: $kind:ident $(($buckets:ident))? $name:literal [$($label:ident)*] emf [$([$($dimension:ident)*])*] $help:literal;)+) => {
        /// All of them.
        pub static METRICS: &[Metric] = &[$(
            Metric {
                name: concat!("fleetwarden_", $name),
                kind: Kind::$kind $(($buckets))?,
                labels: &[$(Label::$label),*],
                emf: &[$(&[$(Label::$dimension),*]),*],
                help: $help,
            },
        )+];

        /// The handles of one registry, one for each line of the table.
        pub(super) struct Metrics {
            pub registry: Registry,
            $(pub $field: handle!($kind $($label)*),)+
        }

        impl Metrics {
            /// All at zero. The error is that of a table which contradicts itself.
            fn try_new() -> Result<Self> {
                let registry = Registry::new();
                let mut lines = METRICS.iter();
                let mut next = || lines.next().ok_or_else(|| prometheus::Error::Msg("the table is too short".to_owned()));
                Ok(Self {
                    $($field: <handle!($kind $($label)*)>::register(next()?, &registry)?,)+
                    registry,
                })
            }

            /// Each with its series, in the order of the table; those without any included, unlike what a registry hands out.
            #[cfg(test)]
            fn families(&self) -> Vec<prometheus::proto::MetricFamily> {
                use prometheus::core::Collector as _;
                [$(self.$field.collect()),+].concat()
            }
        }
    };
}

metrics! {
    messages_received: Counter "messages_received_total" [] emf [[]]
        "Messages received from the queue, redeliveries included";
    messages_deleted: Counter "messages_deleted_total" [] emf [[]]
        "Messages deleted: all that they asked for is on record or in the dead-letter queue";
    messages_parked: Counter "messages_parked_total" [Why] emf [[] [Why]]
        "Messages given back to the queue for later, by why; each time anew";
    messages_in_flight: Gauge "messages_in_flight" [] emf [[]]
        "Messages that this process holds";
    messages_in_flight_limit: Gauge "messages_in_flight_limit" [] emf []
        "Messages that this process may hold (--max-in-flight)";
    message_age: Histogram(WAY) "message_age_at_claim_seconds" [] emf [[]]
        "From when a message was sent to the queue (SentTimestamp of SQS) until its finding was claimed; every claim counts, retries too";
    findings_received: Counter "findings_received_total" [] emf [[]]
        "Findings decoded, redeliveries and duplicates included";
    summaries_received: Counter "summaries_received_total" [] emf []
        "Audit summaries decoded, redeliveries and duplicates included";
    signatures_verified: Counter "signatures_verified_total" [] emf []
        "Signatures of SNS notifications that were checked and found genuine";
    duplicates: Counter "duplicates_total" [] emf [[]]
        "Messages whose finding needed nothing more, or was in hand here already";
    claims: Counter "claims_total" [] emf [[]]
        "Claims won";
    claims_resumed: Counter "claims_resumed_total" [] emf []
        "Of them, claims that continued an earlier one: a retry that was due, a replay, a takeover";
    claim_takeovers: Counter "claim_takeovers_total" [] emf [[]]
        "Of those, claims whose lease had run out: the worker that held it crashed, stalled or was cut off";
    claims_busy: Counter "claims_busy_total" [] emf []
        "Claims refused because another worker's lease was live or a retry not due";
    claims_lost: Counter "claims_lost_total" [] emf [[]]
        "Claims that another worker had taken over when this one wanted to write; nothing was written";
    heartbeats: Counter "heartbeats_total" [] emf []
        "Messages whose visibility was extended while they were worked on";
    outcomes: Counter "outcomes_total" [Check Status] emf [[] [Status]]
        "What claims came to on record; waiting are those to be tried again, each time anew";
    actions: Counter "actions_total" [Check Action Outcome] emf [[] [Outcome]]
        "What each action came to on each of its targets, once it is on record";
    time_to_mitigate: Histogram(WAY) "time_to_mitigate_seconds" [] emf [[]]
        "From when a finding's message was sent to the queue (SentTimestamp of SQS) until the finding was mitigated on record";
    dead_letters: Counter "dead_letters_total" [Reason] emf [[] [Reason]]
        "Messages given up, by the reason that is attached to the dead letter";
    panics: Counter "panics_total" [] emf []
        "Mitigations that panicked: a bug; the finding is tried again";
    breaker_open: Gauge "breaker_open" [] emf [[]]
        "1 while a worker of this process is paused because the account refuses or a service is out, else 0";
    breaker_trips: Counter "breaker_trips_total" [] emf [[]]
        "Times that the breaker opened, or stayed open after a probe";
    budget_calls: Counter "budget_calls_total" [Operation] emf [[Operation]]
        "Slots of the budget taken: one for each attempt of a call";
    budget_throttled: Counter "budget_throttled_total" [Operation] emf [[] [Operation]]
        "Calls that AWS throttled although they had a slot of the budget";
    budget_cuts: Counter "budget_cuts_total" [Operation] emf [[]]
        "Times that this process cut the fleet's rate because AWS throttled";
    budget_rate: Gauge "budget_calls_per_second" [Operation] emf []
        "What the whole fleet may call per second when its rate is not cut: the quota less the reserve; from the first call on";
    budget_in_force: Gauge "budget_in_force_ratio" [Operation] emf [[Operation]]
        "The part of that rate that is in force, as far as this process knows: below 1 after a cut, until it has recovered";
    aws_calls: Histogram(CALL) "aws_call_duration_seconds" [Service Operation] emf []
        "Each attempt of a call to AWS, waiting for credentials, connection and answer included; ReceiveMessage includes the long poll's wait";
    aws_call_errors: Counter "aws_call_errors_total" [Service Operation Class] emf [[] [Class]]
        "Attempts of calls to AWS that failed, by what that means";
    build_info: Gauge "build_info" [Version Mode] emf []
        "1, with the program's version and the mode of its policy";
}

impl Default for Metrics {
    #[expect(clippy::expect_used, reason = "the table is constant, and a test registers all of it")]
    fn default() -> Self {
        Self::try_new().expect("the table of metrics is consistent")
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("registry", &self.registry).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::proto::MetricType;
    use std::collections::BTreeSet;

    #[test]
    fn every_line_of_the_table_is_registered_as_what_it_says() {
        let metrics = Metrics::try_new().unwrap();
        let families = metrics.families();
        assert_eq!(families.len(), METRICS.len());
        for (metric, family) in METRICS.iter().zip(families) {
            assert_eq!((metric.name, metric.help), (family.name(), family.help()));
            let kind = match family.get_field_type() {
                MetricType::COUNTER => "counter",
                MetricType::GAUGE => "gauge",
                MetricType::HISTOGRAM => "histogram",
                other => panic!("{other:?}"),
            };
            assert_eq!(metric.kind.as_str(), kind, "{}", metric.name);
            assert_eq!(family.get_metric().len(), usize::from(metric.labels.is_empty()), "{}", metric.name);
        }
        // Handed out with the others: nothing is made and then forgotten to be registered.
        let handed_out: BTreeSet<_> = metrics.registry.gather().iter().map(|family| family.name().to_owned()).collect();
        let unlabelled = METRICS.iter().filter(|metric| metric.labels.is_empty());
        assert_eq!(handed_out, unlabelled.map(|metric| metric.name.to_owned()).collect());
    }

    #[test]
    fn names_are_those_that_prometheus_recommends() {
        let names: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len(), "a name is there twice");
        for metric in METRICS {
            let name = metric.name;
            assert!(name.starts_with(PREFIX) && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            assert_eq!(name.ends_with("_seconds"), matches!(metric.kind, Kind::Histogram(_)), "{name}");
            assert!(!metric.help.is_empty() && !metric.help.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn what_goes_to_cloudwatch_has_names_of_its_own_and_keeps_to_the_limits_of_the_format() {
        let dimensions: BTreeSet<_> =
            Label::ALL.into_iter().map(Label::dimension).chain(["Table".to_owned()]).collect();
        let mut names = BTreeSet::new();
        for metric in METRICS.iter().filter(|metric| !metric.emf.is_empty()) {
            let name = metric.cloudwatch_name();
            assert!(!dimensions.contains(&name) && names.insert(name.clone()), "{name} is taken");
            assert!(metric.emf.iter().flat_map(|set| set.iter()).all(|label| metric.labels.contains(label)), "{name}");
            match metric.kind {
                // Readings of different things have no sum.
                Kind::Gauge => assert_eq!(metric.emf, [metric.labels], "{name}"),
                Kind::Histogram(bounds) => assert!(bounds.len() < 100 && bounds.is_sorted(), "{name}"),
                Kind::Counter => {}
            }
        }
        assert_eq!(Metric { name: "fleetwarden_dead_letters_total", ..METRICS[0] }.cloudwatch_name(), "DeadLetters");
    }
}

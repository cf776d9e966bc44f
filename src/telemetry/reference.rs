//! The table of all metrics as a page, so that documentation cannot lag behind the code.

use super::labels::Label;
use super::metrics::{Kind, METRICS, Metric};

/// `docs/METRICS.md`.
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| metric | kind | labels | in CloudWatch | meaning |\n|---|---|---|---|---|\n");
    for metric in METRICS {
        let labels = list(metric.labels.iter().map(|label| format!("`{}`", label.as_str())));
        let cloudwatch = cloudwatch(metric).unwrap_or_default();
        let (name, kind, help) = (metric.name, metric.kind.as_str(), metric.help);
        page.push_str(&format!("| `{name}` | {kind} | {labels} | {cloudwatch} | {help} |\n"));
    }
    page.push_str("\n## Labels\n\nEvery label has a closed set of values, whatever messages say.\n\n| label | values |\n|---|---|\n");
    for label in Label::ALL {
        page.push_str(&format!("| `{}` | {} |\n", label.as_str(), label.values()));
    }
    page.push_str(
        "\n## Buckets\n\nThe upper bounds of the histograms, in seconds:\n\n| metric | bounds |\n|---|---|\n",
    );
    for metric in METRICS {
        if let Kind::Histogram(bounds) = metric.kind {
            let bounds = list(bounds.iter().map(f64::to_string));
            page.push_str(&format!("| `{}` | {bounds} |\n", metric.name));
        }
    }
    let alone = METRICS.iter().flat_map(|metric| metric.emf).filter(|dimensions| dimensions.is_empty()).count();
    page.push_str(&TAIL.replace('@', &alone.to_string()));
    page
}

/// Its name in CloudWatch, and under which dimensions besides `Table`; `None` if it does not go there.
pub fn cloudwatch(metric: &Metric) -> Option<String> {
    let alone = metric.emf.iter().any(|dimensions| dimensions.is_empty());
    let by = list(metric.emf.iter().flat_map(|dimensions| dimensions.iter()).map(|label| label.dimension()));
    match (alone, by.is_empty()) {
        (false, true) => None,
        (true, true) => Some(metric.cloudwatch_name()),
        (true, false) => Some(format!("{}, also by {by}", metric.cloudwatch_name())),
        (false, false) => Some(format!("{} by {by}", metric.cloudwatch_name())),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

const HEAD: &str = "\
# Metrics

<!-- Written by `fleetwarden metrics --markdown`; tests/readme.rs holds it against the code. -->

`fleetwarden run --http 127.0.0.1:9090` serves them to Prometheus at `/metrics`; `fleetwarden run --metrics emf` prints those for CloudWatch to
standard output. `fleetwarden metrics` lists them.

Each worker tells of itself: sum over the workers. Counters begin at zero when a worker starts. Series with labels appear with their
first event; dead letters are there from the start, by every reason.

";

const TAIL: &str = "
## CloudWatch

`--metrics emf` (or `FLEETWARDEN_METRICS=emf`) prints a line of JSON in CloudWatch's [Embedded Metric Format][emf] for each set of
dimensions, every minute and once at the end. On ECS the `awslogs` driver brings them to CloudWatch Logs, which makes metrics of them,
without agent or permission. The report at the end follows them: with `--output json` as one line more, so that every line of standard
output is a JSON document.

- The namespace is `Fleetwarden`. Every metric has the dimension `Table`, the ledger's name, which tells deployments apart; labels
  become dimensions in CloudWatch's spelling (`Status`).
- Counters are what was added since the last line: `Sum` over a period is the fleet's total. Gauges are one value a minute and worker:
  `Maximum` of `BreakerOpen`, `Sum` of `MessagesInFlight` over 60 seconds.
- Histograms are `Values` and `Counts`, one value for each bucket, in its middle (what is beyond the last bound is told at that bound), so
  that percentiles are as exact as the buckets are fine; `Sum` is exact. The format's specification does not mention this form; AWS's
  own exporter for OpenTelemetry writes it.
- What has no dimension but `Table` is told every minute, zeros too (histograms only when something was measured): an alarm has
  data while a worker runs. What has another dimension is told when something happened to it.
- CloudWatch charges for every name with its dimensions, by the hour in which it was sent: @ of `Table` alone, and typically 10 to 20
  more. At 0.30 USD a month each (us-east-1, first 10,000) that is 9 to 12 USD a month for a service that always runs, however many
  workers it has, and nothing while it is scaled to zero.

[emf]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
";

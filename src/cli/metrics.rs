//! `fleetwarden metrics`: what a worker tells of itself.

use super::{CliError, OutputFormat, print};
use crate::telemetry::{Kind, Label, METRICS, Metric, cloudwatch, markdown};
use clap::Args;
use serde_json::{Value, json};

/// What `metrics` is told.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  fleetwarden metrics
  fleetwarden metrics --output json | jq -r '.[] | select(.cloudwatch) | .cloudwatch.name'
  fleetwarden metrics --markdown > docs/METRICS.md")]
pub struct MetricsArgs {
    /// Print the page of documentation
    #[arg(long)]
    pub markdown: bool,
}

/// Lists the metrics.
///
/// # Errors
///
/// None.
pub fn run(args: &MetricsArgs, output: OutputFormat) -> Result<(), CliError> {
    match output {
        _ if args.markdown => print::line(markdown().trim_end()),
        OutputFormat::Json => print::json(&METRICS.iter().map(as_json).collect()),
        OutputFormat::Table => {
            let mut table = print::table(&["metric", "kind", "labels", "in CloudWatch", "meaning"]);
            for metric in METRICS {
                let labels: Vec<_> = metric.labels.iter().map(|label| label.as_str()).collect();
                let cloudwatch = cloudwatch(metric).unwrap_or_default();
                table.add_row([metric.name, metric.kind.as_str(), &labels.join(", "), &cloudwatch, metric.help]);
            }
            print::whole(&mut table, 0);
            print::line(&table.to_string());
        }
    }
    Ok(())
}

fn as_json(metric: &Metric) -> Value {
    let names = |labels: &[Label]| labels.iter().map(|label| label.as_str()).collect::<Vec<_>>();
    let sets: Vec<Vec<String>> = metric
        .emf
        .iter()
        .map(|labels| ["Table".to_owned()].into_iter().chain(labels.iter().map(|label| label.dimension())).collect())
        .collect();
    let cloudwatch = json!({ "name": metric.cloudwatch_name(), "unit": metric.kind.unit(), "dimensionSets": sets });
    let mut value = json!({
        "name": metric.name,
        "kind": metric.kind.as_str(),
        "labels": names(metric.labels),
        "meaning": metric.help,
        "cloudwatch": if sets.is_empty() { Value::Null } else { cloudwatch },
    });
    if let Kind::Histogram(bounds) = metric.kind {
        value["buckets"] = json!(bounds);
    }
    value
}

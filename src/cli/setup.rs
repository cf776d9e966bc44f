//! `fleetwarden setup`: makes or finds what the worker needs.

use super::{CliError, OutputFormat, print};
use crate::aws::{Class, Clients, load_config};
use crate::ledger::dynamodb::Created;
use crate::setup::{self, SetupError, SetupPlan, SetupReport};
use serde_json::json;

/// Makes the queue, its dead-letter queue, the ledger's table and, if named, the topic that feeds the queue.
///
/// Running it again changes nothing: what is there is found, and what differs from the plan is told and left as it is.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  fleetwarden setup --topic-name device-defender-findings
  AWS_ENDPOINT_URL=http://127.0.0.1:4566 fleetwarden setup --output json")]
pub struct SetupArgs {
    /// The queue that the worker receives from
    #[arg(long, env = "FLEETWARDEN_QUEUE_NAME", default_value = "fleetwarden-findings")]
    pub queue_name: String,
    /// Where the worker puts what it gives up
    #[arg(long, env = "FLEETWARDEN_DEAD_LETTER_QUEUE_NAME", default_value = "fleetwarden-dead-letters")]
    pub dead_letter_queue_name: String,
    /// The ledger
    #[arg(long, env = "FLEETWARDEN_TABLE", default_value = "fleetwarden")]
    pub table: String,
    /// The topic to subscribe the queue to: a name (made if missing) or the ARN of an existing one
    #[arg(long, env = "FLEETWARDEN_TOPIC_NAME")]
    pub topic_name: Option<String>,
}

/// Runs it against the account of the standard AWS environment, and prints what there is now.
///
/// # Errors
/// [`CliError::Usage`] for a configuration that cannot work, [`CliError::Failed`] when AWS refuses something.
pub async fn run(args: SetupArgs, output: OutputFormat) -> Result<(), CliError> {
    if args.queue_name == args.dead_letter_queue_name {
        let name = args.queue_name;
        return Err(CliError::Usage(format!(
            "--queue-name and --dead-letter-queue-name are both {name}: name two queues"
        )));
    }
    let config = load_config().await.map_err(CliError::Usage)?;
    let clients = Clients::new(&config);
    let plan = SetupPlan {
        queue: args.queue_name,
        dead_letter_queue: args.dead_letter_queue_name,
        table: args.table,
        topic: args.topic_name,
    };
    let report = setup::run(&clients, &plan, |line| eprintln!("{line}")).await;
    let report = report.map_err(|error| match &error {
        SetupError::Call(call) if call.class == Class::Denied && call.code.is_none() => {
            CliError::Usage(error.to_string())
        }
        _ => CliError::Failed(error.to_string()),
    })?;
    match output {
        OutputFormat::Table => print::line(as_table(&report).trim_end()),
        OutputFormat::Json => print::json(&as_json(&report)),
    }
    Ok(())
}

fn state(created: Created) -> &'static str {
    match created {
        Created::Created => "created",
        Created::Existed => "found",
    }
}

/// What `fleetwarden run` needs next.
fn variables(report: &SetupReport) -> Vec<(&'static str, &str)> {
    vec![
        ("FLEETWARDEN_QUEUE_URL", report.queue_url.as_str()),
        ("FLEETWARDEN_DEAD_LETTER_QUEUE_URL", &report.dead_letter_queue_url),
        ("FLEETWARDEN_TABLE", &report.table),
    ]
}

fn as_table(report: &SetupReport) -> String {
    let mut table = print::table(&["what", "state", "name"]);
    for item in &report.items {
        table.add_row([item.what, state(item.created), &item.name]);
    }
    let remarks = report.items.iter().flat_map(|item| {
        item.remarks.iter().map(move |remark| format!("note: {} {}: {remark}\n", item.what, item.name))
    });
    let remarks: String = remarks.collect();
    let exports: Vec<String> =
        variables(report).into_iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    format!("{table}\n{remarks}\n# what `fleetwarden run` needs next:\n{}", exports.concat())
}

fn as_json(report: &SetupReport) -> serde_json::Value {
    let items = report.items.iter().map(
        |item| json!({ "what": item.what, "state": state(item.created), "name": item.name, "remarks": item.remarks }),
    );
    let environment: serde_json::Map<String, serde_json::Value> =
        variables(report).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({
        "account": report.account,
        "region": report.region,
        "queueUrl": report.queue_url,
        "deadLetterQueueUrl": report.dead_letter_queue_url,
        "table": report.table,
        "topicArn": report.topic_arn,
        "items": items.collect::<Vec<_>>(),
        "environment": environment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::SetupItem;

    fn report() -> SetupReport {
        SetupReport {
            account: "123456789012".into(),
            region: "us-east-1".into(),
            queue_url: "https://sqs/q".into(),
            dead_letter_queue_url: "https://sqs/d".into(),
            table: "t".into(),
            topic_arn: None,
            items: vec![SetupItem {
                what: "queue",
                name: "q".into(),
                created: Created::Existed,
                remarks: vec!["its visibility timeout is 30 s, not 60 s".into()],
            }],
        }
    }

    #[test]
    fn the_table_ends_in_lines_that_a_shell_can_take() {
        let text = as_table(&report());
        assert!(text.contains("30 s, not 60 s"), "{text}");
        assert!(text.ends_with(
            "export FLEETWARDEN_QUEUE_URL='https://sqs/q'\nexport FLEETWARDEN_DEAD_LETTER_QUEUE_URL='https://sqs/d'\nexport FLEETWARDEN_TABLE='t'\n"
        ));
    }

    #[test]
    fn the_document_names_the_same_variables() {
        let document = as_json(&report());
        assert_eq!(document["environment"]["FLEETWARDEN_TABLE"], "t");
        assert_eq!(document["items"][0]["state"], "found");
    }
}

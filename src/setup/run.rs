//! The order of things: what is pointed to comes before what points.

use super::plan::{SetupError, SetupItem, SetupPlan, SetupReport};
use super::{queues, topic};
use crate::aws::Clients;
use crate::ledger::dynamodb::{Created, create_table};

/// Carries the plan out, telling each result in a line as it comes.
///
/// # Errors
/// The first thing that fails ends it; what was made stays, and a second run goes on from there.
pub async fn run(
    clients: &Clients,
    plan: &SetupPlan,
    mut progress: impl FnMut(&str),
) -> Result<SetupReport, SetupError> {
    if plan.queue == plan.dead_letter_queue {
        return Err(SetupError::Unfit(format!(
            "{} cannot be both the queue and its dead-letter queue: give one of them another name",
            plan.queue
        )));
    }
    let mut items = Vec::new();
    let mut tell = |item: SetupItem| {
        progress(&line(&item));
        items.push(item);
    };

    // First of all: a table of somebody else's ends it before anything is made.
    let created = create_table(&clients.dynamodb, &plan.table).await?;
    tell(SetupItem::new("table", plan.table.clone(), created));

    let dead_letters = queues::dead_letter_queue(&clients.sqs, &plan.dead_letter_queue).await?;
    tell(dead_letters.item.clone());
    let (queue, redrive) = queues::queue(&clients.sqs, &plan.queue, &dead_letters).await?;
    tell(queue.item.clone());
    tell(redrive);

    let mut topic_arn = None;
    if let Some(wanted) = &plan.topic {
        let (arn, item) = topic::topic(clients, &queue.info.arn, wanted).await?;
        tell(item);
        // Before the subscription: a message that arrives without permission is lost after SNS's retries.
        tell(topic::access_policy(clients, &queue, &arn).await?);
        tell(topic::subscription(clients, &queue.info.arn, &arn).await?);
        topic_arn = Some(arn);
    }

    Ok(SetupReport {
        account: queue.info.account,
        region: queue.info.region,
        queue_url: queue.url,
        dead_letter_queue_url: dead_letters.url,
        table: plan.table.clone(),
        topic_arn,
        items,
    })
}

fn line(item: &SetupItem) -> String {
    let verb = match item.created {
        Created::Created => "created",
        Created::Existed => "found",
    };
    let remarks: Vec<String> = item.remarks.iter().map(|remark| format!("; note: {remark}")).collect();
    format!("{verb} {} {}{}", item.what, item.name, remarks.concat())
}

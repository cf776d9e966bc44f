//! `fleetwarden replay audit`: an audit's findings go to the queue once more.

use super::ask::agreed;
use super::random::run_id;
use super::replay::{caller, note};
use super::{CliError, OutputFormat, print};
use crate::aws::{Class, Clients, load_config};
use crate::clock::Clock;
use crate::defender::console::Console;
use crate::defender::console::check_name::resolve_all;
use crate::queue::{SqsQueue, describe};
use crate::replay::{AuditReplay, Order};
use clap::Args;
use serde_json::json;

pub(super) const HELP: &str = "\
Examples:
  fleetwarden replay audit 4f1dd2a38d3a4d4d9dd7a4d3c0a5b6c7 --dry-run
  fleetwarden replay audit 4f1dd2a38d3a4d4d9dd7a4d3c0a5b6c7
  fleetwarden replay audit 4f1dd2a38d3a4d4d9dd7a4d3c0a5b6c7 --check device_certificate_shared

One message goes to the queue. The workers fetch the audit's findings from Device Defender, which
keeps them for 90 days, and leave out those that are suppressed. What is mitigated already stays
as it is (see --force); what died, was held, or was only observed gets a second chance. `findings
show expansion#TASK#REPLAY` tells how far it is.

Exit codes: 0 sent, or planned; 1 failed; 2 wrong usage, or an audit that does not exist, is in
progress, or has nothing to replay.";

/// What `replay audit` is told.
#[derive(Debug, Args)]
pub struct ReplayAuditArgs {
    /// The audit: its task id
    pub task: String,
    /// Only of this check; may be repeated
    #[arg(long)]
    pub check: Vec<String>,
    /// The queue that the workers receive from
    #[arg(long, env = "FLEETWARDEN_QUEUE_URL", value_name = "URL")]
    pub queue_url: String,
    /// Also what is mitigated already: do once more what was done
    #[arg(long)]
    pub force: bool,
    /// Say what would go, by check, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask; asked is only before --force
    #[arg(long)]
    pub yes: bool,
    /// Who asks for it, for the ledger; default: AWS_PROFILE, else user and host
    #[arg(long, value_name = "WHO", value_parser = note)]
    pub by: Option<String>,
}

/// Looks at the audit, and sends its summary.
///
/// # Errors
///
/// Usage: an audit that cannot be replayed, or a question that nobody can answer. Failed: AWS does not answer.
pub(super) async fn run(args: &ReplayAuditArgs, output: OutputFormat) -> Result<(), CliError> {
    let checks = resolve_all(&args.check, [])
        .map_err(|mistakes| CliError::Usage(format!("--check: {}", mistakes.join("\nerror: --check: "))))?;
    let clock = Clock::system();
    let by = args.by.clone().or_else(caller);
    let order = Order { id: run_id("replay", &clock)?, by, force: args.force, rate: 1, keep_going: false };
    let config = load_config().await.map_err(CliError::Usage)?;
    let clients = Clients::new(&config);
    let task = &args.task;
    let queue = describe(&clients.sqs, &args.queue_url).await.map_err(|error| {
        CliError::Usage(format!("failed to {error}; check --queue-url, which is {}", args.queue_url))
    })?;
    let audit = Console::new(clients.iot.clone()).audit(task).await.map_err(|error| match error.class {
        // An id that is none is an invalid request.
        Class::Gone | Class::Permanent => CliError::Usage(format!(
            "there is no audit {task}: Device Defender keeps them for 90 days; `fleetwarden audit list` shows those of the last days"
        )),
        _ => {
            let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
            CliError::Failed(format!("failed to {error}{advice}"))
        }
    })?;
    let place = (queue.account.as_str(), queue.region.as_str());
    let replay = AuditReplay::new(&audit, place, &checks, &order).map_err(CliError::Usage)?;
    if args.dry_run {
        tell(&replay, task, &order, false, output);
        return Ok(());
    }
    let question = format!(
        "Do once more, by force, what was done about the findings of {}?",
        print::counted(replay.resources(), "resource")
    );
    agreed(args.yes || !args.force, &question).await?;
    let to = SqsQueue::new(clients.sqs.clone(), args.queue_url.clone());
    replay
        .send(&to, &order, &clock)
        .await
        .map_err(|error| CliError::Failed(format!("failed to {error}; nothing is lost: give the command again")))?;
    tell(&replay, task, &order, true, output);
    Ok(())
}

fn tell(replay: &AuditReplay, task: &str, order: &Order, sent: bool, output: OutputFormat) {
    let total = replay.resources();
    let resources = print::counted(total, "resource");
    match output {
        OutputFormat::Json => {
            let checks = replay.checks().map(|(check, n)| json!({ "check": check, "resources": n }));
            print::json(&json!({
                "taskId": task,
                "resources": total,
                "checks": checks.collect::<Vec<_>>(),
                "sent": sent,
                "replayId": sent.then_some(&order.id),
                "expansion": sent.then(|| format!("expansion#{task}#{}", order.id)),
                "by": order.by,
                "force": order.force,
            }));
        }
        OutputFormat::Table => {
            let mut table = print::table(&["check", "non-compliant resources"]);
            for (check, n) in replay.checks() {
                table.add_row([check.to_owned(), n.to_string()]);
            }
            print::right(&mut table, 1..2);
            print::line(&table.to_string());
            print::line(&if sent {
                format!(
                    "the workers will fetch the findings of {resources} of audit {task}; see `fleetwarden findings show \
                     'expansion#{task}#{}'`\nreplay {}",
                    order.id, order.id
                )
            } else {
                format!("the findings of {resources} of audit {task} would go")
            });
        }
    }
}

//! `fleetwarden mitigate`: an audit's findings, now, because a person says so.

use super::ask::agreed;
use super::audit::trouble;
use super::line::LineArgs;
use super::mitigate_print::{print_delegated, print_enqueued, print_nothing, print_plan};
use super::policy_source::load_policy;
use super::quotas::Quotas;
use super::random::{run_id, seed};
use super::replay::{caller, note};
use super::run::{stop_on_signals, worker_name};
use super::{CliError, OutputFormat, bar::Bar, print};
use crate::aws::{CallError, Class, Clients, load_config};
use crate::budget::{BudgetConfig, Budgets, Fleet};
use crate::clock::Clock;
use crate::defender::by_hand::{Enqueued, Pages, Plan, Selection, message};
use crate::defender::console::check_name::resolve_all;
use crate::defender::console::{Audit, Console};
use crate::finding::{ActionType, Origin, catalogue};
use crate::ledger::DynamoLedger;
use crate::mitigation::{AwsIot, Paced};
use crate::policy::{MOST_DELEGATED, Matcher, Mode, Policy, Rule};
use crate::queue::SqsQueue;
use crate::replay::Order;
use crate::setup::{Deployment, check_deployment, look_up};
use crate::telemetry::Telemetry;
use crate::worker::{Ended, LocalWork, Results, WorkerConfig};
use clap::Args;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const AFTER_HELP: &str = "\
Examples:
  # what the policy would do about an audit's findings, and how long it would take
  fleetwarden mitigate --audit $TASK --policy policy.yaml --dry-run

  # put them on the queue; the workers do what their policy says
  fleetwarden mitigate --audit $TASK --policy policy.yaml --check DEVICE_CERTIFICATE_SHARED_CHECK

  # hand them over to Device Defender's own actions, and wait for the results
  fleetwarden mitigate --audit $TASK --reason LOGGING_DISABLED \\
    --action EnableErrorLoggingAction --yes

The plan counts findings by check, reason and what is done, and asks. Findings that are only
recorded so far, or were given up, have their second chance; what is mitigated stays as it is;
suppressed findings are left alone. Cut off at any moment, the same command goes on. What somebody
has reverted since (see `fleetwarden findings verify`) is done again by `replay audit --force`.

Exit codes: 0 done, or there is nothing to do; 1 stopped, not confirmed, or some findings have come
to no good end; 2 wrong usage, such as an audit that failed, nothing changed.";

/// How many messages a second go on the queue: far more than any IoT quota serves.
const RATE: u32 = 200;

/// What `mitigate` is told.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct MitigateArgs {
    /// The audit's task id (see `fleetwarden audit list`)
    #[arg(long, value_name = "TASK")]
    pub audit: String,
    /// Only findings of this check; may be repeated
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    pub check: Vec<String>,
    /// Only findings with this reason code; may be repeated
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub reason: Vec<String>,
    /// Only this finding; may be repeated
    #[arg(long, value_name = "ID")]
    pub finding: Vec<String>,
    /// Hand over to this mitigation action of Device Defender instead of asking the policy; up to five, in this order
    #[arg(long, value_name = "NAME")]
    pub action: Vec<String>,
    /// The policy file that the workers have; without one, the embedded default
    #[arg(long, env = "FLEETWARDEN_POLICY", value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The policy's mode, as the workers have it: for the plan only
    #[arg(long, env = "FLEETWARDEN_MODE", value_enum)]
    pub mode: Option<Mode>,
    /// Show the plan and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do it without a question
    #[arg(long)]
    pub yes: bool,
    /// Who asks for it, for the ledger; default: AWS_PROFILE, else user and host
    #[arg(long, value_name = "WHO", value_parser = note)]
    pub by: Option<String>,
    /// Where the line is
    #[command(flatten)]
    pub line: LineArgs,
}

/// Plans, asks, and enqueues or delegates.
///
/// # Errors
///
/// Usage: whatever is wrong with arguments, policy, deployment or audit, and a question that nobody can answer. Failed: it did not come
/// to its end, or some findings have come to no good one.
pub async fn run(args: &MitigateArgs, output: OutputFormat) -> Result<(), CliError> {
    let mut policy = load_policy(args.policy.as_ref())?;
    if let Some(mode) = args.mode {
        policy.set_mode(mode);
    }
    let selection =
        Selection { checks: checks(&args.check)?, reasons: reasons(&args.reason), findings: args.finding.clone() };
    let config = load_config().await.map_err(CliError::Usage)?;
    let clients = Clients::new(&config);
    let urls = (args.line.queue_url.as_str(), args.line.dead_letter_queue_url.as_str());
    let deployment = check_deployment(&clients, urls.0, urls.1, &args.line.table, true)
        .await
        .map_err(|problems| CliError::Usage(problems.join("\n")))?;
    let audit = ended_audit(&Console::new(clients.iot.clone()), &args.audit, &selection).await?;
    let hand = ByHand { args, selection, audit, clients, deployment, policy, output, stop: stop_on_signals()? };
    hand.run().await
}

fn checks(texts: &[String]) -> Result<Vec<String>, CliError> {
    resolve_all(texts, [])
        .map_err(|mistakes| CliError::Usage(format!("--check: {}", mistakes.join("\nerror: --check: "))))
}

/// Codes as AWS writes them, in whatever case they are given.
fn reasons(texts: &[String]) -> Vec<String> {
    texts.iter().map(|reason| reason.trim().to_ascii_uppercase()).collect()
}

/// The audit, if it is over and looked at the checks that are meant.
async fn ended_audit(console: &Console, task_id: &str, selection: &Selection) -> Result<Audit, CliError> {
    let audit = console.audit(task_id).await.map_err(|error| match error.class {
        Class::Gone | Class::Permanent => CliError::Usage(format!(
            "there is no audit {task_id}: Device Defender keeps them for 90 days; `fleetwarden audit list` shows those of the last days"
        )),
        _ => CliError::Failed(format!("failed to {error}")),
    })?;
    if audit.is_in_progress() {
        return Err(CliError::Usage(format!(
            "audit {task_id} is still in progress: look at it with `fleetwarden audit status {task_id}`, and come back when it is over"
        )));
    }
    if let Some(missing) = selection.checks.iter().find(|name| !audit.checks.iter().any(|check| check.check == **name))
    {
        let looked_at: Vec<_> = audit.checks.iter().map(|check| check.check.as_str()).collect();
        return Err(CliError::Usage(format!(
            "audit {task_id} did not look at {missing}; it looked at {}",
            looked_at.join(", ")
        )));
    }
    Ok(audit)
}

/// One run of the command.
struct ByHand<'a> {
    args: &'a MitigateArgs,
    selection: Selection,
    audit: Audit,
    clients: Clients,
    deployment: Deployment,
    policy: Policy,
    output: OutputFormat,
    stop: CancellationToken,
}

impl ByHand<'_> {
    async fn run(mut self) -> Result<(), CliError> {
        let Deployment { account, region, .. } = &self.deployment;
        let iot = AwsIot::new(self.clients.iot.clone(), self.clients.sns.clone(), account, region);
        let mut actions = Vec::new();
        for name in &self.args.action {
            actions.push((name, look_up(&iot, name, "--action").await.map_err(CliError::Usage)?));
        }
        if !actions.is_empty() {
            self.policy = by_hand(&self.args.action, &self.policy)?;
        }
        let budget = Quotas::new(&[], None, &self.policy).budget();
        let listing = people(&iot, &budget)?;
        let plan = self.plan(&listing).await?;
        for (name, action) in actions {
            fits(name, action.action_type(), &plan)?;
        }
        self.nothing_missing(&plan)?;
        if self.args.dry_run || self.output == OutputFormat::Table {
            print_plan(&plan, &self.audit, &budget, self.args.dry_run, self.output);
        }
        if self.args.dry_run {
            return Ok(());
        }
        if plan.findings() == 0 {
            print_nothing(&plan, self.args.action.is_empty(), self.output);
            return Ok(());
        }
        self.agreed(&plan).await?;
        let clock = Clock::system();
        let order = Order {
            id: run_id("mitigate", &clock)?,
            by: self.args.by.clone().or_else(caller),
            force: false,
            rate: RATE,
            keep_going: true,
        };
        match self.args.action.is_empty() {
            true => self.enqueue(&listing, &plan, &order, &clock).await,
            false => self.delegate(&iot, &listing, &plan, (&order, &clock), &budget).await,
        }
    }

    async fn plan(&self, listing: &Paced<AwsIot>) -> Result<Plan, CliError> {
        let (mut plan, mut seen) = (Plan::default(), 0);
        let mut pages = Pages::new(listing, &self.audit, &self.selection);
        let expected = Pages::<AwsIot>::expected(&self.audit, &self.selection);
        let mut bar = Bar::new("findings read");
        while let Some(page) = pages.next().await.map_err(failed)? {
            if self.stop.is_cancelled() {
                return Err(CliError::Failed("stopped: nothing was changed".to_owned()));
            }
            seen += page.findings.len() as u64 + page.suppressed;
            bar.at(seen, expected);
            plan.add(&self.policy, &page);
        }
        bar.clear();
        Ok(plan)
    }

    /// Findings that were asked for by name must be there; and that there are none must not be for want of an answer.
    fn nothing_missing(&self, plan: &Plan) -> Result<(), CliError> {
        let found = plan.findings() + plan.suppressed;
        if let Some(trouble) = trouble(&self.audit) {
            if found == 0 && !self.audit.answers(&self.selection.checks) {
                return Err(CliError::Usage(format!(
                    "{trouble}. There are no findings to mitigate; start another audit"
                )));
            }
            eprintln!("warning: {trouble}");
        }
        let named = self.selection.findings.len() as u64;
        if found < named {
            return Err(CliError::Usage(format!(
                "audit {} has {found} of the {named} findings that --finding names; `fleetwarden audit findings {}` shows them",
                self.audit.task_id, self.audit.task_id
            )));
        }
        Ok(())
    }

    async fn agreed(&self, plan: &Plan) -> Result<(), CliError> {
        let n = print::counted(plan.findings(), "finding");
        if self.output == OutputFormat::Json && !self.args.yes {
            return Err(CliError::Usage(format!(
                "{n} would go, and a program cannot be asked, so nothing was changed: look at them with --dry-run, and then say --yes"
            )));
        }
        let question = match self.args.action.as_slice() {
            [] => format!("Put {n} on the queue, for the workers to mitigate?"),
            names => format!("Hand {n} over to Device Defender's {}?", names.join(", ")),
        };
        agreed(self.args.yes, &question).await
    }

    async fn enqueue(
        &self,
        listing: &Paced<AwsIot>,
        plan: &Plan,
        order: &Order,
        clock: &Clock,
    ) -> Result<(), CliError> {
        let queue = SqsQueue::new(self.clients.sqs.clone(), self.args.line.queue_url.clone());
        let mut pages = Pages::new(listing, &self.audit, &self.selection);
        let mut bar = Bar::new("findings sent");
        let mut told = |sent| bar.at(sent, plan.findings());
        let enqueued = Enqueued::all(&mut pages, &queue, (order, clock), &mut told, &self.stop).await;
        bar.clear();
        let enqueued = enqueued.map_err(failed)?;
        print_enqueued(enqueued, plan, order, self.output);
        if enqueued.stopped {
            return Err(CliError::Failed(
                "stopped; what was sent will be mitigated, and the same command sends the rest".into(),
            ));
        }
        Ok(())
    }

    async fn delegate(
        &self,
        iot: &AwsIot,
        listing: &Paced<AwsIot>,
        plan: &Plan,
        (order, clock): (&Order, &Clock),
        budget: &BudgetConfig,
    ) -> Result<(), CliError> {
        let ledger = DynamoLedger::new(self.clients.dynamodb.clone(), self.args.line.table.clone());
        let telemetry = Arc::new(Telemetry::default());
        let seed = seed()?;
        let fleet = Fleet {
            timelines: Arc::new(ledger.clone()),
            region: self.deployment.region.clone(),
            clock: clock.clone(),
            telemetry: Arc::clone(&telemetry),
            seed,
        };
        let origin =
            Origin { account: Some(self.deployment.account.clone()), region: Some(self.deployment.region.clone()) };
        let work = LocalWork {
            config: WorkerConfig {
                poll_wait: Duration::from_secs(1),
                seed,
                ..WorkerConfig::new(worker_name(clock), origin)
            },
            policy: self.policy.clone(),
            dead_letters: SqsQueue::new(self.clients.sqs.clone(), self.args.line.dead_letter_queue_url.clone()),
            ledger,
            iot: iot.clone(),
            budgets: Arc::new(Budgets::shared(budget, &fleet)),
            telemetry,
            clock: clock.clone(),
        };
        let mut pages = Pages::new(listing, &self.audit, &self.selection);
        let (mut results, mut bar, mut done) = (Results::default(), Bar::new("findings handed over"), 0);
        let mut ended = Ended::Empty;
        bar.at(0, plan.findings());
        while let Some(page) = pages.next().await.map_err(failed)? {
            let messages: Vec<_> = page.findings.iter().map(|finding| message(finding, order, clock)).collect();
            let ids: Vec<_> = page.findings.into_iter().map(|finding| finding.finding_id).collect();
            ended = work.through(&messages, &self.stop).await.map_err(failed)?;
            work.results(&ids, &order.id, &mut results).await.map_err(failed)?;
            done += ids.len() as u64;
            bar.at(done, plan.findings());
            if ended != Ended::Empty {
                break;
            }
        }
        bar.clear();
        print_delegated(&results, &self.audit, order, self.output);
        match ended {
            Ended::Broken(reason) => Err(CliError::Failed(format!("stopped: {reason}"))),
            Ended::Drained | Ended::CutShort => Err(CliError::Failed(
                "stopped; tasks that were started go on, and the same command hears of them and goes on".to_owned(),
            )),
            Ended::Empty if results.troubled.is_empty() => Ok(()),
            Ended::Empty => Err(CliError::Failed(
                "some findings have come to no good end, see above; `fleetwarden dlq list` has those that were given up".to_owned(),
            )),
        }
    }
}

/// Everything that is meant goes to these actions, whatever the policy's rules say; its quotas and retries hold.
fn by_hand(names: &[String], policy: &Policy) -> Result<Policy, CliError> {
    let distinct: BTreeSet<&String> = names.iter().collect();
    if names.len() > MOST_DELEGATED || distinct.len() < names.len() {
        return Err(CliError::Usage(format!(
            "--action names {}: give 1 to {MOST_DELEGATED} different actions",
            names.join(", ")
        )));
    }
    let rule = Rule {
        name: "by-hand".to_owned(),
        matcher: Matcher::default(),
        observe: false,
        actions: Vec::new(),
        delegate: names.to_vec(),
    };
    Ok(Policy {
        mode: Mode::Enforce,
        verify_finding: true,
        cooldown: Duration::ZERO,
        rules: vec![rule],
        ..policy.clone()
    })
}

/// An action must be allowed for every check that has findings in the plan.
fn fits(name: &str, kind: ActionType, plan: &Plan) -> Result<(), CliError> {
    let allows = |check: &String| {
        kind == ActionType::PublishFindingToSns || catalogue::check(check).is_some_and(|check| check.allows(kind))
    };
    let (fit, unfit): (Vec<String>, Vec<String>) = plan.checks().into_iter().partition(allows);
    if unfit.is_empty() {
        return Ok(());
    }
    let instead = match fit.as_slice() {
        [] => "choose another action".to_owned(),
        checks => format!("leave them out with --check {}", checks.join(" --check ")),
    };
    Err(CliError::Usage(format!(
        "the action {name} does {kind}, which Device Defender does not allow for findings of {}: {instead}",
        unfit.join(", ")
    )))
}

/// Reads inside the part of the quotas that workers leave to people.
fn people(iot: &AwsIot, budget: &BudgetConfig) -> Result<Paced<AwsIot>, CliError> {
    let reserved = BudgetConfig { reserve: 1.0 - budget.reserve.max(0.05), ..budget.clone() };
    let seed = seed()?;
    Ok(Paced::new(iot.clone(), Arc::new(Budgets::new(&reserved)), Duration::from_secs(60), seed))
}

fn failed(error: CallError) -> CliError {
    CliError::Failed(format!("failed to {error}; the same command goes on"))
}

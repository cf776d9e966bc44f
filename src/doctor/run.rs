//! The order in which a deployment is looked at. What depends on nothing is asked at the same time; what cannot be asked hides nothing
//! else.

use super::access::Access;
use super::canary::{Canary, Flight};
use super::diagnosis::{About, Area, Diagnosis, Report};
use super::plan::{Instruments, Plan};
use super::words::apart;
use super::workers::Line;
use super::{budgets, defender, identity, mend, named, permissions, queues, table, topic, workers};
use crate::aws::server_date;
use crate::aws::syntax::{is_account, partition_of};
use crate::budget::{Pace, read_service_quotas};
use crate::defender::console::Console;
use crate::ledger::dynamodb::inspect_table;
use crate::ledger::{DynamoLedger, Presence, REMEMBERED};
use crate::mitigation::AwsIot;
use crate::policy::{Mode, Place, permissions as needed_permissions};
use crate::queue::{Depth, Queue, QueueInfo, SqsQueue};
use crate::setup;

/// Calls to AWS IoT per second, beside the console's own two: the lowest quotas of those that are called are 2 (logging options, asked
/// once) and 10, of which workers leave a fifth to people. Each operation is called once or twice.
const PER_SECOND: f64 = 5.0;

/// Looks at everything, telling what takes a while. Changes nothing but what the canary writes.
pub async fn examine(plan: &Plan, instruments: &Instruments, progress: impl FnMut(&str)) -> Report {
    let mut report = look_at_all(plan, instruments, progress).await;
    for row in &mut report.rows {
        row.mend = mend::in_region(&row.mend, &instruments.clients.region);
    }
    report
}

async fn look_at_all(plan: &Plan, instruments: &Instruments, mut progress: impl FnMut(&str)) -> Report {
    let mut report = Report::default();
    progress("looking for credentials");
    let identity = identity::look(instruments).await;
    report.add(identity.rows);
    if let Some(why) = identity.hopeless {
        report.add(unasked(&why));
        return report;
    }
    progress("looking at the queues");
    let (answer, date) = server_date(&instruments.clients.sqs, &plan.queue_url, &instruments.clock).await;
    report.add([identity::judge_clock(date.as_ref())]);
    if let Some(row) = identity::refused(&answer) {
        report.rows.retain(|other| (other.area, &other.what) != (row.area, &row.what));
        report.add([row]);
        report.add(unasked("AWS refuses the credentials"));
        return report;
    }
    report.add(identity::unreachable(&answer));

    let found = look_at_queues(plan, instruments, &mut report).await;
    progress("looking at topic, table, permissions, Device Defender and workers");
    let region = instruments.clients.region.as_str();
    let of_queue = found.queue.as_ref().map(|queue| queue.account.clone());
    let account = plan.account.clone().or(of_queue).or_else(|| account_of_url(&plan.queue_url));
    report.add(identity::judge_account(account.as_deref(), found.queue.as_ref()));
    let look = Look { plan, instruments, found: &found, region, account: account.as_deref() };
    let (fed, table, line) = look.at_the_rest(&mut report).await;

    let Some(patience) = plan.canary else {
        report.add([About(Area::Canary).not_checked("round trip", "left out by --no-canary")]);
        return report;
    };
    let flight = match (&look.account, found.queue.is_some() && table) {
        (Some(account), true) => {
            let topic = fed.as_deref();
            progress("sending a canary");
            let canary = Canary { plan, instruments, topic, account, region, patience };
            canary.fly(line, found.depth, &mut progress).await
        }
        _ => Flight::only(
            About(Area::Canary)
                .not_checked("round trip", "there is no queue or no table that it could go through")
                .mend("mend those, and run doctor again"),
        ),
    };
    permissions::prove(&mut report.rows, &flight.proved);
    report.add(flight.rows);
    report
}

/// The account that a queue's URL names: `https://sqs.eu-central-1.amazonaws.com/123456789012/findings`.
fn account_of_url(url: &str) -> Option<String> {
    url.rsplit('/').nth(1).filter(|account| is_account(account)).map(str::to_owned)
}

/// One row for each area that nothing was asked about.
fn unasked(why: &str) -> Vec<Diagnosis> {
    let areas = [
        Area::Queue,
        Area::DeadLetters,
        Area::AccessPolicy,
        Area::Topic,
        Area::Table,
        Area::Permissions,
        Area::Policy,
        Area::Budgets,
        Area::DeviceDefender,
        Area::Workers,
        Area::Canary,
    ];
    areas.map(|area| About(area).not_checked("everything", why)).to_vec()
}

/// The queues, as far as they are there.
struct Queues {
    queue: Option<QueueInfo>,
    dead_letters: Option<QueueInfo>,
    depth: Option<Depth>,
}

async fn look_at_queues(plan: &Plan, instruments: &Instruments, report: &mut Report) -> Queues {
    let clients = &instruments.clients;
    let depth = async |url: &str| SqsQueue::new(clients.sqs.clone(), url).depth().await.ok();
    let (queue, dead) = tokio::join!(
        setup::queue(clients, "queue", &plan.queue_url),
        setup::queue(clients, "dead-letter queue", &plan.dead_letter_queue_url),
    );
    let missing = |area, problem: &Result<QueueInfo, String>| {
        let problem = problem.as_ref().err()?;
        let (found, mend) = apart(problem);
        Some(About(area).wrong("exists", found).mend(mend))
    };
    report.add(missing(Area::Queue, &queue));
    report.add(missing(Area::DeadLetters, &dead));
    let (queue, dead_letters) = (queue.ok(), dead.ok());
    let (queue_depth, dead_depth) =
        tokio::join!(async { if queue.is_some() { depth(&plan.queue_url).await } else { None } }, async {
            if dead_letters.is_some() { depth(&plan.dead_letter_queue_url).await } else { None }
        },);
    if let Some(queue) = &queue {
        report.add(queues::judge_queue(plan, queue, dead_letters.as_ref()));
    }
    if let Some(dead) = &dead_letters {
        report.add(queues::judge_dead_letters(plan, dead, queue.as_ref()));
    }
    report.add(queues::judge_depths(queue_depth, dead_depth));
    Queues { queue, dead_letters, depth: queue_depth }
}

struct Look<'a> {
    plan: &'a Plan,
    instruments: &'a Instruments,
    found: &'a Queues,
    region: &'a str,
    account: Option<&'a str>,
}

impl Look<'_> {
    /// Everything between the queues and the canary: a topic that feeds the queue, whether there is a table, and who is at work.
    async fn at_the_rest(&self, report: &mut Report) -> (Option<String>, bool, Line) {
        let (plan, clients) = (self.plan, &self.instruments.clients);
        let console = Console::new(clients.iot.clone());
        let pace = Pace::new(PER_SECOND);
        let ledger = DynamoLedger::new(clients.dynamodb.clone(), plan.table.clone());
        let now = self.instruments.clock.now_ms();
        let since = now.saturating_sub(i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX));
        let settings = console.audit_settings().await;
        let topics =
            self.feeding(settings.as_ref().ok().and_then(|settings| settings.alerts.topic_arn.as_deref())).await;
        let (rows_of_topics, table, rows_of_policy, quotas, schedules, notes) = tokio::join!(
            self.topics(&topics),
            inspect_table(&clients.dynamodb, &plan.table),
            self.policy(&pace),
            read_service_quotas(&clients.service_quotas),
            console.schedules(),
            ledger.workers(since),
        );
        let (rows, fed) = rows_of_topics;
        report.add(rows);
        report.add(table::judge(plan, &table));
        report.add(rows_of_policy);
        report.add(budgets::judge(plan, &quotas));
        report.add(defender::judge_settings(&settings, &plan.policy, &topics, self.account.unwrap_or("ACCOUNT")));
        report.add(defender::judge_schedules(&schedules, &plan.policy));
        let serves = matches!(&table, Ok(Some(table)) if table.unfit.is_none() && table.active);
        let mut line = Line::Nobody;
        if matches!(&table, Ok(Some(table)) if table.unfit.is_none()) {
            line = workers::line(notes.as_deref().unwrap_or_default(), now);
            let mode = if plan.policy.mode == Mode::Enforce { "enforce" } else { "observe" };
            report.add(workers::judge(&notes, mode, now));
        } else {
            report.add([About(Area::Workers).not_checked(
                "alive",
                "the ledger's table, in which they say so, is not there or could not be looked at",
            )]);
        }
        (fed, serves, line)
    }

    /// The topics that feed the queue: those that were named, else those that its access policy names. Where alerts go to another,
    /// that one too if the queue is subscribed to it: a policy can let topics in by account or by pattern and name none.
    async fn feeding(&self, told: Option<&str>) -> Vec<String> {
        let Some(queue) = &self.found.queue else { return self.plan.topics.clone() };
        let named = || queue.policy.as_deref().map(setup::topics).unwrap_or_default();
        let mut topics = if self.plan.topics.is_empty() { named() } else { self.plan.topics.clone() };
        if let Some(told) = told.filter(|told| !topics.iter().any(|topic| topic == told))
            && let Ok(Some(_)) = setup::find_subscription(&self.instruments.clients, &queue.arn, told).await
        {
            topics.push(told.to_owned());
        }
        topics
    }

    /// The topics, and who else may send. Also a topic that a canary can be published to.
    async fn topics(&self, topics: &[String]) -> (Vec<Diagnosis>, Option<String>) {
        let plan = self.plan;
        let Some(queue) = &self.found.queue else {
            let unasked = |area| About(area).not_checked("everything", "the queue could not be looked at");
            return (vec![unasked(Area::AccessPolicy), unasked(Area::Topic)], None);
        };
        let setup = mend::setup(plan, Some(topics.first().map_or("NAME", String::as_str)));
        let accounts: Vec<&str> = match self.account {
            Some(account) if account != queue.account => vec![&queue.account, account],
            _ => vec![&queue.account],
        };
        let access = Access {
            policy: queue.policy.as_deref(),
            queue_arn: &queue.arn,
            topics,
            accounts: &accounts,
            setup: &setup,
        };
        let mut rows = access.judge();
        if plan.policy.verify_signature {
            rows.extend(self.foreign(queue, topics));
        }
        let mut fed = Vec::with_capacity(topics.len());
        for topic in topics {
            fed.push(topic::look(&self.instruments.clients, &queue.arn, topic).await);
        }
        rows.extend(topic::judge_all(plan, &fed));
        // One that cannot be looked at may be subscribed all the same; the canary tells.
        let may_feed = fed.into_iter().find(|fed| !matches!(fed.subscription, Ok(None)));
        (rows, may_feed.filter(|fed| fed.exists()).map(|fed| fed.topic))
    }

    /// Topics whose notifications would be refused, each as a starting worker tells it.
    fn foreign(&self, queue: &QueueInfo, topics: &[String]) -> Vec<Diagnosis> {
        let deployment = setup::Deployment {
            account: queue.account.clone(),
            region: queue.region.clone(),
            visibility: queue.visibility,
            topics: topics.to_vec(),
        };
        let foreign = deployment.foreign_topics(self.account.unwrap_or(&queue.account));
        let told = foreign.into_iter().map(|problem| {
            let (found, mend) = apart(&problem);
            About(Area::Topic).wrong("of the audited account", found).mend(mend)
        });
        told.collect()
    }

    /// What the policy file needs and names.
    async fn policy(&self, pace: &Pace) -> Vec<Diagnosis> {
        let (plan, clients) = (self.plan, &self.instruments.clients);
        let Some(account) = self.account else {
            let unasked = |area| {
                About(area).not_checked("everything", "the queue, which tells the account, could not be looked at")
            };
            return vec![unasked(Area::Permissions), unasked(Area::Policy)];
        };
        let queue_account = self.found.queue.as_ref().map_or(account, |queue| &queue.account);
        let arn = |service: &str, name: &str| {
            format!("arn:{}:{service}:{}:{queue_account}:{name}", partition_of(self.region), self.region)
        };
        let of = |queue: &Option<QueueInfo>, url: &str| {
            queue.as_ref().map_or_else(|| arn("sqs", mend::name_of(url)), |queue| queue.arn.clone())
        };
        let place = Place {
            account: account.to_owned(),
            region: self.region.to_owned(),
            queue: of(&self.found.queue, &plan.queue_url),
            dead_letter_queue: of(&self.found.dead_letters, &plan.dead_letter_queue_url),
            table: arn("dynamodb", &format!("table/{}", plan.table)),
            service_quotas: plan.asks_service_quotas,
        };
        let needed = needed_permissions(&plan.policy, &place);
        let mut rows = permissions::look(plan, self.instruments, &needed, pace).await;
        let iot = AwsIot::new(clients.iot.clone(), clients.sns.clone(), account, self.region);
        rows.extend(named::look(clients, &iot, &plan.policy, account, pace).await);
        rows
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::budget::{BudgetConfig, QuotaSources};
    use crate::policy::Policy;
    use std::time::Duration;

    /// A deployment by the default policy.
    pub(in crate::doctor) fn plan() -> Plan {
        Plan {
            queue_url: "https://sqs.us-east-1.amazonaws.com/123456789012/findings".to_owned(),
            dead_letter_queue_url: "https://sqs.us-east-1.amazonaws.com/123456789012/dead".to_owned(),
            table: "ledger".to_owned(),
            topics: Vec::new(),
            policy: Policy::load(Policy::default_text(), "the default policy").unwrap(),
            lease: Duration::from_secs(60),
            account: None,
            quotas: QuotaSources::default(),
            asks_service_quotas: false,
            budget: BudgetConfig::default(),
            canary: None,
        }
    }
}

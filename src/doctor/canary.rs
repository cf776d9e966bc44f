//! A finding that no audit made, sent the way of all findings: topic, queue, worker, ledger.
//!
//! Where a worker is at work, it is the worker's to take. Where none is, doctor takes it itself: it receives until it has it, gives
//! everything else back untouched, and runs the worker's own code on it, over a queue in this process, in observe mode, against the
//! real ledger. Either way it is recorded as `observed` (see `policy::decide`) and changes nothing; its record is gone after a day.

use super::diagnosis::{About, Area, Diagnosis};
use super::plan::{Instruments, Plan};
use super::workers::Line;
use crate::aws::{CallError, Class, Effect, SnsCertificates, classify};
use crate::budget::Budgets;
use crate::finding::{Finding, Origin, encode_own};
use crate::ledger::{DynamoLedger, Ledger, Record, Status};
use crate::mitigation::AwsIot;
use crate::policy::Mode;
use crate::queue::{BATCH, Depth, MemoryQueue, MemoryQueueConfig, Outgoing, Queue, Received, SqsQueue};
use crate::telemetry::Telemetry;
use crate::worker::{Ended, Worker, WorkerConfig};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const CANARY: About = About(Area::Canary);

/// With more in the queue than this, finding one's own message would mean to hold too many of others: ten receives.
const BACKLOG: u64 = 100;

/// How often the ledger is asked for what a worker made of it: two read units a second.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// One long poll, while it is looked for.
const POLL: Duration = Duration::from_secs(2);

/// What a canary is sent with.
pub(super) struct Canary<'a> {
    pub plan: &'a Plan,
    pub instruments: &'a Instruments,
    /// The topic to publish it to.
    pub topic: Option<&'a str>,
    /// The audited account and region.
    pub account: &'a str,
    pub region: &'a str,
    /// How long it may take.
    pub patience: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pub rows: Vec<Diagnosis>,
    /// The permissions without which it would not have come through, all asked with doctor's credentials.
    pub proved: Vec<&'static str>,
}

impl Canary<'_> {
    /// Sends it, and follows it to its end.
    pub async fn fly(&self, line: Line, depth: Option<Depth>, mut progress: impl FnMut(&str)) -> Flight {
        let waiting = depth.map_or(0, |depth| depth.visible);
        match line {
            Line::Stands => {
                return Flight::only(
                    CANARY.not_checked("round trip", "the workers that are alive take on no work").mend("see workers"),
                );
            }
            Line::Nobody if waiting > BACKLOG => {
                let found = format!(
                    "no worker is alive and {waiting} messages wait: to find the canary among them would mean to hold those of others"
                );
                return Flight::only(
                    CANARY.not_checked("round trip", found).mend("start a worker, and run doctor again"),
                );
            }
            _ => {}
        }
        let now = self.instruments.clock.now_ms();
        let finding = Finding::canary(self.instruments.seed, self.account, self.region, now);
        let begun = Instant::now();
        let sent = match self.send(&finding, begun).await {
            Ok(sent) => sent,
            Err(row) => return Flight::only(*row),
        };
        let mut flight = Flight::only(sent);
        match line {
            Line::Nobody => {
                progress("no worker is alive: taking the canary from the queue");
                self.take(&finding, begun, &mut flight).await;
            }
            _ => {
                progress(&format!("waiting up to {} s for a worker to take the canary", self.patience.as_secs()));
                flight.rows.push(self.wait(&finding, begun).await);
            }
        }
        flight
    }

    /// Through the topic if that may be, else to the queue.
    async fn send(&self, finding: &Finding, begun: Instant) -> Result<Diagnosis, Box<Diagnosis>> {
        let mut refused = None;
        if let Some(topic) = self.topic {
            let publish =
                self.instruments.clients.sns.publish().topic_arn(topic).message(finding.to_native().to_string());
            match publish.send().await.map_err(|error| classify("Publish", Effect::Write, error)) {
                Ok(_) => {
                    let row = CANARY.ok("sent", format!("{} to {topic} in {}", finding.finding_id, ms(begun)));
                    return Ok(row);
                }
                Err(error) => refused = Some(error),
            }
        }
        let queue = self.queue();
        let message = Outgoing::new(&encode_own(finding, None), BTreeMap::new());
        let answer = queue.send(&[message]).await.and_then(|mut sent| {
            sent.pop()
                .unwrap_or_else(|| Err(CallError::new(Class::Unknown, "SendMessageBatch", "the reply holds no entry")))
        });
        let why = match &refused {
            Some(error) => format!("the topic was left out: failed to {error}"),
            None => "no topic is there that feeds the queue".to_owned(),
        };
        let mend = match &refused {
            Some(_) => "allow sns:Publish on the topic to those who run doctor, and the subscription is tested too",
            None => "see topic",
        };
        match answer {
            Ok(_) => {
                let row = CANARY
                    .note("sent", format!("{} straight to the queue in {}; {why}", finding.finding_id, ms(begun)))
                    .mend(mend);
                Ok(row)
            }
            Err(error) => Err(Box::new(
                CANARY
                    .not_checked("round trip", format!("it could not be sent: failed to {error}; {why}"))
                    .mend("allow sns:Publish on the topic, or sqs:SendMessage on the queue, to those who run doctor"),
            )),
        }
    }

    /// What a worker made of it.
    async fn wait(&self, finding: &Finding, begun: Instant) -> Diagnosis {
        let deadline = begun + self.patience;
        let mut seen = None;
        loop {
            match self.record(finding).await {
                Ok(Some(record)) if is_over(record.status) => {
                    return judge_record(&record, &format!("by {} after {}", record.owner, ms(begun)));
                }
                Ok(record) => seen = record.or(seen),
                Err(error) if error.may_pass() => {}
                Err(error) => return unread(&error),
            }
            if Instant::now() + LOOK_AGAIN > deadline {
                return judge_absence(seen.as_ref(), self.patience);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn take(&self, finding: &Finding, begun: Instant, flight: &mut Flight) {
        let what = "received";
        let deadline = begun + self.patience;
        let mut others = Vec::new();
        let found = self.search(finding, deadline, &mut others).await;
        let kept = self.give_back(&others).await;
        if kept > 0 {
            let found = format!(
                "{kept} messages of others could not be given back at once: they come back by themselves within {} s",
                self.visibility().as_secs()
            );
            flight.rows.push(CANARY.note("others", found));
        }
        let message = match found {
            Ok(Some(message)) => message,
            Ok(None) if others.len() as u64 > 2 * BACKLOG => {
                let found = format!(
                    "{} messages came before it, more than the queue told of; they are given back, and the canary is left for the next worker to record",
                    others.len()
                );
                flight.rows.push(CANARY.not_checked(what, found).mend("start a worker, and run doctor again"));
                return;
            }
            Ok(None) => {
                flight.rows.push(self.judge_missing(finding).await);
                return;
            }
            Err(error) => {
                flight.rows.push(
                    CANARY
                        .not_checked(
                            what,
                            format!(
                                "failed to {error}; the canary is left in the queue, for the next worker to record"
                            ),
                        )
                        .mend("allow sqs:ReceiveMessage, or run doctor while a worker is alive"),
                );
                return;
            }
        };
        flight.proved.push("sqs:ReceiveMessage");
        flight.rows.push(CANARY.ok(what, format!("after {}", ms(begun))));
        let (row, recorded) = self.work(finding, &message).await;
        flight.rows.push(row);
        if recorded {
            flight.proved.extend(["dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate", "dynamodb:GetItem"]);
        }
        let row = self.delete(&message, flight).await;
        flight.rows.push(row);
    }

    /// Receives until the canary is there or the time is over. What is not it is held meanwhile, or it would come again and again.
    async fn search(
        &self,
        finding: &Finding,
        deadline: Instant,
        others: &mut Vec<String>,
    ) -> Result<Option<Received>, CallError> {
        let queue = self.queue();
        while Instant::now() < deadline && others.len() as u64 <= 2 * BACKLOG {
            let mut ours = None;
            for message in queue.receive(BATCH, POLL, self.visibility()).await? {
                match ours.is_none() && message.body.contains(&finding.finding_id) {
                    true => ours = Some(message),
                    false => others.push(message.receipt_handle),
                }
            }
            if ours.is_some() {
                return Ok(ours);
            }
        }
        Ok(None)
    }

    /// How many could not be.
    async fn give_back(&self, handles: &[String]) -> usize {
        let queue = self.queue();
        let mut kept = 0;
        for batch in handles.chunks(BATCH) {
            let entries: Vec<_> = batch.iter().map(|handle| (handle.clone(), Duration::ZERO)).collect();
            kept += match queue.change_visibility(&entries).await {
                Ok(results) => results.iter().filter(|result| result.is_err()).count(),
                Err(_) => batch.len(),
            };
        }
        kept
    }

    /// The worker's own code, over a queue that holds this message alone.
    async fn work(&self, finding: &Finding, message: &Received) -> (Diagnosis, bool) {
        let Instruments { clients, clock, config, seed } = self.instruments;
        let memory = |name: &str| {
            MemoryQueue::new(clock.clone(), MemoryQueueConfig { name: name.to_owned(), ..MemoryQueueConfig::default() })
        };
        let (queue, dead_letters) = (memory("canary"), memory("canary-dead-letters"));
        let outgoing = Outgoing { body: message.body.clone(), attributes: message.attributes.clone() };
        // A queue in memory refuses nothing of this size.
        let _sent = queue.send(&[outgoing]).await;
        let mut policy = self.plan.policy.clone();
        policy.set_mode(Mode::Observe);
        let origin = Origin { account: Some(self.account.to_owned()), region: Some(self.region.to_owned()) };
        let worker = Worker {
            config: WorkerConfig {
                pollers: 1,
                lease: self.plan.lease,
                poll_wait: LOOK_AGAIN,
                until_empty: true,
                // It takes nothing from the fleet's queue: nobody is to count on it.
                announce: None,
                seed: *seed,
                ..WorkerConfig::new(format!("doctor-{seed:016x}"), origin)
            },
            policy,
            queue,
            dead_letters: dead_letters.clone(),
            ledger: self.ledger(),
            iot: AwsIot::new(clients.iot.clone(), clients.sns.clone(), self.account, self.region),
            certificates: Arc::new(SnsCertificates::new(config)),
            budgets: Arc::new(Budgets::new(&self.plan.budget)),
            telemetry: Arc::new(Telemetry::default()),
            clock: clock.clone(),
        };
        let (stop, begun) = (CancellationToken::new(), clock.now_ms());
        let ended = tokio::time::timeout(self.patience, worker.run(stop.clone())).await;
        // Its tasks end with it; where it was cut short, they are told to.
        stop.cancel();
        let what = "recorded";
        if let Some(letter) = dead_letters.contents().first() {
            let of = |name: &str| letter.attributes.get(name).map_or("-", String::as_str).to_owned();
            let row = CANARY
                .wrong(what, format!("a worker would give it up: {}: {}", of("reason"), of("error")))
                .mend("see topic and access policy; `fleetwarden dlq list` shows whether findings fare alike");
            return (row, false);
        }
        if let Ok(Ended::Broken(reason)) = &ended {
            return (
                CANARY.wrong(what, format!("a worker would stop: {reason}")).mend("see permissions and table"),
                false,
            );
        }
        match self.record(finding).await {
            Ok(Some(record)) => {
                // The worker waits a while to see that its queue is empty: the record tells when it was done.
                let took = record.updated_at.saturating_sub(begun);
                let how = format!("{took} ms later, by the worker's code in this process");
                (judge_record(&record, &how), is_over(record.status))
            }
            Ok(None) => {
                let row = CANARY.wrong(what, format!("no record came of it within {} s", self.patience.as_secs()));
                (row.mend("see permissions and table; with FLEETWARDEN_LOG=info doctor logs as a worker does"), false)
            }
            Err(error) => (unread(&error), false),
        }
    }

    async fn delete(&self, message: &Received, flight: &mut Flight) -> Diagnosis {
        let begun = Instant::now();
        let deleted = self.queue().delete(std::slice::from_ref(&message.receipt_handle)).await;
        match deleted.and_then(|results| results.into_iter().collect::<Result<Vec<_>, _>>()) {
            Ok(_) => {
                flight.proved.push("sqs:DeleteMessage");
                CANARY.ok("deleted", format!("in {}; nothing of it is left in the queue", ms(begun)))
            }
            Err(error) => CANARY
                .wrong(
                    "deleted",
                    format!("the canary is left in the queue, for the next worker to delete: failed to {error}"),
                )
                .mend("allow sqs:DeleteMessage"),
        }
    }

    /// It did not come: somebody else took it, or it was lost on its way.
    async fn judge_missing(&self, finding: &Finding) -> Diagnosis {
        match self.record(finding).await {
            Ok(Some(record)) => CANARY.note(
                "received",
                format!(
                    "{} took it, a worker that does not say in the ledger that it is alive: an older version",
                    record.owner
                ),
            ),
            _ => CANARY
                .wrong(
                    "received",
                    format!("it was published, and did not come to the queue within {} s", self.patience.as_secs()),
                )
                .mend("see topic and access policy: the subscription, its filter, and who may send to the queue"),
        }
    }

    async fn record(&self, finding: &Finding) -> Result<Option<Record>, CallError> {
        self.ledger().get(&format!("finding#{}", finding.finding_id)).await
    }

    fn queue(&self) -> SqsQueue {
        SqsQueue::new(self.instruments.clients.sqs.clone(), self.plan.queue_url.clone())
    }

    fn ledger(&self) -> DynamoLedger {
        DynamoLedger::new(self.instruments.clients.dynamodb.clone(), self.plan.table.clone())
    }

    /// Until the search, the work and the delete are certainly over.
    fn visibility(&self) -> Duration {
        2 * self.patience + Duration::from_secs(30)
    }
}

impl Flight {
    pub fn only(row: Diagnosis) -> Self {
        Self { rows: vec![row], proved: Vec::new() }
    }
}

fn is_over(status: Status) -> bool {
    status.is_terminal() || status == Status::Dead
}

fn judge_record(record: &Record, how: &str) -> Diagnosis {
    let what = "recorded";
    match record.status {
        Status::Observed => CANARY.ok(what, format!("observed {how}; the record expires in a day")),
        status => CANARY
            .wrong(what, format!("{status} {how}, though a canary is to be observed: {}", record.detail))
            .mend("restart workers of another version with this one"),
    }
}

fn judge_absence(seen: Option<&Record>, patience: Duration) -> Diagnosis {
    let (what, seconds) = ("recorded", patience.as_secs());
    let left = "The canary is still on its way; whoever takes it records it, and nothing more";
    match seen {
        Some(record) => CANARY
            .wrong(what, format!("{} has it, {} since {} attempts: {}. {left}", record.owner, record.status, record.attempts, record.detail))
            .mend("look at that worker's log"),
        None => CANARY
            .wrong(what, format!("no worker took it within {seconds} s. {left}"))
            .mend("`fleetwarden status` for a backlog before it; else see topic and access policy; --canary-timeout waits longer"),
    }
}

fn unread(error: &CallError) -> Diagnosis {
    CANARY.not_checked("recorded", format!("failed to {error}")).mend("allow dynamodb:GetItem to those who run doctor")
}

fn ms(since: Instant) -> String {
    format!("{} ms", since.elapsed().as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::finding::Severity;
    use crate::ledger::{Subject, transition::first_claim};

    fn record(status: Status) -> Record {
        let subject = Subject {
            key: "finding#fleetwarden-canary-1".to_owned(),
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            task_id: None,
            check: "FLEETWARDEN_CANARY_CHECK".to_owned(),
            reason_code: "CANARY".to_owned(),
            severity: Severity::Low,
            resource_type: "ACCOUNT_SETTINGS".to_owned(),
            resource_id: "123456789012".to_owned(),
            fingerprint: "f".to_owned(),
            payload: "{}".to_owned(),
        };
        Record { status, ..first_claim(subject, "worker-1", 0, Duration::from_secs(60)) }
    }

    #[test]
    fn only_an_observed_canary_came_through() {
        assert_eq!(judge_record(&record(Status::Observed), "").state, State::Ok);
        for status in [Status::Dead, Status::Suppressed, Status::Mitigated] {
            assert!(is_over(status));
            assert_eq!(judge_record(&record(status), "").state, State::Wrong, "{status}");
        }
    }

    #[test]
    fn a_canary_that_nobody_took_and_one_that_somebody_holds_are_told_apart() {
        let held = judge_absence(Some(&record(Status::Claimed)), Duration::from_secs(60));
        assert!(held.state == State::Wrong && held.found.starts_with("worker-1 has it"), "{held:?}");
        let lost = judge_absence(None, Duration::from_secs(60));
        assert!(
            lost.state == State::Wrong && lost.found.contains("within 60 s") && lost.mend.contains("--canary-timeout")
        );
    }
}

//! From the dead-letter queue back to the queue: receive, send, and only then delete.

use super::Letter;
use super::aside::{Aside, HIDDEN};
use super::filter::{Candidate, Filter};
use super::order::{Ended, Order, Summary};
use super::sender::{Sender, delays};
use super::watch::Watch;
use crate::aws::{CallError, Class};
use crate::clock::Clock;
use crate::finding::{Arrival, Content, Finding, Origin, decode, encode_replay};
use crate::ledger::{Ledger, Record, Status};
use crate::queue::{BATCH, Outgoing, Queue, Received};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Letters that are not meant and held at a time. SQS allows some 120,000 messages in flight; a receipt handle has half a kilobyte.
pub const MAX_HELD: usize = 50_000;

/// How long a receive waits: a long poll asks every server of the queue, and two that bring nothing mean that nothing is there.
const WAIT: Duration = Duration::from_secs(1);
const LAST_LOOKS: u32 = 2;

/// What a worker attached to the letter. It stays behind: a message that carries a reason looks like one that was moved natively.
const ATTACHED: [&str; 6] = ["reason", "error", "findingId", "checkName", "attempts", "firstSeen"];

/// A replay of dead letters.
#[derive(Debug)]
pub struct DeadLetterReplay<'a, Q, L> {
    /// Where the letters are.
    pub dead_letters: &'a Q,
    /// Where the workers receive.
    pub queue: &'a Q,
    /// What was mitigated meanwhile, and what became of what was sent.
    pub ledger: &'a L,
    /// For the time of sending.
    pub clock: &'a Clock,
    /// Account and region of letters that do not tell, as the workers have it.
    pub origin: &'a Origin,
    /// Which of them.
    pub filter: &'a Filter,
    /// How.
    pub order: &'a Order,
    /// Letters that are not meant and held at a time; [`MAX_HELD`].
    pub max_held: usize,
}

/// A letter, and what is in it.
struct Opened {
    letter: Letter,
    /// The only one in it.
    finding: Option<Box<Finding>>,
    /// Something in it can be understood.
    readable: bool,
    /// It is the end of a message that this very run has sent.
    returned: bool,
}

/// What is to be done about a letter.
enum Fate {
    /// Send it, then delete it.
    Send,
    /// This very run sent it already, and a worker has claimed it: delete it.
    Delete,
    /// Nobody means it.
    NotMeant,
    /// Its finding is mitigated, and nobody asked for force.
    Mitigated,
    /// It was given up after the run began.
    Newer,
    /// Its message was this very run's.
    DiedAgain,
}

/// The loop's state.
struct Round<'a, Q> {
    sender: Option<Sender<'a, Q>>,
    aside: Aside,
    watch: Watch,
    summary: Summary,
    began: i64,
}

impl<Q: Queue, L: Ledger> DeadLetterReplay<'_, Q, L> {
    /// What [`run`](Self::run) would send. Every letter is received once and given back; nothing is sent or deleted.
    pub async fn plan(&self, stop: &CancellationToken) -> (Summary, Ended) {
        self.go(None, &mut |_| {}, stop).await
    }

    /// Sends each letter's message back to the queue and deletes the letter. `told` hears of the progress.
    ///
    /// Cut off at any moment nothing is lost: a letter is deleted only after its message is in the queue for certain. What was
    /// sent and not deleted is sent again by the next run, and under the same id claimed once. Letters that were given up after
    /// this run began are left alone, and so are those that this very id has sent already.
    pub async fn run(&self, told: &mut impl FnMut(&Summary), stop: &CancellationToken) -> (Summary, Ended) {
        self.go(Some(Sender::new(self.queue, self.order.rate)), told, stop).await
    }

    async fn go(
        &self,
        sender: Option<Sender<'_, Q>>,
        told: &mut impl FnMut(&Summary),
        stop: &CancellationToken,
    ) -> (Summary, Ended) {
        let (aside, watch, summary) = (Aside::default(), Watch::default(), Summary::default());
        let mut round = Round { sender, aside, watch, summary, began: self.clock.now_ms() };
        let ended = match self.every_letter(&mut round, told, stop).await {
            Ok(ended) => ended,
            Err(error) => Ended::Failed(error.to_string()),
        };
        round.aside.give_back(self.dead_letters).await;
        (round.summary, ended)
    }

    async fn every_letter(
        &self,
        round: &mut Round<'_, Q>,
        told: &mut impl FnMut(&Summary),
        stop: &CancellationToken,
    ) -> Result<Ended, CallError> {
        let mut looks = 0;
        while looks < LAST_LOOKS {
            if stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            round.aside.beat(self.dead_letters).await;
            let since = Instant::now();
            // Never cut short: what a receive brings after nobody waits for it is hidden for minutes.
            let received = self.receive().await?;
            looks = if received.is_empty() { looks + 1 } else { 0 };
            let letters = received.into_iter().map(|received| self.open(received));
            let letters: Vec<Opened> = letters.filter(|opened| round.is_new(opened, since)).collect();
            let fates = join_all(letters.iter().map(|opened| self.judge(opened, round.began))).await;
            let (mut chosen, mut done) = (Vec::new(), Vec::new());
            for (opened, fate) in letters.into_iter().zip(fates) {
                count(&mut round.summary, &opened, &fate);
                match fate {
                    Fate::Send if round.sender.is_some() => chosen.push(opened),
                    Fate::Delete if round.sender.is_some() => done.push(opened.letter.receipt_handle),
                    _ => round.hold(&opened, since),
                }
            }
            self.delete(done, &mut round.summary).await?;
            if let Some(ended) = self.send_all(round, chosen, since, told, stop).await? {
                return Ok(ended);
            }
            if round.aside.len() + BATCH > self.max_held {
                return Ok(Ended::Full);
            }
        }
        Ok(Ended::Done)
    }

    async fn receive(&self) -> Result<Vec<Received>, CallError> {
        let mut delays = delays();
        loop {
            match self.dead_letters.receive(BATCH, WAIT, HIDDEN).await {
                Err(error) if error.may_pass() => match delays.next() {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => return Err(error),
                },
                result => return result,
            }
        }
    }

    fn open(&self, received: Received) -> Opened {
        let mut arrivals = decode(&received.body, self.origin);
        let readable = arrivals.iter().any(|arrival| arrival.content.is_ok());
        let ours = |arrival: &Arrival| {
            arrival.replay.as_ref().is_some_and(|replay| replay.id.as_ref() == Some(&self.order.id))
        };
        let returned = arrivals.iter().any(ours);
        let finding = match arrivals.pop() {
            Some(Arrival { content: Ok(Content::Finding(finding)), .. }) if arrivals.is_empty() => Some(finding),
            _ => None,
        };
        Opened { letter: Letter::new(received), finding, readable, returned }
    }

    async fn judge(&self, opened: &Opened, began: i64) -> Fate {
        if opened.returned {
            return Fate::DiedAgain;
        }
        if opened.letter.sent_at.is_some_and(|sent_at| sent_at > began) {
            return Fate::Newer;
        }
        if !self.filter.takes(&opened.candidate()) {
            return Fate::NotMeant;
        }
        let Some(record) = self.record(opened).await else { return Fate::Send };
        // If it died of this replay again, it has a newer letter that says so.
        if record.replayed.as_ref().is_some_and(|replayed| self.order.is(&replayed.last)) {
            return Fate::Delete;
        }
        if record.status == Status::Mitigated && !self.order.force { Fate::Mitigated } else { Fate::Send }
    }

    /// What the ledger knows of this very finding, with this content. One that does not answer knows nothing: the worker asks again.
    async fn record(&self, opened: &Opened) -> Option<Record> {
        let finding = opened.finding.as_deref()?;
        let record = self.ledger.get(&key(finding)).await.ok().flatten();
        record.filter(|record| record.subject.fingerprint == finding.fingerprint())
    }

    /// `Some` if that was the end of it. What was not sent is held.
    async fn send_all(
        &self,
        round: &mut Round<'_, Q>,
        chosen: Vec<Opened>,
        since: Instant,
        told: &mut impl FnMut(&Summary),
        stop: &CancellationToken,
    ) -> Result<Option<Ended>, CallError> {
        let Some(mut sender) = round.sender.take() else { return Ok(None) };
        let mut chosen = chosen.into_iter().peekable();
        let mut end = None;
        while end.is_none() && chosen.peek().is_some() {
            let chunk: Vec<Opened> = chosen.by_ref().take(sender.chunk()).collect();
            if !sender.turn(chunk.len(), stop).await {
                chunk.iter().for_each(|opened| round.hold(opened, since));
                end = Some(Ok(Ended::Stopped));
                break;
            }
            let sent = self.send(&sender, round, &chunk, since).await;
            told(&round.summary);
            round.watch.look(self.ledger, self.order, &mut round.summary).await;
            let alarm = round.watch.alarm().filter(|_| !self.order.keep_going);
            end = match (sent, alarm) {
                (Err(error), _) => Some(Err(error)),
                (Ok(()), Some((dead, of))) => Some(Ok(Ended::DyingAgain { dead, of })),
                (Ok(()), None) => None,
            };
        }
        chosen.for_each(|opened| round.hold(&opened, since));
        round.sender = Some(sender);
        end.transpose()
    }

    /// Fails if nothing more can be sent or deleted at all.
    async fn send(
        &self,
        sender: &Sender<'_, Q>,
        round: &mut Round<'_, Q>,
        chunk: &[Opened],
        since: Instant,
    ) -> Result<(), CallError> {
        let messages: Vec<Outgoing> = chunk.iter().map(|opened| self.message(opened)).collect();
        let (mut handles, mut denied) = (Vec::new(), None);
        for (opened, result) in chunk.iter().zip(sender.send(&messages).await) {
            match result {
                Ok(()) => {
                    round.summary.sent += 1;
                    round.watch.sent(opened.finding.as_deref().map(key));
                    handles.push(opened.letter.receipt_handle.clone());
                }
                Err(error) => {
                    round.summary.failed += 1;
                    round.summary.error(error.to_string());
                    round.hold(opened, since);
                    denied = denied.or(Some(error).filter(|error| error.class == Class::Denied));
                }
            }
        }
        self.delete(handles, &mut round.summary).await?;
        denied.map_or(Ok(()), Err)
    }

    /// A letter that cannot be deleted comes again, is sent again, and its finding is claimed once. But if deleting is forbidden
    /// that would go on for ever.
    async fn delete(&self, mut handles: Vec<String>, summary: &mut Summary) -> Result<(), CallError> {
        let mut delays = delays();
        while !handles.is_empty() {
            let results = match self.dead_letters.delete(&handles).await {
                Ok(results) => results,
                Err(error) => vec![Err(error); handles.len()],
            };
            let mut again = Vec::new();
            for (handle, result) in handles.into_iter().zip(results) {
                match result {
                    Ok(()) => summary.deleted += 1,
                    Err(error) if error.may_pass() => again.push(handle),
                    Err(error) if error.class == Class::Denied => return Err(error),
                    Err(error) => summary.error(error.to_string()),
                }
            }
            handles = again;
            match delays.next() {
                Some(delay) if !handles.is_empty() => tokio::time::sleep(delay).await,
                _ => break,
            }
        }
        Ok(())
    }

    /// What nobody understands goes as it came: it may be understood by now.
    fn message(&self, opened: &Opened) -> Outgoing {
        let letter = &opened.letter;
        let mut attributes: BTreeMap<String, String> = letter.attributes.clone();
        attributes.retain(|name, _| !ATTACHED.contains(&name.as_str()));
        if opened.readable {
            let replay = self.order.replay(&letter.message_id, self.clock.now_ms());
            Outgoing::new(&encode_replay(&letter.body, &replay), attributes)
        } else {
            Outgoing::new(&letter.body, attributes)
        }
    }
}

impl<Q> Round<'_, Q> {
    fn hold(&mut self, opened: &Opened, since: Instant) {
        self.aside.keep(&opened.letter.message_id, &opened.letter.receipt_handle, since);
    }

    /// Counts it, unless it is held already and only came again.
    fn is_new(&mut self, opened: &Opened, since: Instant) -> bool {
        if self.aside.has(&opened.letter.message_id) {
            self.hold(opened, since);
            return false;
        }
        self.summary.looked_at += 1;
        true
    }
}

impl Opened {
    fn candidate(&self) -> Candidate {
        Candidate::of_letter(&self.letter, self.finding.as_deref())
    }
}

fn count(summary: &mut Summary, opened: &Opened, fate: &Fate) {
    match fate {
        Fate::Send => summary.choose(&opened.letter.reason, opened.letter.check.as_deref()),
        Fate::Delete => summary.replayed_already += 1,
        Fate::NotMeant => {}
        Fate::Mitigated => summary.mitigated += 1,
        Fate::Newer => summary.newer += 1,
        Fate::DiedAgain => {
            summary.died_again += 1;
            summary.error(format!("{}: {}", opened.letter.reason, opened.letter.error));
        }
    }
}

fn key(finding: &Finding) -> String {
    format!("finding#{}", finding.finding_id)
}

//! SQS, as far as a worker needs it: visibility timeouts, receipt handles and batches.

use super::backlog::{ACCOUNT, Backlog, REGION, body};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Messages that are neither deleted nor never received.
struct Known {
    finding: u64,
    receives: u32,
    visible_at: Instant,
}

/// One queue over a backlog.
pub struct Queue {
    backlog: Backlog,
    known: HashMap<u64, Known>,
    by_time: BTreeSet<(Instant, u64)>,
    deleted: u64,
    /// Messages that were handed out more than once.
    pub received_again: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
    #[serde(default)]
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: u64,
}

/// `ReceiveMessage`
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Receive {
    max_number_of_messages: usize,
    /// Seconds.
    pub wait_time_seconds: u64,
    visibility_timeout: u64,
}

impl Queue {
    /// All of the backlog is visible.
    pub fn new(backlog: Backlog) -> Self {
        Self { backlog, known: HashMap::new(), by_time: BTreeSet::new(), deleted: 0, received_again: 0 }
    }

    /// Messages deleted so far, and messages in all.
    pub fn progress(&self) -> (u64, u64) {
        (self.deleted, self.backlog.messages())
    }

    /// The backlog behind it.
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// What a receive brings now; `None` if nothing.
    pub fn receive(&mut self, receive: &Receive) -> Option<String> {
        let now = Instant::now();
        let mut answer = String::from(r#"{"Messages":["#);
        let mut messages = 0;
        while messages < receive.max_number_of_messages {
            let back = self.by_time.first().copied().filter(|(visible_at, _)| *visible_at <= now);
            let (message, finding) = match back {
                Some(entry) => {
                    self.by_time.remove(&entry);
                    self.received_again += 1;
                    (entry.1, self.known.get(&entry.1)?.finding)
                }
                None => match self.backlog.next() {
                    Some(next) => next,
                    None => break,
                },
            };
            let visible_at = now + Duration::from_secs(receive.visibility_timeout);
            let known = self.known.entry(message).or_insert(Known { finding, receives: 0, visible_at });
            known.receives += 1;
            known.visible_at = visible_at;
            self.by_time.insert((visible_at, message));
            let (comma, receives) = (if messages > 0 { "," } else { "" }, known.receives);
            let body = Value::from(body(message, finding));
            let written = write!(
                answer,
                r#"{comma}{{"MessageId":"00000000-0000-4000-8000-{message:012x}","ReceiptHandle":"{message}-{receives}","Body":{body},"Attributes":{{"ApproximateReceiveCount":"{receives}","ApproximateFirstReceiveTimestamp":"1791014402000","SentTimestamp":"1791014401999"}}}}"#
            );
            written.ok()?;
            messages += 1;
        }
        answer.push_str("]}");
        (messages > 0).then_some(answer)
    }

    /// `DeleteMessageBatch`
    pub fn delete(&mut self, request: &[u8]) -> serde_json::Result<Value> {
        each(request, |message, _| {
            if let Some(known) = self.known.remove(&message) {
                self.by_time.remove(&(known.visible_at, message));
                self.deleted += 1;
            }
        })
    }

    /// `ChangeMessageVisibilityBatch`
    pub fn change_visibility(&mut self, request: &[u8]) -> serde_json::Result<Value> {
        each(request, |message, seconds| {
            if let Some(known) = self.known.get_mut(&message) {
                self.by_time.remove(&(known.visible_at, message));
                known.visible_at = Instant::now() + Duration::from_secs(seconds);
                self.by_time.insert((known.visible_at, message));
            }
        })
    }

    /// `GetQueueAttributes` of the queue with this name.
    pub fn attributes(&self, name: &str) -> Value {
        let arn = |name: &str| format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}");
        let dead_letters = arn(super::DEAD_LETTERS);
        let redrive = json!({ "deadLetterTargetArn": dead_letters, "maxReceiveCount": 1000 }).to_string();
        json!({ "Attributes": {
            "QueueArn": arn(name),
            "VisibilityTimeout": "60",
            "MessageRetentionPeriod": "345600",
            "RedrivePolicy": redrive,
            "ApproximateNumberOfMessages": self.backlog.left().to_string(),
            "ApproximateNumberOfMessagesNotVisible": self.known.len().to_string(),
            "ApproximateNumberOfMessagesDelayed": "0",
        }})
    }
}

/// Every entry of a batch succeeds: what is not there any more is no failure of SQS's either.
fn each(request: &[u8], mut change: impl FnMut(u64, u64)) -> serde_json::Result<Value> {
    let batch: Batch = serde_json::from_slice(request)?;
    let done = batch.entries.into_iter().map(|entry| {
        let message = entry.receipt_handle.split('-').next().and_then(|text| text.parse().ok());
        if let Some(message) = message {
            change(message, entry.visibility_timeout);
        }
        json!({ "Id": entry.id })
    });
    Ok(json!({ "Successful": done.collect::<Vec<_>>(), "Failed": [] }))
}

/// `SendMessageBatch`: the answer, and how many were sent.
pub fn send(request: &[u8]) -> serde_json::Result<(Value, u64)> {
    let batch: Batch = serde_json::from_slice(request)?;
    let sent = batch.entries.iter().map(|entry| json!({ "Id": entry.id, "MessageId": "m", "MD5OfMessageBody": "" }));
    let answer = json!({ "Successful": sent.collect::<Vec<_>>(), "Failed": [] });
    Ok((answer, batch.entries.len() as u64))
}

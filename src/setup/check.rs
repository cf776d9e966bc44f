//! What is looked at before the first receive: a deployment that cannot work is told in sentences, and nothing is touched.

use super::queues::VISIBILITY;
use super::topic::topics;
use crate::aws::{ATTEMPT_TIMEOUT, CallError, Class, Clients, Effect, classify};
use crate::ledger::dynamodb::check_table;
use crate::queue::{QueueInfo, describe};
use backon::{ExponentialBuilder, Retryable};
use std::time::Duration;

/// What the checks learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The queue's account, 12 digits.
    pub account: String,
    /// The queue's region, which is the configured one.
    pub region: String,
    /// The queue's own visibility timeout.
    pub visibility: Duration,
    /// The topics that its access policy lets in, as far as it names them in full.
    pub topics: Vec<String>,
}

impl Deployment {
    /// What is wrong where signatures are checked: a topic of another account than the audited one, or of another region, has its
    /// notifications refused, every one of them.
    pub fn foreign_topics(&self, account: &str) -> Vec<String> {
        let foreign = |topic: &&String| {
            let mut parts = topic.split(':').skip(3);
            (parts.next(), parts.next()) != (Some(self.region.as_str()), Some(account))
        };
        let sentence = |topic: &String| {
            format!(
                "the queue lets the topic {topic} in, but verify_signature takes notifications of topics of account {account} in {} only, so that all of its would be dead letters: let that topic's account be audited (--account), take it out of the queue's policy, or set verify_signature to false",
                self.region
            )
        };
        self.topics.iter().filter(foreign).map(sentence).collect()
    }
}

/// A queue must hide what was received at least this long: whoever receives without naming a time of their own (a person, the console,
/// another consumer) holds the message until their delete has reached SQS, and that one round trip may take as long as one attempt of
/// a call: 10 s. Below it the message is out again before it can be deleted, is handled twice, and each time counts towards the
/// redrive's `maxReceiveCount`. Workers name their lease at each receive and are safe from it.
pub const SHORTEST_VISIBILITY: Duration = ATTEMPT_TIMEOUT;

/// An id that no finding and no audit has: Device Defender's own are UUIDs or 32 hexadecimal digits.
const NO_FINDING: &str = "fleetwarden-startup-check";

/// Times that Device Defender is asked: its client does not repeat anything by itself, and one connection that drops is no reason not to
/// start. With delays of 0.2, 0.4 and 0.8 s.
const TRIES: usize = 4;

/// Looks at the queue, the dead-letter queue, the table and, where findings will be authenticated (`ask_defender`), the permission to
/// ask Device Defender, all at once. Reads only.
///
/// # Errors
/// Every failure found, a sentence each: what is wrong, and what to do.
pub async fn check_deployment(
    clients: &Clients,
    queue_url: &str,
    dead_letter_queue_url: &str,
    table: &str,
    ask_defender: bool,
) -> Result<Deployment, Vec<String>> {
    let (queue, dead_letters, table, iot) = tokio::join!(
        queue(clients, "queue", queue_url),
        queue(clients, "dead-letter queue", dead_letter_queue_url),
        check_table(&clients.dynamodb, table),
        async { if ask_defender { permitted(clients).await } else { Ok(()) } },
    );
    let mut problems = Vec::new();
    let same_url = queue_url == dead_letter_queue_url;
    let same_arn = matches!((&queue, &dead_letters), (Ok(queue), Ok(dead)) if queue.arn == dead.arn);
    if same_url || same_arn {
        problems.push(format!(
            "the dead-letter queue is the queue itself ({queue_url}): set FLEETWARDEN_DEAD_LETTER_QUEUE_URL to another queue, or make one with `fleetwarden setup`"
        ));
    }
    problems.extend(queue.as_ref().err().cloned());
    if let Ok(queue) = &queue {
        problems.extend(unfit(queue, queue_url));
    }
    if !same_url {
        problems.extend(dead_letters.err());
    }
    problems.extend(table.err());
    problems.extend(iot.err());
    // Several calls fail of one cause with one sentence.
    problems.dedup();
    match queue {
        Ok(queue) if problems.is_empty() => {
            let topics = queue.policy.as_deref().map(topics).unwrap_or_default();
            Ok(Deployment { account: queue.account, region: queue.region, visibility: queue.visibility, topics })
        }
        _ => Err(problems),
    }
}

/// What of a queue's own settings keeps a worker from starting, a sentence each.
fn unfit(queue: &QueueInfo, url: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if queue.visibility < SHORTEST_VISIBILITY {
        problems.push(format!(
            "the queue {url} hides a received message for {} s only, less than the {} s that one round trip may take: who receives without naming a time would have it handed out again before it can be deleted; set its VisibilityTimeout to {} (`fleetwarden doctor` prints the command)",
            queue.visibility.as_secs(),
            SHORTEST_VISIBILITY.as_secs(),
            VISIBILITY.as_secs(),
        ));
    }
    if queue.redrive.is_none() {
        problems.push(format!(
            "the queue {url} has no redrive policy: a message that kills every worker that takes it would go round until it expires, and then be lost; add one with `fleetwarden setup` (`fleetwarden doctor` prints the command)"
        ));
    }
    problems
}

/// The queue at that URL.
///
/// # Errors
/// A sentence: it is no queue, not there, not readable, or of another region.
pub async fn queue(clients: &Clients, what: &str, url: &str) -> Result<QueueInfo, String> {
    let elsewhere = |region: &str| {
        format!(
            "the {what} {url} is in {region}, but the configured region is {}: set AWS_REGION={region}, or name a queue of {}",
            clients.region, clients.region
        )
    };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(format!(
            "{url:?} is not the URL of a {what}: it begins with https://sqs.; `fleetwarden setup` prints it"
        ));
    }
    if let Some(region) = region_of_url(url)
        && region != clients.region
    {
        return Err(elsewhere(region));
    }
    match describe(&clients.sqs, url).await {
        Ok(info) if info.region != clients.region => Err(elsewhere(&info.region)),
        Ok(info) => Ok(info),
        Err(error) => Err(why_no_queue(what, url, &error)),
    }
}

fn why_no_queue(what: &str, url: &str, error: &CallError) -> String {
    match (error.class, error.code.as_deref()) {
        (Class::Denied, Some("NonExistentQueue" | "QueueDoesNotExist")) => {
            format!("the {what} {url} does not exist: check its URL, or make it with `fleetwarden setup`")
        }
        (Class::Denied, None) => format!("there are no AWS credentials for the {what} {url}: {}", error.message),
        (Class::Denied, Some(_)) => format!(
            "the {what} {url} cannot be read with these credentials: allow sqs:GetQueueAttributes, or renew them (failed to {error})"
        ),
        (Class::Transient, None) => format!(
            "the {what} {url} cannot be reached: check the network, AWS_ENDPOINT_URL and AWS_REGION (failed to {error})"
        ),
        _ => format!("the {what} {url} cannot be used: failed to {error}"),
    }
}

/// Asks Device Defender for a finding that does not exist, and for the findings of an audit that does not: what authentication asks.
/// "Not found" and "none" are the right answers; an endpoint that does not know the operations at all (an emulator) is let through,
/// and fails later only where findings are authenticated.
async fn permitted(clients: &Clients) -> Result<(), String> {
    let describe = || async {
        let asked = clients.iot.describe_audit_finding().finding_id(NO_FINDING).send().await;
        asked.map(drop).map_err(|error| {
            let answered = error.raw_response().is_some();
            (classify("DescribeAuditFinding", Effect::Read, error), answered)
        })
    };
    let list = || async {
        let asked = clients.iot.list_audit_findings().task_id(NO_FINDING).max_results(1).send().await;
        asked.map(drop).map_err(|error| {
            let answered = error.raw_response().is_some();
            (classify("ListAuditFindings", Effect::Read, error), answered)
        })
    };
    // One after the other: an endpoint that is out of reach is told once.
    asked(describe).await?;
    asked(list).await
}

async fn asked<F>(ask: impl FnMut() -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), (CallError, bool)>>,
{
    let delays = ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_max_times(TRIES - 1);
    let asked = ask.retry(delays).sleep(tokio::time::sleep).when(|(error, _)| error.may_pass()).await;
    let Err((error, answered)) = asked else { return Ok(()) };
    match error.class {
        Class::Denied => Err(format!(
            "AWS IoT cannot be asked about findings with these credentials: allow iot:{}, or renew them (failed to {error})",
            error.operation
        )),
        _ if answered => Ok(()),
        _ => Err(format!(
            "AWS IoT cannot be reached: check the network, AWS_ENDPOINT_URL and AWS_REGION (failed to {error})"
        )),
    }
}

/// The region that AWS's own queue URLs name: `https://sqs.<region>.amazonaws.com/...`, or the older
/// `https://<region>.queue.amazonaws.com/...`. Other hosts (an emulator, a private endpoint) say nothing.
pub(crate) fn region_of_url(url: &str) -> Option<&str> {
    let host = url.split("://").nth(1)?.split(['/', ':']).next()?;
    if !host.ends_with(".amazonaws.com") && !host.ends_with(".amazonaws.com.cn") {
        return None;
    }
    let mut labels = host.split('.');
    match (labels.next()?, labels.next()?) {
        ("sqs" | "sqs-fips", region) if region != "amazonaws" => Some(region),
        (region, "queue") => Some(region),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_url_of_aws_names_its_region_and_another_host_does_not() {
        let table = [
            ("https://sqs.eu-west-1.amazonaws.com/123456789012/q", Some("eu-west-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", Some("cn-north-1")),
            ("https://eu-west-1.queue.amazonaws.com/123456789012/q", Some("eu-west-1")),
            ("http://127.0.0.1:4566/000000000000/q", None),
            ("http://sqs.us-east-1.localhost:4566/000000000000/q", None),
        ];
        for (url, region) in table {
            assert_eq!(region_of_url(url), region, "{url}");
        }
    }

    #[test]
    fn a_topic_of_another_account_or_region_is_told_where_signatures_are_checked() {
        let deployment = Deployment {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            visibility: Duration::from_secs(60),
            topics: ["us-east-1:123456789012", "us-east-1:999999999999", "eu-west-1:123456789012"]
                .map(|place| format!("arn:aws:sns:{place}:t"))
                .to_vec(),
        };
        let foreign = deployment.foreign_topics("123456789012");
        assert!(
            foreign.len() == 2 && foreign[0].contains("999999999999") && foreign[1].contains("eu-west-1"),
            "{foreign:?}"
        );
        assert_eq!(deployment.foreign_topics("999999999999").len(), 2);
    }

    fn a_queue_with(visibility: u64, redrive: bool) -> QueueInfo {
        QueueInfo {
            arn: "arn:aws:sqs:us-east-1:123456789012:q".to_owned(),
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            visibility: Duration::from_secs(visibility),
            retention: Duration::from_secs(86_400),
            wait: Duration::from_secs(20),
            redrive: redrive.then(|| crate::queue::RedrivePolicy {
                dead_letter_queue_arn: "arn:aws:sqs:us-east-1:123456789012:d".to_owned(),
                max_receive_count: 1000,
            }),
            policy: None,
            encrypted: true,
        }
    }

    #[test]
    fn a_queue_that_hides_for_less_than_a_round_trip_or_has_no_redrive_is_unfit_and_each_is_told() {
        assert_eq!(unfit(&a_queue_with(10, true), "https://q"), Vec::<String>::new());
        let both = unfit(&a_queue_with(9, false), "https://q");
        assert_eq!(both.len(), 2, "{both:?}");
        assert!(both[0].contains("for 9 s only, less than the 10 s") && both[0].contains("VisibilityTimeout to 60"));
        assert!(both[1].contains("no redrive policy") && both[1].contains("`fleetwarden setup`"));
    }

    #[test]
    fn each_way_to_have_no_queue_says_what_to_do() {
        let sentence = |class, code: Option<&str>| {
            let error = CallError::new(class, "GetQueueAttributes", "words");
            let error = code.into_iter().fold(error, |error, code| error.with_code(code));
            why_no_queue("queue", "https://q", &error)
        };
        assert!(sentence(Class::Denied, Some("NonExistentQueue")).contains("fleetwarden setup"));
        assert!(sentence(Class::Denied, Some("AccessDenied")).contains("sqs:GetQueueAttributes"));
        assert!(sentence(Class::Denied, None).contains("credentials"));
        assert!(sentence(Class::Transient, None).contains("AWS_ENDPOINT_URL"));
    }
}

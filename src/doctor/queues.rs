//! The queue and its dead-letter queue: what their settings mean for messages.

use super::diagnosis::{About, Area, Diagnosis};
use super::mend::{self, name_of};
use super::plan::Plan;
use super::words::span;
use crate::queue::{Depth, QueueInfo};
use crate::setup::{DEAD_LETTER_RETENTION, MAX_RECEIVE_COUNT, RETENTION, SHORTEST_VISIBILITY, VISIBILITY, WAIT};

const QUEUE: About = About(Area::Queue);
const DEAD: About = About(Area::DeadLetters);

/// A parked finding uses one receive each time it comes back: a finding that waits for a retry (8 by default), for a budget, and for a
/// replay or two may come back a hundred times in a bad hour. Below that SQS itself would give it up, without a reason.
const FEW_RECEIVES: u32 = 100;

/// The queue, as far as it was found: `dead` where the dead-letter queue was.
pub(super) fn judge_queue(plan: &Plan, queue: &QueueInfo, dead: Option<&QueueInfo>) -> Vec<Diagnosis> {
    let url = &plan.queue_url;
    let name = name_of(url);
    vec![
        QUEUE.ok("exists", format!("{name} of account {} in {}", queue.account, queue.region)),
        visibility(plan, queue),
        redrive(plan, queue, dead),
        retention(plan, queue, dead),
        if queue.wait.is_zero() {
            QUEUE
                .note("long polling", "a receive that does not say how long it waits does not wait; workers say 20 s")
                .mend(mend::queue_attribute(url, "ReceiveMessageWaitTimeSeconds", WAIT.as_secs()))
        } else {
            QUEUE.ok("long polling", format!("a receive waits up to {} s", queue.wait.as_secs()))
        },
        encryption(QUEUE, url, queue),
    ]
}

fn visibility(plan: &Plan, queue: &QueueInfo) -> Diagnosis {
    let what = "visibility timeout";
    let (seconds, lease) = (queue.visibility.as_secs(), plan.lease.as_secs());
    let mend = mend::queue_attribute(&plan.queue_url, "VisibilityTimeout", VISIBILITY.max(plan.lease).as_secs());
    if queue.visibility < SHORTEST_VISIBILITY {
        let found = format!(
            "{seconds} s, less than the {} s that one round trip may take: who receives without naming a time has the message handed out again before it can be deleted; workers do not start",
            SHORTEST_VISIBILITY.as_secs()
        );
        return QUEUE.wrong(what, found).mend(mend);
    }
    if queue.visibility < plan.lease {
        let found = format!(
            "{seconds} s, less than the lease of {lease} s: workers name their own and are safe, a person's receive hides for less"
        );
        return QUEUE.note(what, found).mend(mend);
    }
    QUEUE.ok(what, format!("{seconds} s; the lease is {lease} s"))
}

fn redrive(plan: &Plan, queue: &QueueInfo, dead: Option<&QueueInfo>) -> Diagnosis {
    let what = "redrive";
    let Some(redrive) = &queue.redrive else {
        let found = "there is none: a message that kills every worker that takes it goes round until it expires, and is lost then; workers do not start";
        return QUEUE.wrong(what, found).mend(mend::setup(plan, None));
    };
    let (target, count) = (&redrive.dead_letter_queue_arn, redrive.max_receive_count);
    if let Some(dead) = dead
        && &dead.arn != target
    {
        let found =
            format!("it leads to {target}, not to {}: half of the dead letters would be where nobody looks", dead.arn);
        return QUEUE.wrong(what, found).mend(mend::redrive(&plan.queue_url, &dead.arn, MAX_RECEIVE_COUNT));
    }
    let found = format!("to {} after {count} receives", name_of(target));
    let mend = mend::redrive(&plan.queue_url, target, MAX_RECEIVE_COUNT);
    if count < FEW_RECEIVES {
        let found = format!(
            "{found}: a finding that waits for its budget or a retry comes back more often, and SQS would give it up without a reason"
        );
        return QUEUE.wrong(what, found).mend(mend);
    }
    if count < MAX_RECEIVE_COUNT {
        return QUEUE.note(what, format!("{found}; `setup` takes {MAX_RECEIVE_COUNT}, for long outages")).mend(mend);
    }
    QUEUE.ok(what, found)
}

fn retention(plan: &Plan, queue: &QueueInfo, dead: Option<&QueueInfo>) -> Diagnosis {
    let what = "retention";
    let found = span(queue.retention);
    match dead {
        Some(dead) if queue.retention > dead.retention => QUEUE
            .wrong(
                what,
                format!("{found}, longer than the dead-letter queue's {}: a message that SQS moves there keeps its age, and an old one expires on arrival", span(dead.retention)),
            )
            .mend(mend::queue_attribute(
                &plan.dead_letter_queue_url,
                "MessageRetentionPeriod",
                DEAD_LETTER_RETENTION.as_secs(),
            )),
        Some(dead) if queue.retention == dead.retention => QUEUE
            .note(what, format!("{found}, as long as the dead-letter queue's: a message that SQS moves there at its end is soon gone"))
            .mend(mend::queue_attribute(&plan.queue_url, "MessageRetentionPeriod", RETENTION.min(queue.retention).as_secs())),
        _ => QUEUE.ok(what, found),
    }
}

fn encryption(about: About, url: &str, queue: &QueueInfo) -> Diagnosis {
    if queue.encrypted {
        return about.ok("encryption", "at rest");
    }
    about.note("encryption", "none at rest that it tells of").mend(mend::queue_attribute(
        url,
        "SqsManagedSseEnabled",
        true,
    ))
}

/// The dead-letter queue: `queue` where the queue was found.
pub(super) fn judge_dead_letters(plan: &Plan, dead: &QueueInfo, queue: Option<&QueueInfo>) -> Vec<Diagnosis> {
    let url = &plan.dead_letter_queue_url;
    let mut rows = vec![DEAD.ok("exists", format!("{} of account {} in {}", name_of(url), dead.account, dead.region))];
    if queue.is_some_and(|queue| queue.arn == dead.arn) {
        rows.push(
            DEAD.wrong("another queue", "it is the queue itself: what is given up would be received again at once")
                .mend("set FLEETWARDEN_DEAD_LETTER_QUEUE_URL to another queue, or make one: `fleetwarden setup`"),
        );
    }
    rows.push(if dead.retention < DEAD_LETTER_RETENTION {
        DEAD.note(
            "retention",
            format!("{}: a dead letter waits less long for a person than it could", span(dead.retention)),
        )
        .mend(mend::queue_attribute(url, "MessageRetentionPeriod", DEAD_LETTER_RETENTION.as_secs()))
    } else {
        DEAD.ok("retention", span(dead.retention))
    });
    rows.push(match &dead.redrive {
        Some(redrive) => DEAD
            .wrong(
                "redrive",
                format!(
                    "it has one of its own, to {}: letters that are looked at often enough leave it for where nobody looks",
                    redrive.dead_letter_queue_arn
                ),
            )
            .mend(mend::no_redrive(url)),
        None => DEAD.ok("redrive", "none of its own"),
    });
    rows.push(encryption(DEAD, url, dead));
    rows
}

/// How much waits in either.
pub(super) fn judge_depths(queue: Option<Depth>, dead: Option<Depth>) -> Vec<Diagnosis> {
    let waiting = |depth: Depth| {
        format!("{} wait, {} are in flight or parked, {} are delayed", depth.visible, depth.in_flight, depth.delayed)
    };
    let queue = queue.map(|depth| QUEUE.ok("messages", waiting(depth)));
    let dead = dead.map(|depth| {
        let n = depth.visible + depth.in_flight + depth.delayed;
        if n == 0 {
            return DEAD.ok("letters", "none");
        }
        DEAD.note("letters", format!("{n}: somebody should say what becomes of them"))
            .mend("`fleetwarden dlq list`, then `fleetwarden replay dlq` or `fleetwarden dlq purge`")
    });
    queue.into_iter().chain(dead).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::doctor::run::tests::plan;
    use crate::queue::RedrivePolicy;
    use std::time::Duration;

    fn queue(name: &str) -> QueueInfo {
        QueueInfo {
            arn: format!("arn:aws:sqs:us-east-1:123456789012:{name}"),
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            visibility: Duration::from_secs(60),
            retention: RETENTION,
            wait: WAIT,
            redrive: None,
            policy: None,
            encrypted: true,
        }
    }

    fn findings() -> QueueInfo {
        let redrive = RedrivePolicy { dead_letter_queue_arn: dead().arn, max_receive_count: MAX_RECEIVE_COUNT };
        QueueInfo { redrive: Some(redrive), ..queue("findings") }
    }

    fn dead() -> QueueInfo {
        QueueInfo { retention: DEAD_LETTER_RETENTION, ..queue("dead") }
    }

    fn unwell(rows: Vec<Diagnosis>) -> Vec<(String, State, String)> {
        let unwell = rows.into_iter().filter(|row| row.state != State::Ok);
        unwell.map(|row| (row.what, row.state, row.mend)).collect()
    }

    #[test]
    fn what_setup_makes_is_in_order() {
        assert_eq!(unwell(judge_queue(&plan(), &findings(), Some(&dead()))), []);
        assert_eq!(unwell(judge_dead_letters(&plan(), &dead(), Some(&findings()))), []);
    }

    #[test]
    fn each_setting_of_the_queue_that_is_off_is_told_with_its_command() {
        let few = |count| Some(RedrivePolicy { dead_letter_queue_arn: dead().arn, max_receive_count: count });
        let elsewhere =
            RedrivePolicy { dead_letter_queue_arn: "arn:aws:sqs:us-east-1:1:x".into(), max_receive_count: 1000 };
        let seconds = Duration::from_secs;
        for (queue, what, state, mend) in [
            (
                QueueInfo { visibility: seconds(9), ..findings() },
                "visibility timeout",
                State::Wrong,
                "VisibilityTimeout=60",
            ),
            (
                QueueInfo { visibility: seconds(10), ..findings() },
                "visibility timeout",
                State::Note,
                "VisibilityTimeout=60",
            ),
            (
                QueueInfo { redrive: None, ..findings() },
                "redrive",
                State::Wrong,
                "fleetwarden setup --queue-name findings",
            ),
            (QueueInfo { redrive: Some(elsewhere), ..findings() }, "redrive", State::Wrong, "123456789012:dead"),
            (QueueInfo { redrive: few(99), ..findings() }, "redrive", State::Wrong, "maxReceiveCount"),
            (QueueInfo { redrive: few(100), ..findings() }, "redrive", State::Note, "maxReceiveCount"),
            (QueueInfo { wait: Duration::ZERO, ..findings() }, "long polling", State::Note, "=20"),
            (QueueInfo { encrypted: false, ..findings() }, "encryption", State::Note, "SqsManagedSseEnabled=true"),
            (QueueInfo { retention: DEAD_LETTER_RETENTION, ..findings() }, "retention", State::Note, "=864000"),
        ] {
            let rows = unwell(judge_queue(&plan(), &queue, Some(&dead())));
            assert!(rows.len() == 1 && rows[0].0 == what && rows[0].1 == state && rows[0].2.contains(mend), "{rows:?}");
        }
        let short = QueueInfo { retention: seconds(86_400), ..dead() };
        let rows = unwell(judge_queue(&plan(), &findings(), Some(&short)));
        assert!(
            rows.len() == 1 && rows[0].1 == State::Wrong && rows[0].2.contains("MessageRetentionPeriod=1209600"),
            "{rows:?}"
        );
    }

    #[test]
    fn each_setting_of_the_dead_letter_queue_that_is_off_is_told() {
        let onward = findings().redrive;
        let rows = unwell(judge_dead_letters(&plan(), &QueueInfo { redrive: onward, ..dead() }, None));
        assert!(
            rows[0].0 == "redrive" && rows[0].1 == State::Wrong && rows[0].2.contains(r#"{"RedrivePolicy":""}"#),
            "{rows:?}"
        );
        let rows = unwell(judge_dead_letters(&plan(), &dead(), Some(&dead())));
        assert_eq!((rows[0].0.as_str(), rows[0].1), ("another queue", State::Wrong));
        let short = QueueInfo { retention: Duration::from_secs(345_600), ..dead() };
        assert_eq!(unwell(judge_dead_letters(&plan(), &short, None))[0].1, State::Note);
    }

    #[test]
    fn dead_letters_that_wait_are_a_note_and_an_empty_queue_is_none() {
        let two = Depth { visible: 1, in_flight: 1, delayed: 0 };
        let rows = judge_depths(Some(two), Some(two));
        assert_eq!((rows[0].state, rows[1].state), (State::Ok, State::Note));
        assert!(rows[1].found.starts_with("2:") && rows[1].mend.contains("fleetwarden dlq list"));
        assert_eq!(judge_depths(None, Some(Depth::default()))[0].state, State::Ok);
    }
}

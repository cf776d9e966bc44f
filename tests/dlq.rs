//! Looking at dead letters and purging them, on the in-memory twin under a paused clock.
#![expect(clippy::unwrap_used, reason = "tests")]

use fleetwarden::aws::{CallError, Class, Fate, Script};
use fleetwarden::clock::Clock;
use fleetwarden::queue::{BATCH, Depth, Disorder, MemoryQueue, MemoryQueueConfig, Outgoing, Queue, Received};
use fleetwarden::replay::{ANSWER, Answer, Bounds, By, End, Selection, find, give_back, look, purge, survey};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const BOTH: By = By { reason: true, check: true };
const LONG: Duration = Duration::from_secs(60);

fn queue(disorder: Option<Disorder>) -> MemoryQueue {
    let clock = Clock::virtual_at("2026-11-22T12:00:00Z".parse().unwrap());
    MemoryQueue::new(clock, MemoryQueueConfig { name: "dead".into(), disorder, ..MemoryQueueConfig::default() })
}

/// Letters about findings `f-0`, `f-1`, ..., every third with the reason `poison`, the others `attempts_exhausted`.
async fn filled(queue: MemoryQueue, letters: usize) -> MemoryQueue {
    for n in 0..letters {
        let reason = if n % 3 == 0 { "poison" } else { "attempts_exhausted" };
        let attributes = [("reason", reason), ("findingId", &format!("f-{n}")), ("checkName", "X"), ("error", "e")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let letter = Outgoing { body: format!("body {n}"), attributes: BTreeMap::from(attributes) };
        queue.send(&[letter]).await.unwrap().remove(0).unwrap();
    }
    queue
}

async fn all_visible(queue: &MemoryQueue, letters: u64) {
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: letters, ..Depth::default() });
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

fn reasons(reasons: &[&str]) -> Selection {
    Selection { reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(), ..Selection::default() }
}

/// A queue of which some receives find nothing, as one that SQS spreads over many servers.
struct Patchy {
    queue: MemoryQueue,
    /// Receives so far.
    receives: AtomicUsize,
    /// Every so many receives, so many in a row find nothing.
    pattern: (usize, usize),
}

impl Queue for Patchy {
    async fn receive(&self, max: usize, wait: Duration, visibility: Duration) -> Result<Vec<Received>, CallError> {
        let (period, empty) = self.pattern;
        if self.receives.fetch_add(1, Ordering::SeqCst) % period < empty {
            tokio::time::sleep(wait).await;
            return Ok(Vec::new());
        }
        self.queue.receive(max.min(3), wait, visibility).await
    }

    async fn delete(&self, handles: &[String]) -> Result<Vec<Result<(), CallError>>, CallError> {
        self.queue.delete(handles).await
    }

    async fn change_visibility(&self, entries: &[(String, Duration)]) -> Result<Vec<Result<(), CallError>>, CallError> {
        self.queue.change_visibility(entries).await
    }

    async fn send(&self, messages: &[Outgoing]) -> Result<Vec<Result<String, CallError>>, CallError> {
        self.queue.send(messages).await
    }

    async fn depth(&self) -> Result<Depth, CallError> {
        self.queue.depth().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_sees_each_letter_once_and_leaves_all_of_them_visible() {
    let seed = 23;
    println!("seed {seed}");
    let queue = filled(queue(Some(Disorder { seed, duplicates: 0.3 })), 137).await;
    let mut told = Vec::new();
    let bounds = Bounds::glance(10_000);
    let (groups, pass) =
        survey(&queue, BOTH, 2, bounds, &never(), |looked, depth| told.push((looked, depth.visible))).await.unwrap();
    assert_eq!((pass.looked, pass.end, pass.hidden), (137, End::Whole, 0));
    let counts: Vec<_> = groups.iter().map(|group| (group.reason.as_deref().unwrap(), group.count)).collect();
    assert_eq!(counts, [("attempts_exhausted", 91), ("poison", 46)]);
    assert_eq!(groups[0].examples.len(), 2);
    assert_eq!(told.last(), Some(&(137, 137)), "progress was told");
    all_visible(&queue, 137).await;
}

#[tokio::test(start_paused = true)]
async fn letters_are_hidden_only_while_they_are_looked_at() {
    let queue = filled(queue(None), 25).await;
    let looking = async {
        let seen = AtomicUsize::new(0);
        let bounds = Bounds::glance(10_000);
        let (held, end) = look(&queue, queue.depth().await.unwrap(), bounds, &never(), |_| {
            seen.fetch_add(1, Ordering::SeqCst);
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
        assert_eq!((held.len(), seen.load(Ordering::SeqCst), end), (25, 25, End::Whole));
        held
    };
    let begun = Instant::now();
    let held = looking.await;
    assert!(begun.elapsed() <= Duration::from_secs(1), "one empty receive is enough when all have come");
    assert_eq!(queue.depth().await.unwrap().in_flight, 25);
    assert_eq!(give_back(&queue, held).await, 0);
    all_visible(&queue, 25).await;
    let again = queue.receive(BATCH, Duration::ZERO, LONG).await.unwrap();
    assert!(again.iter().all(|letter| letter.receive_count == 2), "each look counts once: {again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_finds_nothing_now_and_then_is_seen_whole() {
    let patchy = Patchy { queue: filled(queue(None), 40).await, receives: AtomicUsize::new(0), pattern: (4, 2) };
    let (groups, pass) = survey(&patchy, BOTH, 1, Bounds::glance(10_000), &never(), |_, _| {}).await.unwrap();
    assert_eq!((pass.looked, pass.end), (40, End::Whole));
    assert_eq!(groups.iter().map(|group| group.count).sum::<usize>(), 40);
    all_visible(&patchy.queue, 40).await;
}

#[tokio::test(start_paused = true)]
async fn letters_in_other_hands_are_not_waited_for_and_not_touched() {
    let queue = filled(queue(None), 12).await;
    let theirs = queue.receive(5, Duration::ZERO, LONG).await.unwrap();
    let (_, pass) = survey(&queue, BOTH, 1, Bounds::glance(10_000), &never(), |_, _| {}).await.unwrap();
    assert_eq!((pass.looked, pass.depth.in_flight, pass.end), (7, 5, End::Whole));
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 7, in_flight: 5, delayed: 0 });
    let handles: Vec<_> = theirs.into_iter().map(|letter| letter.receipt_handle).collect();
    assert_eq!(queue.delete(&handles).await.unwrap().len(), 5);
    all_visible(&queue, 7).await;
}

#[tokio::test(start_paused = true)]
async fn a_look_ends_although_the_queue_says_that_it_has_more() {
    let nothing = Patchy { queue: filled(queue(None), 9).await, receives: AtomicUsize::new(0), pattern: (1, 1) };
    let begun = Instant::now();
    let (groups, pass) = survey(&nothing, BOTH, 1, Bounds::glance(10_000), &never(), |_, _| {}).await.unwrap();
    assert_eq!((groups.len(), pass.looked, pass.depth.visible), (0, 0, 9));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_look_stays_within_its_bounds_of_letters_and_of_time() {
    let queue = filled(queue(None), 57).await;
    for limit in [1, 10, 23, 56] {
        let (groups, pass) = survey(&queue, BOTH, 1, Bounds::glance(limit), &never(), |_, _| {}).await.unwrap();
        assert_eq!((pass.looked, pass.end, pass.depth.visible), (limit, End::Bounds, 57));
        assert_eq!(groups.iter().map(|group| group.count).sum::<usize>(), limit);
        all_visible(&queue, 57).await;
    }
    let slow = Patchy { queue, receives: AtomicUsize::new(0), pattern: (3, 2) };
    let bounds = Bounds { time: Duration::from_secs(2), ..Bounds::glance(10_000) };
    let (_, pass) = survey(&slow, BOTH, 1, bounds, &never(), |_, _| {}).await.unwrap();
    assert_eq!(pass.end, End::Bounds);
    assert!((1..57).contains(&pass.looked), "{}", pass.looked);
    all_visible(&slow.queue, 57).await;
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_stopped_gives_everything_back() {
    let queue = filled(queue(None), 300).await;
    let stop = never();
    let seen = |looked, _| {
        if looked == 90 {
            stop.cancel();
        }
    };
    let (_, pass) = survey(&queue, BOTH, 1, Bounds::glance(10_000), &stop, seen).await.unwrap();
    assert_eq!(pass.end, End::Stopped);
    assert!((90..300).contains(&pass.looked), "{}", pass.looked);
    all_visible(&queue, 300).await;
}

#[tokio::test(start_paused = true)]
async fn a_look_that_fails_gives_back_what_it_had() {
    let queue = filled(queue(None), 200).await;
    let script = (0..11).map(|_| ("queue.receive", Fate::Proceed));
    let failing = queue.with_fates(Arc::new(Script::new(
        script.chain([("queue.receive", Fate::Fail(Class::Denied)), ("queue.change_visibility", Fate::Proceed)]),
    )));
    let error = survey(&failing, BOTH, 1, Bounds::glance(10_000), &never(), |_, _| {}).await.unwrap_err();
    assert_eq!(error.class, Class::Denied);
    all_visible(&queue, 200).await;
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_cannot_be_given_back_at_first_is_tried_again_and_told_if_it_never_can() {
    let queue = filled(queue(None), 30).await;
    let passing = [Fate::FailEntry(3, Class::Transient), Fate::Fail(Class::Throttled), Fate::ReplyLost];
    let flaky = queue.with_fates(Arc::new(Script::new(passing.map(|fate| ("queue.change_visibility", fate)))));
    let (_, pass) = survey(&flaky, BOTH, 1, Bounds::glance(10_000), &never(), |_, _| {}).await.unwrap();
    assert_eq!((pass.looked, pass.hidden), (30, 0));
    all_visible(&queue, 30).await;

    let broken = queue.with_fates(Arc::new(|call: &'static str| match call {
        "queue.change_visibility" => Fate::FailEntry(0, Class::Transient),
        _ => Fate::Proceed,
    }));
    let (_, pass) = survey(&broken, BOTH, 1, Bounds::glance(10_000), &never(), |_, _| {}).await.unwrap();
    // Of each batch the first fails, three times over: 30 letters leave 3, of which the last batch leaves 1.
    assert_eq!(pass.hidden, 1);
    assert_eq!(queue.depth().await.unwrap(), Depth { visible: 29, in_flight: 1, delayed: 0 });
    tokio::time::advance(Bounds::glance(1).hide).await;
    all_visible(&queue, 30).await;
}

#[tokio::test(start_paused = true)]
async fn one_letter_is_found_by_its_finding_or_its_message_and_stays_where_it_is() {
    let queue = filled(queue(None), 45).await;
    let (letter, pass) = find(&queue, "f-31", Bounds::glance(10_000), &never(), |_, _| {}).await.unwrap();
    let letter = letter.unwrap();
    assert_eq!((letter.body.as_str(), pass.end, pass.hidden), ("body 31", End::Enough, 0));
    all_visible(&queue, 45).await;
    let (by_message, _) = find(&queue, &letter.message_id, Bounds::glance(10_000), &never(), |_, _| {}).await.unwrap();
    assert_eq!(by_message.unwrap().finding_id.as_deref(), Some("f-31"));
    let (absent, pass) = find(&queue, "f-45", Bounds::glance(10_000), &never(), |_, _| {}).await.unwrap();
    assert_eq!((absent, pass.looked, pass.end), (None, 45, End::Whole));
    all_visible(&queue, 45).await;
}

#[tokio::test(start_paused = true)]
async fn a_purge_deletes_what_was_selected_and_shown_and_nothing_else() {
    let queue = filled(queue(None), 31).await;
    let asked = async |groups: &[_], _| {
        let shown: Vec<&fleetwarden::replay::Group> = groups.iter().collect();
        assert_eq!((shown.len(), shown[0].count), (1, 11));
        let depth = queue.depth().await.unwrap();
        assert_eq!((depth.visible, depth.in_flight), (20, 11), "what is not selected is back before the question");
        // One that fits arrives while the person thinks: it was not shown.
        let late = Outgoing { body: "late".into(), attributes: BTreeMap::from([("reason".into(), "poison".into())]) };
        queue.send(&[late]).await.unwrap().remove(0).unwrap();
        true
    };
    let bounds = Bounds::question(10_000);
    let purged = purge(&queue, &reasons(&["poison"]), bounds, &never(), |_, _| {}, asked).await.unwrap();
    assert_eq!((purged.selected, purged.deleted, purged.answer), (11, 11, Answer::Yes));
    assert!(purged.errors.is_empty() && purged.pass.hidden == 0, "{purged:?}");
    all_visible(&queue, 21).await;
    let left: BTreeSet<_> = queue.contents().into_iter().map(|letter| letter.body).collect();
    assert!(left.contains("late") && left.contains("body 1") && !left.contains("body 3"), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_purge_that_is_declined_unanswered_or_stopped_deletes_nothing_and_hides_nothing() {
    let queue = filled(queue(None), 31).await;
    let bounds = Bounds::question(10_000);
    let all = Selection::default();

    let declined = purge(&queue, &all, bounds, &never(), |_, _| {}, async |_: &[_], _| false).await.unwrap();
    assert_eq!((declined.answer, declined.deleted), (Answer::No, 0));
    all_visible(&queue, 31).await;

    let begun = Instant::now();
    let silent = async |_: &[_], _| std::future::pending().await;
    let unanswered = purge(&queue, &all, bounds, &never(), |_, _| {}, silent).await.unwrap();
    assert_eq!((unanswered.answer, unanswered.deleted), (Answer::None, 0));
    assert!(begun.elapsed() < ANSWER + Duration::from_secs(5) && begun.elapsed() < bounds.hide);
    all_visible(&queue, 31).await;

    let stop = never();
    let stopping = async |_: &[_], _| {
        stop.cancel();
        std::future::pending().await
    };
    let stopped = purge(&queue, &all, bounds, &stop, |_, _| {}, stopping).await.unwrap();
    assert_eq!((stopped.answer, stopped.deleted), (Answer::Stopped, 0));
    all_visible(&queue, 31).await;
}

#[tokio::test(start_paused = true)]
async fn a_purge_with_nothing_to_delete_asks_nobody() {
    let queue = filled(queue(None), 5).await;
    let asked = async |_: &[_], _| panic!("there is nothing to ask");
    let bounds = Bounds::question(10_000);
    let purged = purge(&queue, &reasons(&["nothing"]), bounds, &never(), |_, _| {}, asked).await.unwrap();
    assert_eq!((purged.answer, purged.pass.looked), (Answer::NotAsked, 5));
    all_visible(&queue, 5).await;
}

#[tokio::test(start_paused = true)]
async fn letters_that_cannot_be_deleted_are_told_and_given_back() {
    let queue = filled(queue(None), 30).await;
    let script = [("queue.delete", Fate::Fail(Class::Denied)), ("queue.delete", Fate::FailEntry(2, Class::Transient))];
    let refusing = queue.with_fates(Arc::new(Script::new(script)));
    let bounds = Bounds::question(10_000);
    let purged =
        purge(&refusing, &Selection::default(), bounds, &never(), |_, _| {}, async |_: &[_], _| true).await.unwrap();
    assert_eq!((purged.selected, purged.deleted, purged.errors.len()), (30, 20, 10));
    assert!(purged.errors.iter().all(|error| error.class == Class::Denied), "the other entry passed when tried again");
    all_visible(&queue, 10).await;
}

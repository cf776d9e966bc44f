//! What every `Ledger` keeps when many workers want one record, or one resource, at the same moment.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::ledger::{LEASE, LEASE_MS, claim, ending, finish, get, ours, reference, request, subject};
use super::run::{now, unique};
use fleetwarden::ledger::{ClaimOutcome, ClaimRef, Gate, Ledger, ReplayMode, Status, WriteError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;

/// How many race.
pub const RACERS: usize = 24;
const ROUNDS: usize = 5;
const NO_COOLDOWN: Duration = Duration::ZERO;

/// Runs every case of this file against an implementation; see `run.rs`.
macro_rules! ledger_race_contract {
    ($($implementation:tt)*) => {
        contract_tests!(ledger_races, [
            one_of_24_claimers_wins_a_new_key,
            one_of_24_claimers_wins_the_takeover,
            claimers_of_overlapping_batches_share_the_keys_out,
            a_renewal_and_a_takeover_never_both_succeed,
            a_finish_and_a_takeover_never_both_succeed,
            an_end_is_not_replaced_by_another_end,
            one_of_24_holders_enters_a_resource,
            a_resource_is_entered_by_one_holder_at_a_time,
            a_holder_enters_its_own_resource_again,
            an_earlier_epoch_neither_enters_nor_lets_go_of_what_a_later_one_holds,
            leaving_what_another_holds_does_nothing,
            a_resource_acted_on_cools_down_for_others,
        ], $($implementation)*);
    };
}

/// Runs `racer(0..24)` at the same moment; the results in the order of the racers.
pub async fn race<L, T, F>(ledger: &Arc<L>, racer: impl Fn(Arc<L>, usize) -> F) -> Vec<T>
where
    L: Send + Sync + 'static,
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(RACERS));
    let racers: Vec<_> = (0..RACERS)
        .map(|number| {
            let start = Arc::clone(&start);
            let run = racer(Arc::clone(ledger), number);
            tokio::spawn(async move {
                start.wait().await;
                run.await
            })
        })
        .collect();
    let mut results = Vec::new();
    for racer in racers {
        results.push(racer.await.unwrap());
    }
    results
}

pub async fn one_of_24_claimers_wins_a_new_key<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (Arc::new(make().await), now());
    for round in 0..ROUNDS {
        let subject = subject("raced");
        let outcomes = race(&ledger, |ledger, number| {
            let subject = subject.clone();
            async move { claim(&*ledger, &subject, &format!("worker-{number}"), now).await }
        })
        .await;
        let record = get(&*ledger, &subject).await;
        assert_eq!(record.epoch, 1);
        for (number, outcome) in outcomes.into_iter().enumerate() {
            if record.owner == format!("worker-{number}") {
                assert_eq!(ours(outcome).record, record, "round {round}");
            } else {
                assert_eq!(outcome, ClaimOutcome::Busy { until: now + LEASE_MS }, "round {round}, worker {number}");
            }
        }
    }
}

pub async fn one_of_24_claimers_wins_the_takeover<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (Arc::new(make().await), now());
    let subject = subject("taken over and over");
    claim(&*ledger, &subject, "the first", now).await;
    for round in 1..=ROUNDS {
        let at = now + LEASE_MS * i64::try_from(round).unwrap();
        let outcomes = race(&ledger, |ledger, number| {
            let subject = subject.clone();
            async move { claim(&*ledger, &subject, &format!("worker-{number}"), at).await }
        })
        .await;
        let record = get(&*ledger, &subject).await;
        assert_eq!((record.epoch, record.attempts as usize), (round as u64 + 1, round));
        for (number, outcome) in outcomes.into_iter().enumerate() {
            if record.owner == format!("worker-{number}") {
                assert_eq!(ours(outcome).record, record, "round {round}");
            } else {
                assert_eq!(outcome, ClaimOutcome::Busy { until: at + LEASE_MS }, "round {round}, worker {number}");
            }
        }
    }
}

pub async fn claimers_of_overlapping_batches_share_the_keys_out<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (Arc::new(make().await), now());
    let requests: Vec<_> = (0..25).map(|_| request(&subject("shared out"), ReplayMode::Fresh)).collect();
    let outcomes = race(&ledger, |ledger, number| {
        let mut requests = requests.clone();
        requests.rotate_left(number);
        async move {
            let outcomes = ledger.claim(&requests, &format!("worker-{number}"), now, LEASE).await.unwrap();
            let won = outcomes.into_iter().map(Result::unwrap).filter_map(|outcome| match outcome {
                ClaimOutcome::Ours(claim) => Some(claim.record.subject.key),
                ClaimOutcome::Busy { .. } => None,
                other => panic!("{other:?}"),
            });
            won.collect::<Vec<_>>()
        }
    })
    .await;
    let mut won: Vec<_> = outcomes.into_iter().flatten().collect();
    won.sort();
    let mut all: Vec<_> = requests.into_iter().map(|request| request.subject.key).collect();
    all.sort();
    assert_eq!(won, all, "each key is won exactly once");
}

pub async fn a_renewal_and_a_takeover_never_both_succeed<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (Arc::new(make().await), now());
    for round in 0..ROUNDS {
        let subject = subject("renewed or taken");
        let held = reference(&ours(claim(&*ledger, &subject, "owner", now).await));
        let over = now + LEASE_MS;
        // The owner's clock is a little behind: to it the lease is still its own.
        let won = race(&ledger, |ledger, number| {
            let (subject, held) = (subject.clone(), held.clone());
            async move {
                match number % 2 {
                    0 => ledger.renew(&[held], over - 1, LEASE).await.unwrap().remove(0).is_ok(),
                    _ => {
                        matches!(
                            claim(&*ledger, &subject, &format!("worker-{number}"), over).await,
                            ClaimOutcome::Ours(_)
                        )
                    }
                }
            }
        })
        .await;
        let takeovers = won.iter().skip(1).step_by(2).filter(|won| **won).count();
        let record = get(&*ledger, &subject).await;
        // Once a renewal got in, the lease lasts beyond every claimer's clock.
        let renewed = won.iter().step_by(2).any(|won| *won);
        assert_eq!((takeovers == 1, record.epoch), (!renewed, if renewed { 1 } else { 2 }), "round {round}: {won:?}");
    }
}

pub async fn a_finish_and_a_takeover_never_both_succeed<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (Arc::new(make().await), now());
    for round in 0..ROUNDS {
        let subject = subject("finished or taken");
        let held = ours(claim(&*ledger, &subject, "owner", now).await);
        let over = now + LEASE_MS;
        let outcomes = race(&ledger, |ledger, number| {
            let (subject, end) = (subject.clone(), ending(&held, Status::Mitigated));
            async move {
                match number {
                    0 => finish(&*ledger, end, over).await.map(|()| None),
                    _ => Ok(Some(claim(&*ledger, &subject, &format!("worker-{number}"), over).await)),
                }
            }
        })
        .await;
        let taken = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Some(ClaimOutcome::Ours(_))))).count();
        let record = get(&*ledger, &subject).await;
        match &outcomes[0] {
            Ok(None) => assert_eq!((taken, record.status, record.epoch), (0, Status::Mitigated, 1), "round {round}"),
            Err(WriteError::LostClaim) => {
                assert_eq!((taken, record.status, record.epoch), (1, Status::Claimed, 2), "round {round}");
            }
            other => panic!("{other:?}"),
        }
    }
}

pub async fn an_end_is_not_replaced_by_another_end<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let subject = subject("ended once");
    let held = ours(claim(&ledger, &subject, "alice", now).await);
    finish(&ledger, ending(&held, Status::Mitigated), now + 1).await.unwrap();
    let before = get(&ledger, &subject).await;
    for status in [Status::Waiting, Status::Dead, Status::Compliant] {
        assert_eq!(finish(&ledger, ending(&held, status), now + 2).await, Err(WriteError::LostClaim), "{status}");
    }
    assert_eq!(get(&ledger, &subject).await, before);
}

/// A finding's first claim.
fn by(finding: &str) -> ClaimRef {
    ClaimRef { key: finding.to_owned(), epoch: 1 }
}

pub async fn one_of_24_holders_enters_a_resource<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (Arc::new(make().await), now());
    for round in 0..ROUNDS {
        let key = format!("resource#{}", unique("raced"));
        let gates = race(&ledger, |ledger, number| {
            let key = key.clone();
            async move { ledger.enter(&key, &by(&format!("finding-{number}")), now, LEASE, NO_COOLDOWN).await.unwrap() }
        })
        .await;
        let open = gates.iter().filter(|gate| **gate == Gate::Open).count();
        let busy = gates.iter().filter(|gate| **gate == Gate::Busy { until: now + LEASE_MS }).count();
        assert_eq!((open, busy), (1, RACERS - 1), "round {round}: {gates:?}");
    }
}

pub async fn a_resource_is_entered_by_one_holder_at_a_time<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let key = format!("resource#{}", unique("it's \"ü\""));
    let enter = async |holder: &str, at: i64| ledger.enter(&key, &by(holder), at, LEASE, NO_COOLDOWN).await.unwrap();
    assert_eq!(enter("a", now).await, Gate::Open);
    assert_eq!(enter("b", now + LEASE_MS - 1).await, Gate::Busy { until: now + LEASE_MS });
    ledger.leave(&key, &by("a"), now + 1, false).await.unwrap();
    assert_eq!(enter("b", now + 2).await, Gate::Open);
    let over = now + 2 + LEASE_MS;
    assert_eq!(enter("c", over).await, Gate::Open, "a holder that died lets go when its lease ends");
    assert_eq!(enter("b", over).await, Gate::Busy { until: over + LEASE_MS });
}

pub async fn a_holder_enters_its_own_resource_again<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let key = format!("resource#{}", unique("again"));
    let hour = Duration::from_secs(3600);
    for at in [now, now + 10] {
        assert_eq!(ledger.enter(&key, &by("a"), at, LEASE, hour).await.unwrap(), Gate::Open);
    }
    let busy = Gate::Busy { until: now + 10 + LEASE_MS };
    assert_eq!(ledger.enter(&key, &by("b"), now + 10, LEASE, hour).await.unwrap(), busy);
    ledger.leave(&key, &by("a"), now + 11, true).await.unwrap();
    assert_eq!(ledger.enter(&key, &by("a"), now + 12, LEASE, hour).await.unwrap(), Gate::Open);
}

pub async fn an_earlier_epoch_neither_enters_nor_lets_go_of_what_a_later_one_holds<L: Ledger>(
    make: impl AsyncFn() -> L,
) {
    let (ledger, now) = (make().await, now());
    let key = format!("resource#{}", unique("epochs"));
    let (late, current) = (by("a"), ClaimRef { epoch: 2, ..by("a") });
    let enter = async |holder: &ClaimRef, at: i64| ledger.enter(&key, holder, at, LEASE, NO_COOLDOWN).await.unwrap();
    assert_eq!(enter(&late, now).await, Gate::Open);
    assert_eq!(enter(&current, now + 1).await, Gate::Open, "whoever took over goes on");
    let busy = Gate::Busy { until: now + 1 + LEASE_MS };
    assert_eq!(enter(&late, now + 2).await, busy);
    ledger.leave(&key, &late, now + 3, true).await.unwrap();
    assert_eq!(enter(&by("b"), now + 4).await, busy);
    ledger.leave(&key, &current, now + 5, false).await.unwrap();
    assert_eq!(enter(&by("b"), now + 6).await, Gate::Open);
}

pub async fn leaving_what_another_holds_does_nothing<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let key = format!("resource#{}", unique("foreign"));
    let hour = Duration::from_secs(3600);
    ledger.leave(&key, &by("nobody"), now, true).await.unwrap();
    assert_eq!(ledger.enter(&key, &by("a"), now, LEASE, hour).await.unwrap(), Gate::Open);
    ledger.leave(&key, &by("b"), now + 1, true).await.unwrap();
    let busy = Gate::Busy { until: now + LEASE_MS };
    assert_eq!(ledger.enter(&key, &by("b"), now + 2, LEASE, hour).await.unwrap(), busy);
    ledger.leave(&key, &by("a"), now + 3, false).await.unwrap();
    assert_eq!(ledger.enter(&key, &by("b"), now + 4, LEASE, hour).await.unwrap(), Gate::Open, "nobody had acted");
}

pub async fn a_resource_acted_on_cools_down_for_others<L: Ledger>(make: impl AsyncFn() -> L) {
    let (ledger, now) = (make().await, now());
    let key = format!("resource#{}", unique("cooling"));
    let hour = Duration::from_secs(3600);
    assert_eq!(ledger.enter(&key, &by("a"), now, LEASE, hour).await.unwrap(), Gate::Open);
    ledger.leave(&key, &by("a"), now + 5, true).await.unwrap();
    let cooling = Gate::CoolingDown { by: "a".to_owned(), at: now + 5 };
    for _ in 0..2 {
        assert_eq!(ledger.enter(&key, &by("b"), now + 5 + 3_599_999, LEASE, hour).await.unwrap(), cooling);
    }
    assert_eq!(
        ledger.enter(&key, &by("c"), now + 6, LEASE, NO_COOLDOWN).await.unwrap(),
        Gate::Open,
        "no cool-down asked for"
    );
    ledger.leave(&key, &by("c"), now + 7, false).await.unwrap();
    assert_eq!(ledger.enter(&key, &by("b"), now + 5 + 3_600_000, LEASE, hour).await.unwrap(), Gate::Open);
}

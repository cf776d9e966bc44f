//! Looking at a dead-letter queue without taking anything out of it.
//!
//! SQS has no call that reads a queue: to look is to receive. A pass therefore hides every letter from the moment it comes, so that
//! none comes twice, and gives all of them back when it is over. Each look counts as a delivery of each letter it saw.

use super::letter::Letter;
use crate::aws::{CallError, Class};
use crate::queue::{BATCH, Depth, Queue, Received};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Requests under way at a time. At a round trip of 50 ms, 10,000 letters take 10,000 / 10 / 8 x 50 ms = 6 s each way.
const REQUESTS: usize = 8;

/// How long an empty receive waits. A wait makes SQS ask all of its servers; without one it asks some, and may miss letters.
const WAIT: Duration = Duration::from_secs(1);

/// Empty rounds that are believed while the queue says that it has more. What it says is up to a minute old, and letters may be
/// in other hands, so a pass does not insist for longer.
const PATIENCE: u32 = 3;

/// Tries of an entry that failed inside a batch; the call as a whole is tried again by the client.
const TRIES: u32 = 3;

/// Between the tries.
const PAUSE: Duration = Duration::from_millis(200);

/// How far a pass goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Letters, at most. SQS hides at most 120,000 messages of a queue at a time.
    pub letters: usize,
    /// No receive begins later than this after the first.
    pub time: Duration,
    /// How long each letter is hidden at most, should this process die before it gives them back. Longer than `time`, by what the
    /// last receive and the giving back may take.
    pub hide: Duration,
}

/// Letters of a pass, unless the caller says otherwise.
pub const LETTERS: usize = 10_000;

impl Bounds {
    /// For a pass that ends by itself: 60 s to look, and 60 s for the last receive (25 s, tried again) and the giving back.
    pub fn glance(letters: usize) -> Self {
        Self { letters, time: Duration::from_secs(60), hide: Duration::from_secs(120) }
    }

    /// For a pass that asks a person before it ends; what is left of the ten minutes is for the answer and the deleting.
    pub fn question(letters: usize) -> Self {
        Self { hide: Duration::from_secs(600), ..Self::glance(letters) }
    }
}

/// Why a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing more came: these are all the letters that nobody else has in hand.
    Whole,
    /// There may be more letters than the bounds let it see.
    Bounds,
    /// The caller had seen enough.
    Enough,
    /// The caller was told to stop.
    Stopped,
}

/// What is hidden by a pass: each letter's newest receipt handle, by its message id.
#[derive(Debug, Default)]
pub struct Held(HashMap<String, String>);

impl Held {
    /// Letters hidden.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes these out of it; ids that it does not hold are ignored.
    #[must_use]
    pub fn split(&mut self, message_ids: &[String]) -> Self {
        Self(message_ids.iter().filter_map(|id| self.0.remove_entry(id)).collect())
    }

    /// Puts them together again.
    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether this delivery is the first of its letter in this pass.
    fn admit(&mut self, received: &Received) -> bool {
        self.0.insert(received.message_id.clone(), received.receipt_handle.clone()).is_none()
    }
}

/// Shows each letter to `see` once, in no particular order, until nothing more comes, the bounds are reached, `see` breaks, or `stop`
/// is cancelled. What it saw stays hidden: [`give_back`] is the second half of every pass.
///
/// `expected` is what the queue says it has, which is approximate; it decides how soon an empty receive is believed.
///
/// # Errors
/// A receive that failed. What had been received is given back before.
pub async fn look<Q: Queue>(
    queue: &Q,
    expected: Depth,
    bounds: Bounds,
    stop: &CancellationToken,
    mut see: impl FnMut(Letter) -> ControlFlow<()>,
) -> Result<(Held, End), CallError> {
    let until = Instant::now() + bounds.time;
    let expected = usize::try_from(expected.visible).unwrap_or(usize::MAX);
    let mut held = Held::default();
    let mut empty = 0;
    loop {
        if stop.is_cancelled() {
            return Ok((held, End::Stopped));
        }
        if held.len() >= bounds.letters || Instant::now() >= until {
            return Ok((held, End::Bounds));
        }
        let room = bounds.letters - held.len();
        let wanted = expected.saturating_sub(held.len()).clamp(1, REQUESTS * BATCH).min(room);
        // A receive is never dropped half-way: its letters would stay hidden, and nobody would have their handles.
        let received = join_all(shares(wanted, room).map(|max| queue.receive(max, WAIT, bounds.hide))).await;
        let (mut came, mut failed, mut enough) = (false, None, false);
        for answer in received {
            match answer {
                Ok(messages) => {
                    for message in messages {
                        if held.admit(&message) && !enough {
                            came = true;
                            enough = see(Letter::new(message)).is_break();
                        }
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            give_back(queue, held).await;
            return Err(error);
        }
        if enough {
            return Ok((held, End::Enough));
        }
        empty = if came { 0 } else { empty + 1 };
        if !stop.is_cancelled() && empty >= if held.len() >= expected { 1 } else { PATIENCE } {
            return Ok((held, End::Whole));
        }
    }
}

/// What each receive of a round asks for: as many full batches as bring `wanted`, together at most `room`.
fn shares(wanted: usize, room: usize) -> impl Iterator<Item = usize> {
    (0..wanted.div_ceil(BATCH)).map(move |index| (room - index * BATCH).min(BATCH))
}

/// Makes them visible again at once. Answers how many could not be given back: those stay hidden until [`Bounds::hide`] has run out.
pub async fn give_back<Q: Queue>(queue: &Q, held: Held) -> usize {
    let change = async |handles: Vec<String>| {
        let entries: Vec<_> = handles.into_iter().map(|handle| (handle, Duration::ZERO)).collect();
        queue.change_visibility(&entries).await
    };
    let failed = in_batches(held, change).await;
    // A letter that is not in flight any more, or not under this handle, is not hidden by us.
    failed.into_iter().filter(|(_, _, error)| error.class != Class::Permanent).count()
}

/// Deletes letters by the handles under which they were seen. Answers those that could not be deleted, with why, still held.
pub async fn delete<Q: Queue>(queue: &Q, held: Held) -> (Held, Vec<CallError>) {
    let failed = in_batches(held, async |handles: Vec<String>| queue.delete(&handles).await).await;
    let mut left = Held::default();
    let mut errors = Vec::with_capacity(failed.len());
    for (id, handle, error) in failed {
        left.0.insert(id, handle);
        errors.push(error);
    }
    (left, errors)
}

/// Runs a batch call over all of them, [`REQUESTS`] at a time. Entries and calls that may pass are tried [`TRIES`] times; what is left
/// comes back as (message id, handle, error).
async fn in_batches<F>(held: Held, call: F) -> Vec<(String, String, CallError)>
where
    F: AsyncFn(Vec<String>) -> Result<Vec<Result<(), CallError>>, CallError>,
{
    let mut todo: Vec<(String, String)> = held.0.into_iter().collect();
    let mut failed = Vec::new();
    for round in 1..=TRIES {
        let batches = todo.chunks(BATCH).map(|chunk| async {
            let outcomes = match call(chunk.iter().map(|(_, handle)| handle.clone()).collect()).await {
                Ok(outcomes) => outcomes,
                Err(error) => chunk.iter().map(|_| Err(error.clone())).collect(),
            };
            let entries = chunk.iter().cloned().zip(outcomes);
            entries.filter_map(|((id, handle), outcome)| Some((id, handle, outcome.err()?))).collect::<Vec<_>>()
        });
        let batches: Vec<_> = batches.collect();
        let missed: Vec<_> = stream::iter(batches).buffer_unordered(REQUESTS).concat().await;
        let (again, lost): (Vec<_>, Vec<_>) =
            missed.into_iter().partition(|(_, _, error)| error.may_pass() && round < TRIES);
        failed.extend(lost);
        if again.is_empty() {
            break;
        }
        todo = again.into_iter().map(|(id, handle, _)| (id, handle)).collect();
        tokio::time::sleep(PAUSE).await;
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_asks_for_what_it_wants_in_full_batches_and_never_beyond_its_room() {
        let asked = |wanted, room| shares(wanted, room).collect::<Vec<_>>();
        assert_eq!(asked(1, 10_000), [10]);
        assert_eq!(asked(25, 10_000), [10, 10, 10]);
        assert_eq!(asked(25, 25), [10, 10, 5]);
        assert_eq!(asked(1, 1), [1]);
    }
}

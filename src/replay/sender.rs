//! Sending at a steady rate, and again what may pass.

use crate::aws::{CallError, Class};
use crate::queue::{BATCH, Outgoing, Queue};
use backon::{BackoffBuilder, ExponentialBuilder};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Tries of one message. What was sent twice is claimed once, so an unknown outcome is simply sent again.
const TRIES: usize = 4;

/// The delays between them.
pub(super) fn delays() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_max_times(TRIES - 1).build()
}

/// Sends to one queue, at most so many messages a second.
pub(crate) struct Sender<'a, Q> {
    queue: &'a Q,
    rate: u32,
    free_at: Instant,
}

impl<'a, Q: Queue> Sender<'a, Q> {
    pub fn new(queue: &'a Q, rate: u32) -> Self {
        Self { queue, rate: rate.max(1), free_at: Instant::now() }
    }

    /// Messages that one call takes: a tenth of a second's, so that slow rates do not go in bursts.
    pub fn chunk(&self) -> usize {
        (self.rate as usize / 10).clamp(1, BATCH)
    }

    /// Waits until `n` messages may go; `false` if `stop` came first.
    pub async fn turn(&mut self, n: usize, stop: &CancellationToken) -> bool {
        tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            () = tokio::time::sleep_until(self.free_at) => {}
        }
        let takes = Duration::from_secs_f64(n as f64 / f64::from(self.rate));
        self.free_at = self.free_at.max(Instant::now()) + takes;
        true
    }

    /// Sends 1 to [`BATCH`] messages; says of each, in order, whether it is in the queue for certain.
    pub async fn send(&self, messages: &[Outgoing]) -> Vec<Result<(), CallError>> {
        let mut results: Vec<Result<(), CallError>> = messages.iter().map(|_| Ok(())).collect();
        let mut left: Vec<usize> = (0..messages.len()).collect();
        let mut delays = delays();
        loop {
            let batch: Vec<Outgoing> = left.iter().map(|&index| messages[index].clone()).collect();
            let missing = || CallError::new(Class::Unknown, "SendMessageBatch", "the reply does not name the message");
            let answers = match self.queue.send(&batch).await {
                Ok(answers) => answers.into_iter().map(|answer| answer.map(drop)).collect(),
                Err(error) => vec![Err(error); batch.len()],
            };
            let answers = answers.into_iter().chain(std::iter::repeat_with(|| Err(missing())));
            for (&index, answer) in left.iter().zip(answers) {
                results[index] = answer;
            }
            left.retain(|&index| results[index].as_ref().is_err_and(CallError::may_pass));
            match delays.next() {
                Some(delay) if !left.is_empty() => tokio::time::sleep(delay).await,
                _ => return results,
            }
        }
    }
}

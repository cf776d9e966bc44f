//! The client behind every noun of the console: its pace, and what is tried again.

use crate::aws::{CallError, Class};
use crate::budget::Pace;
use aws_sdk_iot::Client;
use backon::{ExponentialBuilder, Retryable};
use std::cell::Cell;
use std::time::Duration;

/// Calls per second of one command. Device Defender's operations that workers use too are limited to 10/s and more, and workers leave
/// a fifth of that to people (see [`crate::budget::RESERVE`]): one person's command stays inside it.
const PER_SECOND: f64 = 2.0;

/// Calls per second of the reads that no worker makes and that are made once for each audit of a list. The lower quota of the two,
/// `DescribeAuditTask` (25 a second) and `ListAuditTasks`.
const LOOKS_PER_SECOND: f64 = 10.0;

/// Tries of a call that certainly had no effect: with delays of 0.5, 1 and 2 s a throttle or a lost connection is outlived.
const TRIES: usize = 4;

/// Before the second try; then doubled.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// Device Defender of one account and region, for commands that a person gives.
#[derive(Debug)]
pub struct Console {
    iot: Client,
    pace: Pace,
    looks: Pace,
}

impl Console {
    /// Nothing is called yet.
    pub fn new(iot: Client) -> Self {
        Self { iot, pace: Pace::new(PER_SECOND), looks: Pace::new(LOOKS_PER_SECOND) }
    }

    /// The client, for one attempt inside [`Console::call`].
    pub(super) fn iot(&self) -> &Client {
        &self.iot
    }

    /// Makes a call at the console's pace, and again after a throttle or where it never got there. A write whose outcome is unknown is
    /// not repeated: its error is the caller's to read back.
    ///
    /// # Errors
    ///
    /// Those of the last attempt.
    pub(super) async fn call<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        retried(&self.pace, had_no_effect, attempt).await
    }

    /// [`Console::call`] for reads that no worker makes: faster.
    ///
    /// # Errors
    ///
    /// Those of the last attempt.
    pub(super) async fn look<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        retried(&self.looks, had_no_effect, attempt).await
    }

    /// [`Console::call`] for writes that set something to a value, or make something under a name of its own: repeating one whose
    /// outcome is unknown does no harm. The second value says whether the outcome of an attempt is unknown: an error that says
    /// "exists already" or "is gone" may then tell of our own doing.
    pub(super) async fn set<T, F>(&self, mut attempt: impl FnMut() -> F) -> (Result<T, CallError>, bool)
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let in_doubt = Cell::new(false);
        let attempt = || {
            let call = attempt();
            async {
                let answer = call.await;
                in_doubt.set(in_doubt.get() || answer.as_ref().is_err_and(|error| error.class == Class::Unknown));
                answer
            }
        };
        let answer = retried(&self.pace, CallError::may_pass, attempt).await;
        (answer, in_doubt.get())
    }
}

fn had_no_effect(error: &CallError) -> bool {
    matches!(error.class, Class::Throttled | Class::Transient)
}

/// Makes a call at this pace, and again while its error is worth it.
async fn retried<T, F>(
    pace: &Pace,
    worth_it: impl FnMut(&CallError) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let delays = ExponentialBuilder::default().with_min_delay(FIRST_DELAY).with_max_times(TRIES - 1);
    let paced = || {
        let call = attempt();
        async {
            pace.slot().await;
            call.await
        }
    };
    paced.retry(delays).sleep(tokio::time::sleep).when(worth_it).await
}

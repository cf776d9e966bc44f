//! The client behind every noun of the console: its pace, and what is tried again.

use crate::aws::{CallError, Class};
use crate::budget::Pace;
use aws_sdk_iot::Client;
use backon::{ExponentialBuilder, Retryable};
use std::time::Duration;

/// Calls per second of one command. Device Defender's operations that workers use too are limited to 10/s and more, and workers leave
/// a fifth of that to people (see [`crate::budget::RESERVE`]): one person's command stays inside it.
const PER_SECOND: f64 = 2.0;

/// Tries of a call that certainly had no effect: with delays of 0.5, 1 and 2 s a throttle or a lost connection is outlived.
const TRIES: usize = 4;

/// Device Defender of one account and region, for commands that a person gives.
#[derive(Debug)]
pub struct Console {
    iot: Client,
    pace: Pace,
}

impl Console {
    /// Nothing is called yet.
    pub fn new(iot: Client) -> Self {
        Self { iot, pace: Pace::new(PER_SECOND) }
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
    pub(super) async fn call<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let delays = ExponentialBuilder::default().with_min_delay(Duration::from_millis(500)).with_max_times(TRIES - 1);
        let paced = || {
            let call = attempt();
            async {
                self.pace.slot().await;
                call.await
            }
        };
        paced
            .retry(delays)
            .sleep(tokio::time::sleep)
            .when(|error: &CallError| matches!(error.class, Class::Throttled | Class::Transient))
            .await
    }
}

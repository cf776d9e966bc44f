//! A value whose changes can be waited for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What tokio's `watch` does, but for one thing: who waits is woken in the order of waiting, and not at random, so that a simulation
/// replays.
#[derive(Debug)]
pub(super) struct Signal<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T> Signal<T> {
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::new() }
    }

    /// The value as it is; it cannot change meanwhile.
    pub fn look(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it. `change` says whether those who wait should look again.
    pub fn change(&self, change: impl FnOnce(&mut T) -> bool) {
        if change(&mut self.look()) {
            self.changed.notify_waiters();
        }
    }

    /// Ends with the next change after this call.
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Returns when the value is so.
    pub async fn wait_for(&self, is_so: impl Fn(&T) -> bool) {
        loop {
            // First, so that no change is missed that comes after the look.
            let changed = self.changed();
            if is_so(&self.look()) {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_change_is_woken_in_the_order_of_waiting() {
        let (signal, woken) = (Arc::new(Signal::new(0)), Arc::new(Mutex::new(Vec::new())));
        let waiting: Vec<_> = (0..20)
            .map(|n| {
                let (signal, woken) = (Arc::clone(&signal), Arc::clone(&woken));
                tokio::spawn(async move {
                    signal.wait_for(|value| *value == 2).await;
                    woken.lock().unwrap().push(n);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        signal.change(|value| {
            *value = 1;
            true
        });
        tokio::task::yield_now().await;
        assert!(woken.lock().unwrap().is_empty());
        signal.change(|value| {
            *value = 2;
            true
        });
        for one in waiting {
            one.await.unwrap();
        }
        assert_eq!(*woken.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }
}

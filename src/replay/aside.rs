//! Dead letters that are not meant: kept from being received again until everything was looked at, and then given back.

use crate::queue::{BATCH, Queue};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// How long a letter is hidden at a time. One that is not given back, since this process was killed, is seen again that late.
pub(super) const HIDDEN: Duration = Duration::from_secs(300);

/// Letters held, by message id.
#[derive(Debug, Default)]
pub(super) struct Aside {
    handles: HashMap<String, String>,
    /// Soonest first; a letter that was received again stands here twice, and the earlier entry says nothing.
    due: VecDeque<(Instant, String)>,
}

impl Aside {
    /// Letters in hand.
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Keeps a letter that was received at `since`; `false` if it is held already, and only has a newer receipt handle.
    pub fn keep(&mut self, message_id: &str, receipt_handle: &str, since: Instant) -> bool {
        self.due.push_back((since + HIDDEN / 2, message_id.to_owned()));
        self.handles.insert(message_id.to_owned(), receipt_handle.to_owned()).is_none()
    }

    /// Whether that letter is held.
    pub fn has(&self, message_id: &str) -> bool {
        self.handles.contains_key(message_id)
    }

    /// Extends what half its time is over of. What cannot be extended any more (after 12 hours) is seen by others, and that is all.
    pub async fn beat<Q: Queue>(&mut self, queue: &Q) {
        let now = Instant::now();
        let n = self.due.iter().take_while(|(due, _)| *due <= now).count();
        let ids: Vec<String> = self.due.drain(..n).map(|(_, id)| id).collect();
        for ids in ids.chunks(BATCH) {
            let ids: Vec<&String> = ids.iter().filter(|id| self.handles.contains_key(*id)).collect();
            let entries: Vec<(String, Duration)> =
                ids.iter().filter_map(|id| Some((self.handles.get(*id)?.clone(), HIDDEN))).collect();
            if entries.is_empty() {
                continue;
            }
            let asked = Instant::now();
            // A failed one is received again, and then held again.
            let _ = queue.change_visibility(&entries).await;
            self.due.extend(ids.into_iter().map(|id| (asked + HIDDEN / 2, id.clone())));
        }
    }

    /// Makes all of them visible at once. What fails is seen again when its time is over.
    pub async fn give_back<Q: Queue>(self, queue: &Q) {
        let handles: Vec<String> = self.handles.into_values().collect();
        for handles in handles.chunks(BATCH) {
            let entries: Vec<_> = handles.iter().map(|handle| (handle.clone(), Duration::ZERO)).collect();
            let _ = queue.change_visibility(&entries).await;
        }
    }
}

//! What is in a dead-letter queue: all of it in groups, or one letter. The queue is left as it was.

use super::groups::{By, Group, Groups};
use super::letter::Letter;
use super::look::{Bounds, End, give_back, look};
use crate::aws::CallError;
use crate::queue::{Depth, Queue};
use std::ops::ControlFlow;
use tokio_util::sync::CancellationToken;

/// What a pass over a queue was and left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// What the queue said it had before; approximate.
    pub depth: Depth,
    /// Letters that were looked at.
    pub looked: usize,
    /// Why it ended.
    pub end: End,
    /// Letters that could not be given back: hidden until [`Bounds::hide`] has run out.
    pub hidden: usize,
}

/// Groups the letters of a queue. `seen` is told how many there have been so far.
///
/// # Errors
/// The queue does not answer; what had been received is given back before.
pub async fn survey<Q: Queue>(
    queue: &Q,
    by: By,
    examples: usize,
    bounds: Bounds,
    stop: &CancellationToken,
    mut seen: impl FnMut(usize, Depth),
) -> Result<(Vec<Group>, Pass), CallError> {
    let mut groups = Groups::new(by, examples);
    let mut looked = 0;
    let depth = queue.depth().await?;
    let (held, end) = look(queue, depth, bounds, stop, |letter| {
        groups.add(&letter);
        looked += 1;
        seen(looked, depth);
        ControlFlow::Continue(())
    })
    .await?;
    let hidden = give_back(queue, held).await;
    Ok((groups.finish(), Pass { depth, looked, end, hidden }))
}

/// The first letter that comes and [is](Letter::is) the one of that id; none if the pass ended without it.
///
/// # Errors
/// The queue does not answer; what had been received is given back before.
pub async fn find<Q: Queue>(
    queue: &Q,
    id: &str,
    bounds: Bounds,
    stop: &CancellationToken,
    mut seen: impl FnMut(usize, Depth),
) -> Result<(Option<Letter>, Pass), CallError> {
    let mut found = None;
    let mut looked = 0;
    let depth = queue.depth().await?;
    let (held, end) = look(queue, depth, bounds, stop, |letter| {
        looked += 1;
        seen(looked, depth);
        if !letter.is(id) {
            return ControlFlow::Continue(());
        }
        found = Some(letter);
        ControlFlow::Break(())
    })
    .await?;
    let hidden = give_back(queue, held).await;
    Ok((found, Pass { depth, looked, end, hidden }))
}

//! Deleting letters that nobody wants any more: those that were shown, after a question, and no others.

use super::groups::{By, Group, Groups};
use super::letter::Letter;
use super::look::{Bounds, End, delete, give_back, look};
use super::survey::Pass;
use crate::aws::CallError;
use crate::queue::{Depth, Queue};
use std::ops::ControlFlow;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a person may take to answer, while what would go is hidden from others. Of the ten minutes of [`Bounds::question`], two are
/// for looking and three for deleting and giving back.
pub const ANSWER: Duration = Duration::from_secs(300);

/// Examples of a group that a person is shown before the question.
const EXAMPLES: usize = 1;

/// Letters that are to be deleted. Every condition must hold; the default takes every letter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Any of these reasons; empty means whatever reason.
    pub reasons: Vec<String>,
    /// Any of these checks, by their modern names; empty means whatever check, or none.
    pub checks: Vec<String>,
    /// Sent before this, milliseconds since the epoch. A letter that does not say when it was sent is not older than anything.
    pub sent_before: Option<i64>,
}

impl Selection {
    /// Whether the letter is one of them.
    pub fn takes(&self, letter: &Letter) -> bool {
        let one_of =
            |wanted: &[String], is: Option<&str>| wanted.is_empty() || wanted.iter().any(|w| Some(w.as_str()) == is);
        one_of(&self.reasons, Some(&letter.reason))
            && one_of(&self.checks, letter.check.as_deref())
            && self.sent_before.is_none_or(|before| letter.sent_at.is_some_and(|at| at < before))
    }
}

/// What a person said to the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// There was nothing to ask: no letter is selected.
    NotAsked,
    /// Delete them.
    Yes,
    /// Leave them.
    No,
    /// Nothing within [`ANSWER`].
    None,
    /// The program was told to stop.
    Stopped,
}

/// What a purge did.
#[derive(Debug)]
pub struct Purged {
    /// The pass that came before.
    pub pass: Pass,
    /// What was selected, in groups.
    pub groups: Vec<Group>,
    /// Letters selected.
    pub selected: usize,
    /// Whether they were to be deleted.
    pub answer: Answer,
    /// Letters deleted.
    pub deleted: usize,
    /// Why others were not.
    pub errors: Vec<CallError>,
}

/// Looks, gives back at once what is not selected, asks, and deletes what is, each letter by the handle under which it was seen.
/// Whatever it does not delete it gives back. [`Bounds::question`] hides letters long enough for that.
///
/// # Errors
/// The queue does not answer while it looks; what had been received is given back before.
pub async fn purge<Q: Queue>(
    queue: &Q,
    selection: &Selection,
    bounds: Bounds,
    stop: &CancellationToken,
    mut seen: impl FnMut(usize, Depth),
    ask: impl AsyncFnOnce(&[Group], Pass) -> bool,
) -> Result<Purged, CallError> {
    let mut groups = Groups::new(By { reason: true, check: true }, EXAMPLES);
    let mut looked = 0;
    let mut selected = Vec::new();
    let depth = queue.depth().await?;
    let (mut held, end) = look(queue, depth, bounds, stop, |letter| {
        looked += 1;
        seen(looked, depth);
        if selection.takes(&letter) {
            groups.add(&letter);
            selected.push(letter.message_id);
        }
        ControlFlow::Continue(())
    })
    .await?;
    let chosen = held.split(&selected);
    let hidden = give_back(queue, held).await;
    let pass = Pass { depth, looked, end, hidden };
    let groups = groups.finish();
    let answer = if end == End::Stopped {
        Answer::Stopped
    } else if chosen.is_empty() {
        Answer::NotAsked
    } else {
        tokio::select! {
            biased;
            () = stop.cancelled() => Answer::Stopped,
            answer = tokio::time::timeout(ANSWER, ask(&groups, pass)) => match answer {
                Ok(true) => Answer::Yes,
                Ok(false) => Answer::No,
                Err(_) => Answer::None,
            },
        }
    };
    let (left, errors) = if answer == Answer::Yes { delete(queue, chosen).await } else { (chosen, Vec::new()) };
    let deleted = if answer == Answer::Yes { selected.len() - left.len() } else { 0 };
    let hidden = hidden + give_back(queue, left).await;
    Ok(Purged { pass: Pass { hidden, ..pass }, groups, selected: selected.len(), answer, deleted, errors })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Received;

    fn letter(reason: &str, check: &str, sent_at: Option<i64>) -> Letter {
        let attribute = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Letter::new(Received {
            message_id: String::new(),
            receipt_handle: String::new(),
            body: String::new(),
            attributes: [attribute("reason", reason), attribute("checkName", check)].into(),
            receive_count: 1,
            first_received_at: None,
            sent_at,
            trace_header: None,
        })
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn the_default_takes_every_letter() {
        assert!(Selection::default().takes(&letter("a", "-", None)));
    }

    #[test]
    fn a_letter_is_taken_if_every_condition_holds() {
        let all = Selection { reasons: words(&["a", "b"]), checks: words(&["X"]), sent_before: Some(100) };
        assert!(all.takes(&letter("a", "X", Some(99))));
        assert!(all.takes(&letter("b", "X", Some(99))));
        assert!(!all.takes(&letter("c", "X", Some(99))));
        assert!(!all.takes(&letter("a", "Y", Some(99))));
        assert!(!all.takes(&letter("a", "-", Some(99))));
        assert!(!all.takes(&letter("a", "X", Some(100))));
        assert!(!all.takes(&letter("a", "X", None)), "who knows how old it is");
    }
}

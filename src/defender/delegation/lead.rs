//! One task from its first finding to its end.

use super::order::order;
use super::rooms::{Lead, Purpose, Seat, TaskEnd, Word};
use crate::aws::{CallError, Class};
use crate::mitigation::{IotControl, MitigationTaskOrder, MitigationTaskState, Paced};
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A task waits for more findings until none has come for so long, or all this time: what is read of each beforehand comes at some 8
/// a second, so that 25 take 3 s.
const GATHERING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Between the first looks at a task; each further pause is half as long again, up to [`SLOWEST_LOOK`]. Ten tasks in progress then
/// take 2 of the 20 looks a second that the budget allows.
const FIRST_LOOK: Duration = Duration::from_millis(500);
const SLOWEST_LOOK: Duration = Duration::from_secs(5);

/// Looks in a row that may fail before the task's findings go back to the queue: all 25 of them for one call.
const BLIND_LOOKS: u32 = 3;

/// How long a task is watched before its findings go back to the queue, to hear of it later: their claims are renewed all the while.
const WATCHED: Duration = Duration::from_secs(300);

/// Between two tries while ten tasks are in progress, and for how long it is tried before the findings go back to the queue.
const CROWDED: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));

/// A start whose answer was lost is there after this, or never comes: one attempt takes at most 10 s (`aws/clients.rs`).
const SETTLED: Duration = Duration::from_secs(12);

/// Starts under one id whose answers were all lost.
const TRIES: u32 = 3;

const START: &str = "StartAuditMitigationActionsTask";
const DESCRIBE: &str = "DescribeAuditMitigationActionsTask";

/// Leads a room to its task's end. Everyone in it hears a last word, unless this is cut off.
pub(super) async fn lead<I: IotControl>(lead: Lead<'_>, iot: &Paced<I>, stop: &CancellationToken) {
    tokio::select! {
        biased;
        () = lead.full() => {}
        () = stop.cancelled() => {}
        () = gathered(&lead) => {}
    }
    let mut seats = lead.close();
    let word = match lead.purpose().clone() {
        Purpose::Await { task_id } => watch(iot, &task_id, stop).await,
        Purpose::HandOver { check, actions, .. } => {
            let Some(order) = seal(&check, &actions, &mut seats).await else { return };
            match start(iot, &order, &seats, stop).await {
                Ok(()) => watch(iot, &order.task_id, stop).await,
                Err(word) => word,
            }
        }
    };
    for seat in seats {
        // Who has left already needs no word.
        let _ = seat.words.send(word.copy());
    }
}

async fn gathered(lead: &Lead<'_>) {
    let end = Instant::now() + GATHERING.1;
    let mut before = 0;
    while before < lead.taken() && Instant::now() < end {
        before = lead.taken();
        tokio::time::sleep(GATHERING.0).await;
    }
}

impl Word {
    fn copy(&self) -> Self {
        match self {
            Self::Ended(end) => Self::Ended(end.clone()),
            Self::Failed { error, started } => Self::Failed { error: error.clone(), started: *started },
            Self::Absent => Self::Absent,
            // Sealed is never a last word.
            Self::Alone | Self::Sealed(..) => Self::Alone,
        }
    }
}

/// Has everyone write down what they will be in; those who cannot are left out, which makes it another task.
async fn seal(check: &str, actions: &[String], seats: &mut Vec<Seat>) -> Option<Arc<MitigationTaskOrder>> {
    loop {
        if seats.is_empty() {
            return None;
        }
        let order = Arc::new(order(check, actions, seats.iter().map(|seat| seat.member.clone())));
        let written = join_all(seats.iter().map(|seat| {
            let (written, heard) = oneshot::channel();
            let _ = seat.words.send(Word::Sealed(Arc::clone(&order), written));
            heard
        }));
        let mut written = written.await.into_iter().map(|written| written.unwrap_or(false));
        let before = seats.len();
        seats.retain(|_| written.next().unwrap_or(false));
        if seats.len() == before {
            return Some(order);
        }
    }
}

/// `Ok` once the task certainly exists.
async fn start<I: IotControl>(
    iot: &Paced<I>,
    order: &MitigationTaskOrder,
    seats: &[Seat],
    stop: &CancellationToken,
) -> Result<(), Word> {
    let holds: Vec<_> = seats.iter().map(|seat| Arc::clone(&seat.holds)).collect();
    let while_all_hold = iot.while_it_holds(move || holds.iter().all(|holds| holds()));
    let (mut waited, mut lost) = (Duration::ZERO, 0);
    loop {
        let error = match while_all_hold.start_mitigation_task(order).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match (error.class, error.code.as_deref()) {
            (_, Some("TaskAlreadyExistsException")) => return Ok(()),
            (_, Some("LimitExceededException")) => {
                if waited >= CROWDED.1 || paused(CROWDED.0, stop).await {
                    let message = "ten mitigation tasks are in progress, which is all that Device Defender allows";
                    let error = CallError::new(Class::Throttled, START, message);
                    return Err(Word::Failed { error, started: lost > 0 });
                }
                waited += CROWDED.0;
            }
            (Class::Unknown, _) => {
                lost += 1;
                if exists(iot, &order.task_id).await.map_err(|error| Word::Failed { error, started: true })? {
                    return Ok(());
                }
                if lost == TRIES {
                    return Err(Word::Failed { error, started: true });
                }
            }
            // What was lost before has been looked for, and will not come any more.
            (Class::Permanent, _) => return Err(refused(iot, order, error).await),
            _ => return Err(Word::Failed { error, started: lost > 0 }),
        }
    }
}

/// Device Defender refuses the task. A missing action breaks all tasks alike, and pauses the worker (P7); else one bad finding may
/// have spoilt it for the others.
async fn refused<I: IotControl>(iot: &Paced<I>, order: &MitigationTaskOrder, error: CallError) -> Word {
    for name in &order.actions {
        match iot.describe_mitigation_action(name).await {
            Err(missing) if missing.class == Class::Gone => {
                return Word::Failed { error: no_such_action(name), started: false };
            }
            _ => {}
        }
    }
    match order.finding_ids.len() {
        1 => Word::Failed { error, started: false },
        _ => Word::Alone,
    }
}

/// The error of a mitigation action that does not exist: a broken account, not a broken finding.
pub(super) fn no_such_action(name: &str) -> CallError {
    let message = format!(
        "Device Defender has no mitigation action {name}; create it with `fleetwarden actions create`, or name another in the policy"
    );
    CallError::new(Class::Denied, START, message)
}

/// Whether the task is there, now or once a start that may be under way has come through.
async fn exists<I: IotControl>(iot: &Paced<I>, task_id: &str) -> Result<bool, CallError> {
    Ok(described(iot, task_id).await?.is_some())
}

async fn described<I: IotControl>(iot: &Paced<I>, task_id: &str) -> Result<Option<MitigationTaskState>, CallError> {
    match iot.describe_mitigation_task(task_id).await {
        Err(error) if error.class == Class::Gone => {}
        answer => return answer.map(Some),
    }
    tokio::time::sleep(SETTLED).await;
    match iot.describe_mitigation_task(task_id).await {
        Err(error) if error.class == Class::Gone => Ok(None),
        answer => answer.map(Some),
    }
}

/// Looks at a task until it is over.
async fn watch<I: IotControl>(iot: &Paced<I>, task_id: &str, stop: &CancellationToken) -> Word {
    let (mut pause, mut watched, mut blind) = (FIRST_LOOK, Duration::ZERO, 0);
    loop {
        let look = described(iot, task_id).await;
        blind = if look.is_ok() { 0 } else { blind + 1 };
        match look {
            Ok(None) => return Word::Absent,
            Ok(Some(MitigationTaskState { status, total, succeeded })) if status != "IN_PROGRESS" => {
                let clean = status == "COMPLETED" && total > 0 && succeeded == total;
                return Word::Ended(TaskEnd { task_id: task_id.to_owned(), status, clean });
            }
            Ok(Some(_)) => {}
            Err(error) if error.may_pass() && blind < BLIND_LOOKS => {}
            Err(error) => return Word::Failed { error, started: true },
        }
        if watched >= WATCHED || paused(pause, stop).await {
            let message = format!("mitigation task {task_id} is still in progress");
            return Word::Failed { error: CallError::new(Class::Throttled, DESCRIBE, message), started: true };
        }
        watched += pause;
        pause = pause.mul_f64(1.5).min(SLOWEST_LOOK);
    }
}

/// Whether the worker was told to stop meanwhile.
async fn paused(pause: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => true,
        () = tokio::time::sleep(pause) => false,
    }
}

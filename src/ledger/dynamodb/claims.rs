//! Claiming: one batch of INSERTs, and for what was there already one batch of conditional UPDATEs.

use super::adapter::DynamoLedger;
use super::batch::{self, Outcome};
use super::item::{self, Item};
use super::statements::Statement;
use crate::aws::{CallError, Class};
use crate::ledger::transition::{Arrival, arrive, begin};
use crate::ledger::{Claim, ClaimOutcome, ClaimRequest, Record, Status};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const INSERT: &str = "BatchExecuteStatement";

/// Counts the calls of `claim` in this process. With the owner and the time it names one call, so that a claim whose reply was
/// lost is recognised when the SDK repeats it, while two calls of one worker that meet in the same millisecond are still told apart.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// A call of `claim`, as far as every entry shares it.
struct Call<'a> {
    owner: &'a str,
    now: i64,
    lease: Duration,
    token: String,
}

/// How an entry stands after the first batch.
enum Stand {
    Settled(Result<ClaimOutcome, CallError>),
    TakeOver { record: Box<Record>, lapsed: bool, statement: Statement },
}

impl Stand {
    fn settled(self) -> Option<Result<ClaimOutcome, CallError>> {
        match self {
            Self::Settled(result) => Some(result),
            Self::TakeOver { .. } => None,
        }
    }
}

pub(super) async fn claim(
    ledger: &DynamoLedger,
    requests: &[ClaimRequest],
    owner: &str,
    now: i64,
    lease: Duration,
) -> Result<Vec<Result<ClaimOutcome, CallError>>, CallError> {
    batch::check(requests.iter().map(|request| request.subject.key.as_str()))?;
    let number = CALLS.fetch_add(1, Ordering::Relaxed);
    let call = Call { owner, now, lease, token: format!("{owner}/{now}/{number}") };

    let firsts: Vec<Record> = requests.iter().map(|request| begin(request, owner, now, lease)).collect();
    let inserts = firsts.iter().map(|record| {
        let attributes = item::attributes(INSERT, record, &call.token)?;
        Ok(Statement::insert(&ledger.table, attributes))
    });
    let outcomes = batch::execute(&ledger.client, inserts.collect::<Result<_, CallError>>()?).await?;
    let answers = answers(ledger, requests, outcomes).await;

    let mut stands = Vec::with_capacity(requests.len());
    for ((request, first), answer) in requests.iter().zip(firsts).zip(answers) {
        stands.push(match answer {
            Ok(None) => ours(first, false),
            Ok(Some(existing)) => call.meet(ledger, request, &existing),
            Err(error) => Stand::Settled(Err(error)),
        });
    }
    take_over(ledger, requests, &call, stands).await
}

/// Runs the takeovers among `stands`, and says of each lost one how the record stands now.
async fn take_over(
    ledger: &DynamoLedger,
    requests: &[ClaimRequest],
    call: &Call<'_>,
    stands: Vec<Stand>,
) -> Result<Vec<Result<ClaimOutcome, CallError>>, CallError> {
    let updates = stands.iter().filter_map(|stand| match stand {
        Stand::TakeOver { statement, .. } => Some(statement.clone()),
        Stand::Settled(_) => None,
    });
    let updates: Vec<Statement> = updates.collect();
    if updates.is_empty() {
        return Ok(stands.into_iter().filter_map(Stand::settled).collect());
    }
    // First claims of this call are ours whatever becomes of the takeovers, so a failure here is each takeover's own.
    let mut outcomes = match batch::execute(&ledger.client, updates).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            let failed = stands.iter().filter(|stand| matches!(stand, Stand::TakeOver { .. }));
            failed.map(|_| Outcome::Failed(error.clone())).collect()
        }
    }
    .into_iter();
    // What was settled before takes no answer.
    let outcomes = stands.iter().map(|stand| match stand {
        Stand::Settled(_) => Outcome::Done,
        Stand::TakeOver { .. } => outcomes.next().unwrap_or_else(|| {
            Outcome::Failed(CallError::new(Class::Unknown, INSERT, "no answer came for this takeover"))
        }),
    });
    let outcomes = outcomes.collect();
    let answers = answers(ledger, requests, outcomes).await;

    let results = stands.into_iter().zip(answers).zip(requests).map(|((stand, answer), request)| {
        let (record, lapsed) = match stand {
            Stand::Settled(result) => return result,
            Stand::TakeOver { record, lapsed, .. } => (record, lapsed),
        };
        match answer? {
            None => Ok(ClaimOutcome::Ours(Box::new(Claim { record: *record, taken_over: true, lapsed }))),
            Some(existing) => match call.meet(ledger, request, &existing) {
                Stand::Settled(result) => result,
                // Lost to a write that left it claimable again: the next delivery will see.
                Stand::TakeOver { .. } => Ok(ClaimOutcome::Busy { until: call.now }),
            },
        }
    });
    Ok(results.collect())
}

/// What each write met: nothing, and took effect; or an item, as the answer brought it, the others by one consistent read.
async fn answers(
    ledger: &DynamoLedger,
    requests: &[ClaimRequest],
    outcomes: Vec<Outcome>,
) -> Vec<Result<Option<Item>, CallError>> {
    let missing = requests.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, Outcome::Refused(None)));
    let missing: Vec<&str> = missing.map(|(request, _)| request.subject.key.as_str()).collect();
    let mut read = batch::read(&ledger.client, &ledger.table, &missing).await;
    let answers = requests.iter().zip(outcomes).map(|(request, outcome)| match outcome {
        Outcome::Done => Ok(None),
        Outcome::Failed(error) => Err(error),
        Outcome::Refused(Some(item)) => Ok(Some(item)),
        Outcome::Refused(None) => {
            let items = read.as_mut().map_err(|error| error.clone())?;
            let item = items.remove(&request.subject.key);
            let expired = || CallError::new(Class::Transient, INSERT, "the item expired between write and read");
            item.map(Some).ok_or_else(expired)
        }
    });
    answers.collect()
}

fn ours(record: Record, taken_over: bool) -> Stand {
    Stand::Settled(Ok(ClaimOutcome::Ours(Box::new(Claim { record, taken_over, lapsed: false }))))
}

impl Call<'_> {
    /// What `request` may do about the item that it met.
    fn meet(&self, ledger: &DynamoLedger, request: &ClaimRequest, existing: &Item) -> Stand {
        let token = item::text_of(existing, item::CLAIM_TOKEN);
        let record = match item::record(INSERT, existing) {
            Ok(record) => record,
            Err(error) => return Stand::Settled(Err(error)),
        };
        // Our own write, whose reply was lost. It is from this very call, so the record is as this call wrote it.
        if token == Some(self.token.as_str()) {
            let taken_over = record.epoch > 1;
            return ours(record, taken_over);
        }
        match arrive(&record, request, self.owner, self.now, self.lease) {
            Arrival::Duplicate(status) => Stand::Settled(Ok(ClaimOutcome::Duplicate(status))),
            Arrival::Busy { until } => Stand::Settled(Ok(ClaimOutcome::Busy { until })),
            Arrival::Mismatch => Stand::Settled(Ok(ClaimOutcome::Mismatch)),
            Arrival::TakeOver { record: next, seen_epoch } => {
                let replayed = match item::replayed_text(INSERT, next.replayed.as_ref()) {
                    Ok(text) => text.map(item::s),
                    Err(error) => return Stand::Settled(Err(error)),
                };
                let mut changes = vec![
                    (item::STATUS, Some(item::s(next.status.as_str()))),
                    (item::EPOCH, Some(item::n(next.epoch))),
                    (item::OWNER, Some(item::s(&next.owner))),
                    (item::LEASE_UNTIL, Some(item::n(next.lease_until))),
                    (item::ATTEMPTS, Some(item::n(next.attempts))),
                    (item::UPDATED_AT, Some(item::n(next.updated_at))),
                    (item::EXPIRES_AT, Some(item::n(next.expires_at))),
                    (item::CLAIM_TOKEN, Some(item::s(&self.token))),
                    (item::RETRY_AT, next.retry_at.map(item::n)),
                    (item::CURSOR, next.cursor.as_ref().map(item::s)),
                    (item::REPLAYED, replayed),
                    (item::ATTENTION, None),
                ];
                if next.subject != record.subject {
                    changes.extend(item::subject_attributes(&next.subject));
                }
                // The lease too: a renewal since the decision was made wins.
                let conditions = vec![
                    (item::EPOCH, item::n(seen_epoch)),
                    (item::STATUS, item::s(record.status.as_str())),
                    (item::LEASE_UNTIL, item::n(record.lease_until)),
                ];
                let statement = Statement::update(&ledger.table, &request.subject.key, changes, conditions);
                Stand::TakeOver { record: next, lapsed: record.status == Status::Claimed, statement }
            }
        }
    }
}
